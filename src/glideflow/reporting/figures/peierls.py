"""Peierls stress of every potential, by metal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.collection import Computed, Metal, Sample, by_metal, computed, samples
from glideflow.reporting.figures import style
from glideflow.reporting.labels import peierls_text, plain
from glideflow.reporting.reference import PUBLISHED_RANGES

HALF_WIDTH = 0.36
"""Half of the width that a metal's points take at most, the distance between metals being 1."""
_STEP = 0.14
_HOVER = "%{customdata[0]}<br>τ<sub>P</sub> = %{customdata[1]} MPa<br>%{customdata[2]}<extra></extra>"

Result = Computed[PeierlsStressResult]


def peierls_by_metal(library: Library) -> go.Figure:
    """Peierls stress of each potential on a logarithmic axis, ordered within each metal.

    Corresponds to Fig. 1c of Zhao, Zhang and Xu (Physics-Transfer Learning for Material Strength Screening). Error
    bars are those of the search for the stress; triangles pointing down are upper bounds; crosses on the lower edge
    are potentials without a value; grey bars are the published ranges of `glideflow.reporting.reference`.
    """
    groups = by_metal(samples(library))
    results = list(computed(library, PeierlsStressResult))
    if not results:
        return go.Figure(layout=style.empty("No Peierls stress was computed."))
    bounds = _decades([each.result.peierls_mpa for each in results])
    figure = go.Figure(layout=_layout(groups, bounds))
    figure.add_trace(_published(groups))
    by_group = {metal: _ranked(metal, results) for metal in groups}
    looks = style.looks(groups)
    for column, (metal, ranked) in enumerate(by_group.items()):
        figure.add_trace(_values(column, ranked, looks[metal]))
    figure.add_trace(_upper_bounds(by_group))
    figure.add_trace(_failures(groups, 10 ** (bounds[0] + 0.02 * (bounds[1] - bounds[0]))))
    return figure


def _decades(values_mpa: Sequence[float]) -> tuple[float, float]:
    positive = [value for value in values_mpa if value > 0] or [1.0]
    return (math.floor(math.log10(min(positive)) - 0.3), math.log10(max(positive)) + 0.35)


def _ranked(metal: Metal, results: Sequence[Result]) -> list[Result]:
    own = [each for each in results if _metal(each) == metal]
    return sorted(own, key=lambda each: (each.result.peierls_mpa, each.entry.potential.id))


def _metal(each: Result) -> Metal:
    return Metal(each.entry.potential.element, each.entry.potential.structure)


def offsets(count: int) -> list[float]:
    """Positions of ``count`` points side by side around zero, within ± `HALF_WIDTH`."""
    half = min(HALF_WIDTH, _STEP * (count - 1) / 2)
    return [float(position) for position in np.linspace(-half, half, count)] if count > 1 else [0.0] * count


def _values(column: int, ranked: Sequence[Result], look: style.Look) -> go.Scatter:
    placed = [(column + offset, each) for offset, each in zip(offsets(len(ranked)), ranked, strict=True)]
    shown = [(x, each) for x, each in placed if not each.result.is_upper_bound]
    values = [each.result.peierls_mpa for _, each in shown]
    errors = [each.result.peierls_error_mpa for _, each in shown]
    return go.Scatter(
        x=[x for x, _ in shown],
        y=values,
        # On a logarithmic axis a bar that reaches zero has no end: stop it just above.
        error_y={
            "array": errors,
            "arrayminus": [min(error, 0.999 * value) for error, value in zip(errors, values, strict=True)],
            "thickness": 1.5,
            "width": 4,
        },
        mode="markers",
        marker={"color": look.colour, "symbol": look.symbol, "size": 9, "line": {"color": "white", "width": 0.5}},
        customdata=[_hover(each) for _, each in shown],
        hovertemplate=_HOVER,
        showlegend=False,
        cliponaxis=False,
    )


