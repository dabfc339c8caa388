"""Results of a run that were taken from a library: what they were computed with, which Snakemake has no record of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from glideflow.atomic import write_text
from glideflow.errors import StorageError
from glideflow.run import ResolvedRun, Task, settings_digest

UNPACKED_FILE = "unpacked.json"
"""In ``<results>/<name>``: what decided each of them, by its path there."""


def note_unpacked(folder: Path, run: ResolvedRun, tasks: Iterable[Task]) -> None:
    """Add results to those that were taken from a library.

    Args:
        folder: ``<results>/<name>`` of the run.
        run: the run that would have computed them alike.
        tasks: what they are the results of.

    Raises:
        StorageError: the list cannot be read or written.
    """
    known = _unpacked(folder) | {task.output: _deciding(run, task) for task in tasks}
    write_text(folder / UNPACKED_FILE, json.dumps(known, indent=1))


def outdated(folder: Path, run: ResolvedRun) -> Iterator[str]:
    """Results, relative to the folder, that were taken from a library and that the run would compute otherwise now.

    Args:
        folder: ``<results>/<name>`` of the run.
        run: the run as its configuration is now.

    Raises:
        StorageError: the list cannot be read.
    """
    known = _unpacked(folder)
    for task in run.property_tasks() if known else ():
        if task.output in known and known[task.output] != _deciding(run, task):
            yield task.output


def _unpacked(folder: Path) -> dict[str, str]:
    file = folder / UNPACKED_FILE
    try:
        found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{file} cannot be read: {error}",
            expected="the list that `glideflow library unpack` writes",
            next_step="remove it together with the results that were unpacked, and unpack again",
        ) from error
    return found


def _deciding(run: ResolvedRun, task: Task) -> str:
    """What decides a result, as far as Snakemake would look at it: settings, slip system and parameter files."""
    settings = settings_digest(run.settings, task.rule, slip_system=task.slip_system)
    return f"{settings} {run.potential(task.potential).content_sha256}"
