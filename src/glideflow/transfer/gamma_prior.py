"""A γ surface from a few of its points: what those of a slip system look like, and what the points say of this one.

γ over μ b is a sum of plane waves averaged over the operations of the layer group. Over the potentials of a library the
coefficients of these waves are far from free: a normal distribution of them, its mean and covariance taken from one
potential of each family, is the prior. Values at single displacements, whichever there are, are linear in the
coefficients, so that the posterior is normal too, and says at every displacement how well γ is known.

Its mean is smoother than any γ surface, and draws from it are rougher; both mislead what asks for more than energies,
as dislocations do. What the rest of γ may look like is therefore shown by the surfaces of the library themselves, each
changed by as little as meets the given values (conditioning of samples by G. Matheron, see A. Journel and
C. Huijbregts, Mining Geostatistics, 1978, chapter VII).

The waves are not all of γ. What they leave of a surface, its rest, is a thousandth of the maximum and can decide the
stress of a wide core, above all in bcc, where rows of atoms are b/3 apart. So surfaces of the library keep theirs, and
a fine and precise grid that is given is kept as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from glideflow import __version__
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.crystals.lattices import FloatArray, crystal
from glideflow.crystals.layers import LayeredCrystal, layered_crystal
from glideflow.crystals.slip_systems import slip_system
from glideflow.crystals.symmetry import displacement_symmetry
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.properties.fourier import has_sine, star_functions, star_wavevectors
from glideflow.properties.gamma_surface import special_faults
from glideflow.storage import record
from glideflow.threads import single_thread
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import gamma_scaled
from glideflow.transfer.periodic import grid_fractions, grid_positions, values_at

SHELLS = 60
"""Stars of plane waves beyond the constant. Half of the library's γ surfaces keep less than 0.5 % of their maximum as
the largest error at any point (`tests/transfer/test_gamma_prior.py`)."""
SHRINKAGE = 0.2
"""Share of the covariance that is taken as if coefficients were independent: with fewer potentials than coefficients
their sample covariance knows directions in which γ cannot vary, and stated errors are too small."""
_FEWEST_FAMILIES = 8
_ZERO = 1e-6
_PATH_POINTS = 181
_LARGEST_MOVE = 1e-4
_MAX_ROUNDS = 50
_FEW = 3
_LARGEST_MISFIT = 0.05
_KEPT_DESIGNS = 16
_AT_ONCE = 200
_WHOLE_POINTS = 24
"""Points along each period from which on a grid holds the waves that dislocations feel; the library has 30."""
_WHOLE_ERROR = 3e-4
"""Standard error over the maximum up to which a grid is taken as it is: its errors would act as high waves do."""


@record
@dataclass(frozen=True, kw_only=True)
class GammaPrior:
    """Normal distribution of γ over μ b on a slip system.

    Coefficients stand for the cosines of all stars, and after them the sines of those that have one.

    Attributes:
        structure: crystal structure.
        slip_system: name of the slip system.
        slip_system_definition: its settings as JSON, with the cut.
        waves_per_period: (S, 2) whole numbers: waves of each star along the two periods, the constant first.
        symmetry: (M, 2, 2) operations of the layer group on displacements in periods.
        with_sine: (S,) 1 where the sine of the star does not vanish by symmetry, else 0.
        mean: (K,) means of the coefficients.
        covariance: (K, K) their covariance.
        coefficients: (n, K) those of the potentials.
        rests: (n, k, l) what their surfaces have beside the waves, on a periodic grid.
        potential_ids: (n) the potentials, one of each family and metal.
        library_sha256: digest of the library that they came from.
        glideflow_version: version of this package.
    """

    structure: str
    slip_system: str
    slip_system_definition: str
    waves_per_period: FloatArray
    symmetry: FloatArray
    with_sine: FloatArray
    mean: FloatArray
    covariance: FloatArray
    coefficients: FloatArray
    rests: FloatArray
    potential_ids: tuple[str, ...]
    library_sha256: str = ""
    glideflow_version: str = ""

    def design(self, fractions: FloatArray) -> FloatArray:
        """(P, K) waves at (P, 2) displacements in periods; not to be written to."""
        places = np.ascontiguousarray(fractions, dtype=np.float64)
        key = places.tobytes()
        if key not in self._designs:  # the same few grids and paths are asked for with every surface
            if len(self._designs) >= _KEPT_DESIGNS:
                self._designs.clear()
            self._designs[key] = _waves(places, self.waves_per_period, self.symmetry, self.with_sine)
        return self._designs[key]

    @cached_property
    def _designs(self) -> dict[bytes, FloatArray]:
        return {}


@dataclass(frozen=True, kw_only=True)
class GammaValues:
    """What is known of a γ surface.

    Attributes:
        fractions: (P, 2) displacements in periods along b and across it.
        gamma_mj_m2: (P,) γ there.
        error_mj_m2: (P,) standard errors.
        path_fractions: (2,) end of the path from the perfect crystal on which the unstable fault lies.
        usf_mj_m2: maximum on this path, None if not known.
        usf_error_mj_m2: its standard error.
        grid_mj_m2: (k, l) the periodic grid that is among the values, if one is.
        warnings: what should make a reader careful about where they come from.
    """

    fractions: FloatArray
    gamma_mj_m2: FloatArray
    error_mj_m2: FloatArray
    path_fractions: FloatArray
    usf_mj_m2: float | None = None
    usf_error_mj_m2: float = 1.0
    grid_mj_m2: FloatArray | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the grid is fine and precise enough to be the surface itself."""
        grid = self.grid_mj_m2
        if grid is None or min(grid.shape) < _WHOLE_POINTS:
            return False
        return float(self.error_mj_m2.max()) <= _WHOLE_ERROR * float(np.abs(grid).max())


