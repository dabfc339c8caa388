"""What becomes of a task in a child process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

KILLED = "Killed"
"""Error class of a child that was killed from outside, which says nothing of what it was computing."""

NOT_STARTED = "NotStarted"
"""Error class of ranks that did not find each other: MPI itself failed, before there was anything to compute."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a child may use before it is ended.

    Attributes:
        wall_time_s: elapsed time in seconds, or None for no limit.
        memory_gib: resident memory in GiB of the child and its descendants on this machine, or None.
    """

    wall_time_s: float | None = None
    memory_gib: float | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a child used.

    Attributes:
        wall_time_s: elapsed time in seconds.
        cpu_time_s: processor time in seconds of the child and its descendants, as last seen.
        peak_memory_gib: largest resident memory in GiB that was seen.
    """

    wall_time_s: float
    cpu_time_s: float
    peak_memory_gib: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a task has no value.

    Attributes:
        error_class: exception name in the child, or ``Crashed``, ``Killed``, ``TimeLimit``, ``MemoryLimit``,
            ``NotStarted``, ``NoResult``.
        reason: one sentence for a table.
        expected: what would have been right, if the error says so.
        next_step: what the user can do, if the error says so.
        evidence: last lines of what the child wrote (engine output, traceback).
        usage: what the child used until then.
    """

    error_class: str
    reason: str
    expected: str = ""
    next_step: str = ""
    evidence: str = ""
    usage: Usage | None = None


@dataclass(frozen=True, kw_only=True)
class Success(Generic[T]):
    """A task's value.

    Attributes:
        value: what the task's function returned.
        usage: what the child used.
    """

    value: T
    usage: Usage


Outcome = Success[T] | Failure
