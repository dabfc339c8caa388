"""The model ``best``: a Gaussian process and extremely random trees on features of semidiscrete cores.

Each crystal structure has a model of its own. First, log τ = a + c log τ_PN with the mean stress of one of the studies
of `glideflow.transfer.core_solutions`, the one that fits the training samples best. What is then learned is the
residual, and the prediction is the mean of two:

- a Gaussian process whose kernel is linear plus squared exponential plus noise, hyperparameters by the likelihood
  (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 2 and 5);
- extremely random trees (Geurts, Ernst and Wehenkel, Machine Learning 63, 3 (2006)), with bootstrap.

The two err differently: the one extrapolates, the other does not mind features without meaning. Widths are calibrated
on residuals of training samples that were left out, which both give for nothing: eq. 5.12 of Rasmussen and Williams
for the process, trees that have not drawn a sample for the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import PropertyError
from glideflow.packages import refuse_without_sklearn
from glideflow.transfer.best_features import FAULT, LOG10_ENERGY_FACTOR, best_features, stress_name
from glideflow.transfer.calibration import FEWEST_RESIDUALS, Calibration, calibrate
from glideflow.transfer.core_solutions import STUDIES, Study
from glideflow.transfer.dataset import FLOOR_MPA, Target, TransferDataset, target_log10
from glideflow.transfer.features import Features
from glideflow.transfer.forest_arrays import ForestArrays, forest_to_arrays
from glideflow.transfer.gaussian_process_arrays import GaussianProcess, gaussian_process_to_arrays
from glideflow.transfer.models import Prediction

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

POOLED = "pooled"
"""Name of the model of structures that have too few samples for one of their own."""

_FEWEST_SAMPLES = 10
_TREES = 200
_LEAF = 2
_SHARE = 0.5
"""Of the features: how many a node of a tree may choose from."""
_GPA_TO_LOG10_MPA = 3.0
_TINY = 1e-12
_CONSTANT = 1e-9
"""Deviation of a feature that has none."""
_FAULT_OF_BARRIER = 0.9


@dataclass(frozen=True, kw_only=True)
class Prior:
    """log τ = a + c log τ_PN with the mean stress of a study.

    Attributes:
        study: name of the study.
        offset: a, for stresses in MPa.
        slope: c.
    """

    study: str
    offset: float
    slope: float

    def log10_mpa(self, features: Features) -> FloatArray:
        """(n,) log₁₀ of the stress in MPa."""
        return np.asarray(self.offset + self.slope * study_log10_mpa(features, self.study))


@dataclass(frozen=True, kw_only=True)
class BestPart:
    """The model of one structure; see the module.

    Attributes:
        names: (F) names of its features.
        prior: what the residual is taken from.
        centre: (F,) means of the features over the training samples.
        scale: (F,) their standard deviations.
        process: predicts the residual from scaled features.
        forest: the same.
        calibration: how its spread becomes a width.
    """

    names: tuple[str, ...]
    prior: Prior
    centre: FloatArray
    scale: FloatArray
    process: GaussianProcess
    forest: ForestArrays
    calibration: Calibration

    @property
    def studies(self) -> frozenset[Study]:
        """The studies that its features come from; no other one has to be solved for a prediction."""
        needed = {name.split(":")[0] for name in self.names} | {self.prior.study}
        return frozenset(study for study in STUDIES if study.name in needed)

    def predict(self, features: Features) -> Prediction:
        """Predict samples (m) from their features.

        Raises:
            PropertyError: one that the model was trained on is missing.
        """
        scaled = self.scaled(features)
        mean, deviation = self.process.predict(scaled)
        return self.calibration.applied(
            _combined(self.prior.log10_mpa(features), mean, deviation, self.forest.predict(scaled)[0])
        )

    def scaled(self, features: Features) -> FloatArray:
        """(m, F) its features of samples, as process and trees take them.

        Raises:
            PropertyError: one that the model was trained on is missing.
        """
        return np.asarray((_columns(features, self.names) - self.centre) / self.scale)


@dataclass(frozen=True)
class FittedBest:
    """The models of all structures that were trained on.

    Attributes:
        parts: models by structure, and `POOLED`.
        known: solved cores by key, see `glideflow.transfer.core_solutions.core_solutions`.
    """

    parts: Mapping[str, BestPart]
    known: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Predict samples; of one that is new, its cores are solved first, in half a second.

        Raises:
            PropertyError: nothing was learned about the structure of a sample.
        """
        part = dataset.select(indices)
        needed = self.studies(part.structures)
        features = best_features(part, np.arange(len(part)), known=self.known, studies=needed)
        return self.predict_features(features, part.structures)

    def studies(self, structures: Sequence[str]) -> tuple[Study, ...]:
        """Studies that predictions of these structures rest on.

        Raises:
            PropertyError: nothing was learned about a structure.
        """
        needed = frozenset[Study]().union(*(self._part(name).studies for name in set(structures)))
        return tuple(study for study in STUDIES if study in needed)

    def predict_features(self, features: Features, structures: tuple[str, ...]) -> Prediction:
        """Predict samples (m) from their features, in well under a millisecond each.

        Raises:
            PropertyError: nothing was learned about the structure of a sample, or a feature is missing.
        """
        log10, spread = np.full(len(structures), np.nan), np.full(len(structures), np.nan)
        for structure in sorted(set(structures)):
            chosen = np.flatnonzero([each == structure for each in structures])
            found = self._part(structure).predict(Features(features.names, features.values[chosen]))
            log10[chosen], spread[chosen] = found.log10_mpa, found.spread_log10
        return Prediction(log10_mpa=log10, spread_log10=spread)

    def _part(self, structure: str) -> BestPart:
        found = self.parts.get(structure) or self.parts.get(POOLED)
        if found is None:
            raise PropertyError(
                f"a {structure} sample for a model that was trained on {', '.join(sorted(self.parts))}",
                expected="samples of these structures",
                next_step=f"use a model that was trained on {structure} samples",
            )
        return found


