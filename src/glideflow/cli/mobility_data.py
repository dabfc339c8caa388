"""``glideflow mobility data``: trajectories that are passed on together, and those that ship with the package."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.options import (
    ConfigOption,
    JsonOption,
    LatticeOption,
    PotentialChoice,
    SetOption,
    WorkOption,
    chosen_potential,
    settings_from,
)
from glideflow.cli.properties import ElasticOption
from glideflow.errors import ConfigurationError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from glideflow.config.run import RunSettings
    from glideflow.mobility.building import CellBuilder
    from glideflow.mobility.dataset import TrajectoryDataset
    from glideflow.mobility.dataset_verify import TrajectoryCheck
    from glideflow.mobility.trajectory import Trajectory
    from glideflow.potentials.record import Potential
    from glideflow.progress import Progress
    from glideflow.property_specs import Property

DIFFERENT = 1
"""Exit status of a verification that finds a difference."""

data_app = typer.Typer(
    no_args_is_help=True,
    help="Trajectories that are passed on together in one file. Default: those that ship with glideflow.",
)
TRAJECTORIES_HELP = (
    "Trajectories (HDF5) of `glideflow mobility run`, data sets of them, or `shipped`: those that glideflow brings."
)
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="HDF5 file of a data set. Default: the one that ships with glideflow."),
]
NamesOption = Annotated[
    list[str] | None, typer.Option("--name", help="Only this trajectory. Repeatable.", metavar="NAME")
]


@data_app.command("list")
def list_trajectories(*, data: DataOption = None, as_json: JsonOption = False) -> None:
    """List trajectories with their scenarios, and what became of them.

    Commands that take trajectories take the word `shipped` for all of the
    shipped ones, `shipped:NAME` for one of them (with wildcards for some:
    'shipped:loop_*'), and files of data sets.
    """
    from glideflow.cli.transfer_options import print_rows

    dataset = _chosen(data)
    rows = [_row(entry.name, entry.trajectory, entry.sha256) for entry in dataset.entries]
    if as_json:
        told = ("description", "licence", "citations", "glideflow_version")
        about = {name: getattr(dataset, name) for name in told} | {"sha256": dataset.sha256()}
        print(json.dumps(about | {"trajectories": rows}, indent=2, ensure_ascii=False))
        return
    keys = ("name", "atoms", "time_ps", "frames", "rejected", "status")
    print_rows(keys, [[str(row[key]) for key in keys] for row in rows])
    print(f"{dataset.description}; licence {dataset.licence}")
    for citation in dataset.citations:
        print(f"potential: {citation}")


@data_app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder for the files, one for each trajectory.")],
    *,
    name: NamesOption = None,
    data: DataOption = None,
) -> None:
    """Write trajectories as single files NAME.h5, as `glideflow mobility run` leaves them."""
    from glideflow.mobility.trajectory import write_trajectory

    trajectories = _named(_chosen(data), name)
    for each, trajectory in trajectories.items():
        write_trajectory(folder / f"{each}.h5", trajectory)
    print(f"{WROTE} {len(trajectories)} trajectories to {folder}", file=sys.stderr)


@data_app.command()
def build(
    files: Annotated[
        list[Path],
        typer.Argument(help=TRAJECTORIES_HELP, metavar="TRAJECTORY"),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file for the data set.")],
    description: Annotated[str, typer.Option(help="One sentence on what they are.")] = "",
) -> None:
    """Put trajectories into one small file, whatever ended them.

    Those that are still running or have failed are left out and named: the same
    command takes them when they are done. Nodes and boxes are rounded to single
    precision. Each trajectory is called as its file is.
    """
    from glideflow.mobility.dataset import dataset_of, trajectories_from, write_dataset
    from glideflow.mobility.trajectory import ENDED

    found = trajectories_from(files, by_stem=True)
    left_out = {name: each for name, each in found.items() if each.status not in ENDED}
    dataset = dataset_of({name: each for name, each in found.items() if name not in left_out}, description)
    write_dataset(output, dataset)
    for name, trajectory in left_out.items():
        print(f"left out: {name} ({trajectory.status})", file=sys.stderr)
    print(f"{WROTE} {len(dataset.entries)} trajectories to {output}", file=sys.stderr)


@data_app.command()
def verify(
    *,
    sample: Annotated[int, typer.Option(min=1, help="How many trajectories are simulated again.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of their choice.")] = 0,
    name: NamesOption = None,
    duration: Annotated[
        float, typer.Option(help="Time under stress that is simulated, in ps; whole checkpoints, of 1 ps as a rule.")
    ] = 1.0,
    data: DataOption = None,
    lattice: LatticeOption = None,
    elastic: ElasticOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    work: WorkOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate the beginning of random trajectories again and compare.

    With the versions that made a trajectory, on a processor of the same kind, the
    lines are the same to the last digit. Elsewhere they have to come as far, within
    four standard deviations of what heat adds. A cell of 30,000 atoms takes
    minutes. Exit status 0 if everything agrees, 1 if something differs or could
    not be simulated.
    """
    from glideflow.cli.display import progress_display
    from glideflow.mobility.dataset_verify import AGREES, VerificationSetup, drawn
    from glideflow.mobility.dataset_verify import verify as verify_entries

    if not 0 < duration < math.inf:
        raise ConfigurationError(
            f"a duration of {duration:g} ps", expected="a finite time above zero", next_step="correct --duration"
        )
    dataset, settings = _chosen(data), settings_from(config, overrides)
    chosen = drawn(dataset, sample, seed, name or ())
    checks: list[TrajectoryCheck] = []
    with progress_display() as progress:
        for potential in dict.fromkeys(entry.trajectory.potential.id for entry in chosen):
            own = [entry for entry in chosen if entry.trajectory.potential.id == potential]
            found, builder = _builder(potential, settings, {"lattice": lattice, "elastic": elastic}, progress)
            setup = VerificationSetup(
                potential=found, builder=builder, engine=settings.engine, duration_ps=duration, work=work
            )
            checks += verify_entries(own, setup, progress)
    _print_checks(checks, as_json=as_json)
    if any(check.outcome not in AGREES for check in checks):
        raise typer.Exit(DIFFERENT)


