"""Peierls stresses of the potentials of one metal, one line each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import plotly.graph_objects as go

from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library, LibraryEntry
from glideflow.reporting.baselines import prediction
from glideflow.reporting.collection import Metal
from glideflow.reporting.figures import style
from glideflow.reporting.labels import peierls_text, plain
from glideflow.reporting.reference import published_range

T = TypeVar("T")

ROW_PX = 22
_LOWEST_MPA = 1e-3
"""Smaller values, such as rounding in continuum models, are drawn here."""
_LONGEST_NAME = 28


@dataclass(frozen=True, kw_only=True)
class _Point:
    """A value of one potential.

    Attributes:
        row: place of the potential from below.
        name: its id.
        value_mpa: the value.
        error_mpa: its error, 0 where none is stated.
        is_upper_bound: whether the value is one.
    """

    row: int
    name: str
    value_mpa: float
    error_mpa: float = 0.0
    is_upper_bound: bool = False


@dataclass(frozen=True)
class _Series:
    """What one kind of value is drawn as."""

    words: str
    symbol: str
    colour: str
    size: int


_KINDS = {
    "reference": _Series("reference cell", "circle", style.COLOURS[0], 9),
    "series": _Series("size series", "diamond-open", style.COLOURS[1], 11),
    "paper": _Series("paper's protocol, same cell", "cross-thin", style.COLOURS[3], 9),
    "nabarro": _Series("continuum model on the γ surface", "line-ns", style.COLOURS[2], 11),
}


def peierls_ranking(library: Library, metal: Metal) -> go.Figure:
    """Every Peierls stress of the potentials of a metal on a logarithmic axis, a row per potential.

    Rows are ordered by the value in the reference cell. Triangles pointing left are upper bounds; potentials without a
    value stand at the bottom. The grey band is the range of `glideflow.reporting.reference`.
    """
    ranked = _ranked(library, metal)
    found = {kind: _points(kind, ranked) for kind in _KINDS}
    if not any(found.values()):
        return go.Figure(layout=style.empty("No potential of this metal has a Peierls stress."))
    shown = [_drawn(point.value_mpa) for points in found.values() for point in points]
    kinds = sum(bool(points) for points in found.values())
    figure = go.Figure(layout=_layout(ranked, metal, shown, kinds))
    for kind, points in found.items():
        for bounded in (False, True):
            own = [point for point in points if point.is_upper_bound == bounded]
            if own:
                figure.add_trace(_trace(_KINDS[kind], own, bounded=bounded))
    return figure


def _ranked(library: Library, metal: Metal) -> list[LibraryEntry]:
    """Potentials of a metal from below: those without a value, then by the value in the reference cell."""
    own = [e for e in library.entries if (e.potential.element, e.potential.structure) == metal]
    return sorted(own, key=lambda entry: (_reference_mpa(entry), entry.potential.id))


def _reference_mpa(entry: LibraryEntry) -> float:
    result = _first(entry, PeierlsStressResult)
    return -math.inf if result is None else result.peierls_mpa


def _first(entry: LibraryEntry, kind: type[T]) -> T | None:
    return next((stage.result for stage in entry.stages if isinstance(stage.result, kind)), None)


def _points(kind: str, ranked: Sequence[LibraryEntry]) -> list[_Point]:
    values = ((row, entry, _value(kind, entry)) for row, entry in enumerate(ranked))
    return [
        _Point(row=row, name=entry.potential.id, value_mpa=found[0], error_mpa=found[1], is_upper_bound=found[2])
        for row, entry, found in values
        if found is not None
    ]


def _value(kind: str, entry: LibraryEntry) -> tuple[float, float, bool] | None:
    """Value, error and whether it is an upper bound; None if the potential has none of this kind."""
    if kind in ("reference", "series"):
        own: PeierlsStressResult | PeierlsSeriesResult | None = (
            _first(entry, PeierlsStressResult) if kind == "reference" else _first(entry, PeierlsSeriesResult)
        )
        return None if own is None else (own.peierls_mpa, own.peierls_error_mpa, own.is_upper_bound)
    if kind == "paper":
        paper = _first(entry, PeierlsPaperResult)
        return None if paper is None or paper.peierls_mpa is None else (paper.peierls_mpa, 0.0, False)
    nabarro = _first(entry, PeierlsNabarroResult)
    predicted = None if nabarro is None else prediction(nabarro, "surface")
    return None if predicted is None else (predicted[0], 0.0, False)


def _trace(series: _Series, points: Sequence[_Point], *, bounded: bool) -> go.Scatter:
    values = [_drawn(point.value_mpa) for point in points]
    errors = [point.error_mpa for point in points]
    thin = series.symbol in ("line-ns", "cross-thin")
    bars = {
        "array": errors,
        # On a logarithmic axis a bar that reaches zero has no end: stop it just above.
        "arrayminus": [min(error, 0.999 * value) for error, value in zip(errors, values, strict=True)],
        "thickness": 1.5,
        "width": 4,
    }
    return go.Scatter(
        x=values,
        y=[point.row for point in points],
        error_x=None if bounded or not any(errors) else bars,
        mode="markers",
        name=f"{series.words}, upper bound" if bounded else series.words,
        marker={
            "symbol": "triangle-left-open" if bounded else series.symbol,
            "color": series.colour,
            "size": series.size + (2 if bounded else 0),
            "line": {"color": series.colour, "width": 2 if thin or bounded else 1.2},
        },
        customdata=[
            (plain(p.name), peierls_text(p.value_mpa, p.error_mpa, is_upper_bound=p.is_upper_bound)) for p in points
        ],
        hovertemplate=f"%{{customdata[0]}}<br>{series.words}: %{{customdata[1]}} MPa<extra></extra>",
        cliponaxis=False,
    )


def _drawn(value_mpa: float) -> float:
    return max(value_mpa, _LOWEST_MPA)


def _layout(ranked: Sequence[LibraryEntry], metal: Metal, values_mpa: Sequence[float], kinds: int) -> dict[str, Any]:
    published = published_range(metal)
    ends = [*values_mpa, *((published.lowest_mpa, published.highest_mpa) if published else ())]
    decades = (math.log10(min(ends)) - 0.25, math.log10(max(ends)) + 0.25)
    names = [_short(entry.potential.id.removeprefix(f"{metal.element}_")) for entry in ranked]
    rows = style.axis("", tickmode="array", tickvals=list(range(len(names))), ticktext=names)
    rows["tickfont"] = {"size": 11}
    rows["range"] = [-0.7, len(names) - 0.3]
    band = [] if published is None else [_band(published.lowest_mpa, published.highest_mpa)]
    return style.layout(
        style.height_with_legend(110 + ROW_PX * len(names), kinds + 1),
        margin={"l": 10, "r": 16, "t": 34, "b": 50},
        xaxis=style.logarithmic("τ<sub>P</sub> (MPa)", decades, tickangle=0),
        yaxis=rows,
        shapes=band,
    )


def _short(name: str) -> str:
    """A name that leaves room for the figure beside it; the whole id stands under the pointer."""
    return plain(name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…")


def _band(lowest: float, highest: float) -> dict[str, Any]:
    across = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": lowest, "x1": highest, "layer": "below"}
    return across | {"fillcolor": "rgba(89, 99, 110, 0.16)", "line": {"width": 0}}
