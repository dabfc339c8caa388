from __future__ import annotations

import numpy as np
import pytest

from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import crystal
from glideflow.crystals.layers import LayeredCrystal, layered_crystal
from glideflow.crystals.slip_systems import slip_system
from glideflow.crystals.symmetry import displacement_symmetry, grid_displacements
from glideflow.properties.fourier import FourierSurface, fit_fourier_surface, has_sine, star_wavevectors

HCP_BASAL = SlipSystemSettings(name="hcp_basal", structure="hcp", plane=(0, 0, 0, 1), direction=(2, -1, -1, 0))
SYSTEMS = (FCC_111, BCC_110, HCP_PRISMATIC, HCP_BASAL)


def geometry(settings: SlipSystemSettings) -> tuple[LayeredCrystal, np.ndarray]:
    perfect = crystal(settings.structure, 3.2, 5.1 if settings.structure == "hcp" else None)
    layers = layered_crystal(perfect, slip_system(settings))
    return layers, displacement_symmetry(perfect, layers, "wide")


def random_surface(settings: SlipSystemSettings, shells: int, seed: int = 0) -> tuple[FourierSurface, LayeredCrystal]:
    layers, symmetry = geometry(settings)
    wavevectors = star_wavevectors(layers.in_plane_angstrom, symmetry, shells)
    generator = np.random.default_rng(seed)
    cosine = generator.normal(size=len(wavevectors)) * 100
    sine = np.where(has_sine(wavevectors, symmetry), generator.normal(size=len(wavevectors)) * 100, 0.0)
    return FourierSurface(wavevectors, cosine, sine, symmetry), layers


@pytest.fixture(params=SYSTEMS, ids=lambda settings: settings.name)
def case(request: pytest.FixtureRequest) -> tuple[FourierSurface, LayeredCrystal]:
    return random_surface(request.param, shells=5)


def test_a_series_is_recovered_exactly(case: tuple[FourierSurface, LayeredCrystal]) -> None:
    surface, layers = case
    points = grid_displacements(layers, (24, 30)).reshape(-1, 2)
    fitted = fit_fourier_surface(points, surface(points), layers.in_plane_angstrom, surface.symmetry, 5)
    np.testing.assert_allclose(fitted.wavevectors_per_angstrom, surface.wavevectors_per_angstrom, atol=1e-12)
    np.testing.assert_allclose(fitted.cosine_mj_m2, surface.cosine_mj_m2, atol=1e-8)
    np.testing.assert_allclose(fitted.sine_mj_m2, surface.sine_mj_m2, atol=1e-8)


def test_periods_and_symmetry_hold_by_construction(case: tuple[FourierSurface, LayeredCrystal]) -> None:
    surface, layers = case
    points = np.random.default_rng(1).normal(size=(50, 2)) * 5
    values = surface(points)
    assert np.ptp(values) > 10
    for vector in layers.in_plane_angstrom:
        np.testing.assert_allclose(surface(points + vector), values, atol=1e-9)
    for matrix in surface.symmetry:
        np.testing.assert_allclose(surface(points @ matrix.T), values, atol=1e-9)


def test_gradient_is_the_derivative(case: tuple[FourierSurface, LayeredCrystal]) -> None:
    surface, _ = case
    points = np.random.default_rng(2).normal(size=(4, 5, 2)) * 3
    step = 1e-5
    numerical = np.stack(
        [(surface(points + step * e) - surface(points - step * e)) / (2 * step) for e in np.eye(2)], -1
    )
    assert surface(points).shape == (4, 5)
    np.testing.assert_allclose(surface.gradient(points), numerical, atol=1e-5)


@pytest.mark.parametrize(("settings", "expected"), [(FCC_111, True), (BCC_110, False), (HCP_PRISMATIC, False)])
def test_only_a_threefold_axis_without_inversion_has_sines(settings: SlipSystemSettings, expected: bool) -> None:
    layers, symmetry = geometry(settings)
    wavevectors = star_wavevectors(layers.in_plane_angstrom, symmetry, 6)
    sines = has_sine(wavevectors, symmetry)
    assert sines.any() == expected
    assert not sines[0], "the constant has none"


def test_intrinsic_and_aligned_fault_differ_by_the_sine() -> None:
    """Without it, the two threefold sites of fcc {111} at ±(0, period/3) would have the same energy."""
    surface, layers = random_surface(FCC_111, 2)
    site = np.array([0.0, layers.period_angstrom[1] / 3])
    assert abs(surface(site) - surface(-site)) > 1.0
    without = FourierSurface(
        surface.wavevectors_per_angstrom, surface.cosine_mj_m2, 0 * surface.sine_mj_m2, surface.symmetry
    )
    assert without(site) == pytest.approx(without(-site))


def test_stars_are_distinct_and_lie_on_the_reciprocal_lattice(case: tuple[FourierSurface, LayeredCrystal]) -> None:
    surface, layers = case
    vectors = surface.wavevectors_per_angstrom
    phases = vectors @ layers.in_plane_angstrom.T / (2 * np.pi)
    np.testing.assert_allclose(phases, np.rint(phases), atol=1e-9)
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[0] == 0
    assert (np.diff(lengths) > -1e-9).all()
    for index, vector in enumerate(vectors):
        images = np.einsum("mij,i->mj", surface.symmetry, vector)
        others = np.delete(vectors, index, axis=0)
        for image in (*images, *-images):
            assert np.abs(others - image).max(axis=1).min() > 1e-6
