"""What Snakemake has under way, read from the marks that it leaves in ``.snakemake`` (version 9, file backend).

A run locks its results by listing them in ``locks/*.output.lock``. A job that has started leaves a mark in
``incomplete``, named by the URL-safe base64 of its output, which goes when the job ends in order. Marks without a lock
are of jobs that were killed together with their run.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

STATE_FOLDER = Path(".snakemake")


@dataclass(frozen=True, kw_only=True)
class StartedJob:
    """A job that was started and has not ended in order.

    Attributes:
        output: its result, as the workflow names it.
        since_s: when it was started, in seconds since the epoch.
        scheduler_id: its number in the batch system; empty on this machine.
    """

    output: str
    since_s: float
    scheduler_id: str


@dataclass(frozen=True, kw_only=True)
class WorkflowActivity:
    """What Snakemake has under way in a folder.

    Attributes:
        locked: whether a run has locked results of the folder that was asked for.
        since_s: when it did, in seconds since the epoch; 0 if not locked.
        processes: process ids of Snakemake on this machine in this folder. A locked folder without any is that of a
            run on another machine, or of one that was killed.
        started: jobs that were started and have not ended in order.
    """

    locked: bool
    since_s: float
    processes: tuple[int, ...]
    started: tuple[StartedJob, ...]


def workflow_activity(base: Path, results: str) -> WorkflowActivity:
    """Look at what Snakemake has under way; reads only, and never fails on what it cannot read.

    Args:
        base: folder in which the workflow runs.
        results: folder of a run's results as the workflow names it; other runs' jobs are left out.
    """
    folder = base / STATE_FOLDER
    prefix = results.rstrip("/") + "/"
    locks = [file for file in sorted(folder.glob("locks/*.output.lock")) if _names(file, prefix)]
    return WorkflowActivity(
        locked=bool(locks),
        since_s=min((_modified_s(file) for file in locks), default=0.0),
        processes=_snakemake_processes(base) if locks else (),
        started=tuple(job for job in _started(folder / "incomplete") if job.output.startswith(prefix)),
    )


def _names(lock: Path, prefix: str) -> bool:
    """Whether a lock file lists a result below a folder."""
    try:
        with lock.open(encoding="utf-8", errors="replace") as lines:
            return any(line.startswith(prefix) for line in lines)
    except OSError:
        return False


def _started(folder: Path) -> Iterator[StartedJob]:
    # Not rglob, which fails when a folder vanishes that it has just seen: jobs end meanwhile.
    marks = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    for file in sorted(marks):
        output = _decoded(file.relative_to(folder))
        if output and file.is_file():
            yield StartedJob(output=output, since_s=_modified_s(file), scheduler_id=_scheduler_id(file))


def _decoded(name: Path) -> str:
    """Path that a mark stands for; names too long for the file system are cut into folders that begin with ``@``."""
    *folders, last = name.parts
    encoded = "".join(part.removeprefix("@") for part in folders) + last
    try:
        return base64.urlsafe_b64decode(encoded).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""


def _scheduler_id(mark: Path) -> str:
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    found = content.get("external_jobid") if isinstance(content, dict) else None
    return str(found) if found else ""


def _modified_s(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _snakemake_processes(base: Path) -> tuple[int, ...]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(base.resolve()) and any("snakemake" in Path(word).name for word in words[:3]):
            found.append(process.info["pid"])
    return tuple(sorted(found))
