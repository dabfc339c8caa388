"""What the log of a job says of how the job went, and so whether its time is that of the whole work."""

from __future__ import annotations

RESUMED = "going on from partial results"
KILLED_ONCE = "killed from outside, going on once more"
WAITING = "waiting for"
WROTE = "wrote"
"""Beginnings of lines of a log."""

_INTERRUPTIONS = (RESUMED, KILLED_ONCE, WAITING)


def did_the_whole_work(log: str) -> bool:
    """Whether a job has computed its result from the beginning to the end, without waiting for another one.

    A job that went on from partial results, or whose engine was killed, measured a part of the work; one whose result
    is a recorded failure may have stopped anywhere.

    Args:
        log: what its command said on standard error.
    """
    lines = log.splitlines()
    return any(line.startswith(f"{WROTE} ") for line in lines) and not any(
        line.startswith(_INTERRUPTIONS) for line in lines
    )
