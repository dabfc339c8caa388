"""Commands behind the mobility branch of the workflow: scenarios, what is simulated next, velocities."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.mobility_data import TRAJECTORIES_HELP
from glideflow.cli.options import ConfigOption, JsonOption, LatticeOption, SetOption, settings_from
from glideflow.cli.properties import ElasticOption
from glideflow.cli.transfer_options import print_rows
from glideflow.errors import ConfigurationError
from glideflow.job_log import WROTE

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.mobility.building import CellBuilder
    from glideflow.mobility.queries import Query
    from glideflow.mobility.scenarios import Scenario
    from glideflow.mobility.trajectory import Trajectory
    from glideflow.property_specs import Property
    from glideflow.reporting.mobility import VelocityRow


def scenarios(
    *,
    lattice: LatticeOption = None,
    elastic: ElasticOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Ask whether the lines of every dipole can pass each other at its stress.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the trajectories that a configuration describes, and which of them come first.

    The grid is that of mobility.cells.angles_deg, mobility.stresses_mpa and
    mobility.temperatures_k, with the seeds and loops of mobility.scenarios.
    With --check the lines of cells that are too small, which would stop each
    other, are refused before anything is simulated.
    """
    from glideflow.mobility.scenarios import initial_scenarios, scenario_table

    settings = settings_from(config, overrides)
    table, initial = scenario_table(settings.mobility), set(initial_scenarios(settings.mobility))
    if check:
        _refuse_stuck(settings, table, {"lattice": lattice, "elastic": elastic})
    rows = [asdict(each) | {"id": each.id, "initial": each in initial} for each in table]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    headings = ("id", "kind", "° or nm", "MPa", "K", "seed", "first")
    keys = ("kind", "size", "stress_mpa", "temperature_k", "seed")
    cells = [[row["id"], *(_text(row[key]) for key in keys), "yes" if row["initial"] else ""] for row in rows]
    print_rows(headings, cells)
    print(f"{len(rows)} trajectories, {len(initial)} of them before anything is learned", file=sys.stderr)


