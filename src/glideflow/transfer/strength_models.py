"""Models that predict, as they lie on disk: the fitted model, what γ surfaces look like, and where it was trained.

A folder holds the model (safetensors with a JSON card) and its context (HDF5). Both state the digest of the samples
that they come from, so that parts of different models are not mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.errors import ConfigurationError, StorageError
from glideflow.storage import read_record, record, write_record
from glideflow.transfer.best import BestRegressor
from glideflow.transfer.best_files import best_card, load_best, write_best
from glideflow.transfer.dataset import TransferDataset, content_sha256
from glideflow.transfer.gamma_prior import GammaPrior, gamma_prior
from glideflow.transfer.prediction import StrengthModel, TrainingDomain, training_domain
from glideflow.transfer.validation import ValidationRecord

MODEL_FILE = "model.safetensors"
CONTEXT_FILE = "context.h5"
SHIPPED_FOLDER = "strength_models"
"""Folder of the shipped models in the package's data, one folder for each structure."""


@record
@dataclass(frozen=True, kw_only=True)
class PredictionContext:
    """What a prediction needs beside the model.

    Attributes:
        prior: what γ surfaces of the structure look like.
        domain: the training samples.
        data_sha256: digest of the samples that the model was trained on.
    """

    prior: GammaPrior
    domain: TrainingDomain
    data_sha256: str


def fit_strength_model(
    dataset: TransferDataset,
    folder: Path,
    *,
    floor_mpa: float,
    seed: int = 0,
    split: str = "",
    metrics: Mapping[str, float] | None = None,
) -> StrengthModel:
    """Train the model ``best`` on all samples of one structure, and write it with its context.

    Args:
        dataset: the samples.
        folder: where to write.
        floor_mpa: floor of the target.
        seed: seed of the model.
        split: how the metrics were found, for the card.
        metrics: scores of held-out samples, for the card.

    Raises:
        ConfigurationError: the data set has more than one structure, or too few families.
        DependencyError: scikit-learn is not installed.
        StorageError: a file cannot be written.
    """
    everything = np.arange(len(dataset))
    context = PredictionContext(
        prior=gamma_prior(dataset, _only_system(dataset)),
        domain=training_domain(dataset, floor_mpa),
        data_sha256=content_sha256(dataset),
    )
    fitted = BestRegressor(floor_mpa).fit(dataset, everything, seed)
    card = best_card(dataset, everything, floor_mpa=floor_mpa, split=split, metrics=metrics)
    write_best(folder / MODEL_FILE, fitted, card)
    write_record(folder / CONTEXT_FILE, context)
    return StrengthModel(name="best", model=fitted, prior=context.prior, domain=context.domain)


def card_scores(records: Sequence[ValidationRecord], group: str) -> tuple[str, dict[str, float]]:
    """How ``best`` was validated on a data set, and its scores, means over seeds.

    Args:
        records: validations, of other models and data sets, too.
        group: name of the data set.

    Returns:
        names of the splits and scores, both empty without a validation.
    """
    own = [record for record in records if (record.model, record.dataset, record.control) == ("best", group, "")]
    scores = {
        f"{name}, {record.split}": float(np.mean([getattr(each, name) for each in record.scores()]))
        for record in own
        for name in ("median_factor", "p90_factor", "r2_log10", "spearman")
    }
    return "; ".join(record.split for record in own), scores


def read_strength_model(folder: Path) -> StrengthModel:
    """Read a model.

    Raises:
        StorageError: files are missing, damaged, or of different models.
    """
    context = read_record(folder / CONTEXT_FILE, PredictionContext)
    fitted, card = load_best(folder / MODEL_FILE)
    if card.data_sha256 != context.data_sha256:
        raise StorageError(
            f"{folder} holds a model of the data {card.data_sha256[:12]} and a context of {context.data_sha256[:12]}",
            expected="both of the same data",
            next_step="write the folder again: glideflow transfer fit",
        )
    return StrengthModel(name="best", model=fitted, prior=context.prior, domain=context.domain)


def shipped_strength_model(structure: str) -> StrengthModel:
    """The model of a structure that ships with the package.

    Raises:
        StorageError: it does not ship, or is damaged.
    """
    with resources.as_file(resources.files("glideflow") / "data" / SHIPPED_FOLDER / structure) as folder:
        return read_strength_model(folder)


def _only_system(dataset: TransferDataset) -> SlipSystemSettings:
    definitions = [SlipSystemSettings.model_validate_json(text) for text in dataset.slip_system_definitions]
    own = [each for each in definitions if each.structure in dataset.structures]
    if len(own) != 1:
        raise ConfigurationError(
            f"the data set {dataset.name!r} has {len(own)} slip systems",
            expected="samples of one structure: fcc, bcc or hcp",
            next_step="name one of them with --group",
        )
    return own[0]
