#!/usr/bin/env python3
"""Write what docs/library.md and docs/peierls.md say of the shipped library: ``make library-tables``.

library_tables.py PAGE...                       rewrite the parts of the pages between their markers
library_tables.py PAGE... --check               only say which pages are not current (exit code 1)
library_tables.py PAGE... --library FILE        of another library
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from glideflow.config.run import RunSettings
from glideflow.config.transfer import Protocol
from glideflow.properties.peierls_paper_results import PeierlsPaperResult
from glideflow.properties.peierls_series_results import PeierlsSeriesResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.quality_flags import NOT_FIRST
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.reporting.collection import STRUCTURE_ORDER
from glideflow.reporting.page_parts import write_pages
from glideflow.reporting.sections import markdown_table
from glideflow.strength_library import COUNTED, counts_by_metal, load, to_table
from glideflow.transfer.assembly import source_kind, stress_of
from glideflow.transfer.dataset import MACHINE_LEARNED

COMMAND = "make library-tables"
CELLS: Mapping[Protocol, str] = {"paper": "reference", "size_s": "244 atoms"}


def held(library: Library) -> str:
    """What the library holds."""
    learned = [entry for entry in library.entries if _is_learned(entry)]
    others = [entry for entry in library.entries if not _is_learned(entry)]
    rows = [
        ["potentials of the EAM and MEAM kind", str(len(others))],
        ["with a Peierls stress in the reference cell", _having(others, PeierlsStressResult)],
        ["by fixed strain steps, too", _having(others, PeierlsPaperResult)],
        ["with a size series, too", _having(others, PeierlsSeriesResult)],
        ["machine-learned potentials, each for one metal", str(len(learned))],
        ["with a Peierls stress in the reference cell", _having(learned, PeierlsStressResult)],
    ]
    return markdown_table(["in this version", "number"], rows)


def size_series(library: Library) -> str:
    """What large cells make of the value in the reference cell, a row for each potential that has a size series."""
    found = [
        (entry.potential.structure, entry.potential.id, stage.result)
        for entry in library.entries
        for stage in _edges(entry)
        if isinstance(stage.result, PeierlsSeriesResult)
    ]
    found.sort(key=lambda row: (STRUCTURE_ORDER.index(row[0]), row[1]))
    headings = ["potential", "structure", "reference cell (MPa)", "limit (MPa)", "of it by size", "basis", "settled"]
    return markdown_table(headings, [[name, structure, *_series_cells(result)] for structure, name, result in found])


def _series_cells(result: PeierlsSeriesResult) -> list[str]:
    bound = "≤ " if result.is_upper_bound else ""
    error = "" if result.is_upper_bound else f" ± {result.peierls_error_mpa:.2g}"
    limit = f"{bound}{result.peierls_mpa:.3g}{error}"
    size = "" if result.is_upper_bound else f"± {result.budget.size_mpa:.2g}"
    return [f"{bound}{result.reference_mpa:.3g}", limit, size, result.basis, "yes" if result.settled else "no"]


def _having(entries: Iterable[LibraryEntry], kind: type) -> str:
    return str(sum(any(isinstance(stage.result, kind) for stage in entry.stages) for entry in entries))


def counted(library: Library) -> str:
    """Potentials by metal and status."""
    return markdown_table(
        ["metal", *COUNTED], [[metal, *map(str, row.values())] for metal, row in counts_by_metal(library).items()]
    )


def flagged(library: Library) -> str:
    """How many potentials carry each flag."""
    flags = Counter(flag for entry in library.entries for flag in entry.flags)
    return markdown_table(["flag", "potentials"], [[name, str(count)] for name, count in flags.most_common()])


def error_bars(library: Library) -> str:
    """How large the errors of the search are, by structure; upper bounds have none."""
    headings = ["structure", "stresses", "median error (MPa)", "90 %", "largest", "median error (%)", "90 %", "largest"]
    return markdown_table(headings, [_error_row(library, structure) for structure in STRUCTURE_ORDER])


def _error_row(library: Library, structure: str) -> list[str]:
    known = [
        (stage.potential.id, stage.result.peierls_mpa, stage.result.peierls_error_mpa)
        for entry in library.entries
        if entry.potential.structure == structure
        for stage in _edges(entry)
        if isinstance(stage.result, PeierlsStressResult) and not stage.result.is_upper_bound
    ]
    cells = [structure, str(len(known))]
    if not known:
        return cells + [""] * 6
    for scale, unit in ((np.ones(len(known)), ""), (np.array([value for _, value, _ in known]) / 100, " %")):
        errors = np.array([error for *_, error in known]) / scale
        worst = known[int(np.argmax(errors))][0]
        cells += [f"{np.median(errors):.2g}", f"{np.quantile(errors, 0.9):.2g}", f"{errors.max():.3g}{unit} ({worst})"]
    return cells


def extremes(library: Library) -> str:
    """The softest and the hardest potential of each metal, and the median: one potential of each family."""
    metals = {(entry.potential.structure, entry.potential.element) for entry in library.entries}
    ordered = sorted(metals, key=lambda metal: (STRUCTURE_ORDER.index(metal[0]), metal[1]))
    headings = ["metal", "families", "softest (MPa)", "median", "hardest (MPa)"]
    return markdown_table(headings, [_extreme_row(library, *metal) for metal in ordered])


def _extreme_row(library: Library, structure: str, element: str) -> list[str]:
    known = sorted(
        (stage.result.peierls_mpa, "≤ " if stage.result.is_upper_bound else "", entry.potential.id)
        for entry in library.entries
        if (entry.potential.structure, entry.potential.element) == (structure, element) and NOT_FIRST not in entry.flags
        for stage in entry.stages
        if isinstance(stage.result, PeierlsStressResult)
    )
    ends = (f"{bound}{value:.3g} ({name})" for value, bound, name in (known[0], known[-1])) if known else ("", "")
    softest, hardest = ends
    middle = f"{np.median([value for value, *_ in known]):.3g}" if known else ""
    return [element, str(len(known)), softest, middle, hardest]


def trainings(library: Library) -> str:
    """How far machine-learned potentials of one family and metal are apart: elasticity, γ and Peierls stress."""
    rows = [row for row in to_table(library) if row["peierls_reference_cell_mpa"] is not None]
    learned = {entry.potential.id for entry in library.entries if _is_learned(entry)}
    chosen = [row for row in rows if row["potential_id"] in learned]
    pairs = [(a, b) for a, b in combinations(chosen, 2) if (a["element"], a["family"]) == (b["element"], b["family"])]
    pairs.sort(key=lambda pair: str(pair[0]["element"]))
    headings = ["metal", "of one family", "C44", "largest γ", "Peierls stresses (MPa)", "factor"]
    return markdown_table(headings, [_pair_cells(*pair) for pair in pairs])


def _pair_cells(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    def apart(name: str) -> str:
        return f"{100 * (other[name] / one[name] - 1):+.0f} %"

    stresses = [pair["peierls_reference_cell_mpa"] for pair in (one, other)]
    bounds = ["≤ " if pair["peierls_is_upper_bound"] else "" for pair in (one, other)]
    told = ", ".join(f"{bound}{stress:.3g}" for bound, stress in zip(bounds, stresses, strict=True))
    names = f"{one['potential_id']}, {other['potential_id']}"
    factor = f"{max(stresses) / min(stresses):.1f}"
    return [one["element"], names, apart("c44_gpa"), apart("gamma_max_mj_m2"), told, factor]


def protocols(library: Library) -> str:
    """What fixed strain steps make of the converged stresses: potentials whose core glided by both protocols.

    Medians of both, of their difference (10 to 90 % of the potentials in brackets), and the rank correlation; upper
    bounds count with their value.
    """
    headings = ["structure", "cell", "potentials", "converged (MPa)", "fixed steps (MPa)", "difference (MPa)", "rank"]
    rows = [_protocol_row(library, structure, protocol) for structure in STRUCTURE_ORDER for protocol in CELLS]
    return markdown_table(headings, rows)


def _protocol_row(library: Library, structure: str, protocol: Protocol) -> list[str]:
    converged, fixed = (_stresses_mpa(library, structure, each) for each in ("reference", protocol))
    both = sorted(set(converged) & set(fixed))
    cells = [structure, CELLS[protocol], str(len(both))]
    if len(both) < 3:
        return cells + [""] * 4
    pair = np.array([[converged[name], fixed[name]] for name in both])
    apart = pair[:, 1] - pair[:, 0]
    low, high = np.quantile(apart, [0.1, 0.9])
    middle = np.median(pair, axis=0)
    difference = f"{np.median(apart):+.3g} ({low:+.3g} to {high:+.3g})"
    return [*cells, f"{middle[0]:.3g}", f"{middle[1]:.3g}", difference, f"{spearmanr(*pair.T)[0]:.2f}"]


def _stresses_mpa(library: Library, structure: str, protocol: Protocol) -> dict[str, float]:
    """Peierls stresses by potential, of edge dislocations of the primary slip system."""
    chosen = [entry for entry in library.entries if entry.potential.structure == structure]
    found = {entry.potential.id: stress_of(entry, protocol, _primary_systems()[structure]) for entry in chosen}
    return {name: stress.peierls_mpa for name, stress in found.items() if stress is not None}


def _is_learned(entry: LibraryEntry) -> bool:
    return source_kind(entry.potential.engine, entry.potential.pair_style) == MACHINE_LEARNED


def _edges(entry: LibraryEntry) -> Iterator[StageRecord]:
    """Records of the edge dislocation of the primary slip system."""
    system = _primary_systems()[entry.potential.structure]
    return (stage for stage in entry.stages if (stage.slip_system, stage.character) == (system, "edge"))


def _primary_systems() -> dict[str, str]:
    """Name of the first slip system of each structure."""
    return {system.structure: system.name for system in reversed(RunSettings().slip_systems)}


PARTS: Mapping[str, Callable[[Library], str]] = {
    "held": held,
    "counts": counted,
    "flags": flagged,
    "errors": error_bars,
    "extremes": extremes,
    "protocols": protocols,
    "series": size_series,
    "trainings": trainings,
}


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--library", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    library = load(arguments.library)
    parts = {name: partial(part, library) for name, part in PARTS.items()}
    return write_pages(arguments.pages, COMMAND, parts, check=arguments.check)


if __name__ == "__main__":
    sys.exit(main())
