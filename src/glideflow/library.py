"""The strength library: property records gathered into one file and one table."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from glideflow import __version__
from glideflow.config.run import RunSettings
from glideflow.errors import GlideflowError, StorageError
from glideflow.library_families import with_families
from glideflow.library_table import COLUMNS as COLUMNS  # the table is part of what a library is
from glideflow.library_table import missing_rows as missing_rows
from glideflow.library_table import table as table
from glideflow.library_table import write_table as write_table
from glideflow.property_specs import ALL_PROPERTIES
from glideflow.quality_flags import quality_flags
from glideflow.records import Library, LibraryEntry, MissingResult, StageRecord
from glideflow.result_files import result_labels
from glideflow.storage import WrongKindError, read_record

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
    """Gather property records into a library, with the quality flags that they earn and the families that they form.

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
    gathered = Gathered(expected)
    _refuse_too_many(gathered.missing, len(expected), accepted, rerun_command)
    return Library(
        name=settings.name,
        glideflow_version=__version__,
        settings_json=json.dumps(settings.model_dump(mode="json"), sort_keys=True),
        entries=gathered.entries([system.name for system in settings.slip_systems]),
        missing=tuple(gathered.missing),
        accept_missing_percent=accepted,
    )


class Gathered:
    """What is in the files of a library: records by potential, and those that are missing."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.stages: dict[str, list[StageRecord]] = defaultdict(list)
        self.missing: list[MissingResult] = []
        self._origin: dict[tuple[str, str], Path] = {}
        for path in paths:
            self._add(path)

    def entries(self, slip_systems: Sequence[str] = ()) -> tuple[LibraryEntry, ...]:
        """One entry per potential of which there is a record, ordered by id.

        Args:
            slip_systems: names of slip systems in the order of their importance: the first that a potential has is
                the one that tables and figures show.
        """
        lacking: dict[str, list[str]] = defaultdict(list)
        for each in self.missing:
            lacking[each.potential].append(each.stage_name)
        return with_families(
            _entry(stages, lacking[name], slip_systems) for name, stages in sorted(self.stages.items())
        )

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


def _entry(stages: Sequence[StageRecord], missing: Iterable[str], slip_systems: Sequence[str]) -> LibraryEntry:
    def order(stage: StageRecord) -> tuple[int, int, str, str]:
        names: tuple[str, ...] = ALL_PROPERTIES
        known = stage.slip_system in slip_systems
        rank = slip_systems.index(stage.slip_system) if known else len(slip_systems)
        return (names.index(stage.property), rank, stage.slip_system, stage.character)

    ordered = tuple(sorted(stages, key=order))
    return LibraryEntry(
        potential=stages[0].potential, stages=ordered, missing=tuple(missing), flags=quality_flags(ordered)
    )
