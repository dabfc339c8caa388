"""The sum over pairs of points and segments behind `glideflow.mobility.stress`, compiled by numba if it is installed.

One formula serves both ways: numba compiles it for numbers, and NumPy runs it on arrays of pairs.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from glideflow.crystals.lattices import FloatArray

HAS_NUMBA = importlib.util.find_spec("numba") is not None
Medium = tuple[float, float, float]
PAIRS_AT_ONCE = 50_000
"""Pairs that the NumPy way takes at once, so that its arrays stay in the processor's cache."""


def sum_over_segments(
    points: FloatArray, starts: FloatArray, ends: FloatArray, burgers: FloatArray, medium: Medium
) -> FloatArray:
    """(6, P) stress in Voigt order xx, yy, zz, yz, xz, xy at (P, 3) points, summed over (S, 3) segments.

    Args:
        points: (P, 3).
        starts: (S, 3), none of them at its end.
        ends: (S, 3).
        burgers: (S, 3).
        medium: shear modulus, Poisson ratio and core radius.
    """
    columns, segments = np.ascontiguousarray(points.T), _segments(starts, ends, burgers)
    total = np.zeros((6, len(points)))
    (_compiled_sum if HAS_NUMBA else sum_with_numpy)(columns, segments, *medium, total)
    return total


def _segments(starts: FloatArray, ends: FloatArray, burgers: FloatArray) -> FloatArray:
    """(13, S) start, direction t, length, Burgers vector b and b × t of each segment."""
    along = ends - starts
    lengths = np.linalg.norm(along, axis=1, keepdims=True)
    directions = along / lengths
    return np.ascontiguousarray(np.hstack([starts, directions, lengths, burgers, np.cross(burgers, directions)]).T)


