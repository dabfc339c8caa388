"""Checkpoints of a training: whole files of arrays that say which training they belong to.

There are no states of random generators in them: everything random in an epoch follows from the seed of the member and
the number of the epoch, so that a resumed training draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glideflow.errors import StorageError
from glideflow.tensor_files import Arrays, read_tensors, write_tensors

_SCHEMA = "glideflow/training-checkpoint/1"

Request = Mapping[str, Any]
"""What decides the result of a training, as JSON: data, settings, seeds, initial weights."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """State of a training after an epoch.

    Attributes:
        epoch: epochs that are done.
        network: parameters and statistics of all members by name.
        optimiser: state of the optimiser by number of the parameter and name of the entry, e.g. ``3/momentum_buffer``.
        best: parameters and statistics at the best epoch of each member, by number of the member and name.
        best_epoch: (M,) that epoch, -1 for none.
        train_loss: (M, epoch) mean loss of each epoch; NaN after a member has stopped.
        validation_loss: (M, epoch) loss on the validation part; NaN where there is none.
    """

    epoch: int
    network: Arrays
    optimiser: Arrays
    best: Arrays
    best_epoch: NDArray[np.int64]
    train_loss: NDArray[np.float64]
    validation_loss: NDArray[np.float64]


def write_checkpoint(path: Path, checkpoint: Checkpoint, request: Request) -> None:
    """Write a checkpoint, atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "epoch": np.array(checkpoint.epoch),
        "best_epoch": checkpoint.best_epoch,
        "train_loss": checkpoint.train_loss,
        "validation_loss": checkpoint.validation_loss,
    }
    for group in ("network", "optimiser", "best"):
        arrays |= {f"{group}/{name}": value for name, value in getattr(checkpoint, group).items()}
    write_tensors(path, arrays, {"schema": _SCHEMA, "request": json.dumps(request, sort_keys=True)})


def read_checkpoint(path: Path, request: Request) -> Checkpoint:
    """Read a checkpoint of this very training.

    Raises:
        StorageError: the file is missing, damaged, no checkpoint, or belongs to another training; the message says what
            differs.
    """
    file = read_tensors(path, kind="a checkpoint of a training")
    try:
        if file.metadata.get("schema") != _SCHEMA:
            raise ValueError(f"its schema is {file.metadata.get('schema', 'none')!r:.80}")
        stored = json.loads(file.metadata["request"])
        checkpoint = Checkpoint(
            epoch=int(file.arrays["epoch"]),
            network=_group(file.arrays, "network"),
            optimiser=_group(file.arrays, "optimiser"),
            best=_group(file.arrays, "best"),
            best_epoch=file.arrays["best_epoch"].astype(np.int64),
            train_loss=file.arrays["train_loss"].astype(np.float64),
            validation_loss=file.arrays["validation_loss"].astype(np.float64),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise StorageError(
            f"{path} is no checkpoint of a training: {error}",
            expected="a file that an interrupted training has left",
            next_step="name another file, or start anew with --no-resume",
        ) from error
    _refuse_another_training(path, stored, json.loads(json.dumps(request)))
    return checkpoint


def _group(arrays: Arrays, group: str) -> dict[str, NDArray[np.generic]]:
    return {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(f"{group}/")}


def _refuse_another_training(path: Path, stored: Request, wanted: Request) -> None:
    differing = [line for name in sorted(stored.keys() | wanted.keys()) for line in _differences(name, stored, wanted)]
    if differing:
        raise StorageError(
            f"{path} belongs to another training: {'; '.join(differing)}",
            expected="a checkpoint of the same data, settings and seeds",
            next_step="train with what it was made with, name another --work folder, or start anew with --no-resume",
        )


def _differences(name: str, stored: Request, wanted: Request) -> list[str]:
    before, now = stored.get(name), wanted.get(name)
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        inner = sorted(before.keys() | now.keys())
        return [f"{name}.{line}" for key in inner for line in _differences(key, before, now)]
    return [f"{name} was {_short(before)}, is {_short(now)}"]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"
