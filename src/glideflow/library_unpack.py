"""Records of a library as results of a run, which then computes only what they lack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from glideflow.atomic import write_text
from glideflow.config.yaml_text import settings_yaml
from glideflow.errors import ConfigurationError
from glideflow.library_verify import settings_of
from glideflow.records import Library, LibraryEntry, StageRecord
from glideflow.run import CONFIGURATION_FILE, ResolvedRun, Task, settings_digest
from glideflow.storage import write_record

Outcome = Literal["taken", "there already", "not in the library", "other files", "other settings", "needs another"]
OUTCOMES: dict[Outcome, str] = {
    "taken": "the record of the library becomes the result of the run",
    "there already": "the run has a result, which stays",
    "not in the library": "the library has no such record",
    "other files": "the library's record is of other parameter files",
    "other settings": "the library's record was computed with other settings, another slip system or another seed",
    "needs another": "the run will compute a result that this one is made from",
}


def unpack(library: Library, run: ResolvedRun, folder: Path) -> Iterator[tuple[Task, Outcome]]:
    """Write the records of a library that a run would compute alike as its results.

    A record is taken if it was computed with the parameter files, the settings, the slip system and the seed of the
    run, failures included; the code may have been another, which its provenance says. What it is made from has to be
    taken as well, or the workflow would compute it again. A result that the run has stays.

    Args:
        library: the library; long arrays of a published one have single precision.
        run: the run, with its potentials.
        folder: ``<results>/<name>`` of the run.

    Yields:
        Every result that the run asks for, in the order of dependence, and what became of it.

    Raises:
        StorageError: a file cannot be written.
    """
    write_text(folder / CONFIGURATION_FILE, settings_yaml(run.settings))
    of_run = _Records(library, run)
    done: set[str] = set()
    for task in run.property_tasks():
        outcome = "there already" if (folder / task.output).is_file() else of_run.outcome(task, done)
        if outcome == "taken":
            write_record(folder / task.output, of_run.record(task))
        if outcome in ("taken", "there already"):
            done.add(task.output)
        yield task, outcome


@dataclass(frozen=True)
class _Records:
    """Records of a library by the tasks of a run."""

    library: Library
    run: ResolvedRun

    @cached_property
    def _entries(self) -> dict[str, LibraryEntry]:
        return {entry.potential.id: entry for entry in self.library.entries}

    def record(self, task: Task) -> StageRecord | None:
        """What the library has of a task."""
        entry = self._entries.get(task.potential)
        return entry.stage(task.rule, task.slip_system, task.character) if entry is not None else None

    def outcome(self, task: Task, done: set[str]) -> Outcome:
        """What becomes of a task that has no result, where others are done."""
        stage = self.record(task)
        if stage is None:
            return "not in the library"
        if stage.potential.sha256 != self.run.potential(task.potential).content_sha256:
            return "other files"
        if not self._same_settings(task, stage):
            return "other settings"
        return "taken" if done.issuperset(task.inputs) else "needs another"

    def _same_settings(self, task: Task, stage: StageRecord) -> bool:
        try:
            own = settings_of(self.library, stage)
        except ConfigurationError:  # this version knows no such settings
            return False
        digests = {settings_digest(each, task.rule, slip_system=task.slip_system) for each in (own, self.run.settings)}
        return len(digests) == 1 and own.seed == self.run.settings.seed
