"""Trained models as files: arrays in a safetensors file, and a card in JSON beside it that says what they are.

The card names the digest of the arrays and carries one of itself, so that a file that was changed, cut off or paired
with another's card is refused. Digests are against damage and mix-ups, not against forgery: get models from where you
trust.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glideflow import __version__
from glideflow.cards import card_path as card_path
from glideflow.cards import no_card, read_card_content, read_with_card, write_with_card
from glideflow.crystals.lattices import IntArray
from glideflow.errors import StorageError
from glideflow.tensor_files import Arrays
from glideflow.transfer.dataset import TransferDataset, content_sha256
from glideflow.transfer.forest_arrays import ForestArrays
from glideflow.transfer.gaussian_process_arrays import GaussianProcess

SCHEMA = "glideflow/model-card/1"
LICENCE = "MIT"

Kind = Literal["networks", "forest", "gaussian process", "best", "other"]

_PACKAGES = ("numpy", "scikit-learn", "torch")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a file of trained weights is.

    Attributes:
        name: of the model, e.g. ``paper ResNet-18 x 5``.
        kind: what the arrays are.
        structures: crystal structures of the training data.
        protocol: how the stresses that it learned were computed, see `TransferDataset`.
        floor_mpa: floor of the target.
        potential_ids: training samples.
        families: their families.
        data_sha256: digest of the training data, see `content_sha256`.
        library_sha256: digest of the library from which the data set was made.
        initialised_from: what the weights started from, e.g. ``random``.
        split: how the metrics were found, e.g. ``leave one family out``; empty if they were not.
        metrics: scores by name, of held-out samples; NaN where one has no meaning.
        input_ranges: smallest and largest value of each input over the training samples.
        details: what else is needed to use the arrays, by kind.
        licence: of the weights, an SPDX identifier.
        versions: of the packages with which it was made.
    """

    name: str
    kind: Kind
    structures: tuple[str, ...]
    protocol: str
    floor_mpa: float
    potential_ids: tuple[str, ...]
    families: tuple[str, ...]
    data_sha256: str
    library_sha256: str
    initialised_from: tuple[str, ...]
    split: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    input_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    licence: str = LICENCE
    versions: Mapping[str, str] = field(default_factory=dict)


def card_of(
    dataset: TransferDataset,
    indices: IntArray,
    *,
    name: str,
    kind: Kind,
    floor_mpa: float,
    initialised_from: Sequence[str] = (),
    split: str = "",
    metrics: Mapping[str, float] | None = None,
    details: Mapping[str, Any] | None = None,
) -> ModelCard:
    """The card of a model that was trained on samples of a data set.

    Args:
        dataset: the data set.
        indices: (m,) the samples.
        name: of the model.
        kind: what its arrays are.
        floor_mpa: floor of the target.
        initialised_from: what its weights started from.
        split: how the metrics were found.
        metrics: scores of held-out samples.
        details: what else is needed to use the arrays.
    """
    part = dataset.select(indices)
    return ModelCard(
        name=name,
        kind=kind,
        structures=tuple(sorted(set(part.structures))),
        protocol=part.protocol,
        floor_mpa=floor_mpa,
        potential_ids=part.potential_ids,
        families=part.families,
        data_sha256=content_sha256(part),
        library_sha256=part.library_sha256,
        initialised_from=tuple(dict.fromkeys(initialised_from)),
        split=split,
        metrics=dict(metrics or {}),
        input_ranges=input_ranges(part),
        details=dict(details or {}),
        versions=_versions(),
    )


