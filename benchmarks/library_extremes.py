"""How far apart the potentials of a metal are: the softest and the hardest of a library, and the middle.

    python benchmarks/library_extremes.py [LIBRARY]

One line for each metal: edge dislocations of the primary slip system in the reference cell, one potential of each
family. An upper bound counts with its value and is marked.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glideflow.properties.results import PeierlsStressResult
from glideflow.quality_flags import NOT_FIRST
from glideflow.records import Library, LibraryEntry
from glideflow.strength_library import load


@dataclass(frozen=True)
class Stress:
    """The Peierls stress of one potential."""

    mpa: float
    text: str


def stress_of(entry: LibraryEntry) -> Stress | None:
    """The value of an entry, if it is the first of its family."""
    found = next((stage.result for stage in entry.stages if isinstance(stage.result, PeierlsStressResult)), None)
    if found is None or NOT_FIRST in entry.flags:
        return None
    bound = "≤ " if found.is_upper_bound else ""
    return Stress(found.peierls_mpa, f"{bound}{found.peierls_mpa:.3g} ({entry.potential.id})")


def row(library: Library, metal: tuple[str, str]) -> str:
    """One line of the table."""
    entries = [each for each in library.entries if (each.potential.element, each.potential.structure) == metal]
    known = sorted(filter(None, map(stress_of, entries)), key=lambda stress: stress.mpa)
    if not known:
        return f"| {metal[0]} | 0 | | | |"
    middle = np.median([stress.mpa for stress in known])
    return f"| {metal[0]} | {len(known)} | {known[0].text} | {middle:.3g} | {known[-1].text} |"


def main() -> None:
    """Print the table."""
    library = load(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    print("| metal | families | softest (MPa) | median | hardest (MPa) |")
    print("|---|---|---|---|---|")
    order = {"fcc": 0, "bcc": 1, "hcp": 2}
    metals = {(entry.potential.element, entry.potential.structure) for entry in library.entries}
    for metal in sorted(metals, key=lambda each: (order[each[1]], each[0])):
        print(row(library, metal))


if __name__ == "__main__":
    main()
