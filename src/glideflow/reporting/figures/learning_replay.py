"""Errors of ensembles against the number of trajectories that they learned from, for each strategy of asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from glideflow.mobility.queries import ReplayedTraining
from glideflow.reporting.figures import style

Ordinate = Literal["percent", "velocity_percent", "uncertainty_percent"]
_TITLES: dict[Ordinate, str] = {
    "percent": "error of held-out steps, %",
    "velocity_percent": "error of held-out velocities, %",
    "uncertainty_percent": "uncertainty of candidates, %",
}


def replay_figure(trainings: Sequence[ReplayedTraining], ordinate: Ordinate) -> go.Figure:
    """Mean over the repetitions, with thin lines for the single ones.

    Args:
        trainings: of any strategies and repetitions.
        ordinate: what is on the vertical axis; trainings without it are left out.
    """
    from glideflow.reporting.learning_replay import NAMES

    known = [each for each in trainings if getattr(each, ordinate) is not None]
    if not known:
        return go.Figure(layout=style.empty("no training has it"))
    strategies = list(dict.fromkeys(each.strategy for each in known))
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(340, len(strategies)),
            xaxis=style.axis("trajectories learned from", rangemode="tozero"),
            yaxis=style.axis(_TITLES[ordinate], rangemode="tozero"),
        )
    )
    for position, strategy in enumerate(strategies):
        own = [each for each in known if each.strategy == strategy]
        for seed in dict.fromkeys(each.seed for each in own):
            figure.add_trace(_repetition([each for each in own if each.seed == seed], ordinate, position))
        figure.add_trace(_mean(own, ordinate, position, NAMES[strategy]))
    return figure


def _repetition(own: Sequence[ReplayedTraining], ordinate: Ordinate, position: int) -> go.Scatter:
    return go.Scatter(
        x=[each.learned_from for each in own],
        y=[getattr(each, ordinate) for each in own],
        mode="lines",
        showlegend=False,
        opacity=0.4,
        line={"color": style.COLOURS[position], "width": 1},
        hovertemplate=f"repetition {own[0].seed}, %{{x}} trajectories: %{{y:.1f}} %<extra></extra>",
    )


def _mean(own: Sequence[ReplayedTraining], ordinate: Ordinate, position: int, name: str) -> go.Scatter:
    counts = sorted({each.learned_from for each in own})
    means = [np.mean([getattr(each, ordinate) for each in own if each.learned_from == count]) for count in counts]
    return go.Scatter(
        x=counts,
        y=means,
        name=name,
        mode="lines+markers",
        line={"color": style.COLOURS[position], "dash": style.DASHES[position]},
        marker={"size": 9, "symbol": style.SYMBOLS[position]},
        hovertemplate="%{x} trajectories: %{y:.1f} %<extra></extra>",
    )