@dataclass(frozen=True, kw_only=True)
class GammaEstimate:
    """A γ surface as far as it is known: a normal distribution of its coefficients.

    Attributes:
        prior: where it started from; its mean and covariance are superseded.
        unit_mj_m2: μ b, the unit of the coefficients.
        mean: (K,) means of the coefficients.
        covariance: (K, K) their covariance.
        residual_mj_m2: what the waves differ by at the given points, and at the unstable fault if that was given;
            empty for a surface that counts as known.
        examples: (n, K) coefficients of the surfaces of the prior, changed so that they meet the given values; those
            that had to be changed least come first.
        example_rests: (n, k, l) what these have beside the waves.
        rest: (k, l) what this one has beside the waves, None if that is not known.
    """

    prior: GammaPrior
    unit_mj_m2: float
    mean: FloatArray
    covariance: FloatArray
    residual_mj_m2: FloatArray
    examples: FloatArray
    example_rests: FloatArray
    rest: FloatArray | None = None

    def gamma_mj_m2(self, fractions: FloatArray) -> FloatArray:
        """(P,) most likely γ at (P, 2) displacements in periods."""
        found = self.prior.design(fractions) @ self.mean
        if self.rest is not None:
            found = found + values_at(self.rest, np.asarray(fractions, dtype=float))
        return np.asarray(found * self.unit_mj_m2)

    def deviation_mj_m2(self, fractions: FloatArray) -> FloatArray:
        """(P,) standard deviation of γ at (P, 2) displacements in periods."""
        waves = self.prior.design(fractions) @ self._root
        return np.asarray(np.sqrt((waves**2).sum(axis=1)) * self.unit_mj_m2)

    def known(self, coefficients: FloatArray | None = None) -> GammaEstimate:
        """The surface with the coefficients (K,), the most likely ones if not given, as if it were known."""
        return GammaEstimate(
            prior=self.prior,
            unit_mj_m2=self.unit_mj_m2,
            mean=self.mean if coefficients is None else coefficients,
            covariance=np.zeros_like(self.covariance),
            residual_mj_m2=np.zeros(0),
            examples=np.zeros((0, len(self.mean))),
            example_rests=np.zeros((0, *self.example_rests.shape[1:])),
            rest=self.rest,
        )

    def example(self, number: int) -> GammaEstimate:
        """One of the examples, as if it were known."""
        return replace(self.known(self.examples[number]), rest=self.example_rests[number])

    @cached_property
    def _root(self) -> FloatArray:
        return _square_root(self.covariance)


def gamma_prior(dataset: TransferDataset, settings: SlipSystemSettings) -> GammaPrior:
    """What the γ surfaces of a data set of one structure look like.

    Args:
        dataset: the data set; Peierls stresses are not read.
        settings: its slip system.

    Raises:
        ConfigurationError: the data set has more than one structure, or too few families.
    """
    chosen = _one_of_each(dataset)
    if set(dataset.structures) != {settings.structure} or len(chosen) < _FEWEST_FAMILIES:
        raise ConfigurationError(
            f"γ surfaces of {len(chosen)} families, {', '.join(sorted(set(dataset.structures)))}",
            expected=f"at least {_FEWEST_FAMILIES} families of {settings.structure}",
            next_step="name a data set of one structure with more potentials",
        )
    waves, symmetry, with_sine = _stars(settings)
    fractions = grid_positions(dataset.gamma_mj_m2.shape[1])
    design = _waves(fractions, waves, symmetry, with_sine)
    images = gamma_scaled(dataset)[chosen]
    flat = images.reshape(len(chosen), -1)
    coefficients: FloatArray = np.linalg.lstsq(design, flat.T, rcond=1e-10)[0].T.astype(np.float64)
    covariance = np.cov(coefficients.T)
    return GammaPrior(
        structure=settings.structure,
        slip_system=settings.name,
        slip_system_definition=settings.model_dump_json(),
        waves_per_period=waves,
        symmetry=symmetry,
        with_sine=with_sine,
        mean=coefficients.mean(axis=0),
        coefficients=coefficients,
        rests=(flat - coefficients @ design.T).reshape(images.shape),
        covariance=(1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance)),
        potential_ids=tuple(dataset.potential_ids[index] for index in chosen),
        library_sha256=dataset.library_sha256,
        glideflow_version=__version__,
    )


