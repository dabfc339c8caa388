"""Commands on libraries: gather results into one."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glideflow.cli.options import ConfigOption
from glideflow.runs.commands import workflow_command
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.run import RunSettings
    from glideflow.records import Library

library_app = typer.Typer(no_args_is_help=True, help="Gather results into a strength library.")


@library_app.command()
def merge(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Records of single properties (HDF5). Default: those of the configuration's run."),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file of the library.")],
    config: ConfigOption = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Table with a row per potential.")] = None,
    accept_missing_percent: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="Share of the records that may be missing or unreadable because their job died; they are named in "
            "the library. Default: library.accept_missing_percent of the configuration.",
        ),
    ] = None,
) -> None:
    """Gather records of single properties into one library and one table.

    A recorded failure is a result like any other. What is missing is an error, unless its share is accepted.
    """
    from glideflow.config.load import load_settings
    from glideflow.library import merge as merge_records
    from glideflow.library import write_table
    from glideflow.storage import write_record

    settings = load_settings(config)
    library = merge_records(
        settings,
        results or _results_of_run(settings),
        accept_missing_percent=accept_missing_percent,
        rerun_command=workflow_command(config),
    )
    write_record(output, library)
    if table is not None:
        write_table(library, table)
    _tell(library, output)


def _results_of_run(settings: RunSettings) -> list[Path]:
    """Files of every result that the run of these settings should have."""
    from glideflow.run import validate_run

    run = validate_run(settings, Path.cwd(), verify=False)
    return [Path(run.results, task.output) for task in run.property_tasks()]


def _tell(library: Library, output: Path) -> None:
    """Say on standard error what was gathered, and name what is missing."""
    counts = Counter(entry.status for entry in library.entries)
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{len(library.entries)} potentials ({summary}) in {output}", file=sys.stderr)
    if library.missing:
        expected = len(library.missing) + sum(len(entry.stages) for entry in library.entries)
        accepted = f"accepted: {library.accept_missing_percent:g} %"
        print(f"missing: {len(library.missing)} of {expected} results ({accepted})", file=sys.stderr)
    for each in library.missing:
        print(printable(f"  {each.potential} {each.stage_name}: {each.reason}"), file=sys.stderr)
