"""What a Peierls stress costs by each route: Fig. 2d of the physics-transfer paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain, significant
from glideflow.transfer.cost_panel import INTERACTIONS, ORDER, CostPanel, CostRow

_KINDS = (*INTERACTIONS.values(), "other", "")


def cost_figure(panel: CostPanel) -> go.Figure:
    """Median time of one core of every step, on a logarithmic axis; a colour for each kind of potential."""
    if not panel.rows:
        return go.Figure(layout=style.empty("Nothing was computed."))
    steps = [step for step in ORDER if any(row.step == step for row in panel.rows)]
    kinds = [kind for kind in _KINDS if any(row.interaction == kind for row in panel.rows)]
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(110 + 52 * len(steps), len(kinds)),
            xaxis=style.logarithmic("seconds of one core"),
            yaxis=style.axis(
                "",
                tickmode="array",
                tickvals=list(range(len(steps))),
                ticktext=[_wrapped(step) for step in steps],
                range=[len(steps) - 0.5, -0.5],
            ),
        )
    )
    for number, kind in enumerate(kinds):
        offset = (number - (len(kinds) - 1) / 2) * 0.8 / len(kinds) if kind else 0.0
        own = [row for row in panel.rows if row.interaction == kind]
        figure.add_trace(_points(own, [steps.index(row.step) + offset for row in own], kind or "prediction", number))
    return figure


def _points(rows: Sequence[CostRow], places: Sequence[float], name: str, number: int) -> go.Scatter:
    medians = np.array([np.median(row.core_seconds) for row in rows])
    ends = np.array([np.quantile(row.core_seconds, [0.1, 0.9]) for row in rows])
    symbol = style.SYMBOLS[number]
    return go.Scatter(
        x=medians,
        y=list(places),
        error_x={"array": ends[:, 1] - medians, "arrayminus": medians - ends[:, 0], "thickness": 1, "width": 0},
        name=plain(name),
        mode="markers",
        marker={
            "color": style.COLOURS[number % len(style.COLOURS)],
            "symbol": [symbol if row.basis == "counted" else f"{symbol}-open" for row in rows],
            "size": 9,
        },
        customdata=[
            f"{plain(row.step)}, {plain(name)}: {significant(float(np.median(row.core_seconds)), 2)} s, "
            f"n = {len(row.potentials)}, {row.basis}"
            for row in rows
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _wrapped(step: str) -> str:
    return step.replace(", ", ",<br>").replace(": ", ":<br>")