@single_thread()
def estimate(prior: GammaPrior, values: GammaValues, unit_mj_m2: float) -> GammaEstimate:
    """The γ surface of which some values are known.

    Args:
        prior: what γ surfaces of this slip system look like.
        values: what is known of this one; that γ of the perfect crystal vanishes is added. Standard errors below a
            millionth of μ b, about 0.01 mJ/m², count as that.
        unit_mj_m2: μ b of this crystal.

    Raises:
        PropertyError: the place of the unstable fault is not found.
    """
    fractions = np.vstack([np.zeros((1, 2)), values.fractions])
    known = np.concatenate([[0.0], values.gamma_mj_m2])
    smallest = _ZERO * unit_mj_m2  # far smaller ones leave nothing of the prior in double precision
    errors = np.maximum(np.concatenate([[smallest], values.error_mj_m2]), smallest)
    values = replace(values, usf_error_mj_m2=max(values.usf_error_mj_m2, smallest))
    if values.grid_mj_m2 is not None and values.is_whole:  # then nothing else tells more
        no_rests = np.zeros((len(prior.rests), len(fractions)))
        found = _conditioned(prior, fractions, known, errors, unit_mj_m2, no_rests)
        return _with_rest(found, values.grid_mj_m2)
    if values.usf_mj_m2 is None:
        return _conditioned(prior, fractions, known, errors, unit_mj_m2, _rests_at(prior, fractions))
    return _with_maximum(prior, values, (fractions, known, errors), unit_mj_m2)


def _with_rest(found: GammaEstimate, grid_mj_m2: FloatArray) -> GammaEstimate:
    """The estimate with what a grid (k, l) has beside the waves."""
    positions = np.stack(np.meshgrid(*map(grid_fractions, grid_mj_m2.shape), indexing="ij"), axis=-1)
    waves = (found.prior.design(positions.reshape(-1, 2)) @ found.mean).reshape(grid_mj_m2.shape)
    return replace(found, rest=grid_mj_m2 / found.unit_mj_m2 - waves)


def fault_fractions(settings: SlipSystemSettings) -> tuple[FloatArray | None, FloatArray | None]:
    """(2,) displacements in periods of the intrinsic and the aligned fault; None where a plane has none."""
    layers = _reference(settings)
    found = special_faults(layers, settings.cut or "wide")
    isf, asf = (None if fault is None else fault / layers.period_angstrom for fault in found)
    return isf, asf


def path_end_fractions(settings: SlipSystemSettings) -> FloatArray:
    """(2,) end of the path on which the unstable fault lies, in periods: the intrinsic fault, else b."""
    fault, _ = fault_fractions(settings)
    return np.array([1.0, 0.0]) if fault is None else fault


def _with_maximum(
    prior: GammaPrior, values: GammaValues, points: tuple[FloatArray, FloatArray, FloatArray], unit_mj_m2: float
) -> GammaEstimate:
    """The estimate whose maximum on the path is known; where it lies follows from the estimate, in turns."""
    fractions, known, errors = points
    path = prior.design(np.linspace(0, 1, _PATH_POINTS)[:, None] * values.path_fractions)
    assert values.usf_mj_m2 is not None
    known, errors = np.append(known, [values.usf_mj_m2]), np.append(errors, [values.usf_error_mj_m2])
    place, rounds, fixed = _highest(path @ prior.mean), [], _rests_at(prior, fractions)
    for _ in range(_MAX_ROUNDS):
        top = place * values.path_fractions[None]
        rests = np.hstack([fixed, _rests_at(prior, top)])
        found = _conditioned(prior, np.vstack([fractions, top]), known, errors, unit_mj_m2, rests)
        rounds.append((abs(float((path @ found.mean).max()) * unit_mj_m2 - known[-1]), found))
        moved = _highest(path @ found.mean)
        if abs(moved - place) < _LARGEST_MOVE:
            break
        place = (place + moved) / 2
    # Of two maxima of nearly the same height each may call for the other one: the closest round is as good as any.
    error, closest = min(rounds, key=lambda each: each[0])
    _refuse_no_maximum(error, values)
    return closest


