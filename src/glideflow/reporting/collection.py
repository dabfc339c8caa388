"""A library seen as samples: potentials by metal, and the quantities that are compared between them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from glideflow.library import table
from glideflow.property_specs import PROPERTIES
from glideflow.records import Library, LibraryEntry, PropertyResult, StageRecord

R = TypeVar("R", bound=PropertyResult)

STRUCTURE_ORDER = ("fcc", "bcc", "hcp")
PROPERTY_NAMES: Mapping[str, str] = {name: spec.title for name, spec in PROPERTIES.items()}
"""Properties in words."""


class Metal(NamedTuple):
    """An element in a crystal structure."""

    element: str
    structure: str

    @property
    def label(self) -> str:
        """Element and structure, e.g. ``Cu (fcc)``."""
        return f"{self.element} ({self.structure})"


@dataclass(frozen=True)
class Sample:
    """One potential.

    Attributes:
        entry: its records.
        row: its row of the library's table, see `glideflow.library.COLUMNS`.
    """

    entry: LibraryEntry
    row: Mapping[str, object]

    @property
    def id(self) -> str:
        """Id of the potential."""
        return self.entry.potential.id

    @property
    def metal(self) -> Metal:
        """Element and structure."""
        return Metal(self.entry.potential.element, self.entry.potential.structure)

    def value(self, key: str) -> float | None:
        """A column of the table, or ``c_over_a``; None where there is no value."""
        if key == "c_over_a":
            a, c = self.value("a_angstrom"), self.value("c_angstrom")
            return c / a if a and c else None
        content = self.row[key]
        return float(content) if isinstance(content, int | float) and math.isfinite(content) else None


@dataclass(frozen=True)
class Quantity:
    """A number that a table column or an axis shows.

    Attributes:
        key: column of the library's table, or ``c_over_a``.
        letter: symbol as written in the literature, without its subscript.
        subscript: subscript of the symbol, or empty.
        unit: its unit, empty for ratios.
        name: in words.
        decimals: decimals in tables.
    """

    key: str
    letter: str
    subscript: str
    unit: str
    name: str
    decimals: int

    @property
    def symbol(self) -> str:
        """Symbol as plain text, e.g. ``C11``."""
        return self.letter + self.subscript

    @property
    def markup(self) -> str:
        """Symbol with its subscript as HTML, which Plotly reads too."""
        return f"{self.letter}<sub>{self.subscript}</sub>" if self.subscript else self.letter


CHARACTERISTIC = (
    Quantity("a_angstrom", "a", "", "Å", "lattice constant a", 4),
    Quantity("c_over_a", "c/a", "", "", "axial ratio", 4),
    Quantity("c11_gpa", "C", "11", "GPa", "elastic constant C11", 1),
    Quantity("c12_gpa", "C", "12", "GPa", "elastic constant C12", 1),
    Quantity("c13_gpa", "C", "13", "GPa", "elastic constant C13", 1),
    Quantity("c33_gpa", "C", "33", "GPa", "elastic constant C33", 1),
    Quantity("c44_gpa", "C", "44", "GPa", "elastic constant C44", 1),
    Quantity("gamma_isf_mj_m2", "γ", "isf", "mJ/m²", "intrinsic stacking fault energy", 1),
    Quantity("gamma_usf_mj_m2", "γ", "usf", "mJ/m²", "unstable stacking fault energy", 1),
    Quantity("gamma_max_mj_m2", "γ", "max", "mJ/m²", "largest energy of the γ surface", 1),
    Quantity("peierls_mpa", "τ", "P", "MPa", "Peierls stress", 3),
)
"""Characteristic parameters of dislocation glide, from equilibrium to far from it."""


@dataclass(frozen=True)
class Computed(Generic[R]):
    """A result with the potential and the record that it belongs to."""

    entry: LibraryEntry
    stage: StageRecord
    result: R


def samples(library: Library) -> tuple[Sample, ...]:
    """One sample per potential, in the order of the library."""
    return tuple(Sample(entry, row) for entry, row in zip(library.entries, table(library), strict=True))


def by_metal(chosen: Iterable[Sample]) -> dict[Metal, tuple[Sample, ...]]:
    """Samples grouped by metal: fcc, bcc, hcp, then by element."""
    groups: dict[Metal, list[Sample]] = defaultdict(list)
    for sample in chosen:
        groups[sample.metal].append(sample)
    return {metal: tuple(groups[metal]) for metal in sorted(groups, key=metal_order)}


def metal_order(metal: Metal) -> tuple[int, str, str]:
    """Sort key of metals: structure, then element."""
    known = metal.structure in STRUCTURE_ORDER
    rank = STRUCTURE_ORDER.index(metal.structure) if known else len(STRUCTURE_ORDER)
    return (rank, metal.structure, metal.element)


def computed(library: Library, kind: type[R]) -> Iterator[Computed[R]]:
    """Every result of a kind, e.g. each `GammaSurfaceResult`, ordered by metal, then as in the library."""
    for entry in sorted(library.entries, key=lambda e: metal_order(Metal(e.potential.element, e.potential.structure))):
        for stage in entry.stages:
            if isinstance(stage.result, kind):
                yield Computed(entry, stage, stage.result)
