"""How much potentials of one metal disagree, from equilibrium properties to the Peierls stress."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from glideflow.records import Library
from glideflow.reporting.collection import CHARACTERISTIC, Metal, Quantity
from glideflow.reporting.figures import style
from glideflow.reporting.figures.peierls import offsets
from glideflow.reporting.labels import plain, significant
from glideflow.reporting.reference_values import ReferenceValue, reference_values
from glideflow.reporting.statistics import Spread, spreads
from glideflow.transfer.assembly import source_kind
from glideflow.transfer.dataset import MACHINE_LEARNED

SMALLEST_RATIO = 0.02
"""Values below this fraction of the mean, negative ones included, are drawn at the lower edge of the figure."""
MACHINE_LEARNED_SYMBOL = "star"
"""Symbol of machine-learned potentials, open."""


def normalised_parameters(library: Library, metal: Metal, every: Sequence[Spread] | None = None) -> go.Figure:
    """Characteristic parameters of one metal from each potential, divided by their mean over the potentials.

    Corresponds to Extended Data Fig. 1a of Zhao, Zhang and Xu (there for Cu). The axis is logarithmic: equal factors
    above and below the mean are equally far from it. Machine-learned potentials have a symbol of their own, and black
    marks are values, or ranges, from the literature (`glideflow.reporting.reference_values`). ``every`` are the
    `spreads` of the library, where they are known.
    """
    every = spreads(library) if every is None else every
    own = [spread for spread in every if spread.metal == metal and spread.coefficient is not None]
    if not own:
        return go.Figure(layout=style.empty("A dispersion needs at least two potentials."))
    figure = go.Figure(layout=_ratio_layout(own))
    look = style.looks({spread.metal for spread in every})[metal]
    learned = _machine_learned(library)
    for bounded in (False, True):
        figure.add_trace(_ratios(own, look, learned, bounded=bounded))
    figure.add_trace(_literature(own, metal))
    return figure


def coefficients_of_variation(library: Library) -> go.Figure:
    """Coefficient of variation σ/μ of each characteristic parameter over the potentials of each metal.

    Corresponds to Extended Data Fig. 1b of Zhao, Zhang and Xu. Metals with one potential have none; neither has a
    quantity whose mean is not positive.
    """
    found = [spread for spread in spreads(library) if spread.coefficient]
    if not found:
        return go.Figure(layout=style.empty("A coefficient of variation needs two potentials of one metal."))
    quantities = [quantity for quantity in CHARACTERISTIC if any(s.quantity == quantity for s in found)]
    looks = style.looks({spread.metal for spread in spreads(library)})
    metals = [metal for metal in looks if any(spread.metal == metal for spread in found)]
    figure = go.Figure(layout=_variation_layout(quantities, len(metals)))
    for metal, offset in zip(metals, offsets(len(metals)), strict=True):
        own = [spread for spread in found if spread.metal == metal]
        figure.add_trace(_variations(metal, own, quantities, offset, looks[metal]))
    return figure


def _ratios(own: Sequence[Spread], look: style.Look, learned: frozenset[str], *, bounded: bool) -> go.Scatter:
    points = [point for column, spread in enumerate(own) for point in _column(column, spread) if point[3] == bounded]
    low = [ratio < SMALLEST_RATIO for _, ratio, *_ in points]
    symbols = [_symbol(look, potential in learned, bounded=bounded) for *_, potential in points]
    return go.Scatter(
        x=[x for x, *_ in points],
        y=[max(ratio, SMALLEST_RATIO) for _, ratio, *_ in points],
        mode="markers",
        name="upper bound" if bounded else "value",
        showlegend=False,
        marker={
            "color": style.INK if bounded else look.colour,
            "symbol": ["triangle-down" if below else symbol for below, symbol in zip(low, symbols, strict=True)],
            "size": 9,
            "opacity": 0.85,
        },
        customdata=[[text, f"{ratio:.3g}"] for _, ratio, text, *_ in points],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]} of the mean<extra></extra>",
        cliponaxis=False,
    )


def _symbol(look: style.Look, learned: bool, *, bounded: bool) -> str:
    if bounded:
        return "triangle-down-open"
    return f"{MACHINE_LEARNED_SYMBOL}-open" if learned else look.symbol


def _machine_learned(library: Library) -> frozenset[str]:
    """Ids of the machine-learned potentials."""
    potentials = (entry.potential for entry in library.entries)
    return frozenset(each.id for each in potentials if source_kind(each.engine, each.pair_style) == MACHINE_LEARNED)


def _literature(own: Sequence[Spread], metal: Metal) -> go.Scatter:
    """A mark, with a bar for a range, where the literature has a value of a quantity."""
    known = {value.key: value for value in reference_values(metal)}
    marks = [
        (column, known[spread.quantity.key], spread.quantity, spread.mean or 1.0)
        for column, spread in enumerate(own)
        if spread.quantity.key in known
    ]
    middle = [math.sqrt(value.lowest * value.highest) / mean for _, value, _, mean in marks]
    return go.Scatter(
        x=[column for column, *_ in marks],
        y=middle,
        error_y={
            "array": [value.highest / mean - y for (_, value, _, mean), y in zip(marks, middle, strict=True)],
            "arrayminus": [y - value.lowest / mean for (_, value, _, mean), y in zip(marks, middle, strict=True)],
            "thickness": 2,
            "width": 8,
            "color": style.INK,
        },
        mode="markers",
        name="literature",
        showlegend=False,
        marker={"symbol": "line-ew", "size": 24, "color": style.INK, "line": {"width": 2, "color": style.INK}},
        customdata=[_reference_text(value, quantity) for _, value, quantity, _ in marks],
        hovertemplate="%{customdata}<br>%{y:.3g} of the mean<extra></extra>",
    )


def _reference_text(value: ReferenceValue, quantity: Quantity) -> str:
    ends = dict.fromkeys(significant(end, 4) for end in (value.lowest, value.highest))
    return f"{quantity.markup} = {' – '.join(ends)} {quantity.unit}, {plain(value.remark)}<br>{plain(value.source)}"


def _column(column: int, spread: Spread) -> list[tuple[float, float, str, bool, str]]:
    """Position, ratio to the mean, hover text, whether it is an upper bound, and potential, of each value."""
    mean = spread.mean or 1.0
    ordered = sorted(zip(spread.values, spread.ids, spread.upper_bounds, strict=True))
    return [
        (column + offset, value / mean, _value_text(spread.quantity, value, potential), bound, potential)
        for offset, (value, potential, bound) in zip(offsets(len(ordered)), ordered, strict=True)
    ]


def _value_text(quantity: Quantity, value: float, potential: str) -> str:
    return f"{plain(potential)}<br>{quantity.markup} = {significant(value, 4)} {quantity.unit}"


def _ratio_layout(own: Sequence[Spread]) -> dict[str, Any]:
    smallest = min(min(spread.values) / (spread.mean or 1.0) for spread in own)
    largest = max(max(spread.values) / (spread.mean or 1.0) for spread in own)
    tickvals = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    ticktext = [f"≤ {tickvals[0]}", *(f"{value:g}" for value in tickvals[1:])]
    lower = max(SMALLEST_RATIO, min(0.45, smallest * 0.9))
    y_axis = style.logarithmic("value / mean", tickmode="array", tickvals=tickvals, ticktext=ticktext)
    y_axis["range"] = [math.log10(lower), math.log10(max(2.2, largest * 1.15))]
    reference = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1}
    reference["line"] = {"color": style.GREY, "width": 1, "dash": "dash"}
    return style.layout(
        300,
        margin={"l": 58, "r": 12, "t": 34, "b": 40},
        xaxis=_quantity_axis([spread.quantity for spread in own]),
        yaxis=y_axis,
        shapes=[reference],
    )


def _quantity_axis(quantities: Sequence[Quantity]) -> dict[str, Any]:
    return style.axis(
        "",
        showgrid=False,
        tickmode="array",
        tickvals=list(range(len(quantities))),
        ticktext=[quantity.markup for quantity in quantities],
        range=[-0.6, len(quantities) - 0.4],
    )


def _variations(
    metal: Metal, own: Sequence[Spread], quantities: Sequence[Quantity], offset: float, look: style.Look
) -> go.Scatter:
    texts = [
        [
            f"{spread.quantity.name}, n = {len(spread.values)}",
            f"μ = {significant(spread.mean, 4)} {spread.quantity.unit}, "
            f"σ = {significant(spread.deviation)} {spread.quantity.unit}",
        ]
        for spread in own
    ]
    return go.Scatter(
        x=[quantities.index(spread.quantity) + offset for spread in own],
        y=[100 * (spread.coefficient or 0.0) for spread in own],
        name=f"{plain(metal.label)}, n = {max(len(spread.values) for spread in own)}",
        mode="markers",
        marker={"color": look.colour, "symbol": look.symbol, "size": 10, "line": {"color": "white", "width": 0.5}},
        customdata=texts,
        hovertemplate=f"{plain(metal.label)}: %{{y:.3g}} %<br>%{{customdata[0]}}<br>%{{customdata[1]}}<extra></extra>",
        cliponaxis=False,
    )


def _variation_layout(quantities: Sequence[Quantity], metals: int) -> dict[str, Any]:
    return style.layout(
        style.height_with_legend(400, metals),
        xaxis=_quantity_axis(quantities),
        yaxis=style.logarithmic("coefficient of variation σ/μ (%)"),
    )
