"""Templates of pages, their style sheets and scripts."""

from __future__ import annotations

from importlib.resources import files

import jinja2

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