@dataclass(frozen=True)
class BestRegressor:
    """Recipe of the model; see the module.

    Attributes:
        floor_mpa: floor of the target.
        known: solved cores by key, see `glideflow.transfer.core_solutions.core_solutions`.
        pooled: whether one model of all structures is made.
        name: name of the model.
    """

    floor_mpa: float = FLOOR_MPA
    known: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)
    pooled: bool = False
    name: str = "best"

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedBest:
        """Train on samples.

        A structure with fewer than ten samples has none of its own, but the model of all samples together.

        Raises:
            DependencyError: scikit-learn is not installed, which training needs and prediction does not.
            PropertyError: fewer than two samples.
        """
        refuse_without_sklearn()
        part = dataset.select(indices)
        if len(part) < 2:
            raise PropertyError(f"{len(part)} samples to learn from", expected="two at least, better dozens")
        features = best_features(part, np.arange(len(part)), known=self.known)
        target = target_log10(part, self.floor_mpa)
        groups = {POOLED: np.arange(len(part))} if self.pooled else sample_groups(part.structures)
        parts = {
            name: fitted_part(Features(features.names, features.values[chosen]), target.select(chosen), seed)
            for name, chosen in groups.items()
        }
        return FittedBest(parts, self.known)


def sample_groups(structures: tuple[str, ...]) -> dict[str, IntArray]:
    """Samples of each model: those of a structure, and all of them (`POOLED`) if some structure has fewer than ten."""
    names = np.array(structures)
    groups = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    enough = {name: chosen for name, chosen in groups.items() if len(chosen) >= _FEWEST_SAMPLES}
    return enough if len(enough) == len(groups) else {**enough, POOLED: np.arange(len(names))}


def study_log10_mpa(features: Features, study: str) -> FloatArray:
    """(n,) log₁₀ of the mean stress of a study in MPa, nothing fitted."""
    columns = [features.names.index(name) for name in (stress_name(study), LOG10_ENERGY_FACTOR)]
    return np.asarray(features.values[:, columns].sum(axis=1) + _GPA_TO_LOG10_MPA)


def chosen_names(features: Features) -> tuple[str, ...]:
    """Features of a model of these training samples.

    Studies in the plane say something of their own where cores dissociate, that is where γ has a fault between two
    barriers. Where half of the samples have none, they are left out, and with them what they add in noise.
    """
    if FAULT not in features.names:
        return features.names
    shallow = float(np.median(features.values[:, features.names.index(FAULT)])) < _FAULT_OF_BARRIER
    flat = tuple(f"{study.name}: " for study in STUDIES if study.components == 2)
    return tuple(name for name in features.names if shallow or not name.startswith(flat))


def fitted_prior(features: Features, log10_mpa: FloatArray) -> Prior:
    """The study, and the two numbers, with the least squares of residuals.

    Args:
        features: of (n) training samples.
        log10_mpa: (n,) their targets.
    """
    along = [study.name for study in STUDIES if study.components == 1 and stress_name(study.name) in features.names]
    fits = [(name, *_line(study_log10_mpa(features, name), log10_mpa)) for name in along]
    name, offset, slope, _ = min(fits, key=lambda fit: fit[-1])
    return Prior(study=name, offset=offset, slope=slope)


