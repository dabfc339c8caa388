"""From a crystal that a user describes to its Peierls stress: the value, how far to trust it, and what to compute next.

A prediction errs by what the model has learned from its training samples (the spread that validation has calibrated),
and by what is not known of the γ surface. For the latter the model is asked for surfaces of the library that were
changed so that they meet what is known (`glideflow.transfer.gamma_prior`): the prediction is the mean of the answers,
and their deviation adds to the spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.properties.elastic import cubic_tensor, hexagonal_tensor
from glideflow.properties.results import ElasticResult
from glideflow.storage import record
from glideflow.threads import single_thread
from glideflow.transfer.assembly import single_sample
from glideflow.transfer.dataset import OTHER, TransferDataset, stacked, target_log10
from glideflow.transfer.features import STRUCTURES, scalars
from glideflow.transfer.gamma_prior import GammaEstimate, GammaPrior, fault_fractions
from glideflow.transfer.held_out_scores import HeldOutScores
from glideflow.transfer.metrics import LEVELS
from glideflow.transfer.models import FittedModel, Prediction
from glideflow.transfer.periodic import grid_positions
from glideflow.transfer.user_inputs import UserCrystal, gamma_result

NEIGHBOURS = 5
SHOWN_LEVELS = (0.68, 0.9)
"""Levels of the intervals that tables and pages show."""
EXAMPLES = 6
"""Surfaces that stand for what is not known of γ in a prediction, those of the library that have to be changed least.
Twelve are no better on families that are left out (`benchmarks/bench_transfer_points.py`), and take twice as long."""
_CANDIDATES = 12
_SENSITIVITY_POINTS = 8
_NEXT_ERROR_MJ_M2 = 1.0
_PATH_POINTS = 41
_REACHED = 0.6
"""Share of the spread by γ, as a variance, that goes with what is not known of γ where cores glide: short waves and the
rest of the plane decide as well. From `benchmarks/bench_transfer_suggest.py`, families that are left out."""
_TINY = 1e-300
_MARGIN = 0.02
"""Of the range of the training samples: this little beyond it is not outside."""
_FAR_LOG10 = 0.3
"""Of a logarithm: this much beyond the training samples is more than another metal; units may be wrong."""
_SAYS_NOTHING_LOG10 = 1.5
_INDEPENDENT = 1e-6
_ELASTIC_STEP = 0.03
_GRID = 30
_RESIDUAL_ERRORS = 4.0
"""Standard errors of the given values by which an estimate may miss one."""


@record
@dataclass(frozen=True, kw_only=True)
class TrainingDomain:
    """Where the training samples of a model lie, for neighbours and for warnings.

    Attributes:
        group: name of the data set.
        potential_ids: (n) the samples.
        elements: (n) chemical symbols.
        sources: (n) kinds of potentials.
        peierls_mpa: (n,) their Peierls stresses.
        names: (f) names of the features, see `glideflow.transfer.features.scalars`.
        values: (n, f) features.
        protocol: how the stresses were computed.
        library_name: name of the library.
        library_sha256: digest of its file.
        floor_mpa: floor of the target.
    """

    group: str
    potential_ids: tuple[str, ...]
    elements: tuple[str, ...]
    sources: tuple[str, ...]
    peierls_mpa: FloatArray
    names: tuple[str, ...]
    values: FloatArray
    protocol: str
    library_name: str
    library_sha256: str
    floor_mpa: float

    def scaled(self, values: FloatArray) -> FloatArray:
        """(m, f) features in deviations of the training samples from their mean."""
        return np.asarray((values - self.values.mean(axis=0)) / np.maximum(self.values.std(axis=0), 1e-9))


@dataclass(frozen=True, kw_only=True)
class StrengthModel:
    """Everything that a prediction needs.

    Attributes:
        name: name of the model, e.g. ``best``.
        model: the fitted model.
        prior: what γ surfaces of the structure look like.
        domain: the training samples.
        held_out: how good it is on samples that it has not seen; empty if that was not measured.
    """

    name: str
    model: FittedModel
    prior: GammaPrior
    domain: TrainingDomain
    held_out: tuple[HeldOutScores, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A training sample close to what is predicted.

    Attributes:
        potential_id: its potential.
        element: chemical symbol.
        peierls_mpa: its Peierls stress by atomistics, no less than the floor of the target.
        at_floor: whether it is the floor: the stress is that or below.
        distance: root mean square difference of the features, in deviations of the training samples.
    """

    potential_id: str
    element: str
    peierls_mpa: float
    at_floor: bool
    distance: float


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A displacement at which γ should be computed next.

    Attributes:
        fraction: displacement in periods, along b and across it.
        displacement_angstrom: the same in Å.
        gamma_mj_m2: what γ is expected to be there.
        deviation_mj_m2: its standard deviation as far as it is known now.
        input_spread_log10: spread of the prediction by the unknown part of γ that may be left with this point and
            those before it; single cases differ by factors.
    """

    fraction: tuple[float, float]
    displacement_angstrom: tuple[float, float]
    gamma_mj_m2: float
    deviation_mj_m2: float
    input_spread_log10: float


@dataclass(frozen=True, kw_only=True)
class StrengthPrediction:
    """A predicted Peierls stress.

    Attributes:
        name: what was predicted.
        element: chemical symbol, empty if not said.
        structure: crystal structure.
        slip_system: slip system, character edge.
        cut: which spacing between planes was cut, where they differ.
        peierls_mpa: the prediction.
        intervals_mpa: ends of the intervals by nominal level.
        spread_log10: standard deviation of log₁₀ τ, both parts together.
        model_spread_log10: of the model.
        input_spread_log10: of what is not known of γ.
        gamma_deviation_mj_m2: root mean square of the standard deviation of γ over the period.
        gamma_maximum_mj_m2: maximum of γ.
        gamma_residual_mj_m2: largest difference of γ to a given value.
        neighbours: the closest training samples.
        outside: features beyond all training samples, with value and range.
        warnings: what else should make a reader careful.
        model: name of the model.
        trained_on: its training source.
        input_source: where the inputs come from.
        held_out: how good the model is on samples that it has not seen; empty if that was not measured.
    """

    name: str
    element: str
    structure: str
    slip_system: str
    cut: str
    peierls_mpa: float
    intervals_mpa: dict[float, tuple[float, float]]
    spread_log10: float
    model_spread_log10: float
    input_spread_log10: float
    gamma_deviation_mj_m2: float
    gamma_maximum_mj_m2: float
    gamma_residual_mj_m2: float
    neighbours: tuple[Neighbour, ...]
    outside: tuple[str, ...]
    warnings: tuple[str, ...]
    model: str
    trained_on: str
    input_source: str
    held_out: tuple[HeldOutScores, ...]


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """How a prediction follows its inputs.

    Attributes:
        elastic: d log τ / d log C for each independent constant, by name.
        fractions: (g, g, 2) displacements in periods.
        per_percent: (g, g) change of τ in percent if γ there is one percent of its maximum higher, in a bump of a
            width of a tenth of the period, the layer group's images of it included.
    """

    elastic: dict[str, float]
    fractions: FloatArray
    per_percent: FloatArray


def training_domain(dataset: TransferDataset, floor_mpa: float) -> TrainingDomain:
    """Where the samples of a data set lie."""
    found = scalars(dataset)
    kept = [index for index, name in enumerate(found.names) if name not in STRUCTURES]
    return TrainingDomain(
        group=dataset.name,
        potential_ids=dataset.potential_ids,
        elements=dataset.elements,
        sources=dataset.sources,
        peierls_mpa=10 ** target_log10(dataset, floor_mpa).log10_mpa,
        names=tuple(found.names[index] for index in kept),
        values=found.values[:, kept],
        protocol=dataset.protocol,
        library_name=dataset.library_name,
        library_sha256=dataset.library_sha256,
        floor_mpa=floor_mpa,
    )


@single_thread()
def predict_crystal(model: StrengthModel, crystal: UserCrystal, *, surfaces: int = EXAMPLES) -> StrengthPrediction:
    """Predict the Peierls stress of a crystal.

    Args:
        model: the model of its structure.
        crystal: the crystal.
        surfaces: how many stand for what is not known of γ, at most.

    Raises:
        ConfigurationError: the model is of another structure.
        PropertyError: the crystal has no dislocation: γ has no barrier along the Burgers vector.
    """
    return _Prober(model, crystal, surfaces).prediction()


@single_thread()
def suggest(
    model: StrengthModel, crystal: UserCrystal, count: int, *, surfaces: int = EXAMPLES
) -> tuple[Suggestion, ...]:
    """Displacements at which γ should be computed next, each the best one after those before it.

    The best is the one whose value, known to 1 mJ/m², leaves least unknown of γ where cores glide: along b, and by way
    of the intrinsic fault where there is one. None if γ is known.

    Args:
        model: the model of its structure.
        crystal: the crystal.
        count: how many.
        surfaces: how many stand for what is not known of γ, at most.
    """
    return _Prober(model, crystal, surfaces).suggestions(count)


@single_thread()
def sensitivity(model: StrengthModel, crystal: UserCrystal, points: int | None = None) -> Sensitivity:
    """How the prediction follows elastic constants and γ, around the example that is changed least.

    Args:
        model: the model of its structure.
        crystal: the crystal.
        points: points along each period, eight if not given; every one that no symmetry relates to another costs two
            predictions.
    """
    return _Prober(model, crystal).sensitivity(points or _SENSITIVITY_POINTS)


class _Prober:
    """A model asked for a crystal and its variations."""

    def __init__(self, model: StrengthModel, crystal: UserCrystal, surfaces: int = EXAMPLES) -> None:
        if crystal.definition.structure != model.prior.structure:
            raise ConfigurationError(
                f"{crystal.name} is {crystal.definition.structure}, the model of {model.prior.structure}",
                expected="the same structure",
                next_step="choose another model",
            )
        self._model = model
        self._crystal = crystal
        self._most_surfaces = surfaces

    @cached_property
    def _surfaces(self) -> tuple[GammaEstimate, ...]:
        """What γ may be: one surface if it is known, else examples."""
        return tuple(gamma for gamma, _ in self._samples)

    @cached_property
    def _samples(self) -> tuple[tuple[GammaEstimate, TransferDataset], ...]:
        """The surfaces, and the crystal with each of them."""
        gamma = self._crystal.gamma
        numbers = range(min(self._most_surfaces, len(gamma.examples))) if gamma.rest is None else ()
        found = [(each, self._sample_with_barrier(each)) for each in map(gamma.example, numbers)]
        kept = tuple((each, sample) for each, sample in found if sample is not None)
        return kept or ((gamma.known(), self._known_sample),)

    def _sample_with_barrier(self, gamma: GammaEstimate) -> TransferDataset | None:
        """The sample; None if there is no dislocation: a surface of another metal may be changed beyond that."""
        try:
            return self._sample(gamma, self._crystal.elastic)
        except PropertyError:
            return None

    @cached_property
    def _known_sample(self) -> TransferDataset:
        """The crystal with its most likely γ."""
        return self._sample(self._crystal.gamma.known(), self._crystal.elastic)

    @cached_property
    def _answers(self) -> Prediction:
        """The model's answers for all of them."""
        samples = stacked([sample for _, sample in self._samples])
        return self._model.model.predict(samples, np.arange(len(samples)))

    def prediction(self) -> StrengthPrediction:
        """The prediction with everything around it."""
        crystal, model, answers = self._crystal, self._model, self._answers
        sample = self._known_sample
        value, inputs = float(answers.log10_mpa.mean()), _deviation(answers.log10_mpa)
        own = float(np.sqrt((answers.spread_log10**2).mean()))
        spread = float(np.hypot(own, inputs))
        grid = grid_positions(_GRID)
        deviation = float(np.sqrt((crystal.gamma.deviation_mj_m2(grid) ** 2).mean()))
        return StrengthPrediction(
            name=crystal.name,
            element=crystal.element,
            structure=crystal.definition.structure,
            slip_system=crystal.definition.name,
            cut=crystal.definition.cut or "wide",
            peierls_mpa=10**value,
            intervals_mpa={level: _interval(value, spread, level) for level in LEVELS},
            spread_log10=spread,
            model_spread_log10=own,
            input_spread_log10=inputs,
            gamma_deviation_mj_m2=deviation,
            gamma_maximum_mj_m2=float(sample.gamma_mj_m2.max()),
            gamma_residual_mj_m2=float(np.abs(crystal.gamma.residual_mj_m2).max(initial=0.0)),
            neighbours=_neighbours(model.domain, sample),
            outside=_outside(model.domain, sample),
            warnings=tuple(self._warnings(sample, value, inputs, own)) + _extremes(model.domain, sample, spread),
            model=model.name,
            trained_on=_training_source(model.domain),
            input_source=crystal.source or "not stated",
            held_out=model.held_out,
        )

    def suggestions(self, count: int) -> tuple[Suggestion, ...]:
        """The displacements that leave least unknown of γ where cores glide, one after the other."""
        if len(self._surfaces) == 1:
            return ()
        gamma, period, fractions = self._crystal.gamma, self._period_angstrom(), grid_positions(_CANDIDATES)
        waves, path = (gamma.prior.design(each) * gamma.unit_mj_m2 for each in (fractions, self._glide_path()))
        expected, deviation = gamma.gamma_mj_m2(fractions), gamma.deviation_mj_m2(fractions)
        covariance, found = gamma.covariance, []
        whole, spread = _unknown(path, covariance), _deviation(self._answers.log10_mpa)
        for _ in range(count):
            common = waves @ covariance  # (P, K)
            variance = (common * waves).sum(axis=1) + _NEXT_ERROR_MJ_M2**2
            gain = ((common @ path.T) ** 2).sum(axis=1) / variance
            best = int(np.argmax(np.round(gain / max(float(gain.max()), _TINY), 9)))
            covariance = covariance - np.outer(common[best], common[best]) / variance[best]
            left = _unknown(path, covariance) / max(whole, _TINY)
            x, y = fractions[best] * period
            found.append(
                Suggestion(
                    fraction=(float(fractions[best, 0]), float(fractions[best, 1])),
                    displacement_angstrom=(float(x), float(y)),
                    gamma_mj_m2=float(expected[best]),
                    deviation_mj_m2=float(deviation[best]),
                    input_spread_log10=spread * float(np.sqrt(1 - _REACHED * (1 - left))),
                )
            )
        return tuple(found)

    def _glide_path(self) -> FloatArray:
        """(Q, 2) displacements that a core goes through: along b, and by way of the intrinsic fault if there is one."""
        share = np.linspace(0, 1, _PATH_POINTS)[:, None]
        burgers = np.array([1.0, 0.0])
        fault, _ = fault_fractions(self._crystal.definition)
        if fault is None:
            return np.asarray(share * burgers)
        halfway = np.asarray(fault + 0.5)  # the same fault next to b/2: half a period both ways is a lattice vector
        return np.vstack([share * burgers, share * halfway, halfway + share * (burgers - halfway)])

    def sensitivity(self, points: int) -> Sensitivity:
        """Central differences for every elastic constant and every point of γ."""
        _, answers = self._bump_answers(points)
        return Sensitivity(
            elastic=self._elastic_slopes(),
            fractions=grid_positions(points).reshape(points, points, 2),
            per_percent=((10**answers - 1) * 100).reshape(points, points),
        )

    def _bump_answers(self, points: int) -> tuple[FloatArray, FloatArray]:
        """Bumps (P, K) at a grid of displacements, and what log₁₀ τ changes by (P,), by central differences.

        Bumps that symmetry relates are asked for once.
        """
        changes = self._bumps(grid_positions(points))
        rounded = np.round(changes / np.abs(changes).max(), 9)
        unique, index = np.unique(rounded, axis=0, return_inverse=True)
        first = np.array([int(np.flatnonzero(index.ravel() == k)[0]) for k in range(len(unique))])
        start = self._surfaces[0]
        if len(self._surfaces) > 1:  # a rest that is another potential's is noise for slopes
            start = replace(start, rest=None)
        both = [start.known(start.mean + sign * changes[k]) for k in first for sign in (1, -1)]
        answers = self._ask([(gamma, self._crystal.elastic) for gamma in both]).log10_mpa.reshape(-1, 2)
        return changes, ((answers[:, 0] - answers[:, 1]) / 2)[index.ravel()]

    def _elastic_slopes(self) -> dict[str, float]:
        names = ("c11", "c12", "c44", "c13", "c33")
        values = self._constants()
        both = [
            _elastic(self._crystal.elastic, [*values[:k], values[k] * (1 + sign * _ELASTIC_STEP), *values[k + 1 :]])
            for k in range(len(values))
            for sign in (1, -1)
        ]
        answers = self._ask([(self._surfaces[0], elastic) for elastic in both]).log10_mpa.reshape(-1, 2)
        slopes = (answers[:, 0] - answers[:, 1]) / np.log10((1 + _ELASTIC_STEP) / (1 - _ELASTIC_STEP))
        return {name: float(slope) for name, slope in zip(names, slopes, strict=False)}

    def _constants(self) -> list[float]:
        elastic = self._crystal.elastic
        all_ = (elastic.c11_gpa, elastic.c12_gpa, elastic.c44_gpa, elastic.c13_gpa, elastic.c33_gpa)
        return [value for value in all_ if value is not None]

    def _bumps(self, fractions: FloatArray) -> FloatArray:
        """(P, K) coefficients of bumps of a percent of γ's maximum at the displacements, zero at the lattice sites."""
        gamma = self._surfaces[0]
        grid = grid_positions(2 * int(np.abs(gamma.prior.waves_per_period).max()) + 1)
        design = gamma.prior.design(grid)
        apart = grid[None] - fractions[:, None]
        heights = np.exp(-((apart - np.rint(apart)) ** 2).sum(axis=2) / (2 * 0.1**2))
        solution = np.asarray(np.linalg.lstsq(design, heights.T, rcond=1e-10)[0].T)
        zero = gamma.prior.design(np.zeros((1, 2)))[0]
        solution[:, 0] -= solution @ zero  # the perfect crystal stays where it is
        return np.asarray(solution * 0.01 * gamma.gamma_mj_m2(grid).max() / gamma.unit_mj_m2)

    def _ask(self, variations: Sequence[tuple[GammaEstimate, ElasticResult]]) -> Prediction:
        """The model's answers for variations of the crystal, in one batch."""
        samples = stacked([self._sample(gamma, elastic) for gamma, elastic in variations])
        return self._model.model.predict(samples, np.arange(len(samples)))

    def _sample(self, gamma: GammaEstimate, elastic: ElasticResult) -> TransferDataset:
        crystal = self._crystal
        return single_sample(
            crystal.lattice,
            elastic,
            gamma_result(crystal, gamma),
            crystal.definition,
            name=crystal.name,
            element=crystal.element,
            source=OTHER,
        )

    def _period_angstrom(self) -> FloatArray:
        return np.asarray(self._known_sample.cell_angstrom[0])

    def _warnings(self, sample: TransferDataset, value: float, inputs: float, model: float) -> list[str]:
        found = list(self._crystal.warnings)
        if sample.gamma_mj_m2.min() < -0.01 * sample.gamma_mj_m2.max():
            found.append(f"γ is negative: {sample.gamma_mj_m2.min():.4g} mJ/m² at its lowest")
        gamma = self._crystal.gamma
        residual = float(np.abs(gamma.residual_mj_m2).max(initial=0.0))
        if residual > _RESIDUAL_ERRORS * self._crystal.error_mj_m2 and residual > 0.02 * sample.gamma_mj_m2.max():
            found.append(
                f"no γ surface with the symmetry of the plane meets the given values: {residual:.4g} mJ/m² are left; "
                "look at their displacements"
            )
        faults = [place for place in fault_fractions(self._crystal.definition) if place is not None]
        if len(faults) == 2:
            intrinsic, aligned = gamma.gamma_mj_m2(np.array(faults))
            if intrinsic > aligned:
                found.append(
                    f"the intrinsic fault ({intrinsic:.4g} mJ/m²) is higher than the aligned one ({aligned:.4g} mJ/m²)"
                    ": displacements across b have the other sign, most likely"
                )
        if gamma.rest is None:
            found.append("held-out scores are of crystals whose γ is known on a fine grid; this one errs by more")
        if inputs > model:
            found.append("most of the spread comes from γ: `--suggest` says which points to compute")
        if value < np.log10(self._model.domain.floor_mpa) + 1e-9:
            found.append(f"at or below the {self._model.domain.floor_mpa:g} MPa that the training values resolve")
        return found


