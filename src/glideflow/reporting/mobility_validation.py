"""Validation of a mobility law as CSV, Markdown, JSON, and a page with figures that opens without a network."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from glideflow.reporting.labels import MISSING, number, significant
from glideflow.reporting.sections import Section, TextTable, markdown_table, plot, text_table

if TYPE_CHECKING:
    from glideflow.mobility.evaluation import Evaluation, Group, GroupErrors, TrajectoryErrors
    from glideflow.mobility.glide_terms import TermSeries
    from glideflow.mobility.roll_outs import RollOut
    from glideflow.mobility.validation import ExperimentResult, HeldOutTrajectory, Validation

GROUPS: Final[tuple[Group, ...]] = ("angle", "stress", "temperature")
ERROR_COLUMNS: Final = (
    "law",
    "trajectories",
    "steps",
    "error, %",
    "of trajectories, %",
    "error, Å",
    "of trajectories, Å",
)
_SHARED_COLUMNS: Final = ("thermal floor, Å", "velocity error, %")
_IN_WORDS: Final[Mapping[Group, str]] = {"angle": "line angle", "stress": "stress", "temperature": "temperature"}
_EXPECTED: Final = ("errors that are normal with the spread", MISSING, "68", "95", "1")


@dataclass(frozen=True, kw_only=True)
class ValidationRow:
    """A held-out simulation and a law; NaN, or an empty text, where nothing is known.

    Attributes:
        experiment: title of the experiment.
        name: the simulation.
        part: what the model used it for.
        conditions_trained: whether it was trained on the same conditions with another seed.
        kind: ``dipole`` or ``loop``.
        angle_deg: angle of a dipole.
        radius_nm: radius of a loop.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        law: the law.
        steps: number of steps.
        step_percent: median percentage error of a step.
        step_angstrom: median absolute error of a step.
        step_floor_angstrom: thermal floor of a step.
        simulated_m_per_s: velocity of the simulation.
        simulated_error_m_per_s: its standard error.
        simulated_floor_m_per_s: what diffusion alone would show.
        velocity_m_per_s: velocity by the law.
        spread_m_per_s: its spread.
        roll_out_ps: time until which the law was rolled out.
        roll_out_angstrom: distance of its lines from the true ones then.
        roll_out_floor_angstrom: thermal floor then.
        roll_out_percent: distance as a share of the way of the true lines.
        roll_out_way_angstrom: mean displacement by the law.
        roll_out_simulated_angstrom: mean displacement of the simulation.
        roll_out_ended: why it ended early.
    """

    experiment: str
    name: str
    part: str
    conditions_trained: bool
    kind: str
    angle_deg: float
    radius_nm: float
    stress_mpa: float
    temperature_k: float
    law: str
    steps: int
    step_percent: float
    step_angstrom: float
    step_floor_angstrom: float
    simulated_m_per_s: float
    simulated_error_m_per_s: float
    simulated_floor_m_per_s: float
    velocity_m_per_s: float
    spread_m_per_s: float
    roll_out_ps: float = math.nan
    roll_out_angstrom: float = math.nan
    roll_out_floor_angstrom: float = math.nan
    roll_out_percent: float = math.nan
    roll_out_way_angstrom: float = math.nan
    roll_out_simulated_angstrom: float = math.nan
    roll_out_ended: str = ""


def validation_rows(validation: Validation) -> list[ValidationRow]:
    """A row for each held-out simulation and law."""
    return [row for result in validation.experiments for row in _result_rows(result)]


def validation_csv(validation: Validation) -> str:
    """The rows as CSV; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(ValidationRow)]
    writer.writerow(names)
    for row in validation_rows(validation):
        writer.writerow([_plain(getattr(row, name)) for name in names])
    return text.getvalue()


def validation_markdown(validation: Validation) -> str:
    """The tables of `validation_tables` in Markdown, under their titles."""
    parts = [
        f"## {title}\n\n{table.title}\n\n{markdown_table(table.headings, _escaped(table.rows))}"
        for title, table in validation_tables(validation)
    ]
    return "\n".join(parts)


