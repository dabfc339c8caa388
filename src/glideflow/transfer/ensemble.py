"""Ensembles of networks: mean and spread of their members, calibrated intervals, tuning to a few better samples.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from glideflow.config.network import FineTuningSettings, NetworkSettings, TrainingSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.progress import Progress, silent
from glideflow.transfer.calibration import Calibration
from glideflow.transfer.dataset import FLOOR_MPA, TransferDataset
from glideflow.transfer.models import Prediction
from glideflow.transfer.training import TrainedNetwork, fine_tuned, train_networks
from glideflow.transfer.training_data import Augment, EquivalentImages, training_data

DEFAULT_MEMBERS = 5


@dataclass(frozen=True, kw_only=True)
class NetworkEnsemble:
    """Networks of one architecture that were trained on the same samples.

    Attributes:
        members: the networks.
        calibration: how the spread becomes a width, None before it is calibrated.
    """

    members: tuple[TrainedNetwork, ...]
    calibration: Calibration | None = None

    def member_log10_mpa(self, dataset: TransferDataset, indices: IntArray) -> FloatArray:
        """(M, m) predictions of each member, log₁₀ of MPa."""
        inputs = dataset.select(indices)
        return np.array([member.log10_mpa(inputs.gamma_mj_m2, inputs.elastic_gpa) for member in self.members])

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Mean of the members, and their standard deviation or the calibrated width.

        Args:
            dataset: any data set; targets are not read.
            indices: (m,) the samples.
        """
        found = self.member_log10_mpa(dataset, indices)
        lone = np.full(found.shape[1], np.nan)
        spread = found.std(axis=0, ddof=1) if len(found) > 1 else lone
        prediction = Prediction(log10_mpa=found.mean(axis=0), spread_log10=spread)
        return self.calibration.applied(prediction) if self.calibration else prediction

    def tuned(
        self,
        dataset: TransferDataset,
        indices: IntArray,
        settings: FineTuningSettings,
        *,
        floor_mpa: float = FLOOR_MPA,
        progress: Progress = silent,
    ) -> NetworkEnsemble:
        """Tune every member to samples of another data set, e.g. of machine-learned potentials (PT-MLFF).

        Args:
            dataset: the other data set, of the same kind of stress.
            indices: the shots.
            settings: how; ``frozen`` names the parts that keep their weights.
            floor_mpa: floor of the target.
            progress: told the number of epochs that are done.

        Returns:
            The tuned ensemble, whose intervals are not calibrated: residuals of the first data set say nothing of it.
        """
        data = training_data(dataset, indices, floor_mpa)
        augment = augmentation_of(settings, dataset, indices)
        return NetworkEnsemble(members=fine_tuned(self.members, data, settings, augment=augment, progress=progress))

    def calibrated(self, calibration: Calibration) -> NetworkEnsemble:
        """The same ensemble with calibrated intervals."""
        return replace(self, calibration=calibration)


@dataclass(frozen=True, kw_only=True)
class NetworkRegressor:
    """Recipe for an ensemble of networks, as the validation takes it.

    Attributes:
        network: the layers.
        training: how they are trained.
        members: number of networks.
        floor_mpa: floor of the target.
        progress: told the number of epochs that are done.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    members: int = DEFAULT_MEMBERS
    floor_mpa: float = FLOOR_MPA
    progress: Progress = field(default=silent, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Architecture and number of members, e.g. ``paper x 5``."""
        depth = f" ResNet-{self.network.depth}" if self.network.architecture == "paper" else ""
        return f"{self.network.architecture}{depth} x {self.members}"

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> NetworkEnsemble:
        """Train the ensemble on samples of a data set.

        Args:
            dataset: the data set.
            indices: the samples; no other one is read.
            seed: from which follow the seeds of the members.

        Raises:
            PropertyError: an input or a stress is not known, or there are too few samples.
        """
        trained = train_members(dataset, indices, self, member_seeds(seed, range(self.members)), progress=self.progress)
        return NetworkEnsemble(members=trained)


def member_seeds(seed: int, members: Sequence[int]) -> tuple[int, ...]:
    """Seeds of the given members of an ensemble; they do not depend on how many members there are."""
    return tuple(int(np.random.SeedSequence([seed, member]).generate_state(1)[0]) for member in members)


def train_members(
    dataset: TransferDataset,
    indices: IntArray,
    recipe: NetworkRegressor,
    seeds: Sequence[int],
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    progress: Progress = silent,
) -> tuple[TrainedNetwork, ...]:
    """Train some members of an ensemble, with the augmentation that the settings ask for.

    Args:
        dataset: the data set.
        indices: the samples to train on; no other one is read.
        recipe: layers, training and floor.
        seeds: of the members, from `member_seeds`.
        checkpoint: file from which an interrupted training goes on.
        resume: whether to go on from it.
        progress: told the number of epochs that are done.
    """
    return train_networks(
        training_data(dataset, indices, recipe.floor_mpa),
        recipe.network,
        recipe.training,
        seeds,
        augment=augmentation_of(recipe.training, dataset, indices),
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,
    )


def augmentation_of(training: TrainingSettings, dataset: TransferDataset, indices: IntArray) -> Augment | None:
    """The augmentation that the settings ask for, None for none."""
    if training.augmentation == "none":
        return None
    return EquivalentImages(dataset, indices, shifted=training.augmentation == "shifted")


def combined(parts: Sequence[NetworkEnsemble]) -> NetworkEnsemble:
    """One ensemble of members that were trained apart.

    Raises:
        PropertyError: they are of different architectures, or a member is there twice.
    """
    members = tuple(member for part in parts for member in part.members)
    kinds = {member.settings.model_dump_json(exclude={"imagenet_weights"}) for member in members}
    if len(kinds) != 1 or len({member.seed for member in members}) != len(members):
        raise PropertyError(
            f"{len(members)} members of {len(kinds)} architectures with {len({m.seed for m in members})} seeds",
            expected="members of one architecture, each with a seed of its own",
            next_step="combine the members of one ensemble, each once",
        )
    return NetworkEnsemble(members=members)
