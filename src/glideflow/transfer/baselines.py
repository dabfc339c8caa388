"""What a network has to beat: the metal's name, simple regressions, and the continuum models themselves.

Censored samples are trained on with the value of their bound or of the floor, like all others. Every model states a
spread: the root mean square of errors that its own training samples would have had when left out, where that comes
for nothing, else of the errors of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.packages import refuse_without_sklearn
from glideflow.transfer.dataset import FLOOR_MPA, TransferDataset, target_log10
from glideflow.transfer.features import Features, joined, peierls_nabarro_log10, scalars
from glideflow.transfer.models import FittedModel, Prediction, Regressor

FeatureFunction = Callable[[TransferDataset], Features]

_RIDGE_STRENGTHS = np.logspace(-3, 4, 29)
_TREES = 200
_LEAF = 2
_FEW = 3
"""Samples of a metal below which their scatter says nothing."""


def baseline(name: str, floor_mpa: float = FLOOR_MPA) -> Regressor:
    """A baseline by name.

    ``metal_median``, ``metal_mean``: of the metal's training samples; of the structure's for a metal that has none.
    ``ridge``, ``forest``: on the scalars of `glideflow.transfer.features.scalars`.
    ``forest_pn``: a forest on these and on the stresses by all continuum models.
    ``classical_pn``, ``semidiscrete_pn``: the continuum models as they are, nothing fitted.
    ``classical_pn_fit``, ``semidiscrete_pn_fit``: log τ = a + c log of these, two numbers fitted.

    Args:
        name: the name.
        floor_mpa: floor of the target.

    Raises:
        KeyError: there is no such baseline.
    """
    return _BASELINES[name](floor_mpa)


@dataclass(frozen=True)
class MetalAverage:
    """Average of log τ over the training samples of the same metal: what the metal's name says.

    Attributes:
        name: name of the model.
        average: the average, of numbers.
        floor_mpa: floor of the target.
    """

    name: str
    average: Callable[[FloatArray], np.floating]
    floor_mpa: float = FLOOR_MPA

    uses_seed: ClassVar[bool] = False

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Averages of the training samples."""
        part = dataset.select(indices)
        return _FittedAverage(part, target_log10(part, self.floor_mpa).log10_mpa, self.average)


@dataclass(frozen=True)
class _FittedAverage:
    part: TransferDataset
    targets: FloatArray
    average: Callable[[FloatArray], np.floating]

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Averages of the metals of these samples."""
        part = dataset.select(indices)
        pairs = [self._of(*metal) for metal in zip(part.elements, part.structures, strict=True)]
        values, spreads = np.array(pairs).reshape(-1, 2).T
        return Prediction(log10_mpa=values, spread_log10=spreads)

    def _of(self, element: str, structure: str) -> tuple[float, float]:
        """Average of the metal, else of the structure, else of all; and the standard deviation about it."""
        elements, structures = np.array(self.part.elements), np.array(self.part.structures)
        metal = (elements == element) & (structures == structure)
        alike = structures == structure
        chosen = next(mask for mask in (metal, alike, np.ones(len(elements), dtype=bool)) if mask.any())
        broad = alike if alike.any() else np.ones(len(elements), dtype=bool)
        scattered = self.targets[chosen if chosen.sum() >= _FEW else broad]
        centre = float(self.average(self.targets[chosen]))
        return centre, float(np.sqrt(np.mean((scattered - centre) ** 2)))


@dataclass(frozen=True)
class Ridge:
    """Linear regression on standardised features, its strength chosen by leaving one out.

    Attributes:
        name: name of the model.
        features: what it sees.
        floor_mpa: floor of the target.
    """

    name: str
    features: FeatureFunction
    floor_mpa: float = FLOOR_MPA

    uses_seed: ClassVar[bool] = False

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Fit to the training samples."""
        refuse_without_sklearn()
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        part = dataset.select(indices)
        ridge = RidgeCV(alphas=_RIDGE_STRENGTHS, store_cv_results=True)
        pipeline = make_pipeline(StandardScaler(), ridge)
        pipeline.fit(self.features(part).values, target_log10(part, self.floor_mpa).log10_mpa)
        best = int(np.argmin(np.abs(_RIDGE_STRENGTHS - ridge.alpha_)))
        spread = float(np.sqrt(ridge.cv_results_[:, best].mean()))  # squared errors of what was left out
        return _FittedRegression(lambda values: np.asarray(pipeline.predict(values)), self.features, spread)


