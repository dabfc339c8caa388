"""The command on any result file: print what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glideflow.text import printable


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
        print(printable(f"{name:<{width}}  {shown}{f' {unit}' if unit not in ('', '1') else ''}"))
