"""What pages a site has, where they lie, and how they find each other."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from glideflow.records import Library
from glideflow.reporting.collection import Metal, Sample, by_metal, samples
from glideflow.reporting.context import RunContext, run_context

INDEX = "index.html"
OVERVIEW = "overview.html"
METHODS = "methods.html"
TABLE = "downloads/strength_library.csv"
LIBRARY = "downloads/strength_library.h5"
STYLE = "assets/glideflow.css"
SCRIPT = "assets/glideflow.js"
PLOTLY = "assets/plotly.min.js"
MARKER = SCRIPT
"""File by which a folder is known to hold a site of this package."""

_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A library with the places of its pages.

    Attributes:
        library: the library.
        samples: its potentials, in its order.
        metals: the same by metal: fcc, bcc, hcp, then by element.
        names: file name of each potential's page and data without its ending, by id.
        context: its configuration.
    """

    library: Library
    samples: tuple[Sample, ...]
    metals: Mapping[Metal, tuple[Sample, ...]]
    names: Mapping[str, str]
    context: RunContext

    @property
    def structures(self) -> tuple[str, ...]:
        """Crystal structures of the library: fcc, bcc, hcp, then others."""
        return tuple(dict.fromkeys(metal.structure for metal in self.metals))

    def potential_page(self, identifier: str) -> str:
        """Path of a potential's page, relative to the site."""
        return f"potentials/{self.names[identifier]}.html"

    def potential_data(self, identifier: str) -> str:
        """Path of the script with a potential's figures, relative to the site."""
        return f"data/{self.names[identifier]}.js"

    def metal_page(self, metal: Metal) -> str:
        """Path of a metal's page, relative to the site."""
        return f"metals/{self._metal_names[metal.label]}.html"

    def structure_page(self, structure: str) -> str:
        """Path of a structure's page, relative to the site."""
        return f"structures/{file_names(self.structures)[structure]}.html"

    def neighbours(self, identifier: str) -> tuple[str | None, str | None]:
        """Potentials before and after one among those of its metal."""
        group = next(group for group in self.metals.values() if any(each.id == identifier for each in group))
        ids = [each.id for each in group]
        place = ids.index(identifier)
        return (ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None)

    @property
    def _metal_names(self) -> dict[str, str]:
        labels = {metal.label: f"{metal.element}-{metal.structure}" for metal in self.metals}
        known = file_names(labels.values())
        return {label: known[name] for label, name in labels.items()}


def outline(library: Library) -> Outline:
    """The pages of a library's site."""
    found = samples(library)
    return Outline(
        library=library,
        samples=found,
        metals=by_metal(found),
        names=file_names(sample.id for sample in found),
        context=run_context(library),
    )


def file_names(identifiers: Iterable[str]) -> dict[str, str]:
    """A file name for each identifier, the same for the same identifier among the same others.

    It is the identifier itself where every file system and address can take it. Other characters become ``-`` and a
    digest is added; so it is where names would differ in nothing but their case.
    """
    safe = {each: re.sub(r"[^A-Za-z0-9._+-]", "-", each) for each in identifiers}
    folded = Counter(name.lower() for name in safe.values())
    return {each: _file_name(each, name, folded[name.lower()] == 1) for each, name in safe.items()}


def _file_name(identifier: str, safe: str, unique: bool) -> str:
    if unique and safe == identifier and 0 < len(safe) <= _LONGEST_NAME and safe[0].isalnum():
        return safe
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[:_LONGEST_NAME].lstrip('._+-') or 'potential'}-{digest}"
