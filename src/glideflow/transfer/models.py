"""What every model of the Peierls stress is: something that is fitted to samples of a data set, and then predicts.

The validation harness, ensembles and artifacts know nothing else of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.transfer.dataset import TransferDataset


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Predicted stresses of m samples.

    Attributes:
        log10_mpa: (m,) log₁₀ of the Peierls stress in MPa. A model may predict less than the floor of the target.
        spread_log10: (m,) standard deviation of the prediction on the same scale; NaN from a model that states none.
    """

    log10_mpa: FloatArray
    spread_log10: FloatArray

    def __post_init__(self) -> None:
        """Refuse what the scores would silently turn into NaN.

        Raises:
            PropertyError: shapes that do not fit, or predictions that are not finite.
        """
        if self.log10_mpa.ndim != 1 or self.log10_mpa.shape != self.spread_log10.shape:
            raise PropertyError(
                f"predictions of shape {self.log10_mpa.shape} with spreads of shape {self.spread_log10.shape}",
                expected="one number of each for every sample",
            )
        lost = int(np.count_nonzero(~np.isfinite(self.log10_mpa)))
        if lost:
            raise PropertyError(
                f"{lost} of {len(self.log10_mpa)} predictions are not finite",
                expected="a number for every sample, whatever its inputs lack",
                next_step="look at the inputs of these samples; a model has to state what it does without one",
            )


@runtime_checkable
class FittedModel(Protocol):
    """A model after training."""

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Predict samples of a data set, which need not be the one that the model was fitted to.

        Args:
            dataset: the data set; targets are not read.
            indices: (m,) the samples.
        """


@runtime_checkable
class Regressor(Protocol):
    """A recipe for a model."""

    @property
    def name(self) -> str:
        """Name in tables and files, e.g. ``ridge``."""

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Train on samples of a data set; the same arguments give the same model.

        Args:
            dataset: the data set.
            indices: (m,) the samples to train on. No other one is read, inputs included.
            seed: seed of everything random.
        """