def _unknown(waves: FloatArray, covariance: FloatArray) -> float:
    """Sum of the variances of γ at places whose waves are given."""
    return max(float(((waves @ covariance) * waves).sum()), 0.0)


def _deviation(answers: FloatArray) -> float:
    """Standard deviation of a further answer, as of Student's distribution: that of few answers is itself uncertain."""
    count = len(answers)
    if count < 2:
        return 0.0
    return float(answers.std(ddof=1) * np.sqrt((1 + 1 / count) * (count - 1) / max(count - 3, 1)))


def _elastic(elastic: ElasticResult, constants: Sequence[float]) -> ElasticResult:
    tensor = hexagonal_tensor(*constants) if len(constants) > 3 else cubic_tensor(*constants)
    return replace(elastic, tensor_gpa=tensor)


def _interval(value: float, spread: float, level: float) -> tuple[float, float]:
    from statistics import NormalDist

    reach = NormalDist().inv_cdf((1 + level) / 2) * spread
    return 10 ** (value - reach), 10 ** (value + reach)


def _features(domain: TrainingDomain, sample: TransferDataset) -> FloatArray:
    found = scalars(sample)
    return np.asarray(found.values[0, [found.names.index(name) for name in domain.names]])


def _neighbours(domain: TrainingDomain, sample: TransferDataset) -> tuple[Neighbour, ...]:
    apart = domain.scaled(domain.values) - domain.scaled(_features(domain, sample)[None])
    distance = np.sqrt((apart**2).mean(axis=1))
    return tuple(
        Neighbour(
            potential_id=domain.potential_ids[k],
            element=domain.elements[k],
            peierls_mpa=float(domain.peierls_mpa[k]),
            at_floor=bool(domain.peierls_mpa[k] <= domain.floor_mpa * (1 + _INDEPENDENT)),
            distance=float(distance[k]),
        )
        for k in np.argsort(distance, kind="stable")[:NEIGHBOURS]
    )


