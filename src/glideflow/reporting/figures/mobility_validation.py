"""How well a mobility law predicts simulations that it has not seen, and what it makes of straight lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from glideflow.reporting.figures import style
from glideflow.reporting.labels import plain

if TYPE_CHECKING:
    from glideflow.crystals.lattices import FloatArray
    from glideflow.mobility.evaluation import Evaluation, Group, GroupErrors
    from glideflow.mobility.glide_terms import GlideTerms, TermSeries, Variable
    from glideflow.mobility.roll_outs import RollOut
    from glideflow.mobility.trajectory import LineFrame
    from glideflow.mobility.validation import HeldOutTrajectory

SHAPES_SHOWN: Final = 5
UNITS: Final[Mapping[Variable, str]] = {"angle": "°", "stress": " MPa", "temperature": " K"}
_AXES: Final[Mapping[str, str]] = {
    "angle": "line angle, °",
    "stress": "resolved shear stress, MPa",
    "temperature": "temperature, K",
}
_FIELDS: Final[Mapping[Variable, str]] = {"angle": "angle_deg", "stress": "stress_mpa", "temperature": "temperature_k"}
_SAME: Final[Mapping[str, float]] = {"angle_deg": 0.5, "stress_mpa": 1e-6, "temperature_k": 1e-6}
"""Differences within which conditions are the same."""
_TERMS: Final = (
    ("f/B, m/s", "free_velocity_m_per_s", "free_velocity_spread_m_per_s"),
    ("barrier, eV", "energy_ev", "energy_spread_ev"),
    ("velocity, m/s", "velocity_m_per_s", "velocity_spread_m_per_s"),
)
_ERRORS: Final = (
    ("error, %", "percent", "percent_lowest", "percent_highest"),
    ("error, Å", "absolute_angstrom", "absolute_lowest_angstrom", "absolute_highest_angstrom"),
)
_PERCENT_TICKS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
_ANGLE_TICKS: Final = {"tickvals": [0, 30, 60, 90, 120, 150, 180]}


def errors_figure(evaluations: Sequence[Evaluation], group: Group) -> go.Figure:
    """Percentage and absolute errors of single steps: medians of all steps, bars over medians of trajectories.

    Args:
        evaluations: of every law.
        group: by what the steps are grouped.
    """
    figure = _stacked(style.height_with_legend(560, len(evaluations) + 1), [each[0] for each in _ERRORS])
    figure.update_layout(scattermode="group", scattergap=0.5)
    figure.update_xaxes(type="category", categoryarray=[each.group for each in evaluations[0].groups[group]])
    # Those of screws, which hardly move, are hundreds of times those of the others.
    figure.update_yaxes(type="log", **style.ticks(*_PERCENT_TICKS), row=1)
    figure.update_yaxes(rangemode="tozero", row=2)
    figure.update_xaxes(title_text=_AXES[group].partition(",")[0], row=2)
    for position, evaluation in enumerate(evaluations):
        for panel, (_, middle, lowest, highest) in enumerate(_ERRORS):
            ends = (middle, lowest, highest)
            trace = _group_errors(evaluation.law, evaluation.groups[group], ends, position)
            figure.add_trace(trace.update(showlegend=panel == 0), row=panel + 1, col=1)
    figure.add_trace(_floors(evaluations[0].groups[group]), row=2, col=1)
    return figure


def _group_errors(law: str, groups: Sequence[GroupErrors], ends: tuple[str, str, str], position: int) -> go.Scatter:
    middle, lowest, highest = (np.array([getattr(each, name) for each in groups]) for name in ends)
    return go.Scatter(
        x=[each.group for each in groups],
        y=middle,
        error_y={
            "type": "data",
            "array": np.maximum(highest - middle, 0),
            "arrayminus": np.maximum(middle - lowest, 0),
            "thickness": 1.2,
            "width": 4,
        },
        name=law,
        legendgroup=law,
        offsetgroup=law,
        mode="markers",
        marker=_marker(position),
        customdata=[f"{each.trajectories} trajectories, {each.steps} steps" for each in groups],
        hovertemplate=f"{law}<br>%{{x}}: %{{y:.3g}}<br>%{{customdata}}<extra></extra>",
    )


def _floors(groups: Sequence[GroupErrors]) -> go.Scatter:
    return go.Scatter(
        x=[each.group for each in groups],
        y=[each.thermal_floor_angstrom for each in groups],
        name="thermal floor of one line",
        offsetgroup="floor",
        mode="markers",
        marker={"color": style.INK, "size": 22, "symbol": "line-ew-open", "line": {"width": 1.5}},
        hovertemplate="thermal floor %{y:.2f} Å<extra></extra>",
    )


def velocities_figure(trajectories: Sequence[HeldOutTrajectory]) -> go.Figure:
    """Mean velocities by each law against those of the simulations, with errors and spreads; the line is agreement.

    Args:
        trajectories: the simulations.
    """
    laws = list(trajectories[0].laws)
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(440, len(laws)),
            xaxis=style.axis("velocity of the simulation, m/s"),
            yaxis=style.axis("velocity of the law, m/s"),
        )
    )
    ends = _ends([each.velocity_m_per_s for each in trajectories])
    figure.add_trace(_guide(ends, ends, "solid"))
    for position, law in enumerate(laws):
        figure.add_trace(_velocities(trajectories, law, position))
    return figure


def _velocities(trajectories: Sequence[HeldOutTrajectory], law: str, position: int) -> go.Scatter:
    own = [each.laws[law] for each in trajectories]
    spreads = np.array([each.spread_m_per_s for each in own])
    bars = {"type": "data", "thickness": 1.2, "width": 4}
    return go.Scatter(
        x=[each.velocity_m_per_s for each in trajectories],
        y=[each.velocity_m_per_s for each in own],
        error_x=bars | {"array": np.nan_to_num([each.error_m_per_s for each in trajectories])},
        error_y=bars | {"array": spreads} if np.isfinite(spreads).any() else None,
        name=law,
        mode="markers",
        marker=_marker(position),
        customdata=[described(each) for each in trajectories],
        hovertemplate=f"%{{customdata}}<br>simulation %{{x:.0f}} m/s<br>{law} %{{y:.0f}} m/s<extra></extra>",
    )


def coverage_figure(trajectories: Sequence[HeldOutTrajectory], law: str) -> go.Figure:
    """Errors of mean velocities against the spread of the ensemble; lines: one and two spreads.

    Args:
        trajectories: the simulations.
        law: name of the ensemble.
    """
    spreads = np.array([each.laws[law].spread_m_per_s for each in trajectories])
    errors = np.array([abs(each.laws[law].velocity_m_per_s - each.velocity_m_per_s) for each in trajectories])
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(360, 2),
            xaxis=style.axis("spread of the ensemble, m/s", rangemode="tozero"),
            yaxis=style.axis("error of the velocity, m/s", rangemode="tozero"),
        )
    )
    ends = np.array([0.0, 1.1 * float(spreads.max())])
    for share, dash, name in ((1, "solid", "one spread"), (2, "dash", "two spreads")):
        figure.add_trace(_guide(ends, share * ends, dash).update(name=name, showlegend=True))
    figure.add_scatter(
        x=spreads,
        y=errors,
        error_y={"type": "data", "array": np.nan_to_num([each.error_m_per_s for each in trajectories]), "thickness": 1},
        name="trajectory",
        mode="markers",
        marker=_marker(0),
        customdata=[described(each) for each in trajectories],
        hovertemplate="%{customdata}<br>error %{y:.0f} m/s, spread %{x:.0f} m/s<extra></extra>",
    )
    return figure


def growth_figure(roll_outs: Sequence[RollOut]) -> go.Figure:
    """Error of predicted lines against time, in Å and in percent of the way of the true ones: medians over simulations.

    The band is from the smallest to the largest of the first law; dots are the thermal floor.

    Args:
        roll_outs: of every law, the network's first.
    """
    laws = list(dict.fromkeys(each.law for each in roll_outs))
    titles = ("distance of the lines, Å", "share of the way gone, %")
    figure = _stacked(style.height_with_legend(560, len(laws) + 2), titles)
    figure.update_xaxes(title_text="time since the start of the prediction, ps", row=2)
    figure.update_yaxes(rangemode="tozero")
    for position, law in enumerate(laws):
        own = [each for each in roll_outs if each.law == law]
        for panel, name in enumerate(("error_angstrom", "percent")):
            for trace in _growth(own, name, law, position):
                figure.add_trace(trace.update(showlegend=panel == 0), row=panel + 1, col=1)
    first = [each for each in roll_outs if each.law == laws[0]]
    times, floors = at_times(first, "floor_angstrom")
    figure.add_scatter(
        x=times,
        y=floors[1],
        name="thermal floor of one line",
        mode="lines",
        line={"color": style.INK, "dash": "dot", "width": 1.5},
        row=1,
        col=1,
    )
    figure.update_yaxes(range=[0, _readable(roll_outs, laws)], row=2)
    return figure


def _readable(roll_outs: Sequence[RollOut], laws: Sequence[str]) -> float:
    """End of the axis of percentages, by the medians: those of screws, which hardly move, may be far beyond it."""
    medians = [at_times([each for each in roll_outs if each.law == law], "percent")[1][1] for law in laws]
    known = np.concatenate(medians)
    return 1.3 * float(known[np.isfinite(known)].max(initial=15.0))


def _growth(own: Sequence[RollOut], name: str, law: str, position: int) -> Iterator[go.Scatter]:
    times, (lowest, middle, highest) = at_times(own, name)
    colour = style.COLOURS[position % len(style.COLOURS)]
    if position == 0 and len(own) > 1:
        yield _band(times, lowest, highest, colour, f"{law}, all simulations")
    yield go.Scatter(
        x=times,
        y=middle,
        name=law,
        legendgroup=law,
        mode="lines",
        line={"color": colour, "dash": style.DASHES[position % len(style.DASHES)], "width": 2},
        hovertemplate=f"{law}<br>%{{x:g}} ps: %{{y:.3g}}<extra></extra>",
    )


def at_times(own: Sequence[RollOut], name: str) -> tuple[FloatArray, tuple[FloatArray, FloatArray, FloatArray]]:
    """Times, and smallest, median and largest value over the roll-outs that reach each of them.

    Args:
        own: roll-outs of one law.
        name: of the values, an attribute of `RollOut`.

    Returns:
        (K,) times in ps and three (K,) arrays; NaN where no value is known.
    """
    found: dict[float, list[float]] = {}
    for each in own:
        for time, value in zip(each.times_ps.round(4).tolist(), getattr(each, name).tolist(), strict=True):
            found.setdefault(time, []).append(value)
    times = sorted(found)
    rows = [[value for value in found[time] if np.isfinite(value)] or [np.nan] for time in times]
    ends = [np.array([reduce(row) for row in rows], dtype=float) for reduce in (np.min, np.median, np.max)]
    return np.array(times), (ends[0], ends[1], ends[2])


def shapes_figure(roll_out: RollOut) -> go.Figure:
    """Lines of a simulation and of a law in the glide plane at some times, in nm.

    Args:
        roll_out: of the law.
    """
    count = len(roll_out.times_ps)
    shown = sorted({round(k) for k in np.linspace(0, count - 1, SHAPES_SHOWN).tolist()}) if count else []
    if not shown:
        return go.Figure(layout=style.empty("the prediction ended at once"))
    closed = roll_out.simulated[0].lines[0].topology == "closed"
    square = {"scaleanchor": "x", "constrain": "domain"} if closed else {}
    figure = go.Figure(
        layout=style.layout(
            style.height_with_legend(460 if closed else 280, len(shown) + 1),
            xaxis=style.axis("x, nm", constrain="domain"),
            yaxis=style.axis("y, nm", **square),
        )
    )
    cell = roll_out.predicted[0].cell_angstrom
    for number in shown:
        time = float(roll_out.times_ps[number])
        colour = sample_colorscale(style.SURFACE_COLOURS, [0.85 * time / float(roll_out.times_ps[-1])])[0]
        figure.add_traces(list(_drawn(roll_out.simulated[number], cell, colour, time, "simulation")))
        figure.add_traces(list(_drawn(roll_out.predicted[number], cell, colour, time, "prediction")))
    for name, look in (("simulation", "circle"), ("prediction", "x-thin-open")):
        marker = {"color": style.INK, "symbol": look, "size": 8, "line": {"width": 2}}
        figure.add_scatter(x=[None], y=[None], name=name, mode="markers", marker=marker)
    return figure


def _drawn(frame: LineFrame, cell: FloatArray, colour: str, time_ps: float, what: str) -> Iterator[go.Scatter]:
    """Lines in the cell of the prediction: the strain of the simulated one is no motion of lines."""
    simulated = what == "simulation"
    for number, line in enumerate(frame.lines):
        x, y, _ = line.chain_angstrom(cell).T / 10
        yield go.Scatter(
            x=x,
            y=y,
            name=f"{time_ps:.1f} ps",
            legendgroup=f"{time_ps:.1f}",
            showlegend=simulated and number == 0,
            mode="lines+markers",
            line={"color": colour, "dash": "solid" if simulated else "dot", "width": 1.5},
            marker={
                "color": colour,
                "size": 5 if simulated else 8,
                "symbol": "circle" if simulated else "x-thin-open",
                "line": {"width": 0 if simulated else 2, "color": colour},
            },
            hovertemplate=f"{what}, {time_ps:.1f} ps: %{{x:.2f}}, %{{y:.2f}} nm<extra></extra>",
        )


def terms_figure(series: Sequence[TermSeries], simulated: Sequence[HeldOutTrajectory] = ()) -> go.Figure:
    """Velocity without a barrier, barrier and velocity of straight lines; bands: spread of the ensemble.

    Grey: nothing near was trained on. Large open symbols: velocities of simulations under the same conditions.

    Args:
        series: of one variable, told apart by the same other one.
        simulated: simulations, of which those are shown that fit.
    """
    along = series[0].along
    figure = _stacked(style.height_with_legend(780, len(series) + 1), [each[0] for each in _TERMS])
    figure.update_xaxes(title_text=_AXES[along], row=len(_TERMS))
    if along == "angle":
        figure.update_xaxes(**_ANGLE_TICKS)
    for start, end in far_stretches(series, along):
        look = {"fillcolor": style.GRID, "opacity": 0.7, "line_width": 0, "layer": "below"}
        figure.add_vrect(x0=start, x1=end, row="all", col=1, exclude_empty_subplots=False, **look)
    for position, each in enumerate(series):
        for panel, (_, middle, spread) in enumerate(_TERMS):
            for trace in _term_traces(each, middle, spread, position):
                figure.add_trace(trace.update(showlegend=panel == 0 and trace.mode != "none"), row=panel + 1, col=1)
        fitting = under_conditions(each, simulated)
        if fitting:
            figure.add_trace(_simulated(fitting, along, position), row=len(_TERMS), col=1)
    figure.add_scatter(
        x=[None],
        y=[None],
        name=f"extrapolated: no such {along} in the training",
        mode="markers",
        marker={"color": style.GRID, "size": 14, "symbol": "square"},
    )
    return figure


def under_conditions(series: TermSeries, simulated: Sequence[HeldOutTrajectory]) -> list[HeldOutTrajectory]:
    """Simulations of dipoles that differ from a series in nothing but the variable of its axis.

    Args:
        series: the series.
        simulated: simulations.
    """
    at = series.terms[0].conditions
    others = [name for variable, name in _FIELDS.items() if variable != series.along]
    return [
        each
        for each in simulated
        if each.kind == "dipole" and all(abs(getattr(each, name) - getattr(at, name)) <= _SAME[name] for name in others)
    ]


def _simulated(own: Sequence[HeldOutTrajectory], along: Variable, position: int) -> go.Scatter:
    x = np.array([getattr(each, _FIELDS[along]) for each in own])
    marker = _marker(position)
    return go.Scatter(
        x=x % 180 if along == "angle" else x,
        y=[each.velocity_m_per_s for each in own],
        error_y={"type": "data", "array": np.nan_to_num([each.error_m_per_s for each in own]), "thickness": 1.2},
        name="simulation",
        mode="markers",
        showlegend=False,
        marker=marker | {"symbol": f"{marker['symbol']}-open", "size": 13, "line": {"width": 2}},
        customdata=[described(each) for each in own],
        hovertemplate="simulation, held out: %{customdata}<br>%{y:.0f} m/s<extra></extra>",
    )


def far_stretches(series: Sequence[TermSeries], along: Variable) -> list[tuple[float, float]]:
    """Stretches of the axis of which the training has nothing near, each to the middle of the next point that it has.

    Args:
        series: with the same points along the axis.
        along: the variable of the axis.
    """
    terms = series[0].terms
    places = np.array([getattr(each.conditions, _FIELDS[along]) for each in terms])
    middles = 0.5 * (places[1:] + places[:-1])
    edges = np.concatenate([places[:1], middles, places[-1:]])
    found: list[tuple[float, float]] = []
    for term, start, end in zip(terms, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if along not in term.extrapolated:
            continue
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _term_traces(series: TermSeries, middle: str, spread: str, position: int) -> Iterator[go.Scatter]:
    colour = style.COLOURS[position % len(style.COLOURS)]
    x = np.array([getattr(each.conditions, _FIELDS[series.along]) for each in series.terms])
    y, half = (np.array([getattr(each, name) for each in series.terms]) for name in (middle, spread))
    name = f"{getattr(series.terms[0].conditions, _FIELDS[series.by]):.4g}{UNITS[series.by]}"
    if series.by in series.terms[0].extrapolated:
        name += " (extrapolated)"
    yield _band(x, y - half, y + half, colour, name).update(showlegend=False, legendgroup=name)
    yield go.Scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line={"color": colour, "width": 1.6, "dash": style.DASHES[position % len(style.DASHES)]},
        marker={"color": colour, "size": 5, "symbol": style.SYMBOLS[position % len(style.SYMBOLS)]},
        customdata=[_far(each) for each in series.terms],
        hovertemplate=f"{name}, %{{x:.4g}}{UNITS[series.along]}: %{{y:.4g}}%{{customdata}}<extra></extra>",
    )


def _far(term: GlideTerms) -> str:
    return f"<br>extrapolated: {', '.join(term.extrapolated)}" if term.extrapolated else ""


def described(each: HeldOutTrajectory) -> str:
    """Lines, stress and temperature of a simulation in words."""
    lines = f"{each.angle_deg:.2f}°" if each.kind == "dipole" else f"loop, {each.radius_nm:g} nm"
    return plain(f"{lines}, {each.stress_mpa:g} MPa, {each.temperature_k:g} K")


def _stacked(height: int, titles: Sequence[str]) -> go.Figure:
    """Panels above each other with one horizontal axis."""
    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    figure.update_layout(style.layout(height))
    figure.update_xaxes(style.axis(""))
    for row, title in enumerate(titles):
        figure.update_yaxes(style.axis(title), row=row + 1)
    return figure


def _marker(position: int) -> dict[str, Any]:
    colour = style.COLOURS[position % len(style.COLOURS)]
    return {"color": colour, "size": 9, "symbol": style.SYMBOLS[position % len(style.SYMBOLS)]}


def _band(x: FloatArray, low: FloatArray, high: FloatArray, colour: str, name: str) -> go.Scatter:
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        name=name,
        mode="none",
        fill="toself",
        fillcolor=_transparent(colour),
        hoverinfo="skip",
    )


def _transparent(colour: str) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.15)"


def _guide(x: FloatArray, y: FloatArray, dash: str) -> go.Scatter:
    line = {"color": style.GREY, "dash": dash, "width": 1}
    return go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip")


def _ends(values: Sequence[float]) -> FloatArray:
    known = np.array([value for value in values if np.isfinite(value)] or [0.0])
    return np.array([min(0.0, float(known.min())), 1.05 * float(known.max())])
