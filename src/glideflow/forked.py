"""Work of seconds on several cores: copies of this process, which start at once because nothing is imported again."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_workers: ContextVar[int] = ContextVar("workers", default=1)


@contextmanager
def on_cores(most: int) -> Iterator[None]:
    """Let `mapped` use up to so many of the cores that this process may run on, while the block lasts.

    For commands, which know that nothing else runs in their process: a process with threads that hold locks must not be
    copied.
    """
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1  # elsewhere copies are not safe
    token = _workers.set(max(1, min(most, allowed)))
    try:
        yield
    finally:
        _workers.reset(token)


def mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Results of a function, in the order of the items; on several cores within `on_cores`.

    What fails in a copy is done again here, where it raises what it has to.

    Args:
        function: the function; what it changes beside its result is lost where it runs in a copy.
        items: what it is called with; items and results have to be picklable, the function has not.
    """
    workers = min(_workers.get(), len(items))
    done = 0
    if workers > 1:
        try:
            for result in _in_copies(function, items, workers):
                yield result
                done += 1
        except (BrokenProcessPool, _FailedError):
            pass
    yield from map(function, items[done:])


class _FailedError(Exception):
    """A copy could not do what it was asked for."""


def _in_copies(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    context = multiprocessing.get_context("fork")
    # A copy inherits what it is initialised with; what it is called with is sent.
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_told.append, initargs=(function,)) as copies:
        for good, result in copies.map(_called, items):
            if not good:
                raise _FailedError
            yield result


_told: list[Callable[..., Any]] = []
"""The function, in a copy."""


def _called(item: object) -> tuple[bool, Any]:
    try:
        return True, _told[-1](item)
    except Exception:
        return False, None
