from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import gamma_scaled, gamma_unit_mj_m2
from glideflow.transfer.gamma_prior import (
    GammaPrior,
    GammaValues,
    estimate,
    fault_fractions,
    gamma_prior,
    path_end_fractions,
)
from glideflow.transfer.periodic import grid_fractions, values_at

WIDE: dict[str, SlipSystemSettings] = {
    system.structure: system.model_copy(update={"cut": "wide"}) for system in (FCC_111, BCC_110, HCP_PRISMATIC)
}
FEW = {
    "fcc": np.array([[0, -1 / 3], [0, -1 / 6], [0, 1 / 3], [0.5, 0]]),
    "bcc": np.array([[0.5, 0], [0.25, 0], [0.5, 0.5], [0, 0.5]]),
    "hcp": np.array([[0.5, 0], [0.25, 0], [0.5, 0.5], [0, 0.5]]),
}


def of_structure(shipped: TransferDataset, structure: str) -> TransferDataset:
    return shipped.select(np.flatnonzero(np.array(shipped.structures) == structure))


def known(
    fractions: FloatArray,
    values: FloatArray,
    system: SlipSystemSettings,
    usf_mj_m2: float | None = None,
    error: float = 0.1,
) -> GammaValues:
    return GammaValues(
        fractions=fractions,
        gamma_mj_m2=values,
        error_mj_m2=np.full(len(values), error),
        path_fractions=path_end_fractions(system),
        usf_mj_m2=usf_mj_m2,
        usf_error_mj_m2=error,
    )


