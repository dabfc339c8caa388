"""Peierls stresses of one dislocation by several cells, and along the way from one valley to the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult, SeriesValue
from glideflow.reporting.figures import style
from glideflow.reporting.labels import peierls_text, plain

_MODEL_NAMES = {"line": "along b", "surface": "on the γ surface", "gradient": "with the gradient term"}


def size_series(result: PeierlsSeriesResult) -> go.Figure:
    """Peierls stress of each search of a size series, with the best estimate as a line and its error as a band.

    Upper bounds are triangles pointing down. Searches that failed have no point.
    """
    shown = [value for value in result.values if value.peierls_mpa is not None]
    figure = go.Figure(layout=_series_layout(result, shown))
    for bounded in (False, True):
        own = [value for value in shown if value.is_upper_bound == bounded]
        if own:
            figure.add_trace(_series_points(own, bounded=bounded))
    return figure


def paper_curves(result: PeierlsPaperResult) -> go.Figure:
    """Stress against shear strain of each cell by the paper's protocol; the value is the largest stress."""
    figure = go.Figure(layout=_paper_layout())
    for index, cell in enumerate(result.cells):
        name = plain(f"{cell.name}, {cell.atoms} atoms")
        figure.add_trace(
            go.Scatter(
                x=(1e3 * cell.shear_strain).astype(np.float32),
                y=cell.stress_mpa.astype(np.float32),
                mode="lines",
                name=name,
                line={"color": style.COLOURS[index % len(style.COLOURS)], "dash": style.DASHES[index % 5], "width": 2},
                hovertemplate=f"{name}: %{{y:.4g}} MPa at %{{x:.3g}}·10⁻³<extra></extra>",
            )
        )
    return figure


def continuum_resistance(result: PeierlsNabarroResult) -> go.Figure:
    """Stress that holds a core of the semidiscrete models at each place between two valleys; its maximum moves it."""
    figure = go.Figure(layout=_resistance_layout())
    for index, model in enumerate(result.models):
        name = _MODEL_NAMES.get(model.model, model.model)
        figure.add_trace(
            go.Scatter(
                x=(model.glided_angstrom / result.burgers_vector_angstrom).astype(np.float32),
                y=model.stress_mpa.astype(np.float32),
                mode="lines+markers",
                marker={"size": 4},
                name=name,
                line={"color": style.COLOURS[index % len(style.COLOURS)], "dash": style.DASHES[index % 5], "width": 2},
                hovertemplate=f"{name}: %{{y:.4g}} MPa at %{{x:.3f}} b<extra></extra>",
            )
        )
    return figure


def _series_points(own: list[SeriesValue], *, bounded: bool) -> go.Scatter:
    texts = [peierls_text(value.peierls_mpa or 0.0, value.error_mpa or 0.0, is_upper_bound=bounded) for value in own]
    return go.Scatter(
        x=[plain(value.name) for value in own],
        y=[value.peierls_mpa for value in own],
        error_y=None if bounded else {"array": [value.error_mpa or 0.0 for value in own], "thickness": 1.5, "width": 4},
        mode="markers",
        name="upper bound" if bounded else "value of one search",
        marker={
            "symbol": "triangle-down-open" if bounded else ["circle" if v.in_fit else "circle-open" for v in own],
            "color": style.COLOURS[0],
            "size": 10,
            "line": {"width": 2},
        },
        customdata=texts,
        hovertemplate="%{x}: %{customdata} MPa<extra></extra>",
    )


def _series_layout(result: PeierlsSeriesResult, shown: list[SeriesValue]) -> dict[str, Any]:
    value, error = result.peierls_mpa, result.peierls_error_mpa
    across = {"xref": "paper", "x0": 0, "x1": 1, "layer": "below"}
    band = {"type": "rect", "y0": value - error, "y1": value + error, "fillcolor": style.GRID, "line": {"width": 0}}
    line = {"type": "line", "y0": value, "y1": value, "line": {"color": style.GREY, "width": 1.2, "dash": "dash"}}
    order = [plain(each.name) for each in shown]
    return style.layout(
        380,
        xaxis=style.axis("search", categoryorder="array", categoryarray=order, tickangle=-30),
        yaxis=style.axis("Peierls stress (MPa)", rangemode="tozero"),
        shapes=[band | across, line | across],
    )


def _resistance_layout() -> dict[str, Any]:
    return style.layout(
        380,
        xaxis=style.axis("distance glided (b)"),
        yaxis=style.axis("stress that holds the core (MPa)"),
    )


def _paper_layout() -> dict[str, Any]:
    return style.layout(
        380,
        xaxis=style.axis("shear strain (10<sup>−3</sup>)", nticks=6),
        yaxis=style.axis("resolved shear stress (MPa)"),
    )
