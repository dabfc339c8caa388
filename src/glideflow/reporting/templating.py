"""Templates of pages, their style sheets and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from glideflow import __version__
from glideflow.reporting.embedding import script_json

TEMPLATES = "templates"


def environment() -> jinja2.Environment:
    """Jinja environment of the package's templates: every text is escaped, and a name that is unknown is an error."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("glideflow.reporting", TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["script_json"] = script_json
    return made


def template_text(name: str) -> str:
    """A style sheet or script as it is in the package."""
    return files("glideflow.reporting").joinpath(TEMPLATES, name).read_text(encoding="utf-8")


def plots_page(template: str, figures: Mapping[str, Any], **content: object) -> str:
    """A page of figures and tables in one file that opens without a network: a template on ``plots_page.html``.

    Args:
        template: name of the template.
        figures: figures as JSON by the ids of their elements.
        content: what else the template shows.
    """
    from plotly.offline import get_plotlyjs

    return (
        environment()
        .get_template(template)
        .render(
            version=__version__,
            figures=dict(figures),
            style=Markup(template_text("report.css")),
            plotly=Markup(get_plotlyjs()),
            **content,
        )
    )
