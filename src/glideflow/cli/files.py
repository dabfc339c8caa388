"""Commands on files: inspect any result, gather a library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from glideflow.cli.options import ConfigOption

library_app = typer.Typer(no_args_is_help=True, help="Gather results into a strength library.")


def inspect(
    file: Annotated[Path, typer.Argument(help="Any HDF5 file written by glideflow.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of name, unit and value.")] = False,
) -> None:
    """Print what is in a result file: every entry with its unit, and its value or shape."""
    import json

    from glideflow.storage import describe

    rows = list(describe(file))
    if as_json:
        print(json.dumps([{"name": name, "unit": unit, "value": value} for name, unit, value in rows], indent=2))
        return
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, unit, value in rows:
        text = " ".join(value.split())
        shown = text if len(text) <= 160 else text[:159] + "…"
        print(f"{name:<{width}}  {shown}{f' {unit}' if unit not in ('', '1') else ''}")


@library_app.command()
def merge(
    results: Annotated[list[Path], typer.Argument(help="Records of single properties (HDF5).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HDF5 file of the library.")],
    config: ConfigOption = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Table with a row per potential.")] = None,
) -> None:
    """Gather records of single properties into one library and one table."""
    from glideflow.config.load import load_settings
    from glideflow.library import merge as merge_records
    from glideflow.library import write_table
    from glideflow.storage import write_record

    library = merge_records(load_settings(config), results)
    write_record(output, library)
    if table is not None:
        write_table(library, table)
    counts: dict[str, int] = {}
    for entry in library.entries:
        counts[entry.status] = counts.get(entry.status, 0) + 1
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{len(library.entries)} potentials ({summary}) in {output}", file=sys.stderr)
