"""The strength library that ships with the package: open it, choose from it, see it as a table.

from glideflow import strength_library

library = strength_library.load()
copper = strength_library.select(library, elements=["Cu"], exclude_flags=["upper bound", "not first of its family"])
for row in strength_library.to_table(copper):
    print(row["potential_id"], row["peierls_mpa"])
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from glideflow.errors import ConfigurationError
from glideflow.library_table import COLUMNS as COLUMNS
from glideflow.library_table import table
from glideflow.properties.results import PeierlsStressResult
from glideflow.quality_flags import QUALITY_FLAGS
from glideflow.records import Library, LibraryEntry
from glideflow.shipped_data import shipped_file
from glideflow.storage import read_record

SHIPPED = "strength_library.h5"
"""File of the library in the package's folder ``data``."""


def load(path: Path | None = None) -> Library:
    """A strength library: the one that ships with this package, or that of a file.

    Long arrays of the shipped one (γ surfaces, curves, disregistries) have single precision, every other number
    double. Reading takes about a second; the shipped one is read once per process.

    Raises:
        StorageError: the file is missing, damaged, or no library.
    """
    return _shipped() if path is None else read_record(path, Library)


@cache
def _shipped() -> Library:
    with shipped_file(SHIPPED, what="the library", instead="another library") as path:
        return read_record(path, Library)


def select(
    library: Library,
    *,
    elements: Collection[str] = (),
    structures: Collection[str] = (),
    engines: Collection[str] = (),
    statuses: Collection[str] = (),
    source_statuses: Collection[str] = (),
    exclude_flags: Collection[str] = (),
    fictional: bool | None = None,
) -> Library:
    """The part of a library that a consumer wants; what is left empty selects everything.

    Args:
        library: the library.
        elements: chemical symbols.
        structures: ``fcc``, ``bcc``, ``hcp``.
        engines: engine kinds, e.g. ``lammps``.
        statuses: what came of the computation: ``ok``, ``partial``, ``failed``.
        source_statuses: what the source says: ``ok``, ``caution``, ``superseded``, ``retracted``.
        exclude_flags: entries with any of these flags are left out, see `glideflow.quality_flags.QUALITY_FLAGS`.
        fictional: True for deliberately altered potentials only, False for none of them.

    Raises:
        ConfigurationError: a flag is unknown, which would silently exclude nothing.
    """
    _refuse_unknown(exclude_flags, library)

    def wanted(entry: LibraryEntry) -> bool:
        own = entry.potential
        pairs = ((own.element, elements), (own.structure, structures), (own.engine, engines))
        states = ((entry.status, statuses), (own.source_status, source_statuses))
        return (
            all(value in chosen for value, chosen in (*pairs, *states) if chosen)
            and set(entry.flags).isdisjoint(exclude_flags)
            and fictional in (None, own.fictional)
        )

    entries = tuple(entry for entry in library.entries if wanted(entry))
    kept = {entry.potential.id for entry in entries}
    return replace(library, entries=entries, missing=tuple(each for each in library.missing if each.potential in kept))


def to_table(library: Library, *, all_slip_systems: bool = False) -> list[dict[str, object]]:
    """Rows with the columns `COLUMNS`, see `glideflow.library_table.COLUMN_MEANINGS`; None where there is no value.

    ``pandas.DataFrame(to_table(library))`` is the data frame.

    Args:
        library: the library.
        all_slip_systems: a row per slip system and dislocation character instead of the primary one only.
    """
    return table(library, all_slip_systems=all_slip_systems)


COUNTED = ("entries", "ok", "partial", "failed", "families", "stresses", "bounds")
"""What `counts_by_metal` counts: potentials, those by status, families by number, Peierls stresses in the reference
cell, and those of them that are upper bounds."""


def counts_by_metal(library: Library) -> dict[str, dict[str, int]]:
    """Numbers of `COUNTED` for each metal, e.g. ``Cu (fcc)``, and for ``all``."""
    groups: dict[str, list[LibraryEntry]] = defaultdict(list)
    for entry in sorted(library.entries, key=lambda each: (each.potential.structure, each.potential.element)):
        groups[f"{entry.potential.element} ({entry.potential.structure})"].append(entry)
    groups["all"] = list(library.entries)
    return {metal: _counts(entries) for metal, entries in groups.items()}


def _counts(entries: Iterable[LibraryEntry]) -> dict[str, int]:
    entries = list(entries)
    statuses = Counter(entry.status for entry in entries)
    results = (stage.result for entry in entries for stage in entry.stages)
    stresses = [result for result in results if isinstance(result, PeierlsStressResult)]
    return {
        "entries": len(entries),
        **{status: statuses[status] for status in ("ok", "partial", "failed")},
        "families": len({entry.family_computed for entry in entries}),
        "stresses": len(stresses),
        "bounds": sum(result.is_upper_bound for result in stresses),
    }


def _refuse_unknown(flags: Iterable[str], library: Library) -> None:
    known = {flag.name for flag in QUALITY_FLAGS} | {name for entry in library.entries for name in entry.flags}
    unknown = sorted(set(flags) - known)
    if unknown:
        raise ConfigurationError(
            f"the flag {unknown[0]!r} is unknown",
            expected="one of " + ", ".join(sorted(known)),
            next_step="`glideflow library flags` explains them",
        )
