"""The report: one HTML file that opens from disk without a network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from glideflow.atomic import write_text
from glideflow.records import Library
from glideflow.reporting.embedding import script_json
from glideflow.reporting.page import page

TEMPLATES = "templates"


def write_report(library: Library, path: Path) -> None:
    """Write the report of a library, atomically; the same library gives the same bytes.

    Args:
        library: what is reported; missing and failed results are shown as such.
        path: the HTML file; its folder is made if need be.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, render_report(library))


def render_report(library: Library) -> str:
    """The report of a library as HTML."""
    from plotly.offline import get_plotlyjs

    template = _environment().get_template("report.html")
    return template.render(
        page=page(library),
        style=Markup(_text("report.css")),
        script=Markup(_text("report.js")),
        plotly=Markup(get_plotlyjs()),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("glideflow.reporting", TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["script_json"] = script_json
    return environment


def _text(name: str) -> str:
    return files("glideflow.reporting").joinpath(TEMPLATES, name).read_text(encoding="utf-8")
