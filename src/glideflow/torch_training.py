"""What every training with PyTorch needs around it: one process per checkpoint, and numbers that can be had again.

This module imports PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch

from glideflow.errors import BusyError, DependencyError
from glideflow.exclusive import Holder, try_lock


@contextmanager
def alone(checkpoint: Path | None) -> Iterator[None]:
    """Keep other processes from training into the same checkpoint; None: there is none to keep them from.

    Raises:
        BusyError: another process does.
    """
    if checkpoint is None:
        yield
        return
    lock = try_lock(checkpoint.with_name(checkpoint.name + ".lock"))
    if isinstance(lock, Holder):
        raise BusyError(
            f"another process trains into {checkpoint}: {lock}",
            expected="one process for each checkpoint",
            next_step="wait for it, or name another --work folder",
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reproducible(device: Literal["cpu", "cuda"], threads: int) -> Iterator[None]:
    """Settings of PyTorch under which the same training gives the same numbers; others are put back afterwards.

    Args:
        device: where the training runs.
        threads: threads on the CPU.

    Raises:
        DependencyError: there is no CUDA device although one is asked for.
    """
    if device == "cuda":
        if not torch.cuda.is_available():
            raise DependencyError(
                "PyTorch finds no CUDA device",
                expected="one, as training.device asks for",
                next_step="make setup TORCH=cuda on a machine with a GPU, or set device: cpu",
            )
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(deterministic)