def _upper_bounds(by_group: Mapping[Metal, Sequence[Result]]) -> go.Scatter:
    placed = [
        (column + offset, each)
        for column, ranked in enumerate(by_group.values())
        for offset, each in zip(offsets(len(ranked)), ranked, strict=True)
        if each.result.is_upper_bound
    ]
    return go.Scatter(
        x=[x for x, _ in placed],
        y=[each.result.peierls_mpa for _, each in placed],
        name="upper bound",
        mode="markers",
        marker={"color": style.INK, "symbol": "triangle-down-open", "size": 11, "line": {"width": 2}},
        customdata=[_hover(each) for _, each in placed],
        hovertemplate=_HOVER,
        showlegend=bool(placed),
    )


def _hover(each: Result) -> tuple[str, str, str]:
    result = each.result
    stress = peierls_text(result.peierls_mpa, result.peierls_error_mpa, is_upper_bound=result.is_upper_bound)
    cell = f"{result.burgers_vectors} b × {result.height_angstrom:.0f} Å, {result.atoms} atoms"
    return (plain(each.entry.potential.id), stress, plain(f"{result.label}, cell {cell}"))


def _failures(groups: Mapping[Metal, Sequence[Sample]], level_mpa: float) -> go.Scatter:
    points: list[tuple[float, str, str]] = []
    for column, group in enumerate(groups.values()):
        lost = [sample for sample in group if _without_value(sample)]
        reasons = [(plain(sample.id), plain(str(sample.row["reason"]))) for sample in lost]
        points += [(column + x, *texts) for x, texts in zip(offsets(len(lost)), reasons, strict=True)]
    return go.Scatter(
        x=[x for x, _, _ in points],
        y=[level_mpa] * len(points),
        name="no value (failed)",
        mode="markers",
        marker={"color": style.FAILURE, "symbol": "x-thin", "size": 10, "line": {"color": style.FAILURE, "width": 2}},
        customdata=[texts for _, *texts in points],
        hovertemplate="%{customdata[0]}: failed<br>%{customdata[1]}<extra></extra>",
        showlegend=bool(points),
    )


def _without_value(sample: Sample) -> bool:
    stages = [stage for stage in sample.entry.stages if stage.property == "peierls_stress"]
    return bool(stages) and not any(stage.ok for stage in stages)


def _published(groups: Mapping[Metal, object]) -> go.Scatter:
    columns = {metal: column for column, metal in enumerate(groups)}
    x: list[float | None] = []
    y: list[float | None] = []
    for published in PUBLISHED_RANGES:
        if published.metal in columns:
            x += [columns[published.metal], columns[published.metal], None]
            y += [published.lowest_mpa, published.highest_mpa, None]
    return go.Scatter(
        x=x,
        y=y,
        name="published range",
        mode="lines",
        line={"color": "rgba(89, 99, 110, 0.28)", "width": 16},
        hovertemplate="published: %{y} MPa<extra></extra>",
        showlegend=bool(x),
    )


def _layout(groups: Mapping[Metal, object], bounds: tuple[float, float]) -> dict[str, Any]:
    metals = list(groups)
    columns = list(range(len(metals)))
    names = [plain(metal.element) for metal in metals]
    ticks = {"tickmode": "array", "tickvals": columns, "ticktext": names, "range": [-0.6, len(metals) - 0.4]}
    return style.layout(
        460,
        margin={"l": 66, "r": 16, "t": 54, "b": 44},
        xaxis=style.axis("", showgrid=False, **ticks),
        yaxis=style.logarithmic("Peierls stress τ<sub>P</sub> (MPa)", bounds),
        shapes=_separators(metals),
        annotations=_structure_names(metals),
    )


def _separators(metals: Sequence[Metal]) -> list[dict[str, Any]]:
    borders = [i + 0.5 for i in range(len(metals) - 1) if metals[i].structure != metals[i + 1].structure]
    line = {"color": style.GREY, "width": 1, "dash": "dot"}
    return [{"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line} for x in borders]


def _structure_names(metals: Sequence[Metal]) -> list[dict[str, Any]]:
    columns: dict[str, list[int]] = {}
    for column, metal in enumerate(metals):
        columns.setdefault(metal.structure, []).append(column)
    return [
        style.note(plain(structure), xref="x", x=sum(own) / len(own), y=1.0, yanchor="bottom", yshift=4)
        for structure, own in columns.items()
    ]
