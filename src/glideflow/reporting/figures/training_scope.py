"""One model of all structures against one of each: Supplementary Fig. 13 of the physics-transfer paper."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain
from glideflow.transfer.training_scope import ScopeRow


def scope_ratios(rows: Sequence[ScopeRow]) -> go.Figure:
    """Error of training together over that of training apart, with 90 % intervals; one colour per model."""
    if not rows:
        return go.Figure(layout=style.empty("No model was trained both ways."))
    models = list(dict.fromkeys(row.model for row in rows))
    structures = list(dict.fromkeys(row.structure for row in rows))
    ratios = style.ticks(0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3)
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(150 + 60 * len(structures), len(models)),
            xaxis=style.axis("error together / error apart", type="log", **ratios),
            yaxis=style.axis(
                "",
                tickmode="array",
                tickvals=list(range(len(structures))),
                ticktext=structures,
                range=[len(structures) - 0.5, -0.5],
            ),
            shapes=[{"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1} | {"line": {"width": 1}}],
        )
    )
    for number, model in enumerate(models):
        offset = (number - (len(models) - 1) / 2) * 0.18
        own = [row for row in rows if row.model == model]
        figure.add_trace(_points(own, [structures.index(row.structure) + offset for row in own], model, number))
    return figure


def _points(rows: Sequence[ScopeRow], places: Sequence[float], model: str, number: int) -> go.Scatter:
    return go.Scatter(
        x=[row.ratio for row in rows],
        y=list(places),
        error_x={
            "array": [row.ratio_high - row.ratio for row in rows],
            "arrayminus": [row.ratio - row.ratio_low for row in rows],
            "thickness": 1,
        },
        name=plain(model),
        mode="markers",
        marker={"color": style.COLOURS[number % len(style.COLOURS)], "symbol": style.SYMBOLS[number], "size": 9},
        customdata=[f"{row.structure}, n = {row.samples}: {row.ratio:.2f}" for row in rows],
        hovertemplate="%{customdata}<extra></extra>",
    )