def input_ranges(dataset: TransferDataset) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of the elastic features, of the maximum of γ and of the Burgers vector."""
    columns = {f"{name}_gpa": dataset.elastic_gpa[:, k] for k, name in enumerate(dataset.elastic_names)}
    columns["gamma_max_mj_m2"] = dataset.gamma_mj_m2.max(axis=(1, 2))
    columns["burgers_angstrom"] = dataset.burgers_angstrom
    return {name: (float(values.min()), float(values.max())) for name, values in columns.items()}


def _versions() -> dict[str, str]:
    found = {"glideflow": __version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_artifact(path: Path, arrays: Arrays, card: ModelCard) -> None:
    """Write a model: its arrays, then the card that belongs to them.

    Args:
        path: file of the arrays, ``*.safetensors``; the card gets the ending ``.json``.
        arrays: arrays by name.
        card: what they are.

    Raises:
        StorageError: a file cannot be written, or the name does not end in ``.safetensors``.
    """
    write_with_card(
        path, arrays, dataclasses.asdict(card), schema=SCHEMA, metadata={"kind": card.kind, "name": card.name}
    )


def read_artifact(path: Path, kind: Kind | None = None) -> tuple[Arrays, ModelCard]:
    """Read a model that `write_artifact` wrote.

    Args:
        path: file of the arrays.
        kind: what they have to be; None takes any.

    Raises:
        StorageError: a file is missing, damaged, changed, too large, or not of this kind; or the card belongs to other
            arrays.
    """
    arrays, content = read_with_card(path, schema=SCHEMA)
    card = _card(card_path(path), content)
    if kind is not None and card.kind != kind:
        raise StorageError(f"{path} holds {card.kind}", expected=kind, next_step="name another file")
    return arrays, card


def read_card(path: Path) -> tuple[str, ModelCard]:
    """Digest of the arrays, and the card itself.

    Raises:
        StorageError: the card is missing, damaged, or was changed.
    """
    digest, content = read_card_content(path, schema=SCHEMA)
    return digest, _card(path, content)


def _card(path: Path, content: dict[str, Any]) -> ModelCard:
    try:
        texts = {name: tuple(content[name]) for name in ("structures", "potential_ids", "families", "initialised_from")}
        ranges = {name: (float(low), float(high)) for name, (low, high) in content["input_ranges"].items()}
        metrics = {name: math.nan if value is None else float(value) for name, value in content["metrics"].items()}
        return ModelCard(**{**content, **texts, "input_ranges": ranges, "metrics": metrics})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise no_card(path, str(error)) from error


def write_forest(path: Path, forest: ForestArrays, card: ModelCard) -> None:
    """Write a forest with its card.

    Raises:
        StorageError: a file cannot be written.
    """
    write_artifact(path, forest.to_arrays(), dataclasses.replace(card, kind="forest"))


def read_forest(path: Path) -> tuple[ForestArrays, ModelCard]:
    """Read a forest.

    Raises:
        StorageError: as in `read_artifact`, or the arrays are no forest.
    """
    arrays, card = read_artifact(path, "forest")
    return ForestArrays.from_arrays(arrays), card


def write_gaussian_process(path: Path, process: GaussianProcess, card: ModelCard) -> None:
    """Write a Gaussian process with its card.

    Raises:
        StorageError: a file cannot be written.
    """
    write_artifact(path, process.to_arrays(), dataclasses.replace(card, kind="gaussian process"))


def read_gaussian_process(path: Path) -> tuple[GaussianProcess, ModelCard]:
    """Read a Gaussian process.

    Raises:
        StorageError: as in `read_artifact`, or the arrays are no Gaussian process.
    """
    arrays, card = read_artifact(path, "gaussian process")
    return GaussianProcess.from_arrays(arrays), card


def parts_of(arrays: Arrays, count: int) -> list[dict[str, NDArray[np.generic]]]:
    """Arrays of numbered parts, ``0/name`` and so on, by number.

    Raises:
        StorageError: a part is missing, or there are more.
    """
    parts: dict[str, dict[str, NDArray[np.generic]]] = {}
    for key, values in arrays.items():
        number, _, name = key.partition("/")
        parts.setdefault(number, {})[name] = values
    if parts.keys() != {str(number) for number in range(count)}:
        raise StorageError(f"arrays of {len(parts)} parts", expected=f"{count}, numbered from 0")
    return [parts[str(number)] for number in range(count)]
