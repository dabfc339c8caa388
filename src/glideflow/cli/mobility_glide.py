"""Commands that use a mobility law: fit it to trajectories, move dislocation lines by it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.mobility_data import TRAJECTORIES_HELP
from glideflow.cli.mobility_dynamics import (
    SCENARIO_PANEL,
    AngleOption,
    Kind,
    KindOption,
    SizeOption,
    trajectory_json,
)
from glideflow.cli.options import RUN_PANEL, ConfigOption, JsonOption, SetOption, settings_from
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.config.mobility_glide import LineDynamicsSettings
    from glideflow.config.mobility_network import MobilityFeatureSettings
    from glideflow.config.run import RunSettings
    from glideflow.mobility.laws import LocalLaw, MeasuredVelocity, MobilityLaw
    from glideflow.mobility.line_dynamics import GlideRun, LineProblem
    from glideflow.mobility.trajectory import CellSummary, Trajectory

LAW_PANEL = "Mobility law"
_IRON_BURGERS_ANGSTROM = 2.473
_DEFAULT_STRESS_MPA, _DEFAULT_TEMPERATURE_K, _DEFAULT_RADIUS_NM = 500.0, 300.0, 5.0


class LawName(StrEnum):
    """Laws that can be fitted to glide velocities."""

    DRAG = "drag"
    BCC = "bcc"


LawOption = Annotated[
    Path | None,
    typer.Option(
        "--law",
        help="Law of `glideflow mobility law` (JSON), or model of `glideflow mobility train`. Default: the ensemble "
        "that ships with glideflow.",
        rich_help_panel=LAW_PANEL,
    ),
]
DragOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        help="Instead of a file: drag coefficients of screw and edge in MPa ps (1e-6 Pa s), e.g. 200 85.",
        rich_help_panel=LAW_PANEL,
    ),
]
BurgersOption = Annotated[
    float | None,
    typer.Option(
        help="Length of the Burgers vector in Å. Default: of the law, or 2.473 (iron) with --drag.",
        rich_help_panel=LAW_PANEL,
    ),
]
StartOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="Trajectory (HDF5, or shipped:NAME) from whose lines to start, with its cell, stress and temperature.",
        rich_help_panel=SCENARIO_PANEL,
    ),
]
StartTimeOption = Annotated[
    float, typer.Option("--from-ps", min=0.0, help="Time of its frame to start from.", rich_help_panel=SCENARIO_PANEL)
]
RadiusOption = Annotated[float, typer.Option(help="Radius of a loop in nm.", rich_help_panel=SCENARIO_PANEL)]
StressOption = Annotated[
    float | None,
    typer.Option(help="Resolved shear stress in MPa. Default: 500, or of --from.", rich_help_panel=SCENARIO_PANEL),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option(help="Temperature in K. Default: 300, or of --from.", rich_help_panel=SCENARIO_PANEL),
]
DurationOption = Annotated[float, typer.Option(help="Time in ps.", rich_help_panel=SCENARIO_PANEL)]
IntervalOption = Annotated[float, typer.Option(help="Time between frames in ps.", rich_help_panel=RUN_PANEL)]
SpacingOption = Annotated[float, typer.Option(help="Distance of nodes in Å.", rich_help_panel=RUN_PANEL)]
ToleranceOption = Annotated[
    float, typer.Option(help="Largest error of a node's position in one step, in Å.", rich_help_panel=RUN_PANEL)
]
SamplesOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Runs with laws drawn from the uncertainty of the law, for that of the velocity.",
        rich_help_panel=LAW_PANEL,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="HDF5 file for the trajectory of the lines.", rich_help_panel=RUN_PANEL),
]


@dataclass(frozen=True)
class _Scenario:
    """What was asked for, on the command line."""

    kind: Kind
    angle_deg: float
    radius_nm: float
    size_nm: tuple[float, float, float]
    stress_mpa: float | None
    temperature_k: float | None
    burgers_angstrom: float | None


def law(
    files: Annotated[list[Path], typer.Argument(help=TRAJECTORIES_HELP, metavar="TRAJECTORY")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for the law.")],
    kind: Annotated[LawName, typer.Option(help="drag: v = f/B by character; bcc: activated screws.")] = LawName.DRAG,
    fix: Annotated[
        list[str] | None,
        typer.Option(help="Parameter that is known, e.g. slope=0.3. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    startup: Annotated[
        float | None,
        typer.Option(min=0.0, help="Time at the beginning to leave out, in ps. Default: as each was set up."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a mobility law to the glide velocities of dipoles.

    `drag` is linear viscous drag with a coefficient for screws, one for edges
    and its dependence on temperature. `bcc` adds the thermally activated glide of
    screws (Po et al. 2016): 8 parameters, which need as many trajectories at
    several angles, stresses and temperatures, or --fix. Loops and trajectories
    that are too short are left out, with the reason.
    """
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.laws import BCC_LAW, DRAG_LAW, fit_law, write_law

    refuse_unwritable(output)
    fixed = dict(_assignment(each) for each in fix or [])
    measured, left_out = _measured(files, startup)
    fitted = fit_law({LawName.DRAG: DRAG_LAW, LawName.BCC: BCC_LAW}[kind], list(measured.values()), fixed=fixed)
    write_law(output, fitted)
    document = _law_json(fitted, measured, left_out)
    _print(document, _law_rows(document), as_json=as_json)
    for file, reason in left_out.items():
        print(f"{file} was left out: {reason}", file=sys.stderr)
    print(f"{WROTE} {output}", file=sys.stderr)


