from __future__ import annotations

import os
import sys

import pytest

from glideflow.forked import mapped, on_cores

several = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs two cores to copy a process for"
)


def test_results_come_in_the_order_of_the_items() -> None:
    for most in (1, 2, 50):
        with on_cores(most):
            assert list(mapped(lambda item: item**2, [3, 1, 2])) == [9, 1, 4]
            assert list(mapped(lambda item: item, [])) == []


@several
def test_work_is_done_in_copies_only_where_that_was_asked_for() -> None:
    own = os.getpid()
    assert set(mapped(lambda _: os.getpid(), [1, 2, 3])) == {own}
    with on_cores(2):
        assert own not in set(mapped(lambda _: os.getpid(), [1, 2, 3]))
        assert list(mapped(lambda _: os.getpid(), [1])) == [own], "a single item is not worth a copy"
    assert set(mapped(lambda _: os.getpid(), [1, 2])) == {own}


@several
def test_errors_are_raised_as_without_copies() -> None:
    class NoPickleError(Exception):
        def __init__(self, *, found: str) -> None:
            super().__init__(found)

    def root(item: float) -> float:
        if item < 0:
            raise NoPickleError(found=f"{item} has no root")
        return item**0.5

    with on_cores(2):
        results = mapped(root, [4.0, -1.0, 9.0])
        assert next(results) == 2.0
        with pytest.raises(NoPickleError, match="has no root"):
            next(results)


@several
def test_a_copy_that_dies_is_made_up_for() -> None:
    own = os.getpid()

    def fragile(item: int) -> int:
        if os.getpid() != own and item == 2:
            os._exit(3)
        return 10 * item

    with on_cores(2):
        assert list(mapped(fragile, [1, 2, 3, 4])) == [10, 20, 30, 40]