def _outside(domain: TrainingDomain, sample: TransferDataset) -> tuple[str, ...]:
    values = _features(domain, sample)
    low, high = domain.values.min(axis=0), domain.values.max(axis=0)
    margins = _MARGIN * (high - low) + _TINY
    return tuple(
        f"{name} = {value:.4g}, in training {bottom:.4g} to {top:.4g}"
        for name, value, bottom, top, margin in zip(domain.names, values, low, high, margins, strict=True)
        if not bottom - margin <= value <= top + margin
    )


def _extremes(domain: TrainingDomain, sample: TransferDataset, spread_log10: float) -> tuple[str, ...]:
    """Warnings of inputs that no metal has, and of predictions that say nothing."""
    values, found = _features(domain, sample), []
    beyond = np.maximum(domain.values.min(axis=0) - values, values - domain.values.max(axis=0))
    far = [name for name, by in zip(domain.names, beyond, strict=True) if name.startswith("log10") and by > _FAR_LOG10]
    if far:
        found.append(
            f"{len(far)} inputs lie more than a factor of {10**_FAR_LOG10:.0f} beyond every training sample: "
            "look whether elastic constants are in GPa and γ in mJ/m²"
        )
    if spread_log10 > _SAYS_NOTHING_LOG10:
        found.append("the interval spans decades: the model has learned nothing of such a crystal")
    return tuple(found)


def _training_source(domain: TrainingDomain) -> str:
    kinds = ", ".join(f"{domain.sources.count(kind)} {kind}" for kind in sorted(set(domain.sources)))
    return (
        f"{len(domain.potential_ids)} potentials ({kinds}) of the library {domain.library_name!r} "
        f"(sha256 {domain.library_sha256[:12]}), data set {domain.group}, protocol {domain.protocol}"
    )