def glide(
    *,
    law: LawOption = None,
    drag: DragOption = None,
    burgers: BurgersOption = None,
    samples: SamplesOption = 0,
    kind: KindOption = Kind.DIPOLE,
    angle: AngleOption = 90.0,
    radius: RadiusOption = _DEFAULT_RADIUS_NM,
    size: SizeOption = None,
    start: StartOption = None,
    start_ps: StartTimeOption = 0.0,
    stress: StressOption = None,
    temperature: TemperatureOption = None,
    duration: DurationOption = 10.0,
    interval: IntervalOption = 0.1,
    spacing: SpacingOption = 15.0,
    tolerance: ToleranceOption = 0.05,
    output: OutputOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move dislocation lines by a mobility law, without atoms.

    Lines of a dipole, a loop, or a frame of a trajectory (--from) glide under the
    applied stress and that of all segments with their periodic images. The result
    (--output) is a trajectory like those of molecular dynamics: `glideflow
    inspect` and `glideflow mobility velocity` read it. Elastic medium and images
    are in mobility.network.features. With --samples the same lines are moved by
    laws drawn from the uncertainty of the law.

    Without --law and --drag they are moved by the ensemble that ships with
    glideflow, for α-iron. An ensemble says how it erred on simulations that it
    had not seen, and warns outside of the angles, stresses and temperatures that
    it was trained on.
    """
    from glideflow.cli.display import progress_display
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.line_dynamics import glide as move
    from glideflow.mobility.line_dynamics import glide_samples, glide_trajectory
    from glideflow.mobility.trajectory import refuse_conditions, write_trajectory

    settings = settings_from(config, overrides)
    steps = _steps(duration, interval, spacing, tolerance)
    if output is not None:
        refuse_unwritable(output)
    cells = settings.mobility.cells
    size_nm = size or (cells.loop_size_nm if kind is Kind.LOOP else cells.size_nm)
    scenario = _Scenario(kind, angle, radius, size_nm, stress, temperature, burgers)
    refuse_conditions(
        stress_mpa=_DEFAULT_STRESS_MPA if stress is None else stress,
        temperature_k=_DEFAULT_TEMPERATURE_K if temperature is None else temperature,
    )
    chosen = _chosen_law(law, drag, scenario)
    asked = _asked(scenario, chosen, settings, (start, start_ps))
    problem, cell, stress_mpa = asked.problem, asked.cell, asked.stress_mpa
    remarks = _tell(chosen, asked)
    with progress_display() as progress:
        # A law that is sure of itself is refused at once, not after the run.
        drawn = glide_samples(problem, chosen, steps, samples) if samples else ()
        run = move(problem, chosen, steps, progress)
    trajectories = [
        glide_trajectory(each, problem, chosen, steps, cell=cell, stress_mpa=stress_mpa) for each in (run, *drawn)
    ]
    if output is not None:
        write_trajectory(output, trajectories[0])
    document = _glide_json(output or Path("-"), chosen.name, run, trajectories) | remarks
    _print(document, _glide_rows(document), as_json=as_json)
    if output is not None:
        print(f"{WROTE} {output}", file=sys.stderr)


def _measured(files: Sequence[Path], startup_ps: float | None) -> tuple[dict[str, MeasuredVelocity], dict[str, str]]:
    """Velocities by name of the trajectory, and why there is none."""
    from glideflow.mobility.dataset import trajectories_from
    from glideflow.mobility.laws import measured_velocity
    from glideflow.mobility.samples import refuse_mixture

    given = trajectories_from(files)
    refuse_mixture(list(given.items()))
    found: dict[str, MeasuredVelocity] = {}
    left_out: dict[str, str] = {}
    for name, trajectory in given.items():
        try:
            found[name] = measured_velocity(trajectory, startup_ps=startup_ps)
        except PropertyError as error:
            left_out[name] = error.found
    return found, left_out


def _assignment(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise ConfigurationError(
            f"--fix {text}", expected="NAME=VALUE with a number", next_step="e.g. --fix slope=0.3"
        ) from None


def _law_json(
    fitted: LocalLaw, measured: Mapping[str, MeasuredVelocity], left_out: Mapping[str, str]
) -> dict[str, Any]:
    import numpy as np

    assert fitted.covariance is not None
    errors = np.sqrt(np.diag(fitted.covariance))
    return {
        "law": fitted.name,
        "burgers_angstrom": fitted.burgers_angstrom,
        "parameters": dict(fitted.parameters),
        "errors": dict(zip(fitted.parameters, map(float, errors), strict=True)),
        "velocities": [
            {"file": file, **vars(each), "law_m_per_s": _predicted_m_per_s(fitted, each)}
            for file, each in measured.items()
        ],
        "left_out": dict(left_out),
    }


def _predicted_m_per_s(fitted: LocalLaw, each: MeasuredVelocity) -> float:
    import numpy as np

    from glideflow.mobility.velocities import ANGSTROM_PER_PS_TO_M_PER_S

    force = np.array([each.stress_mpa * fitted.burgers_angstrom])
    speed = fitted.speed_angstrom_per_ps(force, np.radians([each.angle_deg]), each.temperature_k)
    return float(speed[0]) * ANGSTROM_PER_PS_TO_M_PER_S


def _law_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(name, f"{value:.6g} ± {document['errors'][name]:.2g}") for name, value in document["parameters"].items()]
    for row in document["velocities"]:
        name = f"v at {row['angle_deg']:.2f}°, {row['stress_mpa']:g} MPa, {row['temperature_k']:g} K"
        found = f"{row['velocity_m_per_s']:.0f} ± {row['error_m_per_s']:.0f}"
        rows.append((name, f"{row['law_m_per_s']:.0f} m/s; measured {found}"))
    return rows


def _steps(duration: float, interval: float, spacing: float, tolerance: float) -> LineDynamicsSettings:
    from pydantic import ValidationError

    from glideflow.config.mobility_glide import LineDynamicsSettings

    try:
        return LineDynamicsSettings(
            duration_ps=duration, interval_ps=interval, node_spacing_angstrom=spacing, tolerance_angstrom=tolerance
        )
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "time"
        raise ConfigurationError(
            f"{where}: {problem['msg']}",
            expected="positive times, spacing and tolerance, and a duration of whole intervals",
            next_step="correct --duration, --interval, --spacing or --tolerance",
        ) from None


def _chosen_law(file: Path | None, drag: tuple[float, float] | None, scenario: _Scenario) -> MobilityLaw:
    from glideflow.mobility.laws import drag_law, read_law
    from glideflow.mobility.shipped import model_path, shipped_model

    if file is not None and drag is not None:
        raise ConfigurationError(
            "both --law and --drag name a mobility law",
            expected="one of --law FILE and --drag SCREW EDGE, or neither for the ensemble that ships with glideflow",
            next_step="leave one of them out",
        )
    if drag is None:
        return read_law(shipped_model() if file is None else model_path(file))
    if not all(0 < coefficient < math.inf for coefficient in drag):
        raise ConfigurationError(
            f"drag coefficients of {drag[0]:g} and {drag[1]:g} MPa ps",
            expected="positive numbers",
            next_step="iron has about 85 MPa ps for edges at 300 K",
        )
    burgers = scenario.burgers_angstrom or _IRON_BURGERS_ANGSTROM
    return drag_law(screw_drag_mpa_ps=drag[0], edge_drag_mpa_ps=drag[1], burgers_angstrom=burgers)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Lines and what drives them, what a trajectory says of their cell, and of which potential they are, if of any."""

    problem: LineProblem
    cell: CellSummary
    stress_mpa: float
    potential_id: str = ""


def _tell(law: MobilityLaw, asked: _Asked) -> dict[str, Any]:
    """How sure an ensemble is to be taken here: said on standard error, and as part of the JSON."""
    from glideflow.mobility.laws import EnsembleLaw

    if not isinstance(law, EnsembleLaw) or law.card is None:
        return {"held_out": None, "outside_data": []}
    import numpy as np

    from glideflow.cards import plain_json
    from glideflow.mobility.shipped import GlideConditions, held_out_errors, outside_data

    conditions = GlideConditions(
        kind=asked.cell.kind,
        angle_deg=asked.cell.character_angle_deg,
        stress_mpa=asked.stress_mpa,
        temperature_k=asked.problem.temperature_k,
        burgers_angstrom=float(np.linalg.norm(asked.cell.burgers_angstrom)),
        potential_id=asked.potential_id,
    )
    errors, outside = held_out_errors(law.card), outside_data(law.card, conditions)
    if errors:
        print(f"{law.name}: {errors}", file=sys.stderr)
    for each in outside:
        print(f"outside of its data: {each}", file=sys.stderr)
    return {"held_out": plain_json(law.card.metrics), "outside_data": list(outside)}


def _asked(scenario: _Scenario, law: MobilityLaw, settings: RunSettings, start: tuple[Path | None, float]) -> _Asked:
    from glideflow.mobility.line_dynamics import GAUSS_POINTS

    medium = settings.mobility.network.features.model_copy(update={"gauss_points": GAUSS_POINTS})
    if start[0] is not None:
        from glideflow.mobility.dataset import trajectory_from

        trajectory = trajectory_from(start[0])
        simulated = trajectory.cell.atoms > 0  # lines that a law has moved are of no potential
        asked = _continued(scenario, trajectory, start[1], medium)
        return _Asked(*asked, trajectory.potential.id if simulated else "")
    return _Asked(*_built(scenario, law, medium))


def _continued(
    scenario: _Scenario, trajectory: Trajectory, time_ps: float, medium: MobilityFeatureSettings
) -> tuple[LineProblem, CellSummary, float]:
    from glideflow.mobility.line_dynamics import LineProblem, resolved_stress_mpa

    frames = [frame for frame in trajectory.frames() if frame.time_ps >= time_ps - 1e-6]
    if not frames:
        raise ConfigurationError(
            f"a trajectory without a frame at {time_ps:g} ps or later",
            expected="a time before its end",
            next_step="take an earlier --from-ps",
        )
    given = trajectory.scenario
    stress = given.stress_mpa if scenario.stress_mpa is None else scenario.stress_mpa
    problem = LineProblem(
        lines=frames[0].lines,
        cell_angstrom=frames[0].cell_angstrom,
        applied_stress_mpa=resolved_stress_mpa(stress, trajectory.cell.burgers_angstrom),
        temperature_k=scenario.temperature_k or given.temperature_k,
        medium=medium,
    )
    return problem, trajectory.cell, stress


def _built(
    scenario: _Scenario, law: MobilityLaw, medium: MobilityFeatureSettings
) -> tuple[LineProblem, CellSummary, float]:
    from glideflow.mobility.laws import LocalLaw
    from glideflow.mobility.line_dynamics import (
        LineProblem,
        cell_summary,
        circular_loop,
        resolved_stress_mpa,
        straight_dipole,
    )

    burgers = scenario.burgers_angstrom or law.burgers_angstrom
    if burgers is None:
        raise ConfigurationError(
            "the length of the Burgers vector is not known",
            expected="a law that says it, lines of a trajectory, or --burgers",
            next_step="give --burgers, e.g. 2.473 for iron",
        )
    stress = _DEFAULT_STRESS_MPA if scenario.stress_mpa is None else scenario.stress_mpa
    x, y, z = (10.0 * edge for edge in scenario.size_nm)
    is_loop = scenario.kind is Kind.LOOP
    if is_loop:
        cell, lines = circular_loop(10 * scenario.radius_nm, (x, y, z), burgers)
    else:
        cell, lines = straight_dipole(scenario.angle_deg, (x, y, z), burgers)
    problem = LineProblem(
        lines=lines,
        cell_angstrom=cell,
        applied_stress_mpa=resolved_stress_mpa(stress, lines[0].burgers_angstrom),
        temperature_k=scenario.temperature_k or _DEFAULT_TEMPERATURE_K,
        medium=medium,
    )
    summary = cell_summary(
        problem,
        element=law.element if isinstance(law, LocalLaw) else "",
        angle_deg=None if is_loop else scenario.angle_deg,
        radius_angstrom=10 * scenario.radius_nm if is_loop else None,
    )
    return problem, summary, stress


def _glide_json(output: Path, name: str, run: GlideRun, trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    import numpy as np

    summary = trajectory_json(output, trajectories[0], 0.0)
    velocities = [trajectory_json(output, each, 0.0)["velocity"] for each in trajectories[1:]]
    speeds = [each["velocity_m_per_s"] for each in velocities if each]
    spread = float(run.spread_angstrom[-1])
    return {
        "law": name,
        **summary,
        "end_ps": run.end_ps,
        "steps": run.steps,
        "rejected_steps": run.rejected_steps,
        "spread_angstrom": spread if np.isfinite(spread) else None,
        "samples": [
            {"status": each.status, "velocity_m_per_s": found["velocity_m_per_s"] if found else None}
            for each, found in zip(trajectories[1:], velocities, strict=True)
        ],
        "samples_mean_m_per_s": float(np.mean(speeds)) if speeds else None,
        "samples_spread_m_per_s": float(np.std(speeds, ddof=1)) if len(speeds) > 1 else None,
    }


def _glide_rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    speed = (document["velocity"] or {}).get("velocity_m_per_s")
    rows = [
        ("law", document["law"]),
        ("status", f"{document['status']}: {document['reason']}" if document["reason"] else document["status"]),
        ("time, ps", f"{document['end_ps']:.6g}"),
        ("steps", f"{document['steps']}, and {document['rejected_steps']} taken again"),
        ("velocity, m/s", document["why_no_velocity"] if speed is None else f"{speed:.0f}"),
    ]
    if document["spread_angstrom"] is not None:
        rows.append(("distance known to, Å", f"{document['spread_angstrom']:.3g}"))
    if document["samples_mean_m_per_s"] is not None:
        spread = document["samples_spread_m_per_s"]
        error = "" if spread is None else f" ± {spread:.0f}"
        rows.append(
            (f"velocity of {len(document['samples'])} samples", f"{document['samples_mean_m_per_s']:.0f}{error}")
        )
    return rows


def _print(document: Mapping[str, Any], rows: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(document["law"]), title_justify="left")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)