@dataclass(frozen=True)
class Forest:
    """Random forest; the only baseline with a seed.

    Attributes:
        name: name of the model.
        features: what it sees.
        floor_mpa: floor of the target.
    """

    name: str
    features: FeatureFunction
    floor_mpa: float = FLOOR_MPA

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Fit to the training samples."""
        refuse_without_sklearn()
        from sklearn.ensemble import RandomForestRegressor

        part = dataset.select(indices)
        targets = target_log10(part, self.floor_mpa).log10_mpa
        forest = RandomForestRegressor(
            _TREES, min_samples_leaf=_LEAF, max_features=1 / 3, oob_score=True, random_state=seed, n_jobs=1
        )
        forest.fit(self.features(part).values, targets)
        spread = float(np.sqrt(np.mean((forest.oob_prediction_ - targets) ** 2)))
        return _FittedRegression(lambda values: np.asarray(forest.predict(values)), self.features, spread)


@dataclass(frozen=True)
class _FittedRegression:
    regression: Callable[[FloatArray], FloatArray]
    features: FeatureFunction
    spread_log10: float

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Predict these samples."""
        values = self.regression(self.features(dataset.select(indices)).values)
        return Prediction(log10_mpa=values, spread_log10=np.full(len(values), self.spread_log10))


@dataclass(frozen=True)
class PeierlsNabarro:
    """A continuum model as it is, or with two numbers fitted: log τ = a + c log τ_PN.

    Stresses below the floor count as the floor, on both sides. A sample of which the model has no stress gets the
    median of the training samples.

    Attributes:
        name: name of the model.
        model: continuum model, one of the data set's ``peierls_nabarro_names``.
        fitted: whether two numbers are fitted.
        floor_mpa: floor of the target.
    """

    name: str
    model: str
    fitted: bool
    floor_mpa: float = FLOOR_MPA

    uses_seed: ClassVar[bool] = False

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Fit to those of the training samples that the model has a stress of."""
        part = dataset.select(indices)
        targets = target_log10(part, self.floor_mpa).log10_mpa
        predicted = self.log10_mpa(part)
        known = np.isfinite(predicted)
        offset, slope = _line(predicted[known], targets[known]) if self.fitted else (0.0, 1.0)
        median = float(np.median(targets))
        errors = np.where(known, offset + slope * np.where(known, predicted, 0.0), median) - targets
        spread = float(np.sqrt(np.mean(errors**2)))
        return FittedPeierlsNabarro(self, offset, slope, median, spread)

    def log10_mpa(self, dataset: TransferDataset) -> FloatArray:
        """(n,) log₁₀ of the model's stress from the floor upwards; NaN where it has none."""
        return np.log10(np.maximum(dataset.peierls_nabarro(self.model), self.floor_mpa))


@dataclass(frozen=True)
class FittedPeierlsNabarro:
    """A continuum model with its two numbers.

    Attributes:
        recipe: the model.
        offset: a.
        slope: c.
        median_log10: prediction where the model has no stress.
        spread_log10: root mean square error over the training samples, those without a stress included.
    """

    recipe: PeierlsNabarro
    offset: float
    slope: float
    median_log10: float
    spread_log10: float

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Predict these samples."""
        values = self.offset + self.slope * self.recipe.log10_mpa(dataset.select(indices))
        values = np.where(np.isfinite(values), values, self.median_log10)
        return Prediction(log10_mpa=values, spread_log10=np.full(len(values), self.spread_log10))


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Offset and slope of the least-squares line; slope 1 where there are not two different x."""
    if len(np.unique(x)) < 2:
        return (float(np.mean(y - x)), 1.0) if len(x) else (0.0, 1.0)
    slope, offset = np.polyfit(x, y, 1)
    return float(offset), float(slope)


def _forest_pn(floor_mpa: float) -> Regressor:
    return Forest(
        "forest_pn", lambda dataset: joined(scalars(dataset), peierls_nabarro_log10(dataset, floor_mpa)), floor_mpa
    )


_BASELINES: dict[str, Callable[[float], Regressor]] = {
    "metal_median": lambda floor: MetalAverage("metal_median", np.median, floor),
    "metal_mean": lambda floor: MetalAverage("metal_mean", np.mean, floor),
    "ridge": lambda floor: Ridge("ridge", scalars, floor),
    "forest": lambda floor: Forest("forest", scalars, floor),
    "forest_pn": _forest_pn,
    "classical_pn": lambda floor: PeierlsNabarro("classical_pn", "joos_duesbery", False, floor),
    "classical_pn_fit": lambda floor: PeierlsNabarro("classical_pn_fit", "joos_duesbery", True, floor),
    "semidiscrete_pn": lambda floor: PeierlsNabarro("semidiscrete_pn", "surface", False, floor),
    "semidiscrete_pn_fit": lambda floor: PeierlsNabarro("semidiscrete_pn_fit", "surface", True, floor),
}
BASELINES = tuple(_BASELINES)
"""Names of the baselines."""
