"""Packages that only this branch needs, and may be absent."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from glideflow.errors import DependencyError


def refuse_without_sklearn() -> None:
    """Raise a DependencyError where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise DependencyError(
            "ridge regression and forests need the package scikit-learn",
            expected="scikit-learn 1.6 or later",
            next_step='pip install "glideflow[transfer]", or leave these models out of transfer.validation.models',
        )


def refuse_without_torch() -> None:
    """Raise a DependencyError where PyTorch or safetensors is not installed."""
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"networks need the package {' and '.join(missing)}",
            expected="PyTorch 2.13, its CPU build is enough, and safetensors",
            next_step="make setup TORCH=cpu, or, with an index of PyTorch's CPU builds, "
            'pip install "glideflow[transfer]"',
        )


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep linear algebra on one thread, where that can be asked for.

    The matrices of this branch have tens of rows: a second thread costs more than it does, and results would depend on
    the number of cores in their last digits.
    """
    if importlib.util.find_spec("threadpoolctl") is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
