"""Glide velocities of simulated dislocations: one row per trajectory as CSV, Markdown and a page with figures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from glideflow.errors import PropertyError
from glideflow.mobility.velocities import glide_velocity
from glideflow.reporting.labels import MISSING, number
from glideflow.reporting.sections import Section, markdown_table, plot, text_table

if TYPE_CHECKING:
    from glideflow.mobility.cells import CellKind
    from glideflow.mobility.queries import Query
    from glideflow.mobility.trajectory import Trajectory
    from glideflow.mobility.velocities import GlideVelocity

COLUMNS = ("lines", "τ, MPa", "T, K", "seed", "ps", "ended", "v, m/s", "± m/s", "floor, m/s", "drag, µPa·s", "remark")


@dataclass(frozen=True, kw_only=True)
class VelocityRow:
    """One trajectory and its velocity; NaN where there is none.

    Attributes:
        name: what the trajectory is called.
        potential: id of the potential, or name of the law that moved the lines.
        kind: ``dipole`` or ``loop``.
        angle_deg: angle of a dipole; NaN for a loop.
        radius_nm: radius of a loop; NaN for a dipole.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        seed: seed of the velocities.
        atoms: number of atoms.
        status: what became of it.
        time_ps: time that was simulated.
        velocity_m_per_s: velocity in the sense of the force of a positive stress.
        error_m_per_s: its standard error.
        thermal_floor_m_per_s: what diffusion alone would show.
        drag_pa_s: drag coefficient τ b / v.
        remark: why it ended early, or why it has no velocity.
    """

    name: str
    potential: str
    kind: CellKind
    angle_deg: float
    radius_nm: float
    stress_mpa: float
    temperature_k: float
    seed: int
    atoms: int
    status: str
    time_ps: float
    velocity_m_per_s: float
    error_m_per_s: float
    thermal_floor_m_per_s: float
    drag_pa_s: float
    remark: str

    @property
    def lines(self) -> str:
        """Which lines they are, in words."""
        return f"{self.angle_deg:.2f}°" if self.kind == "dipole" else f"loop, {self.radius_nm:g} nm"


def velocity_row(name: str, trajectory: Trajectory, startup_ps: float | None = None) -> VelocityRow:
    """A trajectory as a row of the table.

    Args:
        name: what it is called.
        trajectory: whatever became of it.
        startup_ps: time at its beginning that is left out; None as it was set up.
    """
    found: GlideVelocity | None = None
    why = ""
    try:
        found = glide_velocity(trajectory, startup_ps=startup_ps)
    except PropertyError as error:
        why = error.found
    cell, scenario = trajectory.cell, trajectory.scenario
    return VelocityRow(
        name=name,
        potential=trajectory.potential.id,
        kind=cell.kind,
        angle_deg=math.nan if cell.character_angle_deg is None else cell.character_angle_deg,
        radius_nm=math.nan if cell.radius_angstrom is None else cell.radius_angstrom / 10,
        stress_mpa=scenario.stress_mpa,
        temperature_k=scenario.temperature_k,
        seed=scenario.seed,
        atoms=cell.atoms,
        status=trajectory.status,
        time_ps=float(trajectory.times_ps[-1]) if len(trajectory.times_ps) else 0.0,
        velocity_m_per_s=found.velocity_m_per_s if found else math.nan,
        error_m_per_s=found.error_m_per_s if found else math.nan,
        thermal_floor_m_per_s=found.thermal_floor_m_per_s if found else math.nan,
        drag_pa_s=found.drag_pa_s if found else math.nan,
        remark=trajectory.reason or why,
    )


def velocities_csv(rows: Sequence[VelocityRow]) -> str:
    """The table as CSV, a column for each attribute; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(VelocityRow)]
    writer.writerow(names)
    for row in in_order(rows):
        writer.writerow([_plain(getattr(row, name)) for name in names])
    return text.getvalue()


def velocities_markdown(rows: Sequence[VelocityRow]) -> str:
    """The table in Markdown, numbers rounded."""
    return markdown_table(COLUMNS, [[cell.replace("|", "\\|") for cell in row] for row in velocity_cells(rows)])


def velocity_cells(rows: Sequence[VelocityRow]) -> list[list[str]]:
    """Cells of every row, in the order of `COLUMNS`."""
    labels = _labels(rows)
    return [
        [
            labels[row.name],
            number(row.stress_mpa, 0),
            number(row.temperature_k, 0),
            str(row.seed),
            number(row.time_ps, 1),
            row.status,
            number(row.velocity_m_per_s, 0),
            number(row.error_m_per_s, 0),
            number(row.thermal_floor_m_per_s, 0),
            number(1e6 * row.drag_pa_s, 0),
            row.remark or MISSING,
        ]
        for row in in_order(rows)
    ]


