"""Error on held-out machine-learned potentials against the number of others that a model was tuned to."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from glideflow.reporting.collection import Metal
from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain
from glideflow.transfer.few_shot import FewShotCurve, FewShotEntry


def shots_figure(curve: FewShotCurve) -> go.Figure:
    """A line for each held-out potential; one colour per metal, open symbols for bounds."""
    names = list(dict.fromkeys(each.potential_id for each in curve.entries))
    most = max(each.shots for each in curve.entries)
    factors = style.ticks(1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100)
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(380, len(names)),
            xaxis=style.axis("machine-learned shots", dtick=1, range=[-0.2, most + 0.2]),
            yaxis=style.axis("factor of the error", type="log", **factors),
        )
    )
    looks = style.looks(Metal(each.element, each.structure) for each in curve.entries)
    for number, name in enumerate(names):
        own = [each for each in curve.entries if each.potential_id == name]
        figure.add_trace(_line(own, looks[Metal(own[0].element, own[0].structure)], number))
    return figure


def _line(own: Sequence[FewShotEntry], look: style.Look, number: int) -> go.Scatter:
    symbol = look.symbol + ("-open" if own[0].censored else "")
    return go.Scatter(
        x=[each.shots for each in own],
        y=[each.factor for each in own],
        name=f"{plain(own[0].element)}, {plain(own[0].potential_id)}",
        mode="lines+markers",
        line={"color": look.colour, "dash": style.DASHES[number % len(style.DASHES)], "width": 1.5},
        marker={"color": look.colour, "symbol": symbol, "size": 9},
        customdata=[f"{each.shots} shots of {each.available}, {len(each.error_log10)} draws" for each in own],
        hovertemplate="%{customdata}: a factor of %{y:.2f}<extra></extra>",
    )