def leave_one_out(process: GaussianProcess) -> tuple[FloatArray, FloatArray]:
    """(n,) predictions of training targets by a process that lacks just this sample, and (n,) their deviations.

    With K the covariance of the training samples, noise included, the mean is y_i - α_i/(K⁻¹)_ii and the variance
    1/(K⁻¹)_ii: Rasmussen and Williams (2006), eq. 5.12.
    """
    from scipy.linalg import cho_solve

    identity = np.eye(len(process.alpha))
    inverse = np.diag(cho_solve((process.cholesky, True), identity))
    targets = process.cholesky @ (process.cholesky.T @ process.alpha)
    mean = process.target_mean + process.target_scale * (targets - process.alpha / inverse)
    return np.asarray(mean), np.asarray(process.target_scale / np.sqrt(inverse))


def fitted_part(features: Features, target: Target, seed: int) -> BestPart:
    """The model of (n) training samples, usually those of one structure.

    Args:
        features: theirs, from `best_features`; of the studies along b, one at least must be among them.
        target: (n,) their targets.
        seed: seed of the trees.
    """
    prior = fitted_prior(features, target.log10_mpa)
    expected = prior.log10_mpa(features)
    names = chosen_names(features)
    values = _columns(features, names)
    centre, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > _CONSTANT, scale, 1.0)
    scaled, residual = (values - centre) / scale, target.log10_mpa - expected
    process = gaussian_process_to_arrays(_fitted_process(scaled, residual))
    forest, unseen = _fitted_forest(scaled, residual, seed)
    held_out = _combined(expected, *leave_one_out(process), unseen)
    return BestPart(
        names=names,
        prior=prior,
        centre=centre,
        scale=scale,
        process=process,
        forest=forest,
        calibration=_calibration(held_out, target),
    )


def _columns(features: Features, names: tuple[str, ...]) -> FloatArray:
    """(n, F) features by name."""
    missing = [name for name in names if name not in features.names]
    if missing:
        raise PropertyError(
            f"{len(missing)} features that the model was trained on are missing, e.g. {missing[0]!r}",
            expected="features of the version of glideflow that trained it",
            next_step="use that version, which the card of the model names, or train the model again",
        )
    return features.values[:, [features.names.index(name) for name in names]]


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Offset and slope of the least-squares line, and the sum of squares that is left."""
    centred = x - x.mean()
    slope = float(centred @ y / max(float(centred @ centred), _TINY))
    offset = float(y.mean() - slope * x.mean())
    return offset, slope, float(np.sum((y - offset - slope * x) ** 2))


def _fitted_process(scaled: FloatArray, residual: FloatArray) -> GaussianProcessRegressor:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    kernel = (
        ConstantKernel(0.1, (1e-5, 1e3)) * DotProduct(1.0, (1e-2, 1e2))
        + ConstantKernel(0.5, (1e-4, 1e3)) * RBF(5.0, (1.0, 1e2))
        + WhiteKernel(0.2, (1e-2, 2.0))
    )
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    with _quiet():
        return process.fit(scaled, residual)


def _fitted_forest(scaled: FloatArray, residual: FloatArray, seed: int) -> tuple[ForestArrays, FloatArray]:
    """A forest, and what its trees say of training samples that they have not drawn."""
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(
        _TREES,
        min_samples_leaf=_LEAF,
        max_features=_SHARE,
        bootstrap=True,
        oob_score=True,
        random_state=seed,
        n_jobs=1,
    )
    with _quiet():  # of two or three samples, one may be in every tree
        forest.fit(scaled, residual)
    return forest_to_arrays(forest), np.asarray(forest.oob_prediction_)


def _combined(prior: FloatArray, mean: FloatArray, deviation: FloatArray, trees: FloatArray) -> Prediction:
    """Mean of process and trees; their distance counts into the spread."""
    return Prediction(
        log10_mpa=prior + (mean + trees) / 2,
        spread_log10=np.sqrt(deviation**2 + (mean - trees) ** 2 / 4),
    )


def _calibration(held_out: Prediction, target: Target) -> Calibration:
    """From residuals of samples left out; of too few to fit two numbers, spreads are believed."""
    if len(target.log10_mpa) >= FEWEST_RESIDUALS:
        return calibrate(held_out, target, method="scaled")
    return Calibration(method="scaled", offset_log10=0.0, slope=1.0, levels=(), factors=(), residuals=0)


def _quiet() -> warnings.catch_warnings[None]:
    """Without warnings that a hyperparameter lies at a bound, which says that a part of the kernel is not needed."""
    return warnings.catch_warnings(action="ignore")
