"""Models that predict, as they lie on disk: the fitted model, what γ surfaces look like, and where it was trained.

A folder holds the model (safetensors with a JSON card) and its context (HDF5). Both state the digest of the samples
that they come from, so that parts of different models are not mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.errors import ConfigurationError, StorageError
from glideflow.shipped_data import shipped_file
from glideflow.storage import read_record, record, write_record
from glideflow.threads import single_thread
from glideflow.transfer.best import BestRegressor
from glideflow.transfer.best_files import best_card, load_best, write_best
from glideflow.transfer.dataset import TransferDataset, content_sha256
from glideflow.transfer.gamma_prior import GammaPrior, gamma_prior
from glideflow.transfer.held_out_scores import HeldOutScores, from_card
from glideflow.transfer.prediction import StrengthModel, TrainingDomain, training_domain

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


@single_thread()
def fit_strength_model(
    dataset: TransferDataset,
    folder: Path,
    *,
    floor_mpa: float,
    seed: int = 0,
    held_out: Sequence[HeldOutScores] = (),
) -> StrengthModel:
    """Train the model ``best`` on all samples of one structure, and write it with its context.

    Args:
        dataset: the samples.
        folder: where to write.
        floor_mpa: floor of the target.
        seed: seed of the model.
        held_out: scores of held-out samples, for the card.

    Raises:
        ConfigurationError: the data set has more than one structure, or too few families.
        DependencyError: scikit-learn is not installed.
        StorageError: a file cannot be written.
    """
    everything = np.arange(len(dataset))
    context = PredictionContext(
        prior=gamma_prior(dataset, only_system(dataset)),
        domain=training_domain(dataset, floor_mpa),
        data_sha256=content_sha256(dataset),
    )
    fitted = BestRegressor(floor_mpa).fit(dataset, everything, seed)
    card = best_card(dataset, everything, floor_mpa=floor_mpa, held_out=held_out)
    write_best(folder / MODEL_FILE, fitted, card)
    write_record(folder / CONTEXT_FILE, context)
    return StrengthModel(
        name="best", model=fitted, prior=context.prior, domain=context.domain, held_out=tuple(held_out)
    )


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
    return StrengthModel(
        name="best",
        model=fitted,
        prior=context.prior,
        domain=context.domain,
        held_out=from_card(card.details),
    )


def shipped_strength_model(structure: str) -> StrengthModel:
    """The model of a structure that ships with the package.

    Raises:
        StorageError: it does not ship, or is damaged.
    """
    with shipped_file(f"{SHIPPED_FOLDER}/{structure}", what="the model", instead="a folder with --model") as folder:
        return read_strength_model(folder)


def only_system(dataset: TransferDataset) -> SlipSystemSettings:
    """The slip system of a data set of one structure.

    Raises:
        ConfigurationError: it has several.
    """
    definitions = [SlipSystemSettings.model_validate_json(text) for text in dataset.slip_system_definitions]
    own = [each for each in definitions if each.structure in dataset.structures]
    if len(own) != 1:
        raise ConfigurationError(
            f"the data set {dataset.name!r} has {len(own)} slip systems",
            expected="samples of one structure: fcc, bcc or hcp",
            next_step="name one of them with --group",
        )
    return own[0]
