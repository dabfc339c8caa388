"""How well models of the Peierls stress predict what they have not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from glideflow.reporting.collection import Metal
from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain, significant
from glideflow.transfer.metrics import coverage, floored
from glideflow.transfer.summary import SummaryRow
from glideflow.transfer.validation import LearningCurve, ValidationRecord

_LEVELS = np.linspace(0.05, 0.95, 19)
_HOVER = "%{customdata[0]}<br>predicted %{customdata[1]} MPa<br>atomistic %{customdata[2]} MPa<extra></extra>"


def factors(rows: Sequence[SummaryRow]) -> go.Figure:
    """Median factor of every model with its 90 % interval over families; one colour per split."""
    if not rows:
        return go.Figure(layout=style.empty("No model was validated."))
    splits, models = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("split", "model"))
    figure = go.Figure(
        layout=style.layout(
            120 + 34 * len(models),
            xaxis=style.axis("median factor of the error", type="log", dtick="D2"),
            yaxis=style.axis("", categoryorder="array", categoryarray=models[::-1]),
        )
    )
    for number, split in enumerate(splits):
        figure.add_trace(_intervals([row for row in rows if row.split == split], split, number))
    return figure


def parity(record: ValidationRecord) -> go.Figure:
    """Held-out prediction against atomistic value of every sample, both axes logarithmic, first seed.

    One colour per metal; bars: the 68 % interval; triangles pointing left: the atomistic value is only a bound. The
    solid line is agreement, the dotted ones a factor of ten.
    """
    predicted = floored(record.runs[0].log10_mpa, record.floor_mpa)
    values = np.concatenate([predicted, record.target_log10_mpa])
    decades = (float(values.min()) - 0.3, float(values.max()) + 0.3)
    figure = go.Figure(layout=_square("atomistic Peierls stress (MPa)", "predicted Peierls stress (MPa)", decades))
    for factor, dash in ((1.0, "solid"), (0.1, "dot"), (10.0, "dot")):
        ends = 10 ** np.array(decades)
        figure.add_trace(_guide(ends, factor * ends, dash))
    metals = [Metal(*pair) for pair in zip(record.elements, record.structures, strict=True)]
    for metal, look in style.looks(metals).items():
        chosen = np.array([own == metal for own in metals])
        figure.add_trace(_points(record, predicted, chosen, metal.element, look))
    return figure


def calibration(records: Sequence[ValidationRecord]) -> go.Figure:
    """Share of the targets inside the intervals of each model against the share that the intervals promise."""
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(420, len(records)),
            xaxis=style.axis("share that the interval promises", range=[0, 1]),
            yaxis=style.axis("share of the targets inside", range=[0, 1]),
        )
    )
    figure.add_trace(_guide(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "solid"))
    for number, record in enumerate(records):
        run = record.runs[0]
        found = coverage(run.log10_mpa, run.spread_log10, record.target, _LEVELS)
        if np.isfinite(found).all():
            figure.add_trace(_curve(_LEVELS, found, record.model, number))
    return figure


def learning(curves: Sequence[LearningCurve]) -> go.Figure:
    """Median factor against the number of families trained on, mean over seeds; bars: smallest and largest seed."""
    if not curves:
        return go.Figure(layout=style.empty("No learning curve was made."))
    highest = max(2.0, *(float(np.nanmax(each.median_factor)) for each in curves))
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(420, len(curves)),
            xaxis=style.axis("families trained on", type="log", dtick="D2"),
            yaxis=style.axis(
                "median factor of the error", type="log", dtick="D2", range=[0, 1.05 * float(np.log10(highest))]
            ),
        )
    )
    for number, each in enumerate(curves):
        mean = each.median_factor.mean(axis=1)
        trace = _curve(each.families, mean, each.model, number)
        ends = each.median_factor.max(axis=1) - mean, mean - each.median_factor.min(axis=1)
        figure.add_trace(trace.update(error_y={"array": ends[0], "arrayminus": ends[1], "thickness": 1}))
    return figure


def _intervals(rows: Sequence[SummaryRow], split: str, number: int) -> go.Scatter:
    return go.Scatter(
        x=[row.median_factor for row in rows],
        y=[row.model for row in rows],
        error_x={
            "array": [max(0.0, row.median_factor_high - row.median_factor) for row in rows],
            "arrayminus": [max(0.0, row.median_factor - row.median_factor_low) for row in rows],
            "thickness": 1,
        },
        name=split,
        mode="markers",
        marker={"color": style.COLOURS[number], "symbol": style.SYMBOLS[number], "size": 9},
        hovertemplate="%{y}: a factor of %{x:.2f}<extra></extra>",
    )


def _points(
    record: ValidationRecord, predicted_log10: np.ndarray, chosen: np.ndarray, name: str, look: style.Look
) -> go.Scatter:
    numbers = np.flatnonzero(chosen)
    found, truth = 10 ** predicted_log10[numbers], 10 ** record.target_log10_mpa[numbers]
    spread = np.nan_to_num(record.runs[0].spread_log10[numbers])
    bounds = record.censored[numbers]
    return go.Scatter(
        x=truth,
        y=found,
        error_y={
            "array": found * (10**spread - 1),
            "arrayminus": found * (1 - 10**-spread),
            "thickness": 0.6,
            "width": 0,
        },
        customdata=[
            (plain(record.potential_ids[int(k)]), significant(one), ("≤ " if bound else "") + significant(other))
            for k, one, other, bound in zip(numbers, found.tolist(), truth.tolist(), bounds.tolist(), strict=True)
        ],
        name=name,
        mode="markers",
        marker={
            "color": look.colour,
            "size": 8,
            "symbol": ["triangle-left" if bound else look.symbol for bound in bounds],
        },
        hovertemplate=_HOVER,
    )


def _curve(x: np.ndarray, y: np.ndarray, name: str, number: int) -> go.Scatter:
    colour = style.COLOURS[number % len(style.COLOURS)]
    return go.Scatter(
        x=x,
        y=y,
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": style.DASHES[number % len(style.DASHES)]},
        marker={"color": colour, "symbol": style.SYMBOLS[number % len(style.SYMBOLS)], "size": 7},
    )


def _guide(x: np.ndarray, y: np.ndarray, dash: str) -> go.Scatter:
    line = {"color": style.GREY, "width": 1, "dash": dash}
    return go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _square(x: str, y: str, decades: tuple[float, float]) -> dict[str, object]:
    return style.layout(560, xaxis=style.logarithmic(x, decades), yaxis=style.logarithmic(y, decades))