def _refuse_no_maximum(error_mj_m2: float, values: GammaValues) -> None:
    assert values.usf_mj_m2 is not None
    if error_mj_m2 > max(_FEW * values.usf_error_mj_m2, _LARGEST_MISFIT * abs(values.usf_mj_m2)):
        raise PropertyError(
            f"the unstable fault is {error_mj_m2:.3g} mJ/m² from the {values.usf_mj_m2:g} mJ/m² that were given",
            expected="a maximum of γ between the perfect crystal and the end of the path that fits the other points",
            next_step="look whether all values are of the same plane and in mJ/m², or give γ at displacements instead",
        )


def _highest(line: FloatArray) -> float:
    """Place of the maximum of values at equal distances from 0 to 1, by the parabola through the highest three."""
    top = int(np.clip(np.argmax(line), 1, len(line) - 2))
    low, middle, high = line[top - 1 : top + 2]
    curvature = low - 2 * middle + high
    step = 0.0 if curvature >= 0 else float(np.clip((low - high) / (2 * curvature), -1, 1))
    return (top + step) / (len(line) - 1)


def _rests_at(prior: GammaPrior, fractions: FloatArray) -> FloatArray:
    """(n, P) what the surfaces of the prior have beside the waves at (P, 2) displacements in periods."""
    parts = [fractions[start : start + _AT_ONCE] for start in range(0, len(fractions), _AT_ONCE)]
    return np.concatenate([np.zeros((len(prior.rests), 0)), *(values_at(prior.rests, part) for part in parts)], axis=1)


def _conditioned(
    prior: GammaPrior,
    fractions: FloatArray,
    known_mj_m2: FloatArray,
    error_mj_m2: FloatArray,
    unit_mj_m2: float,
    rests: FloatArray,
) -> GammaEstimate:
    """The normal posterior, by the information of the points in units of the prior: as large as the prior is."""
    design, root = prior.design(fractions), _square_root(prior.covariance)
    weighted = design @ root * (unit_mj_m2 / error_mj_m2)[:, None]
    values, vectors = np.linalg.eigh(np.eye(root.shape[1]) + weighted.T @ weighted)

    def changes(coefficients: FloatArray, beside: FloatArray) -> FloatArray:
        """(n, K) least changes, in deviations of the prior, with which surfaces (n, K) meet the values."""
        missing = (known_mj_m2 - (coefficients @ design.T + beside) * unit_mj_m2) / error_mj_m2
        return np.asarray(missing @ weighted @ vectors / values @ vectors.T)

    mean = prior.mean + root @ changes(prior.mean[None], np.zeros((1, len(fractions))))[0]
    spread, own = root @ (vectors / np.sqrt(values)), changes(prior.coefficients, rests)
    nearest = np.argsort(np.linalg.norm(own, axis=1), kind="stable")
    return GammaEstimate(
        prior=prior,
        unit_mj_m2=unit_mj_m2,
        mean=np.asarray(mean),
        covariance=np.asarray(spread @ spread.T),
        residual_mj_m2=np.asarray(design @ mean * unit_mj_m2 - known_mj_m2)[1:],
        examples=np.asarray(prior.coefficients + own @ root.T)[nearest],
        example_rests=prior.rests[nearest],
    )


def _square_root(covariance: FloatArray) -> FloatArray:
    """A (K, K) matrix whose product with its transpose is the covariance, singular ones included."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def _one_of_each(dataset: TransferDataset) -> Sequence[int]:
    """Indices of the first sample of each family and metal."""
    first: dict[tuple[str, str], int] = {}
    for index, key in enumerate(zip(dataset.families, dataset.elements, strict=True)):
        first.setdefault(key, index)
    return list(first.values())


def _reference(settings: SlipSystemSettings) -> LayeredCrystal:
    """A crystal that stands for all of its structure: in periods, none differs in displacements and symmetry."""
    perfect = crystal(settings.structure, 1.0)
    return layered_crystal(perfect, slip_system(settings))


def _stars(settings: SlipSystemSettings) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Waves, operations and which stars have a sine, in periods."""
    layers = _reference(settings)
    perfect = crystal(settings.structure, 1.0)
    operations = displacement_symmetry(perfect, layers, settings.cut or "wide")
    wavevectors = star_wavevectors(layers.in_plane_angstrom, operations, SHELLS)
    waves = np.rint(wavevectors * layers.period_angstrom / (2 * np.pi))
    in_periods = operations * layers.period_angstrom[None, None, :] / layers.period_angstrom[None, :, None]
    return waves, in_periods, has_sine(wavevectors, operations).astype(float)


def _waves(fractions: FloatArray, waves: FloatArray, symmetry: FloatArray, with_sine: FloatArray) -> FloatArray:
    cosines, sines = star_functions(fractions, 2 * np.pi * waves, symmetry)
    return np.hstack([cosines, sines[:, with_sine > 0]])
