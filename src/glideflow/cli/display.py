"""What commands show on standard error: progress bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from glideflow.progress import Progress

_PLAIN_INTERVAL_S = 10.0


@contextmanager
def progress_display() -> Iterator[Progress]:
    """A progress callback that draws on standard error while the block runs."""
    if sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _PlainProgress()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        known: dict[str, TaskID] = {}

        def show(stage: str, done: float, total: float, /) -> None:
            if stage not in known:
                known[stage] = bars.add_task(stage, total=None, count="")
            bars.update(known[stage], completed=done, total=total or None, count=_count(done, total))

        yield show


class _PlainProgress:
    """A line when a stage begins, and then at most every ten seconds."""

    def __init__(self) -> None:
        self._shown_s: dict[str, float] = {}

    def __call__(self, stage: str, done: float, total: float, /) -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        if now - self._shown_s.get(stage, -_PLAIN_INTERVAL_S) >= _PLAIN_INTERVAL_S:
            self._shown_s[stage] = now
            print(f"{stage}: {_count(done, total)}", file=sys.stderr, flush=True)


def _count(done: float, total: float) -> str:
    return f"{done:.0f}/{total:.0f}" if total else f"{done:.0f}"
