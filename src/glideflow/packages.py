"""Packages that only some branches need, and may be absent."""

from __future__ import annotations

import importlib
import importlib.util

from glideflow.errors import DependencyError


def refuse_without_sklearn() -> None:
    """Raise a DependencyError where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise DependencyError(
            "ridge regression and forests need the package scikit-learn",
            expected="scikit-learn 1.6 or later",
            next_step='pip install "glideflow[transfer]", or leave these models out of transfer.validation.models',
        )


def refuse_without_torch(extra: str = "transfer") -> None:
    """Raise a DependencyError where PyTorch or safetensors, which an extra of this package brings, is not there to use.

    An installed PyTorch whose system libraries are missing counts as none: a build for another CUDA, for example.
    """
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"networks need the package {' and '.join(missing)}",
            expected="PyTorch 2.13, its CPU build is enough, and safetensors",
            next_step="make setup TORCH=cpu, or, with an index of PyTorch's CPU builds, "
            f'pip install "glideflow[{extra}]"',
        )
    try:
        importlib.import_module("torch")
    except (ImportError, OSError) as error:
        raise DependencyError(
            f"the package torch does not load: {error}",
            expected="PyTorch 2.13 with the libraries that it was built for; its CPU build needs none",
            next_step="make setup TORCH=cpu, or install the build for the CUDA of this machine",
        ) from error