def report(
    trajectories: Annotated[
        list[Path] | None,
        typer.Argument(
            help=f"{TRAJECTORIES_HELP} Default: those of the configuration's results.", metavar="TRAJECTORY"
        ),
    ] = None,
    *,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="Where to write it: NAME.csv, NAME.md or NAME.html. Repeatable."),
    ] = None,
    query: Annotated[
        list[Path] | None,
        typer.Option("--query", help="What an ensemble asked for (`mobility query`), shown on the page. Repeatable."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="Model of `glideflow mobility train`, or `shipped`: the page shows its errors on trajectories that it "
            "has not seen, beside fitted laws.",
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Velocities of trajectories as a table, and as a page with figures that opens without a network.

    The page shows velocity against stress and temperature for each kind of line,
    with errors and the thermal floor, and the lines of one trajectory.
    """
    from glideflow.atomic import write_text
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.dataset import trajectories_from
    from glideflow.mobility.queries import read_query
    from glideflow.reporting.mobility import velocities_markdown, velocity_row

    queries = [read_query(file) for file in query or ()]
    settings = settings_from(config, overrides)
    startup_ps = settings.mobility.network.training.startup_ps
    outputs = [(file, _writer(file, queries, model, startup_ps)) for file in output or ()]
    for file, _ in outputs:
        refuse_unwritable(file)
    named = trajectories_from(trajectories or _results(settings), by_stem=True)
    rows = [velocity_row(name, each, startup_ps) for name, each in named.items()]
    for file, text in outputs:
        write_text(file, text(rows, named))
        print(f"{WROTE} {file}", file=sys.stderr)
    print(velocities_markdown(rows), end="")


def query(
    model: Annotated[
        Path, typer.Argument(help="Folder or model.safetensors of `glideflow mobility train`, or `shipped`.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for what is asked for.")],
    after: Annotated[
        Path | None, typer.Option("--after", help="The query before this one. Default: this is the first training.")
    ] = None,
    lattice: LatticeOption = None,
    elastic: ElasticOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Ask a trained ensemble which trajectories it should learn from next.

    A pool of scenarios that were not simulated yet is drawn from the grid. For
    each, the lines as they are built are shown to the better half of the
    members: the less these agree, the more is to be learned. Pool, number and
    threshold are in mobility.learning.
    """
    from glideflow.cli.options import PotentialChoice, chosen_potential
    from glideflow.cli.properties import refuse_unwritable
    from glideflow.mobility.active_learning import next_query
    from glideflow.mobility.artifacts import read_ensemble
    from glideflow.mobility.building import scenario_cell
    from glideflow.mobility.experiments import refuse_other_potential
    from glideflow.mobility.queries import read_query, write_query
    from glideflow.mobility.shipped import model_path
    from glideflow.packages import refuse_without_torch

    refuse_without_torch("mobility")
    settings = settings_from(config, overrides)
    refuse_unwritable(output)
    ensemble, card = read_ensemble(model_path(model))
    refuse_other_potential(card, chosen_potential(PotentialChoice(potential=settings.mobility.potential), settings))
    previous = read_query(after) if after else None
    builder = _builder(settings, {"lattice": lattice, "elastic": elastic})
    found = next_query(ensemble, settings.mobility, functools.partial(scenario_cell, builder), previous, settings.seed)
    write_query(output, found)
    _print_query(found)
    print(f"{WROTE} {output}", file=sys.stderr)


def _print_query(found: Query) -> None:
    headings = ("candidate", "displacement Å", "spread Å", "floor Å", "selected")
    rows = [
        (
            each.id,
            f"{each.displacement_angstrom:.3g}",
            f"{each.spread_angstrom:.3g}",
            "-" if each.thermal_floor_angstrom is None else f"{each.thermal_floor_angstrom:.3g}",
            "yes" if each.selected else "",
        )
        for each in found.candidates
    ]
    print_rows(headings, rows)
    percent = "unknown" if found.uncertainty_percent is None else f"{found.uncertainty_percent:.1f} %"
    end = "nothing further is asked for" if found.done else f"{len(found.selected)} trajectories are asked for"
    print(f"uncertainty {percent} of the displacement, threshold {found.threshold_percent:g} %: {end}")


def _refuse_stuck(settings: RunSettings, table: Sequence[Scenario], given: dict[Property, Path | None]) -> None:
    """Refuse dipoles whose lines would stop each other: all of them in one message."""
    builder = _builder(settings, given)
    smallest: dict[float, float] = {}
    for each in table:
        if each.kind == "dipole" and each.stress_mpa:
            smallest[each.size] = min(abs(each.stress_mpa), smallest.get(each.size, abs(each.stress_mpa)))
    problems = list(_problems(builder, smallest))
    if problems:
        raise ConfigurationError(
            "; ".join(problems),
            expected="passing stresses below the smallest applied one",
            next_step="enlarge mobility.cells.size_nm along the normal, or raise the smallest stress",
        )


def _builder(settings: RunSettings, given: dict[Property, Path | None]) -> CellBuilder:
    """What builds the cells of a configuration, from the records that are given or computed."""
    from glideflow.cli.display import progress_display
    from glideflow.cli.mobility_dynamics import crystal_of
    from glideflow.cli.options import PotentialChoice, chosen_potential
    from glideflow.mobility.building import cell_builder

    potential = chosen_potential(PotentialChoice(potential=settings.mobility.potential), settings)
    with progress_display() as progress:
        lattice, elastic = crystal_of(potential, settings, given, progress)
    return cell_builder(potential.element, lattice, elastic, settings.mobility.cells)


def _problems(builder: CellBuilder, smallest_mpa: dict[float, float]) -> Iterator[str]:
    from glideflow.mobility.passing import refuse_small

    for angle, stress in smallest_mpa.items():
        try:
            orientation = builder.orientation(angle)
            refuse_small(builder.metal, orientation, builder.settings.size_nm, builder.tensor_gpa, stress)
        except ConfigurationError as error:
            yield error.found


def _results(settings: RunSettings) -> list[Path]:
    """Trajectories of the configuration that were simulated.

    Raises:
        ConfigurationError: none was.
    """
    from glideflow.mobility.scenarios import scenario_table, trajectory_file
    from glideflow.run import results_folder

    folder = Path(results_folder(settings))
    found = [folder / trajectory_file(each.id) for each in scenario_table(settings.mobility)]
    there = [file for file in found if file.is_file()]
    if not there:
        raise ConfigurationError(
            f"none of {len(found)} trajectories is in {folder}",
            expected="trajectories of this configuration, or files that are named",
            next_step="run `snakemake mobility`, or name files of `glideflow mobility run`",
        )
    return there


def _writer(
    file: Path, queries: Sequence[Query], model: Path | None, startup_ps: float | None
) -> Callable[[Sequence[VelocityRow], dict[str, Trajectory]], str]:
    """What makes the text of a file from the rows and the trajectories by name."""
    from glideflow.reporting.mobility import velocities_csv, velocities_markdown

    if file.suffix == ".html":
        return functools.partial(_page, queries=queries, model=model, startup_ps=startup_ps)
    table = {".csv": velocities_csv, ".md": velocities_markdown}.get(file.suffix)
    if table is None:
        raise ConfigurationError(
            f"the output {file}", expected="a name that ends in .csv, .md or .html", next_step="correct --output"
        )
    return lambda rows, _trajectories: table(rows)


def _page(
    rows: Sequence[VelocityRow],
    trajectories: dict[str, Trajectory],
    *,
    queries: Sequence[Query],
    model: Path | None,
    startup_ps: float | None,
) -> str:
    from glideflow.reporting.mobility import example_of, mobility_page

    shown = example_of(rows)
    example = (shown.name, trajectories[shown.name]) if shown else None
    if model is None:
        return mobility_page(rows, example, queries)
    from glideflow.reporting.mobility_errors import held_out_section

    return mobility_page(rows, example, queries, held_out_section(model, trajectories, startup_ps))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
