"""Threads of linear algebra."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep linear algebra on one thread, where that can be asked for (package threadpoolctl).

    On matrices of tens or hundreds of rows a second thread costs more than it does: on a busy machine it waits for a
    core, a hundred times as long as the work takes. Results would also depend on the number of cores in their last
    digits.
    """
    if importlib.util.find_spec("threadpoolctl") is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
