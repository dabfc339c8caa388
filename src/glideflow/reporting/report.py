"""The report: one HTML file that opens from disk without a network."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from glideflow.atomic import write_text
from glideflow.records import Library
from glideflow.reporting.page import page
from glideflow.reporting.templating import environment, template_text


def write_report(library: Library, path: Path, site: str = "", mobility: str = "") -> None:
    """Write the report of a library, atomically; the same library gives the same bytes.

    Args:
        library: what is reported; missing and failed results are shown as such.
        path: the HTML file; its folder is made if need be.
        site: address of the site of the same library as seen from the page, e.g. ``site/index.html``; empty for none.
        mobility: that of a page on moving dislocations; empty for none.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, render_report(library, site, mobility))


def render_report(library: Library, site: str = "", mobility: str = "") -> str:
    """The report of a library as HTML, with links to its site and to a page on moving dislocations if there are any."""
    from plotly.offline import get_plotlyjs

    return (
        environment()
        .get_template("report.html")
        .render(
            page=page(library),
            site=site,
            mobility=mobility,
            style=Markup(template_text("report.css")),
            script=Markup(template_text("common.js") + template_text("report.js")),
            plotly=Markup(get_plotlyjs()),
        )
    )