def validation_tables(validation: Validation) -> Iterator[tuple[str, TextTable]]:
    """Tables of each experiment: errors of all steps, velocities, coverage and the growth of errors, with its title."""
    for result in validation.experiments:
        title = result.experiment.title
        yield title, _overall_table(result.evaluations)
        yield title, _velocities_table(result.trajectories)
        if result.coverage is not None:
            yield title, _coverage_table(result)
        if result.roll_outs:
            yield title, _growth_table(result)


def validation_json(validation: Validation, series: Sequence[TermSeries] = ()) -> dict[str, Any]:
    """Everything but the lines themselves, for `json`; arrays as lists.

    Args:
        validation: the validation.
        series: what the ensemble makes of straight lines.
    """
    return {
        "model": validation.model,
        "step_ps": validation.step_ps,
        "seen": validation.seen,
        "experiments": [_result_json(result) for result in validation.experiments],
        "impossible": dict(validation.impossible),
        "left_out": dict(validation.left_out),
        "straight_lines": [asdict(each) for each in series],
    }


def validation_page(validation: Validation, series: Sequence[TermSeries] = ()) -> str:
    """A page that opens without a network.

    Args:
        validation: the validation.
        series: what the ensemble makes of straight lines.
    """
    from glideflow.reporting.templating import plots_page

    sections = [section for result in validation.experiments for section in _result_sections(result)]
    if series:
        simulated = [each for result in validation.experiments for each in result.trajectories]
        sections.append(_terms_section(series, simulated))
    figures = {each.id: each.figure for section in sections for each in section.plots}
    count = sum(len(result.trajectories) for result in validation.experiments)
    return plots_page("mobility_validation.html", figures, validation=validation, sections=sections, trajectories=count)


def _result_rows(result: ExperimentResult) -> Iterator[ValidationRow]:
    ends = {(each.trajectory, each.law): each for each in result.roll_outs}
    for position, each in enumerate(result.trajectories):
        for evaluation in result.evaluations:
            own = each.laws[evaluation.law]
            step: TrajectoryErrors = evaluation.trajectories[position]
            yield ValidationRow(
                experiment=result.experiment.title,
                name=each.name,
                part=each.part,
                conditions_trained=each.conditions_trained,
                kind=each.kind,
                angle_deg=each.angle_deg,
                radius_nm=each.radius_nm,
                stress_mpa=each.stress_mpa,
                temperature_k=each.temperature_k,
                law=evaluation.law,
                steps=step.steps,
                step_percent=step.percent,
                step_angstrom=step.absolute_angstrom,
                step_floor_angstrom=step.thermal_floor_angstrom,
                simulated_m_per_s=each.velocity_m_per_s,
                simulated_error_m_per_s=each.error_m_per_s,
                simulated_floor_m_per_s=each.floor_m_per_s,
                velocity_m_per_s=own.velocity_m_per_s,
                spread_m_per_s=own.spread_m_per_s,
                **_end(ends.get((each.name, evaluation.law))),
            )


def _end(roll_out: RollOut | None) -> dict[str, Any]:
    """Last comparison of a roll-out, by the names of `ValidationRow`."""
    if roll_out is None:
        return {}
    if not len(roll_out.times_ps):
        return {"roll_out_ps": 0.0, "roll_out_ended": roll_out.ended}
    last = {
        "roll_out_ps": roll_out.times_ps,
        "roll_out_angstrom": roll_out.error_angstrom,
        "roll_out_floor_angstrom": roll_out.floor_angstrom,
        "roll_out_percent": roll_out.percent,
        "roll_out_way_angstrom": roll_out.displacement_angstrom,
        "roll_out_simulated_angstrom": roll_out.simulated_angstrom,
    }
    return {name: float(values[-1]) for name, values in last.items()} | {"roll_out_ended": roll_out.ended}


