"""Commands on moving dislocations: cells with dipoles and loops; the others are in `cli.mobility_dynamics`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.mobility_data import data_app
from glideflow.cli.mobility_dynamics import (
    SCENARIO_PANEL,
    AngleOption,
    Kind,
    KindOption,
    RadiusOption,
    SizeOption,
    chosen_or_default,
    crystal_of,
    run,
    velocity,
)
from glideflow.cli.mobility_glide import glide, law
from glideflow.cli.mobility_network import evaluate, train
from glideflow.cli.mobility_replay import replay
from glideflow.cli.mobility_validate import validate
from glideflow.cli.mobility_workflow import query, report, scenarios
from glideflow.cli.options import (
    RUN_PANEL,
    ConfigOption,
    JsonOption,
    LatticeOption,
    PotentialChoice,
    SetOption,
    settings_from,
    with_options,
)
from glideflow.cli.properties import ElasticOption
from glideflow.errors import ConfigurationError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.config.engine import EngineSettings
    from glideflow.mobility.building import CellBuilder
    from glideflow.mobility.cells import DislocationCell
    from glideflow.mobility.checks import CellCheck
    from glideflow.mobility.extraction import DislocationLine
    from glideflow.potentials.record import Potential
    from glideflow.progress import Progress

app = typer.Typer(
    no_args_is_help=True,
    help="How fast dislocations glide: cells with dipoles and loops, molecular dynamics of them, velocities, learning.",
)
FORMATS = {".data": "lammps-data", ".xyz": "extxyz"}
"""Formats of atoms, as ASE names them, by the suffix of the file."""

FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        help="File for the atoms: NAME.data for LAMMPS, NAME.xyz as extended XYZ. Repeatable.",
        rich_help_panel=RUN_PANEL,
    ),
]
PassedStressOption = Annotated[
    float | None,
    typer.Option(
        help="Resolved shear stress in MPa: a dipole has to pass at it, a loop is built with its strain.",
        rich_help_panel=SCENARIO_PANEL,
    ),
]
RelaxOption = Annotated[
    bool,
    typer.Option(
        "--relax/--as-built", help="Relax the cell and check it with LAMMPS and OVITO.", rich_help_panel=RUN_PANEL
    ),
]


@app.command()
@with_options
def build(
    choice: PotentialChoice,
    kind: KindOption = Kind.DIPOLE,
    angle: AngleOption = 90.0,
    radius: RadiusOption = None,
    size: SizeOption = None,
    stress: PassedStressOption = None,
    relax: RelaxOption = True,
    output: FilesOption = None,
    lattice: LatticeOption = None,
    elastic: ElasticOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a periodic cell with a dislocation dipole or a shear loop, relax it and check it.

    A dipole has two lines at the angle nearest to --angle that the crystal
    allows: 0 is a screw, 90 an edge, and θ and 180 - θ differ. The cell has to
    hold exactly these lines, no vacancy, no overlap, and a stress below 100 MPa;
    what is wrong is said, and then no file is written. Without a potential that
    of the section mobility is taken.
    """
    from glideflow.cli.display import progress_display
    from glideflow.mobility.building import cell_builder

    settings = settings_from(config, overrides)
    potential = chosen_or_default(choice, settings)
    _refuse_formats(output or [])
    check: CellCheck | None = None
    with progress_display() as progress:
        crystal = crystal_of(potential, settings, {"lattice": lattice, "elastic": elastic}, progress)
        builder = cell_builder(potential.element, *crystal, settings.mobility.cells)
        cell = builder.loop(radius, size, stress or 0.0) if kind is Kind.LOOP else builder.dipole(angle, size, stress)
        if relax:
            cell, check = _relaxed(cell, potential, settings.engine, progress)
    _print(cell_json(potential.id, builder, cell, check), as_json)
    _refuse_unsound(check)
    for file in output or []:
        _write(file, cell)


app.command()(run)
app.command()(velocity)
app.command()(train)
app.command()(evaluate)
app.command()(validate)
app.command()(law)
app.command()(glide)
app.command()(scenarios)
app.command()(query)
app.command()(replay)
app.command()(report)
app.add_typer(data_app, name="data")


def cell_json(
    potential_id: str, builder: CellBuilder, cell: DislocationCell, check: CellCheck | None
) -> dict[str, Any]:
    """A cell as plain JSON, without its atoms.

    Args:
        potential_id: the potential.
        builder: who built it.
        cell: the cell.
        check: what was found in it; None if nobody looked.
    """
    is_dipole = cell.kind == "dipole"
    return {
        "potential_id": potential_id,
        "element": cell.element,
        "kind": cell.kind,
        "angle_deg": cell.character_angle_deg,
        "radius_angstrom": cell.radius_angstrom,
        "miller_frame": cell.miller_frame.tolist(),
        "a_angstrom": cell.lattice_constant_angstrom,
        "burgers_angstrom": cell.burgers_angstrom.tolist(),
        "cell_angstrom": cell.cell_angstrom.tolist(),
        "periods": list(cell.periods),
        "atoms": len(cell.positions_angstrom),
        "removed_atoms": cell.removed_atoms,
        "passing_mpa": builder.passing_mpa(cell) if is_dipole else None,
        "passing_isotropic_mpa": builder.passing_mpa(cell, anisotropic=False) if is_dipole else None,
        **asdict(builder.isotropic),
        "check": None if check is None else _check_json(check, cell),
    }


