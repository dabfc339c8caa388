"""The first page: every potential in a table that can be sorted and filtered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from glideflow.reporting.collection import CHARACTERISTIC, Quantity, Sample
from glideflow.reporting.statements import scope, status_counts
from glideflow.reporting.tables import (
    Cell,
    Column,
    Row,
    Table,
    column,
    remarks_cell,
    status_cell,
    text_cell,
    text_column,
)
from glideflow.reporting.website.comparison import value_text
from glideflow.reporting.website.outline import Outline

_KEYS = ("a_angstrom", "c11_gpa", "c12_gpa", "c44_gpa", "gamma_isf_mj_m2", "gamma_usf_mj_m2", "peierls_mpa")
_QUANTITIES = tuple(quantity for quantity in CHARACTERISTIC if quantity.key in _KEYS)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A control that keeps rows.

    Attributes:
        key: name in the address of the page.
        label: label of the control.
        column: number of the column that it looks at.
        options: what can be chosen, with the number of rows.
    """

    key: str
    label: str
    column: int
    options: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class IndexPage:
    """What the first page shows.

    Attributes:
        scope: what was computed, in a sentence.
        counts: potentials by status.
        metals: each metal's label, page and number of potentials.
        table: the table.
        choices: controls that choose one value of a column.
        families: families, for completion.
        family_column: number of their column.
        flags: flags with the number of rows.
        flag_column: number of their column.
        ranges: controls that keep values between two numbers; ``label`` holds the unit.
    """

    scope: str
    counts: dict[str, int]
    metals: tuple[tuple[str, str, int], ...]
    table: Table
    choices: tuple[Filter, ...]
    families: tuple[str, ...]
    family_column: int
    flags: tuple[tuple[str, int], ...]
    flag_column: int
    ranges: tuple[Filter, ...]


def index_page(site: Outline) -> IndexPage:
    """Content of the first page."""
    columns = _columns()
    places = {each.label: place for place, each in enumerate(columns)}
    rows = tuple(_row(site, sample) for sample in site.samples)
    return IndexPage(
        scope=scope(site.library),
        counts=status_counts(site.library),
        metals=tuple((metal.label, site.metal_page(metal), len(group)) for metal, group in site.metals.items()),
        table=Table(id="potentials", caption=_CAPTION, columns=columns, rows=rows),
        choices=tuple(_choice(name, places[name], rows) for name in _CHOSEN),
        families=tuple(sorted({_family(sample) for sample in site.samples})),
        family_column=places["family"],
        flags=tuple(Counter(flag for sample in site.samples for flag in _flags(sample)).most_common()),
        flag_column=places["flags"],
        ranges=tuple(
            Filter(key=quantity.key, label=columns[places[_label(quantity)]].label, column=places[_label(quantity)])
            for quantity in _QUANTITIES
        ),
    )


_CAPTION = (
    "One row per potential. Peierls stress: best estimate for the edge dislocation of the first slip system, with the "
    "error of its search; ≤ marks upper bounds."
)
_CHOSEN = ("metal", "structure", "pair style", "status", "source")


def _label(quantity: Quantity) -> str:
    return f"{quantity.symbol} ({quantity.unit})"


def _columns() -> tuple[Column, ...]:
    return (
        text_column("potential"),
        text_column("metal"),
        text_column("structure"),
        text_column("family", "near-copies and relatives, by the source and by the computed numbers"),
        text_column("pair style", "LAMMPS pair style, or the engine"),
        *(column(q.letter, q.subscript, q.unit, q.name) for q in _QUANTITIES),
        text_column("status", "what came of the computation"),
        text_column("source", "what the source says of the potential"),
        text_column("flags", "what a reader of the values should know"),
    )


def _row(site: Outline, sample: Sample) -> Row:
    own = sample.entry.potential
    style = (own.pair_style or own.engine).split()
    return Row(
        status=sample.entry.status,
        cells=(
            Cell(text=sample.id, sort=sample.id, href=site.potential_page(sample.id)),
            text_cell(own.element),
            text_cell(own.structure),
            text_cell(_family(sample)),
            text_cell(style[0] if style else ""),
            *(Cell(text=value_text(sample, quantity), sort=sample.value(quantity.key)) for quantity in _QUANTITIES),
            status_cell(sample.entry.status),
            text_cell(own.source_status),
            remarks_cell("; ".join(_flags(sample))),
        ),
    )


def _family(sample: Sample) -> str:
    return sample.entry.family_computed or sample.entry.potential.family or sample.id


def _flags(sample: Sample) -> tuple[str, ...]:
    """Flags of the row, as the library's table has them, and that the potential is deliberately altered."""
    flags = str(sample.row["flags"] or "").split("; ") if sample.row["flags"] else []
    return (*flags, *(("fictional",) if sample.entry.potential.fictional else ()))


def _choice(name: str, place: int, rows: Iterable[Row]) -> Filter:
    values = Counter(str(row.cells[place].sort) for row in rows if row.cells[place].sort is not None)
    return Filter(key=name, label=name, column=place, options=tuple(sorted(values.items())))
