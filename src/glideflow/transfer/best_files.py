"""The model ``best`` as files; the format is that of `glideflow.transfer.artifacts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import StorageError
from glideflow.transfer.artifacts import ModelCard, card_of, parts_of, read_artifact, write_artifact
from glideflow.transfer.best import BestPart, FittedBest, Prior
from glideflow.transfer.calibration import Calibration
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.forest_arrays import ForestArrays
from glideflow.transfer.gaussian_process_arrays import GaussianProcess
from glideflow.transfer.held_out_scores import HeldOutScores, metrics_of, to_card

KIND: Literal["best"] = "best"

_SCALING = ("centre", "scale")


def best_card(
    dataset: TransferDataset,
    indices: IntArray,
    *,
    floor_mpa: float,
    held_out: Sequence[HeldOutScores] = (),
) -> ModelCard:
    """The card of a model that was trained on samples of a data set.

    Args:
        dataset: the data set.
        indices: (m,) the samples.
        floor_mpa: floor of the target.
        held_out: scores of held-out samples.
    """
    return card_of(
        dataset,
        indices,
        name="best",
        kind=KIND,
        floor_mpa=floor_mpa,
        split="; ".join(each.split for each in held_out),
        metrics=metrics_of(held_out),
        details=to_card(held_out),
    )


def write_best(path: Path, model: FittedBest, card: ModelCard) -> None:
    """Write a model with its card.

    Args:
        path: ``*.safetensors``.
        model: the model.
        card: from `best_card`; what the arrays need beside them is added.

    Raises:
        StorageError: a file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, name in enumerate(sorted(model.parts)):
        arrays |= {f"{number}/{key}": values for key, values in _arrays(model.parts[name]).items()}
    described = [{"name": name, **_details(model.parts[name])} for name in sorted(model.parts)]
    details = {**card.details, "models": described}
    write_artifact(path, arrays, replace(card, kind=KIND, details=details))


def load_best(path: Path) -> tuple[FittedBest, ModelCard]:
    """Read a model.

    Raises:
        StorageError: as in `glideflow.transfer.artifacts.read_artifact`, or the arrays are no such model.
    """
    arrays, card = read_artifact(path, KIND)
    try:
        described = list(card.details["models"])
        parts = {
            str(found["name"]): _part(found, part)
            for found, part in zip(described, parts_of(arrays, len(described)), strict=True)
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} does not hold the model that its card describes: {error!s:.200}",
            expected="a model as `write_best` writes it",
            next_step="get both files again",
        ) from error
    return FittedBest(parts), card


def _arrays(part: BestPart) -> dict[str, NDArray[np.generic]]:
    return {
        **{name: getattr(part, name) for name in _SCALING},
        **{f"process.{name}": values for name, values in part.process.to_arrays().items()},
        **{f"forest.{name}": values for name, values in part.forest.to_arrays().items()},
    }


def _details(part: BestPart) -> dict[str, Any]:
    return {"features": list(part.names), "prior": asdict(part.prior), "calibration": asdict(part.calibration)}


def _part(found: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> BestPart:
    scaling: dict[str, FloatArray] = {name: np.asarray(arrays[name], dtype=np.float64) for name in _SCALING}
    stated = found["calibration"]
    sizes = {len(found["features"]), len(arrays["process.inputs"][0]), int(arrays["forest.features"][0])}
    if sizes | {len(values) for values in scaling.values()} != {len(found["features"])}:
        raise ValueError("arrays of different numbers of features")
    calibration = Calibration(**{**stated, "levels": tuple(stated["levels"]), "factors": tuple(stated["factors"])})
    return BestPart(
        names=tuple(str(name) for name in found["features"]),
        prior=Prior(**found["prior"]),
        process=GaussianProcess.from_arrays(_named(arrays, "process.")),
        forest=ForestArrays.from_arrays(_named(arrays, "forest.")),
        calibration=calibration,
        **scaling,
    )


def _named(arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> dict[str, NDArray[np.generic]]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
