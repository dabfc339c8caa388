"""Commands on what transferred Peierls stresses err by."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.library import LibraryOption
from glideflow.cli.options import ConfigOption, JsonOption, SetOption, settings_from
from glideflow.cli.transfer_options import (
    OneModelOption,
    OneSeedOption,
    ValidationsOption,
    configured_library,
    print_rows,
)
from glideflow.text import printable

if TYPE_CHECKING:
    from glideflow.config.transfer import TransferSettings
    from glideflow.records import Library
    from glideflow.transfer.error_decomposition import ErrorTable
    from glideflow.transfer.strengths import StrengthTable

StrengthsOption = Annotated[
    Path | None,
    typer.Option("--strengths", help="Table (HDF5) of `glideflow transfer strengths`; made first if not given."),
]


def errors(
    *,
    outputs: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", help="HDF5 file for the errors; a .csv or .md file is text. Repeatable."),
    ] = None,
    strengths: StrengthsOption = None,
    validations: ValidationsOption = None,
    model: OneModelOption = "best",
    seed: OneSeedOption = 0,
    library: LibraryOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """What Peierls stresses of each metal err by: physics of the potentials, cell and protocol, inference.

    Every term compares two stresses that differ in one thing: a potential with
    itself in another cell or by other steps (system), classical potentials
    with machine-learned ones (physical), a prediction with atomistics of the
    same potential (inference). Routes: the whole error against machine-learned
    potentials, and the share of every term in it. What there is no data for
    stays empty and says why.
    """
    from glideflow.storage import read_record
    from glideflow.strength_library import load
    from glideflow.transfer.error_decomposition import error_table
    from glideflow.transfer.strengths import StrengthTable
    from glideflow.transfer.validation import Validations

    settings = settings_from(config, overrides).transfer
    found = load(library or configured_library(settings))
    made = read_record(strengths, StrengthTable) if strengths else _strengths(found, settings, model, seed)
    held_out = [record for file in validations or () for record in read_record(file, Validations).records]
    table = error_table(found, settings.data, made, held_out)
    for output in outputs or ():
        _write(table, output)
    _print(table, as_json=as_json)


def _strengths(library: Library, settings: TransferSettings, model: str, seed: int) -> StrengthTable:
    from glideflow.cli.display import progress_display
    from glideflow.transfer.regressors import regressor
    from glideflow.transfer.strengths import strength_table

    recipe = regressor(model, settings)
    with progress_display() as progress:
        return strength_table(
            library, settings.data, recipe, floor_mpa=settings.floor_mpa, seed=seed, progress=progress
        )


def _write(table: ErrorTable, output: Path) -> None:
    from glideflow.atomic import write_text
    from glideflow.reporting.transfer_errors import error_csv, error_markdown
    from glideflow.storage import write_record

    text = {".csv": error_csv, ".md": error_markdown}.get(output.suffix)
    if text is None:
        write_record(output, table)
    else:
        write_text(output, text(table))


def _print(table: ErrorTable, *, as_json: bool) -> None:
    import json

    from glideflow.reporting.transfer_errors import ROUTE_COLUMNS, matrix, reasons, route_rows

    if as_json:
        print(json.dumps(_plain(table), indent=2, ensure_ascii=False))
        return
    headings, rows = matrix(table)
    print_rows(headings, rows, "median factor of every error (n)")
    print("\n".join(printable(text) for text in reasons(table)) + "\n", file=sys.stderr)
    routes = [row for row in route_rows(table) if row[2] != "0"]
    print_rows(ROUTE_COLUMNS, routes, "whole errors against machine-learned potentials")


def _plain(table: ErrorTable) -> dict[str, Any]:
    """The table as plain numbers; what is not a number is null."""
    import dataclasses

    terms = [
        _without_nan(
            dataclasses.asdict(term)
            | {"median_factor": term.factor, "median_ratio": term.bias, "ratio_10_to_90": list(term.spread)}
            | {"median_relative_percent": term.relative_percent}
        )
        for term in table.terms
    ]
    routes = [_without_nan(dataclasses.asdict(route)) for route in table.routes]
    return {
        "model": table.model,
        "split": table.split,
        "library": table.library_name,
        "floor_mpa": table.floor_mpa,
        "terms": terms,
        "routes": routes,
    }


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: object) -> object:
    import math

    import numpy as np

    if isinstance(value, np.ndarray | list):
        return [_plain_value(float(each)) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
