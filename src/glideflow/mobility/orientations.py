"""Line directions in a {110} plane of a bcc crystal that give an orthogonal periodic cell, by integer search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import SlipSystemError

NORMAL: Final = (1, 0, 1)
"""Normal of the slip plane, in Miller indices."""
BURGERS: Final = (1, 1, -1)
"""Direction of the Burgers vector ½[11-1]a in Miller indices."""

LINES: Final[tuple[tuple[int, int], ...]] = (
    (1, 1),
    (3, 4),
    (3, 5),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 6),
    (1, 14),
    (0, 1),
    (-1, 10),
    (-1, 5),
    (-1, 3),
    (-1, 2),
    (-3, 5),
    (-3, 4),
    (-1, 1),
    (-5, 4),
    (-5, 3),
    (-3, 1),
    (-5, 1),
    (-1, 0),
    (-5, -1),
    (-3, -1),
    (-2, -1),
    (-5, -4),
)
"""(p, q) of 25 lines [p q -p] from 0 to 174.23°, about 7° apart, with periods of at most 14.1 lattice constants."""


@dataclass(frozen=True)
class LineOrientation:
    """A line direction [p q -p] in the plane (101), with the cell that it gives.

    y lies along the line, z along [101], and x = y × z; every index has its integers coprime. The angle is that from
    the Burgers vector ½[11-1] to the line about the normal, so that b = b (sin θ, cos θ, 0) in this frame. θ and
    180° - θ are different lines: 109.47° is the second <111> direction of the plane, 70.53° is none.

    Attributes:
        p: first integer of the line direction.
        q: second one; p and q are coprime.
    """

    p: int
    q: int

    @property
    def line(self) -> tuple[int, int, int]:
        """Miller indices of the line direction, y."""
        return (self.p, self.q, -self.p)

    @property
    def glide(self) -> tuple[int, int, int]:
        """Miller indices of the glide direction, x = y × z."""
        divisor = math.gcd(self.q, 2 * self.p)
        return (self.q // divisor, -2 * self.p // divisor, -self.q // divisor)

    @property
    def frame(self) -> IntArray:
        """(3, 3) integer rows: directions of x, y and z."""
        return np.array([self.glide, self.line, NORMAL])

    @property
    def axes(self) -> FloatArray:
        """(3, 3) unit vectors x, y and z as rows, in the cubic axes."""
        return np.asarray(self.frame / np.linalg.norm(self.frame, axis=1, keepdims=True))

    @property
    def angle_deg(self) -> float:
        """Angle θ from the Burgers vector to the line about the normal, in (-180, 180]."""
        return math.degrees(math.atan2(math.sqrt(2.0) * (self.q - self.p), 2 * self.p + self.q))

    @property
    def half_periods(self) -> IntArray:
        """(3, 3) integer rows: the shortest lattice vectors along x, y and z, in units of half a lattice constant."""
        odd = np.all(self.frame % 2 != 0, axis=1, keepdims=True)
        return np.where(odd, self.frame, 2 * self.frame)

    @property
    def periods(self) -> FloatArray:
        """(3,) lengths of the shortest lattice vectors along x, y and z, in lattice constants."""
        return np.asarray(np.linalg.norm(self.half_periods, axis=1) / 2)


def line_orientation(p: int, q: int) -> LineOrientation:
    """The line [p q -p], in the sense that has its angle in [0, 180).

    Args:
        p: first integer.
        q: second integer; a common divisor is taken out.

    Raises:
        SlipSystemError: both are zero.
    """
    divisor = math.gcd(p, q)
    if divisor == 0:
        raise SlipSystemError("the line direction [0 0 0]", expected="two integers of which one is not zero")
    orientation = LineOrientation(p // divisor, q // divisor)
    backwards = orientation.q < orientation.p or (orientation.p == orientation.q and orientation.p < 0)
    return LineOrientation(-orientation.p, -orientation.q) if backwards else orientation


def nearest_line(angle_deg: float, *, longest_period: float = 14.2, tolerance_deg: float = 0.75) -> LineOrientation:
    """The line whose angle is closest to the one asked for, of all whose periods are short enough.

    Args:
        angle_deg: angle between Burgers vector and line; as lines have no sense here, it counts modulo 180°.
        longest_period: largest period along the line, in lattice constants.
        tolerance_deg: how far off the angle may be.

    Raises:
        SlipSystemError: no such line, or the angle is not finite.
    """
    if not math.isfinite(angle_deg):
        raise SlipSystemError(
            f"the line angle {angle_deg}",
            expected="a finite angle in degrees",
            next_step="correct mobility.cells.angles_deg",
        )
    lines = _lines(longest_period)
    found = min(lines, key=lambda line: (_apart(line.angle_deg, angle_deg), line.periods[1]), default=None)
    if found is None or _apart(found.angle_deg, angle_deg) > tolerance_deg:
        nearest = (
            f"the nearest is {found.angle_deg:.2f}°, [{found.p} {found.q} {-found.p}]" if found else "there is none"
        )
        raise SlipSystemError(
            f"no line at {angle_deg:g}° to the Burgers vector with a period of at most {longest_period:.1f} lattice "
            f"constants: {nearest}",
            expected=f"one within {tolerance_deg:g}°",
            next_step="raise mobility.cells.longest_period_nm or mobility.cells.angle_tolerance_deg, or take another "
            "angle",
        )
    return found


def _lines(longest_period: float) -> list[LineOrientation]:
    """Every line, in one of its two senses, with a period of at most so many lattice constants."""
    # The period of [p q -p] is at least half its length √(2p² + q²).
    p_limit, q_limit = math.floor(math.sqrt(2.0) * longest_period), math.floor(2.0 * longest_period)
    found = [
        LineOrientation(p, q)
        for p in range(-p_limit, p_limit + 1)
        for q in range(-q_limit, q_limit + 1)
        if math.gcd(p, q) == 1 and line_orientation(p, q) == LineOrientation(p, q)
    ]
    return [line for line in found if line.periods[1] <= longest_period]


def _apart(first_deg: float, second_deg: float) -> float:
    """Difference of two angles of lines without sense, in [0, 90] degrees."""
    return abs((first_deg - second_deg + 90.0) % 180.0 - 90.0)
