"""One potential among the others of its metal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from glideflow.reporting.collection import CHARACTERISTIC, Quantity, Sample
from glideflow.reporting.labels import MISSING, number, peierls_text, significant
from glideflow.reporting.reference_values import ReferenceValue, reference_values

_WIDTH, _HEIGHT, _MARGIN = 180, 22, 7
"""Size of a strip in pixels, and what its marks keep from its ends."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A quantity of one potential beside those of its metal and the literature.

    Attributes:
        quantity: the quantity.
        text: the value as it is shown.
        strip: the values of all potentials on a line, as an SVG; empty for fewer than two.
        rank: place of the value, lowest first, e.g. ``3 of 12``; empty if there is no value.
        others: lowest, median and highest value of the metal.
        reference: value from the literature, or empty.
        source: number of its source on the page, 0 if there is none.
    """

    quantity: Quantity
    text: str
    strip: Markup
    rank: str
    others: str
    reference: str
    source: int


def comparison(sample: Sample, group: Sequence[Sample]) -> tuple[tuple[Compared, ...], tuple[ReferenceValue, ...]]:
    """Every characteristic quantity that a metal has, for one potential, and the references in their order.

    Args:
        sample: the potential.
        group: all potentials of its metal.

    Returns:
        (quantities, references): of the latter, one for each source.
    """
    known = {value.key: value for value in reference_values(sample.metal)}
    sources = list({value.source: value for value in known.values()}.values())
    numbers = {value.source: index for index, value in enumerate(sources, start=1)}
    rows = []
    for quantity in CHARACTERISTIC:
        values = [value for each in group if (value := each.value(quantity.key)) is not None]
        reference = known.get(quantity.key)
        if values:
            rows.append(
                _compared(sample, quantity, values, reference, numbers.get(reference.source if reference else "", 0))
            )
    return tuple(rows), tuple(sources)


def _compared(
    sample: Sample, quantity: Quantity, values: list[float], reference: ReferenceValue | None, source: int
) -> Compared:
    own = sample.value(quantity.key)
    return Compared(
        quantity=quantity,
        text=value_text(sample, quantity),
        strip=_strip(own, values, reference, logarithmic=quantity.key == "peierls_mpa"),
        rank="" if own is None else f"{1 + sum(value < own for value in values)} of {len(values)}",
        others=_spread_text(values, quantity),
        reference="" if reference is None else _reference_text(reference, quantity),
        source=source,
    )


def value_text(sample: Sample, quantity: Quantity) -> str:
    """A value with sensible digits: a Peierls stress with its error or as an upper bound, a dash if there is none."""
    value = sample.value(quantity.key)
    if value is None:
        return MISSING
    if quantity.key != "peierls_mpa":
        return number(value, quantity.decimals)
    bound = sample.row["peierls_is_upper_bound"] is True
    return peierls_text(value, sample.value("peierls_error_mpa") or 0.0, is_upper_bound=bound)


def _shown(value: float, quantity: Quantity) -> str:
    return significant(value) if quantity.key == "peierls_mpa" else number(value, quantity.decimals)


def _spread_text(values: Sequence[float], quantity: Quantity) -> str:
    if len(values) < 2:
        return MISSING
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return " / ".join(_shown(value, quantity) for value in (ordered[0], median, ordered[-1]))


def _reference_text(reference: ReferenceValue, quantity: Quantity) -> str:
    ends = dict.fromkeys((reference.lowest, reference.highest))
    digits = 4 if quantity.key in ("a_angstrom", "c_over_a") else 5
    return " to ".join(f"{end:.{digits}g}" for end in ends)


def _strip(
    own: float | None, values: Sequence[float], reference: ReferenceValue | None, *, logarithmic: bool
) -> Markup:
    """Values on a line: a tick for each potential, a dot for this one, a bar or diamond for the literature."""
    ends = [reference.lowest, reference.highest] if reference else []
    drawn = [*values, *ends]
    if len(values) < 2 or min(drawn) == max(drawn) or (logarithmic and min(drawn) <= 0):
        return Markup("")
    scaled = math.log10 if logarithmic else float
    low, high = scaled(min(drawn)), scaled(max(drawn))

    def x(value: float) -> str:
        return f"{_MARGIN + (_WIDTH - 2 * _MARGIN) * (scaled(value) - low) / (high - low):.1f}"

    middle = _HEIGHT // 2
    ticks = "".join(f"M{x(value)} {middle - 6}v12" for value in sorted(values))
    parts = [f'<path class="line" d="M0 {middle}h{_WIDTH}"/><path class="others" d="{ticks}"/>']
    if reference:
        parts.append(f'<path class="reference" d="M{x(ends[0])} {middle}L{x(ends[1])} {middle}"/>')
    if own is not None:
        parts.append(f'<circle class="own" cx="{x(own)}" cy="{middle}" r="5"/>')
    return Markup(
        f'<svg class="strip" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )
