"""``glideflow mobility data``: trajectories that are passed on together, and those that ship with the package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.options import JsonOption
from glideflow.errors import ConfigurationError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.mobility.dataset import TrajectoryDataset
    from glideflow.mobility.trajectory import Trajectory

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
    shipped ones, `shipped:NAME` for one of them, and files of data sets.
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