def _check_json(check: CellCheck, cell: DislocationCell) -> dict[str, Any]:
    return {
        "ok": check.ok,
        "problems": list(check.problems),
        "expected_atoms": check.expected_atoms,
        "defective_atoms": check.defective_atoms,
        "smallest_distance_angstrom": check.smallest_distance_angstrom,
        "stress_mpa": check.stress_mpa.tolist(),
        "excess_stress_mpa": check.excess_stress_mpa,
        "largest_force_ev_per_angstrom": check.largest_force_ev_per_angstrom,
        "lines": [_line_json(line, cell) for line in check.lines],
    }


def _line_json(line: DislocationLine, cell: DislocationCell) -> dict[str, Any]:
    return {
        "topology": line.topology,
        "period": line.period.tolist(),
        "burgers_angstrom": line.burgers_angstrom.tolist(),
        "length_angstrom": line.length_angstrom(cell.cell_angstrom),
    }


def _relaxed(
    cell: DislocationCell, potential: Potential, engine: EngineSettings, progress: Progress
) -> tuple[DislocationCell, CellCheck]:
    """Relax and check in a child process, which a potential or a library may take down."""
    from glideflow.cli.properties import StageFailedError
    from glideflow.isolation import Failure, Limits, Task, run_isolated
    from glideflow.mobility.extraction import refuse_without_ovito

    refuse_without_ovito()
    progress(f"relaxing {len(cell.positions_angstrom)} atoms", 0.0, 0.0)
    task = Task(
        function="glideflow.mobility.checks:relaxed_and_checked",
        arguments={"cell": cell, "potential": potential, "engine": engine},
        threads=engine.threads,
    )
    outcome = run_isolated(task, Limits(wall_time_s=engine.time_limit_s, memory_gib=engine.memory_limit_gib), progress)
    if isinstance(outcome, Failure):
        raise StageFailedError(
            f"the cell could not be relaxed: {outcome.reason}", expected=outcome.expected, next_step=outcome.next_step
        )
    relaxed: tuple[DislocationCell, CellCheck] = outcome.value
    return relaxed


def _refuse_unsound(check: CellCheck | None) -> None:
    from glideflow.cli.properties import StageFailedError
    from glideflow.errors import ConvergenceError
    from glideflow.mobility.checks import refuse_unsound

    try:
        if check is not None:
            refuse_unsound(check)
    except ConvergenceError as error:
        raise StageFailedError(error.found, expected=error.expected, next_step=error.next_step) from error


def _refuse_formats(files: list[Path]) -> None:
    from glideflow.cli.properties import refuse_unwritable

    for file in files:
        if file.suffix not in FORMATS:
            raise ConfigurationError(
                f"the file {file} for atoms",
                expected=f"a name that ends in {' or '.join(FORMATS)}",
                next_step="correct --output",
            )
        refuse_unwritable(file)


def _write(file: Path, cell: DislocationCell) -> None:
    from ase.io import write

    from glideflow.atomic import replacing

    atoms = cell.atoms()
    atoms.info = {"burgers_angstrom": cell.burgers_angstrom, "miller_frame": cell.miller_frame}  # for extended XYZ
    options: dict[str, Any] = {"atom_style": "atomic", "masses": True} if FORMATS[file.suffix] == "lammps-data" else {}
    with replacing(file) as temporary:
        write(temporary, atoms, format=FORMATS[file.suffix], **options)
    print(f"{WROTE} {file}", file=sys.stderr)


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, indent=2, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{document['potential_id']}: {document['kind']}", title_justify="left")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for name, value in _rows(document):
        table.add_row(name, value)
    Console().print(table, markup=False)


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in {**document, **(document["check"] or {})}.items():
        if name in ("potential_id", "kind", "check") or value is None:
            continue
        if name == "lines":
            yield name, "\n".join(f"{line['topology']}, {line['length_angstrom']:.1f} Å" for line in value) or "none"
        elif name == "problems":
            yield name, "\n".join(value) or "none"
        elif isinstance(value, list):
            yield name, "\n".join(" ".join(_number(part) for part in row) for row in _as_rows(value))
        else:
            yield name, _number(value)


def _as_rows(value: list[Any]) -> list[list[Any]]:
    return value if isinstance(value[0], list) else [value]


def _number(value: float | bool | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