def _result_json(result: ExperimentResult) -> dict[str, Any]:
    return {
        "experiment": result.experiment.title,
        "letter": result.experiment.letter,
        "laws": [asdict(evaluation) for evaluation in result.evaluations],
        "trajectories": [asdict(each) for each in result.trajectories],
        "coverage": asdict(result.coverage) if result.coverage else None,
        "roll_outs": [_roll_out_json(each) for each in result.roll_outs],
    }


def _roll_out_json(roll_out: RollOut) -> dict[str, Any]:
    names = ("law", "trajectory", "start_ps", "ended")
    arrays = ("times_ps", "error_angstrom", "percent", "travelled_angstrom", "displacement_angstrom")
    rest = ("simulated_angstrom", "spread_angstrom", "floor_angstrom")
    values = {name: getattr(roll_out, name).tolist() for name in (*arrays, *rest)}
    return {name: getattr(roll_out, name) for name in names} | values


def _result_sections(result: ExperimentResult) -> Iterator[Section]:
    yield _steps_section(result)
    yield _velocities_section(result)
    if result.roll_outs:
        yield _roll_outs_section(result)


def _steps_section(result: ExperimentResult) -> Section:
    from glideflow.reporting.figures.mobility_validation import errors_figure

    name, title = f"{result.experiment.tested_on}-steps", result.experiment.title
    groups = [group for group in GROUPS if group != "angle" or result.experiment.tested_on == "dipole"]
    plots = [
        plot(
            f"{name}-{group}",
            f"{title}: error of single steps by {_IN_WORDS[group]}; bars: smallest and largest median of a trajectory.",
            errors_figure(result.evaluations, group),
        )
        for group in groups
    ]
    tables = [_overall_table(result.evaluations), *(_group_table(result.evaluations, group) for group in groups)]
    return Section(name=name, title=f"Single steps: {title}", plots=tuple(plots), tables=tuple(tables))


def _overall_table(evaluations: Sequence[Evaluation]) -> TextTable:
    rows = [_error_cells(each.law, each.overall) for each in evaluations]
    return text_table("All steps", (*ERROR_COLUMNS, *_SHARED_COLUMNS), rows)


def _group_table(evaluations: Sequence[Evaluation], group: Group) -> TextTable:
    rows = [
        (each.group, *_error_cells(evaluation.law, each))
        for position in range(len(evaluations[0].groups[group]))
        for evaluation in evaluations
        for each in (evaluation.groups[group][position],)
    ]
    return text_table(f"By {_IN_WORDS[group]}", (_IN_WORDS[group], *ERROR_COLUMNS, *_SHARED_COLUMNS), rows)


def _error_cells(law: str, errors: GroupErrors) -> tuple[str, ...]:
    return (
        law,
        str(errors.trajectories),
        str(errors.steps),
        number(errors.percent, 0),
        _range(errors.percent_lowest, errors.percent_highest, 0) if errors.trajectories > 1 else MISSING,
        number(errors.absolute_angstrom, 2),
        _range(errors.absolute_lowest_angstrom, errors.absolute_highest_angstrom, 2)
        if errors.trajectories > 1
        else MISSING,
        number(errors.thermal_floor_angstrom, 2),
        number(errors.velocity_percent, 0),
    )


def _range(lowest: float, highest: float, decimals: int) -> str:
    return f"{number(lowest, decimals)} to {number(highest, decimals)}"


def _velocities_section(result: ExperimentResult) -> Section:
    from glideflow.mobility.validation import NETWORK
    from glideflow.reporting.figures.mobility_validation import coverage_figure, velocities_figure

    name, title = f"{result.experiment.tested_on}-velocities", result.experiment.title
    plots = [
        plot(
            f"{name}-plot",
            f"{title}: mean velocity of each trajectory by each law against that of the simulation.",
            velocities_figure(result.trajectories),
        )
    ]
    tables = [_velocities_table(result.trajectories)]
    if result.coverage is not None:
        caption = (
            f"{title}: error of the mean velocity against the spread of the ensemble; bars: error of the simulation."
        )
        plots.append(plot(f"{name}-coverage", caption, coverage_figure(result.trajectories, NETWORK)))
        tables.append(_coverage_table(result))
    return Section(name=name, title=f"Velocities: {title}", plots=tuple(plots), tables=tuple(tables))


