"""Records of a library as results of a run, which then computes only what they lack."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from glideflow.atomic import write_text
from glideflow.config.yaml_text import settings_yaml
from glideflow.errors import ConfigurationError, StorageError
from glideflow.library_compare import compare_records
from glideflow.library_verify import settings_of
from glideflow.progress import Progress, silent
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.run import CONFIGURATION_FILE, ResolvedRun, Task, settings_digest
from glideflow.runs.takeover import without_run
from glideflow.runs.unpacked import note_unpacked
from glideflow.storage import read_record, write_record

Outcome = Literal["taken", "there already", "not in the library", "other files", "other settings", "needs another"]
OUTCOMES: Mapping[Outcome, str] = {
    "taken": "the record of the library has become the result of the run",
    "there already": "the run has a result, which stays",
    "not in the library": "the library has no such record",
    "other files": "the library's record is of other parameter files",
    "other settings": "the library's record was computed with other settings, another slip system or another seed",
    "needs another": "the run has, or will compute, another result of what this one is made from",
}


def unpack(library: Library, run: ResolvedRun, base: Path, progress: Progress = silent) -> list[tuple[Task, Outcome]]:
    """Write the records of a library that a run would compute alike as its results.

    A record is taken if it was computed with the parameter files, the settings, the slip system and the seed of the
    run, failures included; the code may have been another, which its provenance says. What it is made from has to be
    taken as well, or to be the same. A result that the run has stays. The files are dated before everything that the
    run has, so that nothing is computed again because of them.

    Args:
        library: the library; long arrays of a published one have single precision. A record states the settings of
            its own property; of others that decide it, the library's configuration is taken to tell.
        run: the run, with its potentials.
        base: folder against which the run's folders are taken.
        progress: told how many results are done.

    Returns:
        every result that the run asks for, in the order of dependence, and what became of it.

    Raises:
        BusyError: the run is at work.
        StorageError: a file cannot be written.
    """
    with without_run(base / run.work) as killed_since:
        folder = base / run.results
        write_text(folder / CONFIGURATION_FILE, settings_yaml(run.settings))
        tasks = run.property_tasks()
        unpacking = _Unpacking(library, run, folder, _earliest(folder, tasks, killed_since))
        found = []
        for number, task in enumerate(tasks):
            found.append((task, unpacking.outcome(task)))
            progress("records", number + 1, len(tasks))
        note_unpacked(folder, run, [task for task, outcome in found if outcome == "taken"])
        return found


def _earliest(folder: Path, tasks: tuple[Task, ...], killed_since: float | None) -> float:
    """A time before every result that is there, and before a killed run began, in seconds since the epoch."""
    files = (folder / task.output for task in tasks)
    known = [file.stat().st_mtime for file in files if file.exists()]
    return min([time.time(), *known, *([] if killed_since is None else [killed_since])]) - 1.0


@dataclass
class _Unpacking:
    """A run that takes records from a library.

    Attributes:
        earliest: date of the files, in seconds since the epoch.
        usable: results that others may be made from, because they are those of the library.
    """

    library: Library
    run: ResolvedRun
    folder: Path
    earliest: float
    usable: set[str] = field(default_factory=set)

    @cached_property
    def _entries(self) -> dict[str, LibraryEntry]:
        return {entry.potential.id: entry for entry in self.library.entries}

    def outcome(self, task: Task) -> Outcome:
        """Take the record of a task if it is to be taken."""
        file, stage = self.folder / task.output, self._record(task)
        if file.exists():
            if stage is not None and _is_record(file, stage):
                self.usable.add(task.output)
            return "there already"
        if stage is None:
            return "not in the library"
        reason = self._reason_against(task, stage)
        if reason is not None:
            return reason
        write_record(file, stage)
        date = max([self.earliest, *((self.folder / name).stat().st_mtime for name in task.inputs)])
        os.utime(file, (date, date))
        self.usable.add(task.output)
        return "taken"

    def _record(self, task: Task) -> StageRecord | None:
        entry = self._entries.get(task.potential)
        return entry.stage(task.rule, task.slip_system, task.character) if entry is not None else None

    def _reason_against(self, task: Task, stage: StageRecord) -> Outcome | None:
        if stage.potential.sha256 != self.run.potential(task.potential).content_sha256:
            return "other files"
        if not self._same_settings(task, stage):
            return "other settings"
        return None if self.usable.issuperset(task.inputs) else "needs another"

    def _same_settings(self, task: Task, stage: StageRecord) -> bool:
        try:
            own = settings_of(self.library, stage)
        except ConfigurationError:  # this version knows no such settings
            return False
        digests = {settings_digest(each, task.rule, slip_system=task.slip_system) for each in (own, self.run.settings)}
        return len(digests) == 1 and own.seed == self.run.settings.seed


def _is_record(file: Path, stage: StageRecord) -> bool:
    """Whether a result that is there is a record, or one computed alike with the same outcome."""
    try:
        found = read_record(file, StageRecord)
    except StorageError:
        return False
    alike = found.provenance.settings_sha256 == stage.provenance.settings_sha256
    return alike and found.potential.sha256 == stage.potential.sha256 and not compare_records(found, stage)
