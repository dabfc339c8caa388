"""Velocities of dislocations against stress and temperature, and the shapes of lines that move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from glideflow.reporting.figures import style

if TYPE_CHECKING:
    from glideflow.mobility.queries import Query
    from glideflow.mobility.trajectory import LineFrame, Trajectory
    from glideflow.reporting.mobility import VelocityRow

Abscissa = Literal["stress", "temperature"]
_FIELDS: dict[Abscissa, tuple[str, str, str]] = {
    "stress": ("stress_mpa", "resolved shear stress, MPa", "MPa"),
    "temperature": ("temperature_k", "temperature, K", "K"),
}
FRAMES_SHOWN = 9


def velocity_figure(rows: Sequence[VelocityRow], against: Abscissa) -> go.Figure:
    """Velocities with error bars, a series for each value of what is not on the axis; dotted: the thermal floor.

    Args:
        rows: trajectories of one kind of line; those without a velocity are left out.
        against: what is on the horizontal axis.
    """
    known = [row for row in rows if np.isfinite(row.velocity_m_per_s)]
    if not known:
        return go.Figure(layout=style.empty("no trajectory has a velocity"))
    attribute, title, _ = _FIELDS[against]
    other, _, unit = _FIELDS["temperature" if against == "stress" else "stress"]
    values = sorted({getattr(row, other) for row in known})
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(360, len(values) + 1),
            xaxis=style.axis(title, rangemode="tozero"),
            yaxis=style.axis("velocity, m/s", rangemode="tozero"),
        )
    )
    for position, value in enumerate(values):
        own = sorted((row for row in known if getattr(row, other) == value), key=lambda row: getattr(row, attribute))
        figure.add_traces(list(_series(own, attribute, f"{value:g} {unit}", position)))
    return figure


def _series(own: Sequence[VelocityRow], attribute: str, name: str, position: int) -> Iterator[go.Scatter]:
    colour = style.COLOURS[position % len(style.COLOURS)]
    x = [getattr(row, attribute) for row in own]
    yield go.Scatter(
        x=x,
        y=[row.velocity_m_per_s for row in own],
        error_y={"type": "data", "array": [row.error_m_per_s for row in own], "thickness": 1.5, "width": 5},
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 1.2},
        marker={"color": colour, "size": 9, "symbol": style.SYMBOLS[position % len(style.SYMBOLS)]},
        customdata=[f"{row.lines}, {row.stress_mpa:g} MPa, {row.temperature_k:g} K, seed {row.seed}" for row in own],
        hovertemplate="%{customdata}<br>%{y:.0f} ± %{error_y.array:.0f} m/s<extra></extra>",
    )
    yield go.Scatter(
        x=x,
        y=[row.thermal_floor_m_per_s for row in own],
        name="thermal floor",
        legendgroup="floor",
        showlegend=position == 0,
        mode="lines+markers",
        line={"color": colour, "dash": "dot", "width": 1},
        marker={"color": colour, "size": 4, "symbol": "line-ew-open"},
        hovertemplate="thermal floor %{y:.0f} m/s<extra></extra>",
    )


def learning_figure(queries: Sequence[Query]) -> go.Figure:
    """Uncertainty after each training against the trajectories that it learned from, a series for each strategy.

    Args:
        queries: in the order of their strategies and iterations; those without candidates are left out.
    """
    known = [query for query in queries if query.uncertainty_percent is not None]
    if not known:
        return go.Figure(layout=style.empty("no pool was looked at"))
    strategies = list(dict.fromkeys(query.strategy for query in known))
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(340, len(strategies)),
            xaxis=style.axis("trajectories", rangemode="tozero"),
            yaxis=style.axis("uncertainty, % of the displacement", rangemode="tozero"),
        )
    )
    for position, strategy in enumerate(strategies):
        own = [query for query in known if query.strategy == strategy]
        figure.add_scatter(
            x=[len(query.simulated) for query in own],
            y=[query.uncertainty_percent for query in own],
            name=strategy,
            mode="lines+markers",
            line={"color": style.COLOURS[position], "dash": style.DASHES[position]},
            marker={"size": 9, "symbol": style.SYMBOLS[position]},
            hovertemplate="%{x} trajectories: %{y:.1f} %<extra></extra>",
        )
    figure.add_hline(y=known[0].threshold_percent, line={"color": style.GREY, "dash": "dot", "width": 1})
    return figure


def lines_figure(trajectory: Trajectory) -> go.Figure:
    """Lines in the glide plane at some times, in nm: x, the glide direction, to the right and y up."""
    frames = list(trajectory.frames())
    shown = sorted({round(k) for k in np.linspace(0, len(frames) - 1, FRAMES_SHOWN)}) if frames else []
    if not shown:
        return go.Figure(layout=style.empty("the trajectory has no frames"))
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(460 if trajectory.cell.kind == "loop" else 260, len(shown)),
            xaxis=style.axis("x, nm", constrain="domain"),
            yaxis=style.axis("y, nm", scaleanchor="x", constrain="domain"),
        )
    )
    last = frames[shown[-1]].time_ps or 1.0
    for number in shown:
        frame = frames[number]
        colour = sample_colorscale(style.SURFACE_COLOURS, [0.9 * frame.time_ps / last])[0]
        figure.add_traces(list(_drawn(frame, colour)))
    return figure


def _drawn(frame: LineFrame, colour: str) -> Iterator[go.Scatter]:
    for number, line in enumerate(frame.lines):
        x, y, _ = line.chain_angstrom(frame.cell_angstrom).T / 10
        yield go.Scatter(
            x=x,
            y=y,
            name=f"{frame.time_ps:.1f} ps",
            legendgroup=f"{frame.time_ps:.1f}",
            showlegend=number == 0,
            mode="lines+markers",
            line={"color": colour, "dash": style.DASHES[number], "width": 1.5},
            marker={"color": colour, "size": 4},
            hovertemplate=f"{frame.time_ps:.1f} ps: %{{x:.2f}}, %{{y:.2f}} nm<extra></extra>",
        )