def _velocities_table(trajectories: Sequence[HeldOutTrajectory]) -> TextTable:
    headings = ("lines", "τ, MPa", "T, K", "simulation, m/s", "floor, m/s", *trajectories[0].laws, "remark")
    rows = [
        (
            lines_of(each),
            number(each.stress_mpa, 0),
            number(each.temperature_k, 0),
            _with_error(each.velocity_m_per_s, each.error_m_per_s),
            number(each.floor_m_per_s, 0),
            *(_with_error(own.velocity_m_per_s, own.spread_m_per_s) for own in each.laws.values()),
            _remark(each),
        )
        for each in trajectories
    ]
    return text_table("Mean velocities, m/s", headings, rows)


def lines_of(each: HeldOutTrajectory) -> str:
    """Which lines they are, in words."""
    return f"{each.angle_deg:.2f}°" if each.kind == "dipole" else f"loop, {each.radius_nm:g} nm"


def _remark(each: HeldOutTrajectory) -> str:
    if each.part in ("train", "validation"):
        return "trained on" if each.part == "train" else "training was stopped by it"
    return "same conditions trained on, another seed" if each.conditions_trained else MISSING


def _with_error(value: float, error: float) -> str:
    return number(value, 0) + (f" ± {number(error, 0)}" if math.isfinite(error) else "")


def _coverage_table(result: ExperimentResult) -> TextTable:
    found = result.coverage
    assert found is not None
    headings = ("measured by", "trajectories", "within 1, %", "within 2, %", "RMS of error over it")
    alone = (found.within_one_percent, found.within_two_percent, found.root_mean_square)
    joint = (found.with_error_one_percent, found.with_error_two_percent, found.with_error_root_mean_square)
    rows = [
        (name, str(found.trajectories), number(values[0], 0), number(values[1], 0), significant(values[2], 2))
        for name, values in (("spread of the ensemble", alone), ("spread and error of the simulation", joint))
    ]
    return text_table("Does the spread cover the error of the velocity?", headings, [*rows, _EXPECTED])


def _roll_outs_section(result: ExperimentResult) -> Section:
    from glideflow.reporting.figures.mobility_validation import described, growth_figure, shapes_figure

    name, title = f"{result.experiment.tested_on}-roll-outs", result.experiment.title
    by_name = {each.name: each for each in result.trajectories}
    network = [each for each in result.roll_outs if each.law == result.roll_outs[0].law]
    shown = max(network, key=lambda each: float(each.simulated_angstrom[-1]) if len(each.times_ps) else -math.inf)
    plots = (
        plot(
            f"{name}-growth",
            f"{title}: error of the lines against time, median of {len(network)} trajectories.",
            growth_figure(result.roll_outs),
        ),
        plot(
            f"{name}-shapes",
            f"{title}: {described(by_name[shown.trajectory])}, {shown.law}: lines in the glide plane, simulated and "
            "predicted from one frame.",
            shapes_figure(shown),
        ),
    )
    note = (
        "Lines are taken from the first frame after the start-up and moved by the law alone until the simulation ends."
    )
    rows = [_roll_out_cells(by_name[each.trajectory], each) for each in result.roll_outs]
    headings = ("lines", "τ, MPa", "T, K", "law", "ps", "error, Å", "floor, Å", "error, %", "way, Å", "simulated, Å")
    table = text_table("At the end of each roll-out", (*headings, "ended early"), rows)
    return Section(
        name=name, title=f"Roll-outs: {title}", notes=(note,), plots=plots, tables=(_growth_table(result), table)
    )


