"""A library as a table: one row per potential, or per potential, slip system and dislocation character."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from glideflow.atomic import write_text
from glideflow.properties.peierls_paper_results import GLIDED, REFERENCE, SIZE_S, PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.property_specs import DEFAULT_PROPERTIES
from glideflow.quality_flags import NOT_FIRST, quality_flags
from glideflow.records import FAILED, Library, LibraryEntry, StageRecord

COLUMN_MEANINGS: Mapping[str, str] = {
    "potential_id": "name of the potential",
    "element": "chemical symbol",
    "structure": "crystal structure in which everything was computed: fcc, bcc or hcp",
    "family": "family of near-copies and relatives, by the source and by the computed numbers; never split one",
    "slip_system": "name of the slip system, followed by the dislocation character if that is not edge",
    "source_status": "what the source says of the potential: ok, caution, superseded or retracted",
    "status": "what came of the computation of this row: ok, partial or failed; missing if nothing is there",
    "reason": "why values are missing, by property, joined by '; '",
    "flags": "quality flags, joined by '; '",
    "a_angstrom": "lattice constant a in Å",
    "c_angstrom": "lattice constant c in Å; empty for cubic crystals",
    "energy_ev_per_atom": "energy of the perfect crystal in eV per atom, on the potential's own zero",
    "c11_gpa": "elastic constant C11 in GPa",
    "c12_gpa": "elastic constant C12 in GPa",
    "c13_gpa": "elastic constant C13 in GPa; empty for cubic crystals",
    "c33_gpa": "elastic constant C33 in GPa; empty for cubic crystals",
    "c44_gpa": "elastic constant C44 in GPa",
    "gamma_isf_mj_m2": "intrinsic stacking fault energy in mJ/m²; empty where the plane has none",
    "gamma_usf_mj_m2": "unstable stacking fault energy in mJ/m²: maximum along the primary path",
    "gamma_asf_mj_m2": "energy of the aligned fault (atoms on top of atoms) in mJ/m²; empty where the plane has none",
    "gamma_max_mj_m2": "largest energy of the γ surface in mJ/m²",
    "peierls_mpa": "best estimate of the Peierls stress in MPa: by the size series, else the reference cell's",
    "peierls_error_mpa": "its error in MPa; that of a single cell does not hold what the finite cell adds",
    "peierls_is_upper_bound": "True if peierls_mpa is only a bound: the core glides at the smallest stress resolved",
    "peierls_reference_cell_mpa": "Peierls stress in the reference cell in MPa, for comparisons and learning",
    "peierls_paper_mpa": "the same cell by the paper's protocol, in MPa; empty if a limit came before the core glided",
    "peierls_size_s_mpa": "the paper's protocol in its size S, in MPa; empty as above",
    "peierls_atoms": "number of atoms of the largest cell behind peierls_mpa",
}
"""Columns of the table, in their order, and what they hold; a cell is empty where there is no value."""

COLUMNS = tuple(COLUMN_MEANINGS)


def table(library: Library, *, all_slip_systems: bool = False) -> list[dict[str, object]]:
    """Rows with the columns `COLUMNS`; None where there is no value.

    Args:
        library: the library.
        all_slip_systems: a row for every slip system and character of a potential, instead of the first only: the
            first of its structure in the library's configuration, and its edge dislocation.
    """
    order = _configured_systems(library)
    computed = {stage.property for entry in library.entries for stage in entry.stages}
    expected = [name for name in DEFAULT_PROPERTIES if name in computed]
    rows = []
    for entry in library.entries:
        choices = _slip_choices(entry, order)
        rows += [_row(entry, *choice, expected) for choice in (choices if all_slip_systems else choices[:1])]
    return rows


def missing_rows(library: Library) -> list[dict[str, object]]:
    """Rows of the potentials of which nothing is there, with their id and the reason."""
    known = {entry.potential.id for entry in library.entries}
    reasons: dict[str, list[str]] = defaultdict(list)
    for each in library.missing:
        if each.potential not in known:
            reasons[each.potential or each.file].append(f"{each.stage_name}: missing")
    return [
        dict.fromkeys(COLUMNS) | {"potential_id": name, "status": "missing", "reason": "; ".join(found)}
        for name, found in sorted(reasons.items())
    ]


def write_table(library: Library, path: Path, *, all_slip_systems: bool = False) -> None:
    """Write the table as CSV, atomically; empty cells where there is no value, and last the `missing_rows`.

    Raises:
        StorageError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*table(library, all_slip_systems=all_slip_systems), *missing_rows(library)])
    write_text(path, text.getvalue())


def _configured_systems(library: Library) -> list[str]:
    """Names of the slip systems of a library's configuration, in their order."""
    configured = json.loads(library.settings_json).get("slip_systems", [])
    return [str(system.get("name", "")) for system in configured]


