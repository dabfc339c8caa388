"""Numbers, Miller indices and foreign text as the report writes them."""

from __future__ import annotations

import hashlib
import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.slip_systems import slip_system

if TYPE_CHECKING:
    from glideflow.config.slip_systems import SlipSystemSettings

MISSING = "–"
"""What stands where there is no value."""

_OVERLINE = "\u0305"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SMALLEST_DECIMAL = 1e-4
_METRIC_INDEX = {"fcc": np.eye(3), "bcc": np.eye(3), "hcp": np.array([[1, -0.5, 0], [-0.5, 1, 0], [0, 0, 1.0]])}
_BURGERS_SYMBOL = {"fcc": "½", "bcc": "½", "hcp": "⅓"}


@dataclass(frozen=True, kw_only=True)
class SlipLabels:
    """A slip system in words, with bars over negative indices.

    Attributes:
        name: name of the slip system.
        plane: the slip plane, e.g. ``(111)``.
        x: direction of the Burgers vector, e.g. ``[1̄10]``.
        y: in-plane direction y = z × x, e.g. ``[1̄1̄2]``; empty where it has no small indices.
        minus_y: the opposite direction, e.g. ``[112̄]``.
        burgers_vector: the Burgers vector, e.g. ``½[1̄10]``.
    """

    name: str
    plane: str
    x: str
    y: str
    minus_y: str
    burgers_vector: str

    @property
    def title(self) -> str:
        """Plane and direction, e.g. ``(111)[1̄10]``."""
        return self.plane + self.x


def number(value: float | None, decimals: int) -> str:
    """A number with fixed decimals and a true minus sign; a dash for None."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "−")


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, below 1e-4 with a power of ten; a dash for None."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if abs(value) < _SMALLEST_DECIMAL:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−")
    return number(value, max(0, digits - 1 - math.floor(math.log10(abs(value)))))


def with_error(value: float, error: float) -> str:
    """A value and its error, both to the second significant digit of the error: ``3.458 ± 0.013``."""
    if not (math.isfinite(error) and error > 0):
        return significant(value, 4)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{number(value, decimals)} ± {number(error, decimals)}"


def peierls_text(value_mpa: float, error_mpa: float, *, is_upper_bound: bool) -> str:
    """A Peierls stress in MPa with its error, or ``≤`` the upper bound."""
    return f"≤ {significant(value_mpa)}" if is_upper_bound else with_error(value_mpa, error_mpa)


def anchor(potential_id: str) -> str:
    """Fragment by which a page links to a potential: its id, with a digest if it holds unusual characters."""
    safe = re.sub(r"[^A-Za-z0-9._+-]", "-", potential_id)
    suffix = "" if safe == potential_id else f"-{hashlib.sha256(potential_id.encode()).hexdigest()[:8]}"
    return f"potential-{safe}{suffix}"


def plain(text: str) -> str:
    """Foreign text for a figure: Plotly reads ``<b>`` or ``<a>`` in any text as markup, and decodes entities."""
    return html.escape(text, quote=False)


def overlined(indices: Sequence[int]) -> str:
    """Indices with a bar over negative ones: (-1, 1, 0) gives ``1̄10``. Indices of two digits are set apart."""
    digits = ["".join(digit + _OVERLINE for digit in str(-n)) if n < 0 else str(n) for n in indices]
    return (" " if any(abs(n) > 9 for n in indices) else "").join(digits)


def slip_labels(settings: SlipSystemSettings) -> SlipLabels:
    """Labels of a configured slip system.

    Raises:
        SlipSystemError: the indices describe no slip system.
    """
    system = slip_system(settings)
    across = transverse_direction(system.plane, system.direction, settings.structure)
    direction = f"[{overlined(settings.direction)}]"
    return SlipLabels(
        name=settings.name,
        plane=f"({overlined(settings.plane)})",
        x=direction,
        y="" if across is None else f"[{overlined(across)}]",
        minus_y="" if across is None else f"[{overlined([-n for n in across])}]",
        burgers_vector=_BURGERS_SYMBOL[settings.structure] + direction,
    )


def transverse_direction(
    plane: Sequence[int], direction: Sequence[int], structure: str, largest_index: int = 12
) -> tuple[int, ...] | None:
    """Indices of y = z × x, the in-plane direction perpendicular to slip.

    A direction is perpendicular to x if (G x) · y = 0 with the metric G of the lattice, and lies in the plane if
    h · y = 0; hence y ∝ h × G x, whose sign is that of z × x in a right-handed basis.

    Args:
        plane: (3,) Miller indices h of the plane.
        direction: (3,) Miller indices x of slip.
        structure: crystal structure.
        largest_index: larger indices than this are not worth writing.

    Returns:
        Miller indices, Miller-Bravais indices for hcp, or None: for hcp, directions with a component along both a and
        c have a perpendicular that depends on c/a and no indices.
    """
    if structure == "hcp" and direction[2] != 0 and any(direction[:2]):
        return None
    covector = _METRIC_INDEX[structure] @ np.array(direction, dtype=float)
    twice = np.rint(2 * np.cross(np.array(plane, dtype=float), covector)).astype(int)
    indices = [int(n) for n in twice]
    if structure == "hcp":
        u, v, w = indices
        indices = [2 * u - v, 2 * v - u, -u - v, 3 * w]  # three times [UVTW] with U = (2u - v)/3, V = (2v - u)/3
    divisor = reduce(math.gcd, indices) or 1
    reduced = tuple(n // divisor for n in indices)
    return reduced if any(reduced) and max(map(abs, reduced)) <= largest_index else None
