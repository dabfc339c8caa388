"""The site: every page rendered, and the folder put in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glideflow import __version__
from glideflow.errors import StorageError
from glideflow.library import write_table
from glideflow.records import Library
from glideflow.reporting.collection import Sample
from glideflow.reporting.embedding import script_json
from glideflow.reporting.statistics import spreads
from glideflow.reporting.templating import environment, template_text
from glideflow.reporting.website.about_pages import methods_page, overview_page
from glideflow.reporting.website.index_page import index_page
from glideflow.reporting.website.metal_page import metal_page
from glideflow.reporting.website.outline import (
    INDEX,
    LIBRARY,
    MARKER,
    METHODS,
    OVERVIEW,
    PLOTLY,
    SCRIPT,
    STYLE,
    TABLE,
    Outline,
    outline,
)
from glideflow.reporting.website.potential_page import PotentialPage, potential_page, stress_text
from glideflow.reporting.website.structure_page import structure_page
from glideflow.reporting.website.usage import usage
from glideflow.storage import write_record

if TYPE_CHECKING:
    from glideflow.potentials.record import Potential


def write_site(library: Library, folder: Path, potentials: Mapping[str, Potential] | None = None) -> Path:
    """Write the site of a library; the same library gives the same bytes.

    The folder is made beside its place and put there when it is whole. What stood there is replaced if it is a site of
    this package or empty.

    Args:
        library: what is shown; missing and failed results are shown as such.
        folder: folder of the site.
        potentials: potentials with their files, by id, for the commands that use them
            (`glideflow.reporting.website.usage.available`); without, names of files are placeholders.

    Returns:
        The page to open.

    Raises:
        StorageError: the folder cannot be written, or holds something else.
    """
    place = folder.resolve()
    _refuse_foreign(place)
    building = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        for path, text in site_files(library, potentials or {}):
            _write(building / path, text)
        write_table(library, building / TABLE)
        write_record(building / LIBRARY, library, layout="columns")
        _put_in_place(building, place)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror or error}",
            expected="a folder that can be written, with room for the site",
            next_step="mend the permissions or free some space, then run the step again",
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder / INDEX


def _put_in_place(building: Path, place: Path) -> None:
    """Put a finished folder where another one may stand, which stays if that fails."""
    if not place.exists():
        building.replace(place)
        return
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    place.replace(old)
    try:
        building.replace(place)
    except OSError:
        old.replace(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    """Write a file of a folder that is put in place as a whole: nobody sees it half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def site_files(library: Library, potentials: Mapping[str, Potential]) -> Iterator[tuple[str, str]]:
    """Path relative to the site, and text, of every file but the downloads."""
    site = outline(library)
    render = _Renderer(site)
    yield from _assets()
    for sample in site.samples:
        content = potential_page(site, sample, usage(sample.entry.potential, potentials.get(sample.id)))
        yield site.potential_data(sample.id), _data_script(site, sample, content)
        yield site.potential_page(sample.id), render("site_potential.html", 1, page=content)
    all_spreads = spreads(library)
    for metal in site.metals:
        yield site.metal_page(metal), render("site_metal.html", 1, page=metal_page(site, metal, all_spreads))
    for structure in site.structures:
        yield site.structure_page(structure), render("site_structure.html", 1, page=structure_page(site, structure))
    yield OVERVIEW, render("site_overview.html", 0, page=overview_page(site))
    yield METHODS, render("site_methods.html", 0, page=methods_page(site))
    yield INDEX, render("site_index.html", 0, page=index_page(site))


class _Renderer:
    """Templates with what every page knows."""

    def __init__(self, site: Outline) -> None:
        self._environment = environment()
        self._environment.globals.update(
            site=site,
            version=__version__,
            structures=[(name, site.structure_page(name)) for name in site.structures],
            stress_text=stress_text,
            files={
                "index": INDEX,
                "overview": OVERVIEW,
                "methods": METHODS,
                "table": TABLE,
                "library": LIBRARY,
                "style": STYLE,
                "script": SCRIPT,
                "plotly": PLOTLY,
            },
        )

    def __call__(self, template: str, depth: int, **content: Any) -> str:  # noqa: ANN401 - whatever a template shows
        return self._environment.get_template(template).render(root="../" * depth, **content)


def _assets() -> Iterator[tuple[str, str]]:
    from plotly.offline import get_plotlyjs

    yield PLOTLY, get_plotlyjs()
    yield STYLE, template_text("report.css") + template_text("site.css")
    yield SCRIPT, template_text("common.js") + template_text("site.js")


def _data_script(site: Outline, sample: Sample, content: PotentialPage) -> str:
    """A script that hands the figures of a potential to the page: other files cannot be read from a page on disk."""
    figures = {plot.id: plot.figure for part in content.parts for plot in part.plots}
    return f"glideflow.receive({script_json(site.names[sample.id])}, {script_json(figures)});\n"


def _refuse_foreign(folder: Path) -> None:
    """A folder that is no site may hold somebody's work."""
    if not folder.exists() or (folder / MARKER).is_file() or (folder.is_dir() and not any(folder.iterdir())):
        return
    raise StorageError(
        f"{folder} exists and is no site of this package",
        expected="a folder that does not exist, is empty, or holds a site",
        next_step="name another folder",
    )