def _roll_out_cells(each: HeldOutTrajectory, roll_out: RollOut) -> tuple[str, ...]:
    end = _end(roll_out)
    spread = float(roll_out.spread_angstrom[-1]) if len(roll_out.spread_angstrom) else math.nan
    return (
        lines_of(each),
        number(each.stress_mpa, 0),
        number(each.temperature_k, 0),
        roll_out.law,
        number(end["roll_out_ps"], 1),
        *(number(end.get(name), 1) for name in ("roll_out_angstrom", "roll_out_floor_angstrom")),
        number(end.get("roll_out_percent"), 0),
        number(end.get("roll_out_way_angstrom"), 1) + (f" ± {number(spread, 1)}" if math.isfinite(spread) else ""),
        number(end.get("roll_out_simulated_angstrom"), 1),
        roll_out.ended or MISSING,
    )


def _growth_table(result: ExperimentResult) -> TextTable:
    """Median errors at about five times."""
    from glideflow.reporting.figures.mobility_validation import at_times

    rows = []
    for law in dict.fromkeys(each.law for each in result.roll_outs):
        own = [each for each in result.roll_outs if each.law == law]
        times, errors = at_times(own, "error_angstrom")
        percents, floors = at_times(own, "percent")[1], at_times(own, "floor_angstrom")[1]
        for k in sorted({round(k) for k in np.linspace(0, len(times) - 1, min(5, len(times))).tolist()}):
            reached = sum(len(each.times_ps) > 0 and each.times_ps[-1] >= times[k] - 1e-6 for each in own)
            spread = _range(errors[0][k], errors[2][k], 1) if reached > 1 else MISSING
            cells = (number(errors[1][k], 1), spread, number(floors[1][k], 1), number(percents[1][k], 0))
            rows.append((law, number(times[k], 1), str(reached), *cells))
    headings = ("law", "ps", "trajectories", "error, Å", "of trajectories, Å", "floor, Å", "error, %")
    return text_table("Growth of the error", headings, rows)


def _terms_section(series: Sequence[TermSeries], simulated: Sequence[HeldOutTrajectory]) -> Section:
    from glideflow.reporting.figures.mobility_validation import terms_figure

    groups = list(dict.fromkeys((each.along, each.by) for each in series))
    plots, tables = [], []
    for along, by in groups:
        own = [each for each in series if (each.along, each.by) == (along, by)]
        caption = (
            f"Straight lines at {own[0].fixed}, against {along}, by {by}. Bands: spread of the ensemble; open symbols: "
            "held-out simulations."
        )
        plots.append(plot(f"terms-{along}-{by}", caption, terms_figure(own, simulated)))
        tables.append(
            text_table(f"Against {along}, by {by}", _TERM_HEADINGS, [row for each in own for row in _term_cells(each)])
        )
    return Section(
        name="terms",
        title="Straight lines: force over drag, barrier, velocity",
        plots=tuple(plots),
        tables=tuple(tables),
    )


_TERM_HEADINGS: Final = ("angle, °", "τ, MPa", "T, K", "f/B, m/s", "barrier, eV", "velocity, m/s", "extrapolated")


def _term_cells(series: TermSeries) -> Iterator[tuple[str, ...]]:
    for each in series.terms:
        at = each.conditions
        yield (
            number(at.angle_deg, 2),
            number(at.stress_mpa, 0),
            number(at.temperature_k, 0),
            _with_error(each.free_velocity_m_per_s, each.free_velocity_spread_m_per_s),
            f"{number(each.energy_ev, 4)} ± {number(each.energy_spread_ev, 4)}",
            _with_error(each.velocity_m_per_s, each.velocity_spread_m_per_s),
            ", ".join(each.extrapolated) or MISSING,
        )


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[cell.replace("|", "\\|") for cell in row] for row in rows]


def _plain(value: object) -> object:
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return value
