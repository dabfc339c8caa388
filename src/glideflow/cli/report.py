"""``glideflow report``: tables and figures of a library in one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glideflow.cli.options import ConfigOption


def report(
    library: Annotated[Path, typer.Option("--library", help="HDF5 file of the library.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write.")],
    config: ConfigOption = None,
    site: Annotated[
        str, typer.Option(help="Link to the site of the same library, as seen from the page, e.g. site/index.html.")
    ] = "",
    mobility: Annotated[
        str, typer.Option(help="Link to a page of `glideflow mobility report shipped`, as seen from the page.")
    ] = "",
) -> None:
    """Write tables, figures, failures and provenance of a library as one page that opens without a network.

    With a configuration, the page carries the name of its run; everything else comes from the library.
    """
    import dataclasses

    from glideflow.config.load import load_settings
    from glideflow.records import Library
    from glideflow.reporting.report import write_report
    from glideflow.storage import read_record

    content = read_record(library, Library)
    if config is not None:
        content = dataclasses.replace(content, name=load_settings(config).name)
    write_report(content, output, site, mobility)
    print(output)