def _builder(
    potential_id: str, settings: RunSettings, given: dict[Property, Path | None], progress: Progress
) -> tuple[Potential, CellBuilder]:
    """A potential of the sources, and what builds its cells."""
    from glideflow.cli.mobility_dynamics import crystal_of
    from glideflow.mobility.building import cell_builder

    potential = chosen_potential(PotentialChoice(potential=potential_id), settings)
    crystal = crystal_of(potential, settings, given, progress)
    return potential, cell_builder(potential.element, *crystal, settings.mobility.cells)


def _print_checks(checks: Sequence[TrajectoryCheck], *, as_json: bool) -> None:
    from dataclasses import asdict

    from glideflow.cards import plain_json
    from glideflow.cli.transfer_options import print_rows

    if as_json:
        print(json.dumps(plain_json([asdict(check) for check in checks]), indent=2, ensure_ascii=False))
        return
    rows = [
        (
            check.name,
            f"{check.outcome}: {check.reason}" if check.reason else check.outcome,
            f"{check.compared_ps:g}",
            f"{check.difference_angstrom:.2g}",
            f"{check.tolerance_angstrom:.2g}",
        )
        for check in checks
    ]
    print_rows(("trajectory", "outcome", "ps", "difference Å", "tolerance Å"), rows)
    for check in checks:
        if check.made_with != check.simulated_with and check.simulated_with:
            print(f"{check.name} was made with {check.made_with}; here {check.simulated_with}", file=sys.stderr)


def _row(name: str, trajectory: Trajectory, sha256: str) -> dict[str, Any]:
    cell, scenario = trajectory.cell, trajectory.scenario
    return {
        "name": name,
        "kind": cell.kind,
        "angle_deg": cell.character_angle_deg,
        "stress_mpa": scenario.stress_mpa,
        "temperature_k": scenario.temperature_k,
        "seed": scenario.seed,
        "potential": trajectory.potential.id,
        "atoms": cell.atoms,
        "time_ps": round(float(trajectory.times_ps[-1]), 4) if len(trajectory.times_ps) else 0.0,
        "frames": len(trajectory.times_ps),
        "rejected": len(trajectory.rejected),
        "status": trajectory.status,
        "sha256": sha256,
    }


def _chosen(file: Path | None) -> TrajectoryDataset:
    from glideflow.mobility.dataset import read_dataset, shipped_dataset

    return shipped_dataset() if file is None else read_dataset(file)


def _named(dataset: TrajectoryDataset, names: list[str] | None) -> dict[str, Trajectory]:
    every = dataset.trajectories()
    unknown = sorted(set(names or ()) - every.keys())
    if unknown:
        raise ConfigurationError(
            f"the data set has no trajectory {unknown[0]!r}",
            expected=f"a name such as {min(every)}",
            next_step="`glideflow mobility data list` lists them",
        )
    return {name: each for name, each in every.items() if not names or name in names}