def sum_with_numpy(
    points: FloatArray,
    segments: FloatArray,
    shear_modulus: float,
    poisson_ratio: float,
    core_radius: float,
    total: FloatArray,
) -> None:
    """Add the stress of (13, S) segments at (3, P) points to ``total``, (6, P)."""
    rows = max(1, PAIRS_AT_ONCE // max(1, segments.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):  # in the branch that np.where does not take
        for first in range(0, points.shape[1], rows):
            block = slice(first, first + rows)
            arguments: list[Any] = [*points[:, block, None], *segments, shear_modulus, poisson_ratio, core_radius]
            parts = _pair(*arguments)
            total[:, block] += [part.sum(axis=1) for part in parts]


def _select(condition: Any, first: Any, second: Any) -> Any:  # noqa: ANN401 - arrays, or numbers for numba
    """The first where the condition holds, else the second."""
    return np.where(condition, first, second)


def _pair(
    x: Any,  # noqa: ANN401
    y: Any,  # noqa: ANN401
    z: Any,  # noqa: ANN401
    ax: Any,  # noqa: ANN401
    ay: Any,  # noqa: ANN401
    az: Any,  # noqa: ANN401
    tx: Any,  # noqa: ANN401
    ty: Any,  # noqa: ANN401
    tz: Any,  # noqa: ANN401
    length: Any,  # noqa: ANN401
    bx: Any,  # noqa: ANN401
    by: Any,  # noqa: ANN401
    bz: Any,  # noqa: ANN401
    cx: Any,  # noqa: ANN401
    cy: Any,  # noqa: ANN401
    cz: Any,  # noqa: ANN401
    shear_modulus: float,
    poisson_ratio: float,
    core_radius: float,
) -> Any:  # noqa: ANN401 - six arrays, or six numbers for numba
    """Stress at one point of one segment; see `glideflow.mobility.stress.segment_stress`.

    With R = d + L t from the line to the point, where d is perpendicular to the unit vector t of the segment and L runs
    from L2 (end) to L1 (start), q² = d² + a² and R_a² = q² + L², every term is one of the integrals
    jmn = ∫ L^m / R_a^n dL. Their usual forms lose all digits beyond the ends of the segment, near its axis; there
    differences of nearly equal terms are written as quotients without q².
    """
    dx, dy, dz = x - ax, y - ay, z - az
    l1 = dx * tx + dy * ty + dz * tz
    l2 = l1 - length
    dx, dy, dz = dx - l1 * tx, dy - l1 * ty, dz - l1 * tz
    a2 = core_radius * core_radius
    q2 = dx * dx + dy * dy + dz * dz + a2
    r1, r2 = np.sqrt(q2 + l1 * l1), np.sqrt(q2 + l2 * l2)
    product = r1 * r2
    difference = length * (l1 + l2)  # l1² - l2²
    beyond = l1 * l2 > 0.0
    j03 = _select(beyond, difference / (l1 * r2 + l2 * r1), (l1 * r2 - l2 * r1) / q2) / product
    mixed = _select(beyond, (q2 + l1 * l1 + l2 * l2) / (product + l1 * l2), (product - l1 * l2) / q2) / product
    ends = 1.0 / (r1 * r1) + 1.0 / (r2 * r2)
    j05 = j03 * (ends + mixed) / 3.0
    j13 = difference / (product * (r1 + r2))
    j15 = j13 * (ends + 1.0 / product) / 3.0
    u1, u2 = l1 / r1, l2 / r2
    j25 = j03 * (u1 * u1 + u1 * u2 + u2 * u2) / 3.0

    # g = d × b and t × b = -c
    gx, gy, gz = dy * bz - dz * by, dz * bx - dx * bz, dx * by - dy * bx
    dc = dx * cx + dy * cy + dz * cz
    f0, f1 = 2.0 * j03 + 3.0 * a2 * j05, 2.0 * j13 + 3.0 * a2 * j15
    first = -shear_modulus / (8.0 * np.pi)
    second = shear_modulus / (4.0 * np.pi * (1.0 - poisson_ratio))
    hx, hy, hz = first * (f0 * gx - f1 * cx), first * (f0 * gy - f1 * cy), first * (f0 * gz - f1 * cz)
    mx, my, mz = -second * (j03 * dx + j13 * tx), -second * (j03 * dy + j13 * ty), -second * (j03 * dz + j13 * tz)
    volume = second * dc * (j03 + 3.0 * a2 * j05)
    w0, w1, w2 = 3.0 * second * dc * j05, 3.0 * second * dc * j15, 3.0 * second * dc * j25
    xx = 2.0 * (hx * tx + cx * mx) + w0 * dx * dx + 2.0 * w1 * dx * tx + w2 * tx * tx + volume
    yy = 2.0 * (hy * ty + cy * my) + w0 * dy * dy + 2.0 * w1 * dy * ty + w2 * ty * ty + volume
    zz = 2.0 * (hz * tz + cz * mz) + w0 * dz * dz + 2.0 * w1 * dz * tz + w2 * tz * tz + volume
    yz = hy * tz + hz * ty + cy * mz + cz * my + w0 * dy * dz + w1 * (dy * tz + dz * ty) + w2 * ty * tz
    xz = hx * tz + hz * tx + cx * mz + cz * mx + w0 * dx * dz + w1 * (dx * tz + dz * tx) + w2 * tx * tz
    xy = hx * ty + hy * tx + cx * my + cy * mx + w0 * dx * dy + w1 * (dx * ty + dy * tx) + w2 * tx * ty
    return xx, yy, zz, yz, xz, xy


def _loop(
    points: FloatArray,
    segments: FloatArray,
    shear_modulus: float,
    poisson_ratio: float,
    core_radius: float,
    total: FloatArray,
) -> None:
    """As `sum_with_numpy`, for numba."""
    for s in range(segments.shape[1]):
        ax, ay, az, tx, ty, tz, length, bx, by, bz, cx, cy, cz = segments[:, s]
        for i in range(points.shape[1]):
            xx, yy, zz, yz, xz, xy = _compiled_pair(
                points[0, i],
                points[1, i],
                points[2, i],
                ax,
                ay,
                az,
                tx,
                ty,
                tz,
                length,
                bx,
                by,
                bz,
                cx,
                cy,
                cz,
                shear_modulus,
                poisson_ratio,
                core_radius,
            )
            total[0, i] += xx
            total[1, i] += yy
            total[2, i] += zz
            total[3, i] += yz
            total[4, i] += xz
            total[5, i] += xy


def _select_number(condition: Any, first: Any, second: Any) -> Any:  # noqa: ANN401
    """What numba compiles for `_select`."""

    def choice(condition: Any, first: Any, second: Any) -> Any:  # noqa: ANN401
        return first if condition else second

    return choice


if HAS_NUMBA:
    from numba import njit
    from numba.extending import overload

    overload(_select)(_select_number)
    # Division by zero gives infinity as in NumPy: it happens in the branch that is not taken.
    _compiled_pair: Any = njit(inline="always", error_model="numpy")(_pair)
    _compiled_sum: Any = njit(cache=True, nogil=True, error_model="numpy")(_loop)
