"""The strength library: property records gathered into one file and one table."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from glideflow import __version__
from glideflow.config.run import ALL_PROPERTIES, RunSettings
from glideflow.errors import StorageError
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.records import FAILED, Library, LibraryEntry, StageRecord
from glideflow.storage import read_record

COLUMNS = (
    "potential_id",
    "element",
    "structure",
    "family",
    "slip_system",
    "source_status",
    "status",
    "reason",
    "flags",
    "a_angstrom",
    "c_angstrom",
    "energy_ev_per_atom",
    "c11_gpa",
    "c12_gpa",
    "c13_gpa",
    "c33_gpa",
    "c44_gpa",
    "gamma_isf_mj_m2",
    "gamma_usf_mj_m2",
    "gamma_asf_mj_m2",
    "gamma_max_mj_m2",
    "peierls_mpa",
    "peierls_error_mpa",
    "peierls_is_upper_bound",
    "peierls_atoms",
)
"""Columns of the table, one row per potential."""


def merge(settings: RunSettings, paths: Iterable[Path]) -> Library:
    """Gather property records into a library.

    Args:
        settings: configuration of the run.
        paths: files of `StageRecord`.

    Raises:
        StorageError: a file is unreadable, or two files hold the same property of the same potential.
    """
    by_potential: dict[str, list[StageRecord]] = defaultdict(list)
    origin: dict[tuple[str, str, str, str], Path] = {}
    for path in paths:
        stage = read_record(path, StageRecord)
        key = (stage.potential.id, stage.property, stage.slip_system, stage.character)
        if key in origin:
            raise StorageError(
                f"{path} and {origin[key]} both hold {' '.join(filter(None, key[1:]))} of {key[0]}",
                expected="one file per property of a potential",
                next_step="remove the stale one",
            )
        origin[key] = path
        by_potential[stage.potential.id].append(stage)
    entries = tuple(_entry(stages) for _, stages in sorted(by_potential.items()))
    return Library(
        name=settings.name,
        glideflow_version=__version__,
        settings_json=json.dumps(settings.model_dump(mode="json"), sort_keys=True),
        entries=entries,
    )


def table(library: Library) -> list[dict[str, object]]:
    """One row per potential with the columns `COLUMNS`; None where there is no value."""
    return [_row(entry) for entry in library.entries]


def write_table(library: Library, path: Path) -> None:
    """Write the table as CSV, atomically; empty cells where there is no value.

    Raises:
        StorageError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table(library))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text.getvalue(), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(
            f"cannot write {path}: {error.strerror}",
            expected="a folder that can be written",
            next_step="mend the permissions or free some space, then run the step again",
        ) from error


def _entry(stages: Sequence[StageRecord]) -> LibraryEntry:
    def order(stage: StageRecord) -> tuple[int, str, str]:
        names: tuple[str, ...] = ALL_PROPERTIES
        return (names.index(stage.property), stage.slip_system, stage.character)

    return LibraryEntry(potential=stages[0].potential, stages=tuple(sorted(stages, key=order)))


def _row(entry: LibraryEntry) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    slip_system = next((stage.slip_system for stage in entry.stages if stage.slip_system), "")
    row |= {
        "potential_id": entry.potential.id,
        "element": entry.potential.element,
        "structure": entry.potential.structure,
        "family": entry.potential.family,
        "slip_system": slip_system,
        "source_status": entry.potential.source_status,
        "status": entry.status,
        "reason": "; ".join(_reasons(entry)),
        "flags": "; ".join(_flags(entry)),
    }
    for stage in reversed(entry.stages):  # of several characters, the first is the one in the table
        if stage.slip_system in ("", slip_system):
            row |= _columns(stage)
    return row


def _reasons(entry: LibraryEntry) -> list[str]:
    """Why properties failed; those that were skipped for want of another one have no reason of their own."""
    failed = [stage for stage in entry.stages if stage.status == FAILED]
    return [f"{stage.property}: {stage.failure.reason}" for stage in failed if stage.failure is not None]


def _flags(entry: LibraryEntry) -> list[str]:
    flags = []
    for stage in entry.stages:
        if isinstance(stage.result, LatticeResult):
            ground_state = stage.result.ground_state
            flags += [f"ground state {ground_state}"] if ground_state not in ("", stage.result.structure) else []
        elif stage.result is not None:
            flags += stage.result.flags
    return flags


def _columns(stage: StageRecord) -> dict[str, object]:
    result = stage.result
    if isinstance(result, LatticeResult):
        return _named(result, "a_angstrom", "c_angstrom", "energy_ev_per_atom")
    if isinstance(result, ElasticResult):
        return _named(result, "c11_gpa", "c12_gpa", "c13_gpa", "c33_gpa", "c44_gpa")
    if isinstance(result, GammaSurfaceResult):
        return _named(result, "gamma_isf_mj_m2", "gamma_usf_mj_m2", "gamma_asf_mj_m2", "gamma_max_mj_m2")
    if isinstance(result, PeierlsStressResult):
        return {
            **_named(result, "peierls_mpa", "peierls_error_mpa"),
            "peierls_is_upper_bound": result.is_upper_bound,
            "peierls_atoms": result.atoms,
        }
    return {}


def _named(result: object, *names: str) -> dict[str, object]:
    return {name: getattr(result, name) for name in names}
