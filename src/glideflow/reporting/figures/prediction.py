"""What a prediction of the Peierls stress rests on: γ as far as it is known, and what each input does to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from glideflow.crystals.lattices import FloatArray
from glideflow.reporting.figures import style
from glideflow.transfer.gamma_prior import GammaEstimate
from glideflow.transfer.prediction import Sensitivity, Suggestion

_POINTS = 61
_DIVERGING = "RdBu"


def known_gamma(
    gamma: GammaEstimate, given: FloatArray, suggestions: Sequence[Suggestion], *, deviation: bool
) -> go.Figure:
    """γ over the period, or its standard deviation, with the given points (white) and the suggested ones (crosses).

    Args:
        gamma: the estimate.
        given: (P, 2) displacements in periods that were given.
        suggestions: where γ should be computed next.
        deviation: show the standard deviation instead of γ.
    """
    axis = np.linspace(0, 1, _POINTS)
    fractions = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = gamma.deviation_mj_m2(fractions) if deviation else gamma.gamma_mj_m2(fractions)
    title = "standard deviation (mJ/m²)" if deviation else "γ (mJ/m²)"
    figure = go.Figure(layout=_layout())
    figure.add_trace(_map(axis, values.reshape(_POINTS, _POINTS), title, style.SURFACE_COLOURS, "mJ/m²"))
    figure.add_trace(
        _markers(given % 1, "given", {"color": "white", "size": 5, "line": {"color": "black", "width": 1}})
    )
    places = np.array([each.fraction for each in suggestions]).reshape(-1, 2)
    mark = {"color": style.COLOURS[1], "size": 11, "symbol": "x", "line": {"color": "white", "width": 1}}
    figure.add_trace(_markers(places, "compute next", mark))
    return figure


def gamma_sensitivity(found: Sensitivity) -> go.Figure:
    """Change of the predicted stress in percent where γ is raised by one percent of its maximum, over the period."""
    closed = np.pad(found.per_percent, ((0, 1), (0, 1)), mode="wrap")
    limit = float(np.abs(closed).max()) or 1.0
    axis = np.linspace(0, 1, len(closed))
    figure = go.Figure(layout=_layout())
    trace = _map(axis, closed, "change of τ (%)", _DIVERGING, "%")
    trace.update(zmin=-limit, zmax=limit, reversescale=True, zsmooth="best")
    figure.add_trace(trace)
    return figure


def elastic_sensitivity(found: Sensitivity) -> go.Figure:
    """Percent of the stress for one percent of each elastic constant at fixed γ, d log τ / d log C."""
    names, values = list(found.elastic), [round(value, 4) for value in found.elastic.values()]
    figure = go.Figure(
        layout=style.layout(
            140 + 34 * len(names),
            xaxis=style.axis("change of τ (%)", zeroline=True),
            yaxis=style.axis("", categoryorder="array", categoryarray=names[::-1]),
            showlegend=False,
        )
    )
    colours = [style.COLOURS[0] if value >= 0 else style.COLOURS[1] for value in values]
    figure.add_trace(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker={"color": colours},
            hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
        )
    )
    return figure


def _layout() -> dict[str, object]:
    return style.layout(
        440,
        xaxis=style.axis("displacement along b (periods)", range=[0, 1], constrain="domain"),
        yaxis=style.axis("across b (periods)", range=[0, 1]),
    )


def _map(axis: FloatArray, values: FloatArray, title: str, colours: str, unit: str) -> go.Heatmap:
    return go.Heatmap(
        x=axis.astype(np.float32),
        y=axis.astype(np.float32),
        z=values.T.astype(np.float32),
        colorscale=colours,
        colorbar={"title": {"text": title, "side": "right"}, "thickness": 14, "len": 1.0, "outlinewidth": 0},
        hovertemplate=f"(%{{x:.3f}}, %{{y:.3f}}): %{{z:.3g}} {unit}<extra></extra>",
    )


def _markers(places: FloatArray, name: str, marker: dict[str, object]) -> go.Scatter:
    return go.Scatter(
        x=places[:, 0],
        y=places[:, 1],
        mode="markers",
        name=name,
        marker=marker,
        cliponaxis=False,
        hovertemplate=f"{name}: (%{{x:.4f}}, %{{y:.4f}})<extra></extra>",
    )