@pytest.fixture(scope="module", params=["fcc", "bcc", "hcp"])
def structure(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def samples(shipped: TransferDataset, structure: str) -> TransferDataset:
    return of_structure(shipped, structure)


@pytest.fixture(scope="module")
def prior(samples: TransferDataset, structure: str) -> GammaPrior:
    return gamma_prior(samples, WIDE[structure])


GRID = np.stack(np.meshgrid(grid_fractions(31), grid_fractions(31), indexing="ij"), axis=-1).reshape(-1, 2)


def test_all_points_of_a_surface_give_that_surface(samples: TransferDataset, prior: GammaPrior, structure: str) -> None:
    """The waves resolve what the library holds: the median surface to half a percent of its maximum at every point."""
    errors = []
    for image, unit in list(zip(samples.gamma_mj_m2, gamma_unit_mj_m2(samples), strict=True))[::6]:
        found = estimate(prior, known(GRID, image.ravel(), WIDE[structure]), unit)
        difference = found.gamma_mj_m2(GRID) - image.ravel()
        errors.append(np.abs(difference).max() / image.max())
        np.testing.assert_allclose(found.residual_mj_m2, difference, atol=1e-6)
    assert np.median(errors) < 5e-3


def test_four_points_tell_most_of_a_surface_of_an_unseen_family(samples: TransferDataset, structure: str) -> None:
    """Families left out: a root mean square error of a few percent of the maximum, and as large as it is said to be."""
    families, system = np.array(samples.families), WIDE[structure]
    errors, stated = [], []
    for family in np.unique(families)[::4]:
        prior = gamma_prior(samples.select(families != family), system)
        index = int(np.flatnonzero(families == family)[0])
        image = samples.gamma_mj_m2[index]
        values = known(FEW[structure], values_at(image, FEW[structure]), system, error=1.0)
        found = estimate(prior, values, gamma_unit_mj_m2(samples)[index])
        errors.append(np.sqrt(np.mean((found.gamma_mj_m2(GRID) - image.ravel()) ** 2)) / image.max())
        stated.append(np.sqrt(np.mean(found.deviation_mj_m2(GRID) ** 2)) / image.max())
    assert np.median(errors) < 0.06
    assert 0.2 < np.median(np.array(errors) / stated) < 1.5


def test_equivalent_displacements_are_one(samples: TransferDataset, prior: GammaPrior, structure: str) -> None:
    """Lattice translations and operations of the layer group change nothing, in what is given and in what comes out."""
    unit, place = float(gamma_unit_mj_m2(samples)[0]), np.array([[0.31, 0.17]])
    one = estimate(prior, known(place, np.array([300.0]), WIDE[structure]), unit)
    for operation in prior.symmetry:
        image = place @ operation.T + [2, -1]
        np.testing.assert_allclose(one.gamma_mj_m2(image), one.gamma_mj_m2(place), rtol=1e-9)
        other = estimate(prior, known(image, np.array([300.0]), WIDE[structure]), unit)
        np.testing.assert_allclose(other.mean, one.mean, atol=1e-9)


def test_an_unstable_fault_is_the_maximum_of_its_path(
    prior: GammaPrior, samples: TransferDataset, structure: str
) -> None:
    system, unit = WIDE[structure], float(np.median(gamma_unit_mj_m2(samples)))
    typical = estimate(prior, known(np.zeros((0, 2)), np.zeros(0), system), unit)
    path = np.linspace(0, 1, 401)[:, None] * path_end_fractions(system)
    wanted = 1.1 * float(typical.gamma_mj_m2(path).max())
    found = estimate(prior, known(np.zeros((0, 2)), np.zeros(0), system, usf_mj_m2=wanted), unit)
    assert found.gamma_mj_m2(path).max() == pytest.approx(wanted, rel=2e-3)


def test_what_is_known_has_little_deviation_and_the_rest_more(
    prior: GammaPrior, samples: TransferDataset, structure: str
) -> None:
    unit = float(gamma_unit_mj_m2(samples)[0])
    places = FEW[structure]
    found = estimate(prior, known(places, values_at(samples.gamma_mj_m2[0], places), WIDE[structure]), unit)
    assert found.deviation_mj_m2(places).max() <= 0.1 + 1e-6
    assert found.deviation_mj_m2(np.zeros((1, 2)))[0] < 1e-4 * unit
    assert found.deviation_mj_m2(np.array([[0.23, 0.41]]))[0] > 1.0


def test_examples_are_surfaces_of_the_library_that_meet_the_values(
    prior: GammaPrior, samples: TransferDataset, structure: str
) -> None:
    """Where the values come from one of them, it comes first and is not changed, with all that it has."""
    unit, places = float(gamma_unit_mj_m2(samples)[0]), FEW[structure]
    one = int(np.abs(prior.rests).max(axis=(1, 2)).argmin())  # the smoothest: equivalent points have one value
    values = (prior.design(places) @ prior.coefficients[one] + values_at(prior.rests[one], places)) * unit
    found = estimate(prior, known(places, values, WIDE[structure]), unit)
    assert found.examples.shape == prior.coefficients.shape
    np.testing.assert_array_equal(found.example_rests[0], prior.rests[one])
    np.testing.assert_allclose(
        found.examples[0], prior.coefficients[one], atol=1e-2 * np.abs(prior.coefficients[one]).max()
    )
    met = np.array([found.example(number).gamma_mj_m2(places) for number in range(len(found.examples))])
    # Kinks break the symmetry where they lie: what rests add to equivalent points differs a little.
    assert np.median(np.abs(met - values).max(axis=1)) < 1e-3 * values.max()
    place = np.array([[0.23, 0.41]])
    spread = np.std([found.example(number).gamma_mj_m2(place)[0] for number in range(len(found.examples))])
    assert spread == pytest.approx(found.deviation_mj_m2(place)[0], rel=0.6)
    assert found.known().deviation_mj_m2(place)[0] == 0


def test_surfaces_of_the_library_are_the_waves_and_their_rest(
    prior: GammaPrior, samples: TransferDataset, structure: str
) -> None:
    """The prior loses nothing: with kinks, the waves alone would."""
    images = gamma_scaled(samples)[[samples.potential_ids.index(name) for name in prior.potential_ids]]
    waves = prior.coefficients @ prior.design(GRID).T
    np.testing.assert_allclose(waves.reshape(images.shape) + prior.rests, images, atol=1e-12)


def test_a_fine_grid_is_taken_as_it_is(prior: GammaPrior, samples: TransferDataset, structure: str) -> None:
    """Down to what waves leave: rows of atoms b/3 apart feel that. A coarse or imprecise one is not the surface."""
    index = int(np.argmax(samples.gamma_error_mj_m2))  # the one with kinks
    image, unit = samples.gamma_mj_m2[index], float(gamma_unit_mj_m2(samples)[index])
    values = replace(known(GRID, image.ravel(), WIDE[structure], error=0.01), grid_mj_m2=image)
    found = estimate(prior, values, unit)
    np.testing.assert_allclose(found.gamma_mj_m2(GRID), image.ravel(), atol=1e-9 * unit)
    np.testing.assert_allclose(found.known().gamma_mj_m2(GRID), image.ravel(), atol=1e-9 * unit)
    assert estimate(prior, replace(values, error_mj_m2=np.full(len(GRID), 5.0)), unit).rest is None
    assert not replace(values, grid_mj_m2=image[:20]).is_whole


def test_faults_lie_where_the_library_computes_them() -> None:
    isf, asf = fault_fractions(WIDE["fcc"])
    assert isf is not None
    assert asf is not None
    np.testing.assert_allclose(np.abs(isf), [0, 1 / 3], atol=1e-12)
    np.testing.assert_allclose(asf, -isf, atol=1e-12)
    assert fault_fractions(WIDE["bcc"]) == (None, None)
    np.testing.assert_allclose(path_end_fractions(WIDE["hcp"]), [1, 0])


def test_values_that_do_not_fit_together_are_refused(shipped: TransferDataset) -> None:
    samples = of_structure(shipped, "fcc")
    prior, unit = gamma_prior(samples, WIDE["fcc"]), float(gamma_unit_mj_m2(samples)[0])
    halfway = path_end_fractions(WIDE["fcc"])[None] * np.linspace(0.1, 1, 10)[:, None]
    values = known(halfway, np.full(10, 10.0), WIDE["fcc"], usf_mj_m2=900.0, error=0.01)
    with pytest.raises(PropertyError, match=r"from the 900 mJ/m² that were given"):
        estimate(prior, replace(values, usf_error_mj_m2=10.0), unit)


def test_errors_of_nothing_are_as_good_as_small_ones(shipped: TransferDataset) -> None:
    """A standard error of 1e-12 mJ/m² would leave nothing of the prior in double precision."""
    samples = of_structure(shipped, "fcc")
    prior, unit = gamma_prior(samples, WIDE["fcc"]), float(gamma_unit_mj_m2(samples)[0])
    values = [known(FEW["fcc"][:1], np.array([40.0]), WIDE["fcc"], usf_mj_m2=158.0, error=e) for e in (1e-12, 1e-3)]
    none, little = (estimate(prior, each, unit) for each in values)
    np.testing.assert_allclose(none.gamma_mj_m2(GRID), little.gamma_mj_m2(GRID), atol=0.1)


def test_a_prior_needs_one_structure_and_some_families(shipped: TransferDataset) -> None:
    with pytest.raises(ConfigurationError, match="at least 8 families of fcc"):
        gamma_prior(shipped, WIDE["fcc"])
    with pytest.raises(ConfigurationError, match="γ surfaces of 3 families"):
        gamma_prior(of_structure(shipped, "bcc").select(np.arange(3)), WIDE["bcc"])
