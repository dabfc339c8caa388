"""Jobs that no run looks after any more: those of a killed run, whose lock is taken over, and of an interrupted one.

A run holds a lock in its folder of partial results for as long as its main process lives, and notes there under which
name it submits jobs. Both outlive it when it is killed, and the next run knows by them what was left behind.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from glideflow.errors import BusyError, SchedulerError
from glideflow.exclusive import Holder, Lock, try_lock

LOCK_FILE = "run.lock"
SLURM_RUNS_FILE = "slurm-runs"
"""One line per run that may have jobs in the queue: the name under which Slurm knows them."""

COMMAND_TIMEOUT_S = 60.0
CANCEL_TIMEOUT_S = 180.0
"""Slurm gives a job KillWait (30 s by default) to end by itself, and then cleans up after it."""
POLL_INTERVAL_S = 1.0


def killed_since(work: Path) -> float | None:
    """When the last run with this folder of partial results began, if it was killed and nobody has taken over since.

    Where the file system has no locks nothing is known of an earlier run, and the answer is None.

    Returns:
        seconds since the epoch, by the clock of the file system of that folder.
    """
    file = work / LOCK_FILE
    if not file.exists():
        return None
    with _looked_at(file) as (lock, began):
        return began if isinstance(lock, Lock) and lock.real else None


@contextmanager
def without_run(work: Path) -> Iterator[float | None]:
    """Keep runs away from a folder of partial results while the block lasts; what is known of a killed one stays known.

    Yields:
        what `killed_since` says.

    Raises:
        BusyError: a run is at work there.
        StorageError: the folder cannot be written.
    """
    file = work / LOCK_FILE
    was_there = file.exists()
    with _looked_at(file) as (lock, began):
        if isinstance(lock, Holder):
            raise _busy(work, lock)
        try:
            yield began if was_there and lock.real else None
        finally:
            if not was_there:
                lock.release()


@contextmanager
def _looked_at(file: Path) -> Iterator[tuple[Lock | Holder, float]]:
    """A lock, if it is free, and when it was signed; afterwards it is as it was."""
    signed = file.stat() if file.exists() else None
    lock = try_lock(file)
    try:
        yield lock, signed.st_mtime if signed else 0.0
    finally:
        if isinstance(lock, Lock):
            if signed is not None:
                with suppress(OSError):  # only its owner can date a file
                    os.utime(file, ns=(signed.st_atime_ns, signed.st_mtime_ns))
            lock.leave()


def hold(work: Path) -> None:
    """Keep other runs away from a folder of partial results until this process ends.

    Raises:
        BusyError: another run is at work there.
        StorageError: the folder cannot be written.
    """
    lock = try_lock(work / LOCK_FILE)
    if isinstance(lock, Holder):
        raise _busy(work, lock)
    atexit.register(lock.release)


def _busy(work: Path, holder: Holder) -> BusyError:
    return BusyError(
        f"another run is at work in {work}: {holder}",
        expected="one run at a time with the same name and folders",
        next_step="wait for it, stop it, or give this run another name",
    )


def cancel_jobs_left(work: Path, slurm_run: str, tell: Callable[[str], None]) -> None:
    """Cancel the jobs that earlier runs left in Slurm's queue, and note the name of the jobs of this run.

    They would compute what this run computes, and their ends would go unnoticed. What they have finished is kept:
    partial results are resumed by the jobs that replace them. Where the commands of Slurm are missing, e.g. on another
    machine, nothing is done; the locks of the single steps still keep two jobs from the same work.

    Args:
        work: folder of partial results of the run.
        slurm_run: name under which this run submits jobs; empty if it submits none.
        tell: called with a line for the user.

    Raises:
        SchedulerError: Slurm does not answer, or the jobs do not end.
    """
    ledger = work / SLURM_RUNS_FILE
    earlier = ledger.read_text(encoding="ascii").split() if ledger.exists() else []
    if earlier and shutil.which("squeue") is not None:
        _cancel(earlier, tell)
        earlier = []
    if slurm_run or ledger.exists():
        ledger.write_text("".join(f"{name}\n" for name in [*earlier, slurm_run] if name), encoding="ascii")


def cancel_own_jobs(work: Path, tell: Callable[[str], None]) -> None:
    """Cancel the jobs that this run, which ends before its time, still has in Slurm's queue.

    Snakemake cancels them when it is interrupted, but not those whose state it is asking for at that moment, nor one
    that it is just submitting. Their end is not waited for: the next run does that. If Slurm does not answer, this is
    said, and the next run asks again.

    Args:
        work: folder of partial results of the run.
        tell: called with a line for the user.
    """
    ledger = work / SLURM_RUNS_FILE
    names = ledger.read_text(encoding="ascii").split() if ledger.exists() else []
    if not names or shutil.which("squeue") is None:
        return
    try:
        left = _jobs(names)
        if left:
            tell(f"Cancelling {len(left)} jobs of this run that are still in the queue: {' '.join(left)}")
            _slurm("scancel", *left)
    except SchedulerError as error:
        tell(f"Jobs of this run may still be in the queue; the next run cancels them. {error}")


def _cancel(names: Sequence[str], tell: Callable[[str], None]) -> None:
    left = _jobs(names)
    if not left:
        return
    tell(f"Cancelling {len(left)} jobs that a killed run left in the queue: {' '.join(left)}")
    _slurm("scancel", *left)
    end_s = time.monotonic() + CANCEL_TIMEOUT_S
    while left := _jobs(names):
        if time.monotonic() > end_s:
            raise SchedulerError(
                f"jobs of a killed run do not end: {' '.join(left)}",
                expected=f"no job of it in the queue {CANCEL_TIMEOUT_S:.0f} s after it was cancelled",
                next_step="look at them with squeue and scontrol show job, then start the run again",
            )
        time.sleep(POLL_INTERVAL_S)


def _jobs(names: Sequence[str]) -> list[str]:
    """Ids of the jobs with these names that have not ended, the oldest first."""
    ids = _slurm("squeue", "--noheader", "--format=%i", f"--name={','.join(names)}").split()
    return sorted(ids, key=lambda job: (len(job), job))


def _slurm(*command: str) -> str:
    """Output of a command of Slurm.

    Raises:
        SchedulerError: it fails or does not answer in time.
    """
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=COMMAND_TIMEOUT_S, stdin=subprocess.DEVNULL
        ).stdout
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise SchedulerError(
            f"{command[0]} does not answer: {said.strip()}",
            expected="Slurm's answer whether jobs of a killed run are still there",
            next_step="start the run again when Slurm answers; until then two jobs could do the same work",
        ) from error
