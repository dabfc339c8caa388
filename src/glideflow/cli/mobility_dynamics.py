"""Commands on moving dislocations: simulate a trajectory, take velocities from trajectories."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.mobility_data import TRAJECTORIES_HELP
from glideflow.cli.options import (
    JsonOption,
    LatticeOption,
    PotentialChoice,
    RunChoice,
    chosen_potential,
    settings_from,
    with_options,
)
from glideflow.cli.properties import ElasticOption
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from rich.table import Table

    from glideflow.config.run import RunSettings
    from glideflow.mobility.cells import DislocationCell
    from glideflow.mobility.trajectory import Trajectory
    from glideflow.mobility.velocities import GlideVelocity
    from glideflow.potentials.record import Potential
    from glideflow.progress import Progress
    from glideflow.properties.results import ElasticResult, LatticeResult
    from glideflow.property_specs import Property

SCENARIO_PANEL = "Scenario"


class Kind(StrEnum):
    """Which dislocations a cell has."""

    DIPOLE = "dipole"
    LOOP = "loop"


KindOption = Annotated[Kind, typer.Option(help="Two straight lines, or a shear loop.", rich_help_panel=SCENARIO_PANEL)]
RadiusOption = Annotated[
    float | None,
    typer.Option(help="Radius of a loop in nm. Default: of the configuration.", rich_help_panel=SCENARIO_PANEL),
]

AngleOption = Annotated[
    float,
    typer.Option(
        help="Angle of a dipole between Burgers vector and lines, in degrees.", rich_help_panel=SCENARIO_PANEL
    ),
]
SizeOption = Annotated[
    tuple[float, float, float] | None,
    typer.Option(help="Cell along x, y and z in nm. Default: of the configuration.", rich_help_panel=SCENARIO_PANEL),
]
StressOption = Annotated[
    float,
    typer.Option(help="Resolved shear stress in MPa; its sign reverses the glide.", rich_help_panel=SCENARIO_PANEL),
]
TemperatureOption = Annotated[float, typer.Option(help="Temperature in K.", rich_help_panel=SCENARIO_PANEL)]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the velocities.", rich_help_panel=SCENARIO_PANEL)]


@dataclass(frozen=True)
class _Lines:
    """The dislocations that were asked for."""

    kind: Kind
    angle_deg: float
    radius_nm: float | None
    size_nm: tuple[float, float, float] | None
    stress_mpa: float


@with_options
def run(
    choice: PotentialChoice,
    run: RunChoice,
    kind: KindOption = Kind.DIPOLE,
    angle: AngleOption = 90.0,
    radius: RadiusOption = None,
    size: SizeOption = None,
    stress: StressOption = 500.0,
    temperature: TemperatureOption = 300.0,
    seed: SeedOption = 0,
    lattice: LatticeOption = None,
    elastic: ElasticOption = None,
) -> None:
    """Molecular dynamics of dislocations under stress, their lines extracted while it runs.

    The trajectory (--output) holds nodes and connectivity of the lines, box,
    stress and temperature, not the atoms. Interrupted, the same command goes on
    from its last checkpoint in --work. Without a potential that of the section
    mobility is taken. How long it simulates and how often it looks is set in
    mobility.dynamics, e.g. --set mobility.dynamics.duration_ps=10.
    """
    from glideflow.cli.display import progress_display
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.dynamics import TrajectoryRequest, run_trajectory
    from glideflow.mobility.extraction import refuse_without_ovito
    from glideflow.mobility.trajectory import MobilityScenario, refuse_conditions

    settings = settings_from(run.config, run.overrides)
    output = _named(run.output)
    refuse_conditions(stress, temperature)
    potential = chosen_or_default(choice, settings)
    refuse_unwritable(output)
    refuse_without_ovito()
    lines = _Lines(kind, angle, radius, size, stress)
    with progress_display() as progress:
        cell = _cell(potential, settings, lines, {"lattice": lattice, "elastic": elastic}, progress)
        request = TrajectoryRequest(
            cell=cell,
            potential=potential,
            scenario=MobilityScenario(stress_mpa=stress, temperature_k=temperature, seed=seed),
            settings=settings.mobility.dynamics,
            engine=settings.engine,
            work=run.work,
            output=output,
        )
        trajectory = run_trajectory(request, progress)
    if run.as_json:
        print(json.dumps(trajectory_json(output, trajectory), indent=2, allow_nan=False))
    print(f"{trajectory.status}: {trajectory.reason}" if trajectory.reason else trajectory.status, file=sys.stderr)
    print(f"{WROTE} {output}", file=sys.stderr)


def velocity(
    files: Annotated[list[Path], typer.Argument(help=TRAJECTORIES_HELP, metavar="TRAJECTORY")],
    *,
    startup: Annotated[
        float | None,
        typer.Option(min=0.0, help="Time at the beginning to leave out, in ps. Default: as each was set up."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Glide velocities from trajectories, with standard errors and the floor of thermal motion.

    The velocity is the mean of both lines of a dipole, or the rate of the mean radius of a loop. Its error is the
    larger of half the difference of the lines and the standard error over blocks of time. The floor is what diffusion
    alone would show over the same time: a velocity below it is none.
    """
    from glideflow.mobility.dataset import trajectories_from

    rows = [trajectory_json(Path(name), each, startup) for name, each in trajectories_from(files).items()]
    if as_json:
        print(json.dumps(rows, indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console()
    console.print(_table(rows))
    for row in rows:
        if row["why_no_velocity"]:
            console.print(f"{row['file']}: {row['why_no_velocity']}", markup=False, highlight=False)


def trajectory_json(file: Path, trajectory: Trajectory, startup_ps: float | None = None) -> dict[str, Any]:
    """A trajectory and its velocity as plain JSON; what is not known is null.

    Args:
        file: where the trajectory lies.
        trajectory: the trajectory.
        startup_ps: time at its beginning that is left out; None as it was set up.
    """
    from glideflow.mobility.velocities import glide_velocity

    found: GlideVelocity | None = None
    why = ""
    try:
        found = glide_velocity(trajectory, startup_ps=startup_ps)
    except PropertyError as error:
        why = error.found
    return {
        "file": str(file),
        "status": trajectory.status,
        "reason": trajectory.reason,
        "kind": trajectory.cell.kind,
        "angle_deg": trajectory.cell.character_angle_deg,
        "temperature_k": trajectory.scenario.temperature_k,
        "stress_mpa": trajectory.scenario.stress_mpa,
        "seed": trajectory.scenario.seed,
        "atoms": trajectory.cell.atoms,
        "frames": len(trajectory.times_ps),
        "rejected_frames": len(trajectory.rejected),
        "time_ps": float(trajectory.times_ps[-1]) if len(trajectory.times_ps) else 0.0,
        "velocity": {name: _known(value) for name, value in vars(found).items()} if found else None,
        "why_no_velocity": why,
    }


def _known(value: Any) -> Any:  # noqa: ANN401 - fields of a velocity
    return None if isinstance(value, float) and math.isnan(value) else value


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title="Glide velocities", title_justify="left")
    for heading in ("file", "angle °", "T K", "τ MPa", "status", "ps", "v m/s", "± m/s", "floor"):
        is_text = heading in ("file", "status")
        table.add_column(heading, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for row in rows:
        found = row["velocity"] or {}
        speeds = [_number(found.get(f"{name}_m_per_s")) for name in ("velocity", "error")]
        conditions = (_number(row["angle_deg"], 2), _number(row["temperature_k"]), _number(row["stress_mpa"]))
        floor = _number(found.get("thermal_floor_m_per_s"))
        table.add_row(row["file"], *conditions, row["status"], _number(row["time_ps"], 1), *speeds, floor)
    return table


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def chosen_or_default(choice: PotentialChoice, settings: RunSettings) -> Potential:
    """The potential that the user named, or that of the section ``mobility``.

    Raises:
        ConfigurationError: as `chosen_potential`.
        PotentialError: as `chosen_potential`.
    """
    named = choice if choice != PotentialChoice() else PotentialChoice(potential=settings.mobility.potential)
    return chosen_potential(named, settings)


def _cell(
    potential: Potential,
    settings: RunSettings,
    lines: _Lines,
    given: dict[Property, Path | None],
    progress: Progress,
) -> DislocationCell:
    """The cell of the lines, with the lattice and elastic constants of the potential."""
    from glideflow.mobility.building import cell_builder

    lattice, elastic = crystal_of(potential, settings, given, progress)
    builder = cell_builder(potential.element, lattice, elastic, settings.mobility.cells)
    if lines.kind is Kind.LOOP:
        return builder.loop(lines.radius_nm, lines.size_nm, lines.stress_mpa)
    # Without a stress the lines need not pass each other.
    return builder.dipole(lines.angle_deg, lines.size_nm, lines.stress_mpa or None)


def crystal_of(
    potential: Potential, settings: RunSettings, given: dict[Property, Path | None], progress: Progress
) -> tuple[LatticeResult, ElasticResult]:
    """Lattice and elastic constants, from the records that are given or computed.

    Args:
        potential: the potential.
        settings: how they are computed.
        given: files of records, by property.
        progress: what is shown meanwhile.

    Raises:
        StageFailedError: one of them could not be computed.
    """
    from glideflow.cli.properties import Computation, StageFailedError
    from glideflow.properties.results import ElasticResult, LatticeResult

    computation = Computation(potential, settings, None, "")
    upstream = computation.upstream("elastic", given, None, progress)
    file = given.get("elastic")
    elastic = computation.read("elastic", file) if file else computation.stage("elastic", upstream, None, progress)
    for record in (*upstream, elastic):
        if record.failure is not None:
            raise StageFailedError(
                f"{potential.id}, {record.property}: {record.failure.reason}", next_step=record.failure.next_step
            )
    assert isinstance(upstream[0].result, LatticeResult)
    assert isinstance(elastic.result, ElasticResult)
    return upstream[0].result, elastic.result


def _named(output: Path | None) -> Path:
    if output is None:
        raise ConfigurationError(
            "no file was named for the trajectory",
            expected="--output FILE.h5",
            next_step="name one; a trajectory that is not kept is lost work",
        )
    return output