def mobility_page(
    rows: Sequence[VelocityRow],
    example: tuple[str, Trajectory] | None = None,
    queries: Sequence[Query] = (),
    errors: Section | None = None,
) -> str:
    """A page that opens without a network: velocities of each kind of line, and the lines of one trajectory.

    Args:
        rows: the table.
        example: a trajectory with its name whose lines are drawn.
        queries: what ensembles asked for, of active and passive learning.
        errors: what a trained ensemble errs by, see `glideflow.reporting.mobility_errors`.
    """
    from glideflow.reporting.templating import plots_page

    sections = [*([errors] if errors else []), *_sections(in_order(rows))]
    if example is not None:
        sections.append(_lines_section(*example))
    if queries:
        sections.append(_learning_section(queries))
    figures = {each.id: each.figure for section in sections for each in section.plots}
    ended_early = [row for row in in_order(rows) if row.status not in ("completed", "running")]
    return plots_page("mobility.html", figures, rows=rows, sections=sections, ended_early=ended_early)


def in_order(rows: Sequence[VelocityRow]) -> list[VelocityRow]:
    """By potential; dipoles by angle, then loops by radius; each by temperature, stress and seed."""
    return sorted(
        rows,
        key=lambda row: (row.potential, row.kind, *_sizes(row), row.temperature_k, row.stress_mpa, row.seed, row.name),
    )


def example_of(rows: Sequence[VelocityRow]) -> VelocityRow | None:
    """The trajectory whose lines are shown: the longest one, a loop before dipoles."""
    shown = [row for row in in_order(rows) if row.time_ps > 0]
    return max(shown, key=lambda row: (row.kind == "loop", row.time_ps), default=None)


def _labels(rows: Sequence[VelocityRow]) -> dict[str, str]:
    """Which lines those of each trajectory are, by its name; with the potential where there are several."""
    several = len({row.potential for row in rows}) > 1
    return {row.name: f"{row.lines}, {row.potential}" if several else row.lines for row in rows}


def _sizes(row: VelocityRow) -> tuple[float, float]:
    return (float(np.nan_to_num(row.angle_deg)), float(np.nan_to_num(row.radius_nm)))


def _sections(rows: Sequence[VelocityRow]) -> Iterator[Section]:
    from glideflow.reporting.figures.mobility import velocity_figure

    labels = _labels(rows)
    for position, lines in enumerate(dict.fromkeys(labels[row.name] for row in rows)):
        own = [row for row in rows if labels[row.name] == lines]
        name = f"lines-{position}"
        plots = [plot(f"{name}-stress", f"{lines}: velocity against stress.", velocity_figure(own, "stress"))]
        if len({row.temperature_k for row in own}) > 1:
            figure = velocity_figure(own, "temperature")
            plots.append(plot(f"{name}-temperature", f"{lines}: velocity against temperature.", figure))
        cells = [row[1:] for row in velocity_cells(own)]
        yield Section(name=name, title=lines, plots=tuple(plots), tables=(text_table(lines, COLUMNS[1:], cells),))


def _lines_section(name: str, trajectory: Trajectory) -> Section:
    from glideflow.reporting.figures.mobility import lines_figure

    row = velocity_row(name, trajectory)
    words = f"{row.lines}, {row.stress_mpa:g} MPa, {row.temperature_k:g} K"
    caption = f"{words}: lines in the glide plane, seen along its normal, from the first to the last frame."
    return Section(name="shapes", title="Lines", plots=(plot("shapes-plot", caption, lines_figure(trajectory)),))


def _learning_section(queries: Sequence[Query]) -> Section:
    from glideflow.reporting.figures.mobility import learning_figure

    ordered = sorted(queries, key=lambda query: (query.strategy, query.iteration))
    rows = [
        (
            query.strategy,
            str(query.iteration),
            str(len(query.simulated)),
            number(query.uncertainty_percent, 1),
            number(query.threshold_percent, 0),
            ", ".join(query.selected) or MISSING,
        )
        for query in ordered
    ]
    headings = ("strategy", "iteration", "trajectories", "uncertainty, %", "threshold, %", "asked for")
    return Section(
        name="learning",
        title="Learning",
        notes=(
            "Uncertainty: spread of the better half of the ensemble over its displacement in one step, both averaged "
            "over a pool of scenarios that were not simulated.",
        ),
        plots=(plot("learning-plot", "Uncertainty against what was simulated.", learning_figure(ordered)),),
        tables=(text_table("What the ensemble asked for", headings, rows),),
    )


def _plain(value: object) -> object:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return value