def _slip_choices(entry: LibraryEntry, order: list[str]) -> list[tuple[str, str]]:
    """Slip systems and characters of an entry: in the order of the configuration, edges before screws."""
    found = {(stage.slip_system, stage.character) for stage in entry.stages if stage.slip_system}
    found |= {labels for labels in map(_labels, entry.missing) if labels[0]}
    # A γ surface belongs to all characters of its slip system: it has a row of its own only if nothing else has.
    characters = {system for system, character in found if character}
    chosen = {(system, character) for system, character in found if character or system not in characters}
    return sorted(chosen, key=lambda labels: (_rank(labels[0], order), labels)) or [("", "")]


def _rank(system: str, order: list[str]) -> int:
    return order.index(system) if system in order else len(order)


def _labels(stage_name: str) -> tuple[str, str]:
    """Slip system and character in the name of a record, e.g. ``peierls_stress.fcc_111.edge``."""
    _, system, character, *_ = [*stage_name.split("."), "", ""]
    return system, character


def _row(entry: LibraryEntry, system: str, character: str, expected: Iterable[str]) -> dict[str, object]:
    part = _narrowed(entry, system, character)
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    row |= {
        "potential_id": entry.potential.id,
        "element": entry.potential.element,
        "structure": entry.potential.structure,
        "family": entry.family_computed or entry.potential.family,
        "slip_system": system if character in ("", "edge") else f"{system} {character}",
        "source_status": entry.potential.source_status,
        "status": part.status,
        "reason": "; ".join(_reasons(part, expected)),
        "flags": "; ".join(part.flags),
    }
    for stage in part.stages:  # in the order of the properties: the size series after the reference cell
        row |= _columns(stage)
    return row


def _narrowed(entry: LibraryEntry, system: str, character: str) -> LibraryEntry:
    """The part of an entry that belongs to a slip system and character."""

    def belongs(labels: tuple[str, str]) -> bool:
        return labels[0] in ("", system) and labels[1] in ("", character)

    stages = tuple(stage for stage in entry.stages if belongs((stage.slip_system, stage.character)))
    copy = (NOT_FIRST,) if NOT_FIRST in entry.flags else ()
    missing = tuple(name for name in entry.missing if belongs(_labels(name)))
    return replace(entry, stages=stages, missing=missing, flags=(*quality_flags(stages), *copy))


def _reasons(entry: LibraryEntry, expected: Iterable[str]) -> Iterator[str]:
    """Why properties have no value; those that were skipped for want of another one have no reason of their own.

    A library of several runs holds potentials for which less was asked than for others, whose properties are the
    ``expected`` ones.
    """
    for stage in entry.stages:
        if stage.status == FAILED and stage.failure is not None:
            yield f"{stage.property}: {stage.failure.reason}"
    yield from (f"{name}: missing" for name in entry.missing)
    there = {stage.property for stage in entry.stages} | {name.partition(".")[0] for name in entry.missing}
    yield from (f"{name}: not computed" for name in expected if name not in there)


def _columns(stage: StageRecord) -> dict[str, object]:
    result = stage.result
    if isinstance(result, LatticeResult):
        return _named(result, "a_angstrom", "c_angstrom", "energy_ev_per_atom")
    if isinstance(result, ElasticResult):
        return _named(result, "c11_gpa", "c12_gpa", "c13_gpa", "c33_gpa", "c44_gpa")
    if isinstance(result, GammaSurfaceResult):
        return _named(result, "gamma_isf_mj_m2", "gamma_usf_mj_m2", "gamma_asf_mj_m2", "gamma_max_mj_m2")
    if isinstance(result, PeierlsStressResult):
        return {**_best(result), "peierls_reference_cell_mpa": result.peierls_mpa, "peierls_atoms": result.atoms}
    if isinstance(result, PeierlsSeriesResult):
        atoms = max((value.atoms for value in result.values if value.in_fit or not value.varied), default=None)
        return {**_best(result), "peierls_atoms": atoms}
    if isinstance(result, PeierlsPaperResult):
        return {
            "peierls_paper_mpa": _glided_mpa(result, REFERENCE),
            "peierls_size_s_mpa": _glided_mpa(result, SIZE_S),
        }
    return {}


def _best(result: PeierlsStressResult | PeierlsSeriesResult) -> dict[str, object]:
    named = _named(result, "peierls_mpa", "peierls_error_mpa")
    return {**named, "peierls_is_upper_bound": result.is_upper_bound}


def _glided_mpa(result: PeierlsPaperResult, name: str) -> float | None:
    cell = result.cell(name)
    return cell.peierls_mpa if cell is not None and cell.outcome == GLIDED else None


def _named(result: object, *names: str) -> dict[str, object]:
    return {name: getattr(result, name) for name in names}
