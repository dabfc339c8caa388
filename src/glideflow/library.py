"""The strength library: property records gathered into one file and one table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from glideflow import __version__
from glideflow.atomic import write_text
from glideflow.config.run import RunSettings
from glideflow.errors import GlideflowError, StorageError
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.property_specs import ALL_PROPERTIES
from glideflow.records import FAILED, Library, LibraryEntry, MissingResult, StageRecord
from glideflow.result_files import result_labels
from glideflow.storage import WrongKindError, read_record

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

EXAMPLE = "results/quick/potentials/Cu_2001Mishin_Cu_eam-alloy_v2/lattice.h5"
MOST_NAMED = 10
"""Missing results that a message names."""


class MissingResultsError(GlideflowError):
    """More results are missing than a library may lack."""


def merge(
    settings: RunSettings,
    paths: Iterable[Path],
    *,
    accept_missing_percent: float | None = None,
    rerun_command: str = "snakemake",
) -> Library:
    """Gather property records into a library.

    Files that do not exist or cannot be read are left by jobs that died. They are named in the library if their share
    of all files is accepted; a failure that was recorded is a result like any other.

    Args:
        settings: configuration of the run.
        paths: the files of `StageRecord` that the library should hold.
        accept_missing_percent: share of ``paths`` that may be missing; None takes it from the settings.
        rerun_command: command that computes what is missing, for the message.

    Raises:
        MissingResultsError: more files are missing than accepted, or all of them are.
        StorageError: two files hold the same property of the same potential, or properties of one id that were
            computed with different parameter files.
        WrongKindError: something other than a record of a single property is among the files.
    """
    accepted = settings.library.accept_missing_percent if accept_missing_percent is None else accept_missing_percent
    expected = list(dict.fromkeys(paths))
    gathered = _Gathered(expected)
    _refuse_too_many(gathered.missing, len(expected), accepted, rerun_command)
    return Library(
        name=settings.name,
        glideflow_version=__version__,
        settings_json=json.dumps(settings.model_dump(mode="json"), sort_keys=True),
        entries=gathered.entries(),
        missing=tuple(gathered.missing),
        accept_missing_percent=accepted,
    )


class _Gathered:
    """What is in the files of a library: records by potential, and those that are missing."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.stages: dict[str, list[StageRecord]] = defaultdict(list)
        self.missing: list[MissingResult] = []
        self._origin: dict[tuple[str, str], Path] = {}
        for path in paths:
            self._add(path)

    def entries(self) -> tuple[LibraryEntry, ...]:
        """One entry per potential of which there is a record, ordered by id."""
        lacking: dict[str, list[str]] = defaultdict(list)
        for each in self.missing:
            lacking[each.potential].append(each.stage_name)
        return tuple(_entry(stages, lacking[name]) for name, stages in sorted(self.stages.items()))

    def _add(self, path: Path) -> None:
        try:
            stage = read_record(path, StageRecord)
        except WrongKindError as error:
            raise WrongKindError(
                error.found,
                expected="records of single properties, of which a library is made",
                next_step=f"name files below `potentials` in a run's results, e.g. {EXAMPLE}; "
                "without any, those of the configuration's run are gathered",
            ) from error
        except StorageError as error:
            self.missing.append(missing_result(path, error.found))
            return
        first = self._origin.setdefault((stage.potential.id, stage.record_name), path)
        if first is not path:
            raise StorageError(
                f"{path} and {first} both hold {stage.record_name} of {stage.potential.id}",
                expected="one file per property of a potential",
                next_step="remove the stale one",
            )
        self._refuse_other_files(path, stage)
        self.stages[stage.potential.id].append(stage)

    def _refuse_other_files(self, path: Path, stage: StageRecord) -> None:
        """Properties of one id that were computed with different parameter files belong to different potentials."""
        own = stage.potential.sha256  # empty where a file could not be read: such a record holds no numbers
        for other in self.stages[stage.potential.id]:
            if own and other.potential.sha256 not in ("", own):
                raise StorageError(
                    f"{path} and {self._origin[stage.potential.id, other.record_name]} were computed with different "
                    f"files of {stage.potential.id}",
                    expected="all properties of a potential from the same parameter files",
                    next_step="compute the older one again",
                )


def missing_result(path: Path, reason: str) -> MissingResult:
    """What the name of a file says of the result that is missing there."""
    labels = result_labels(path) or {}
    return MissingResult(
        potential=labels.get("potential", ""),
        property=labels.get("property", ""),
        slip_system=labels.get("slip_system", ""),
        character=labels.get("character", ""),
        file=str(path),
        reason=reason,
    )


def _refuse_too_many(missing: Sequence[MissingResult], expected: int, accepted: float, rerun_command: str) -> None:
    # Exactly N % of a count is not always a binary fraction: 7 of 100 must pass as 7 %.
    if len(missing) <= accepted / 100 * expected * (1 + 1e-12) and len(missing) < expected:
        return
    named = [f"{each.potential} {each.stage_name}".strip() for each in missing[:MOST_NAMED]]
    more = f" and {len(missing) - len(named)} more" if len(missing) > len(named) else ""
    percent = 100 * len(missing) / max(expected, 1)
    acceptable = math.ceil(10 * percent) / 10
    raise MissingResultsError(
        f"{len(missing)} of {expected} results ({percent:.3g} %) are missing: {', '.join(named)}{more}"
        + (f"\n  the first: {missing[0].reason}" if missing else ""),
        expected=f"at most {accepted:g} % missing (library.accept_missing_percent), and at least one result",
        next_step=f"compute what is missing: {rerun_command}\n"
        + "  `glideflow failures` says what became of the jobs"
        + (f"; --accept-missing-percent {acceptable:g} goes on without them" if len(missing) < expected else ""),
    )


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


def table(library: Library) -> list[dict[str, object]]:
    """One row per potential with the columns `COLUMNS`; None where there is no value."""
    return [_row(entry) for entry in library.entries]


def write_table(library: Library, path: Path) -> None:
    """Write the table as CSV, atomically; empty cells where there is no value, and last the `missing_rows`.

    Raises:
        StorageError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*table(library), *missing_rows(library)])
    write_text(path, text.getvalue())


def _entry(stages: Sequence[StageRecord], missing: Iterable[str]) -> LibraryEntry:
    def order(stage: StageRecord) -> tuple[int, str, str]:
        names: tuple[str, ...] = ALL_PROPERTIES
        return (names.index(stage.property), stage.slip_system, stage.character)

    return LibraryEntry(potential=stages[0].potential, stages=tuple(sorted(stages, key=order)), missing=tuple(missing))


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
    """Why properties have no value; those that were skipped for want of another one have no reason of their own."""
    failed = [stage for stage in entry.stages if stage.status == FAILED]
    reasons = [f"{stage.property}: {stage.failure.reason}" for stage in failed if stage.failure is not None]
    return reasons + [f"{name}: missing" for name in entry.missing]


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
