from __future__ import annotations

import math

import numpy as np
import pytest

from glideflow.errors import ConfigurationError, PropertyError
from glideflow.mobility.blocks import BccMetal, whole_periods
from glideflow.mobility.elasticity import (
    AnisotropicRow,
    IsotropicElasticity,
    IsotropicRow,
    anisotropic_row,
    isotropic_equivalent,
)
from glideflow.mobility.orientations import LineOrientation, nearest_line
from glideflow.mobility.passing import passing_stress_mpa, refuse_small, resolved_row
from glideflow.properties.anisotropic_line import energy_tensor, rotated, stiffness_tensor
from glideflow.properties.elastic import cubic_tensor

IRON = BccMetal("Fe", 2.855312)
IRON_TENSOR = cubic_tensor(243.33, 145.01, 115.99)  # Mendelev et al. 2003, docs/methods.md
MEDIUM = IsotropicElasticity(80.0, 0.3)
EDGE, SCREW, MIXED = LineOrientation(-1, 2), LineOrientation(1, 1), LineOrientation(0, 1)


def single_line_stress_gpa(medium: IsotropicElasticity, burgers: np.ndarray, x: np.ndarray, z: float) -> np.ndarray:
    """Resolved shear stress of one line: D b x (x² - z²)/r⁴ for the edge part and μ b x/(2π r²) for the screw part."""
    square = x**2 + z**2
    edge = medium.shear_modulus_gpa / (1 - medium.poisson_ratio) * burgers[0] ** 2 * x * (x**2 - z**2) / square**2
    screw = medium.shear_modulus_gpa * burgers[1] ** 2 * x / square
    return (edge + screw) / (2 * math.pi * np.linalg.norm(burgers))


def test_a_row_is_the_sum_over_its_lines() -> None:
    burgers, period, height = np.array([2.0, 1.4, 0.0]), 80.0, 30.0
    x = np.linspace(-35.0, 40.0, 7)
    lines = x[:, None] + period * np.arange(-20_000, 20_001)
    summed = single_line_stress_gpa(MEDIUM, burgers, lines, height).sum(axis=1)
    row = IsotropicRow(MEDIUM, burgers).resolved_stress_gpa(x, height, period)
    np.testing.assert_allclose(row, summed, rtol=0, atol=5e-5)


@pytest.mark.parametrize("height", [25.0, -25.0])
def test_the_anisotropic_row_becomes_isotropic(height: float) -> None:
    """C44 is a ten-thousandth off (C11 - C12)/2: the sextic formalism has no solution for an isotropic medium."""
    tensor = cubic_tensor(300.0, 100.0, 100.0 * (1 + 1e-4))
    burgers = IRON.burgers_vector_angstrom(MIXED)
    x = np.linspace(3.0, 75.0, 9)
    anisotropic = anisotropic_row(tensor, MIXED, burgers).resolved_stress_gpa(x, height, 80.0)
    isotropic = IsotropicRow(IsotropicElasticity(100.0, 0.25), burgers).resolved_stress_gpa(x, height, 80.0)
    np.testing.assert_allclose(anisotropic, isotropic, rtol=1e-3)


@pytest.mark.parametrize("orientation", [EDGE, SCREW, MIXED, LineOrientation(-5, 3)])
def test_the_anisotropic_stress_in_the_glide_plane_follows_from_the_line_energy(orientation: LineOrientation) -> None:
    """In its own glide plane a line has the resolved stress b·K·b / (2π b x); K comes from another formalism."""
    burgers = IRON.burgers_vector_angstrom(orientation)
    stiffness = rotated(stiffness_tensor(IRON_TENSOR), orientation.axes)
    tensor = energy_tensor(stiffness, np.eye(3)[0], np.eye(3)[2])
    expected = burgers @ tensor @ burgers / (2 * math.pi * np.linalg.norm(burgers) * 5.0)
    far_images = AnisotropicRow(stiffness, burgers).resolved_stress_gpa(np.array([5.0]), 1e-9, 5e6)
    np.testing.assert_allclose(far_images, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("length_nm", "height_nm", "expected_gpa"),
    [(12, 12, 0.42), (15, 15, 0.34), (10, 20, 0.051), (5, 10, 0.10), (30, 40, 0.086)],
)
def test_passing_stress_of_edge_dipoles_in_iron(length_nm: float, height_nm: float, expected_gpa: float) -> None:
    """Values of an independent image sum with μ = 75 GPa, ν = 0.29, two figures each."""
    row = resolved_row(IRON, EDGE, IsotropicElasticity(75.0, 0.29))
    found = passing_stress_mpa(row, 10.0 * length_nm, 5.0 * height_nm)
    assert found == pytest.approx(1e3 * expected_gpa, rel=0.04)


def test_far_planes_of_screws_decay_as_the_first_fourier_component() -> None:
    """2 rows of amplitude μb/2π · π/L · 2 exp(-2πh/L), those farther away being negligible."""
    row = IsotropicRow(MEDIUM, np.array([0.0, 2.5, 0.0]))
    length, height = 40.0, 80.0
    expected = 2 * 80.0 * 2.5 / length * 2 * math.exp(-2 * math.pi * height / length) / 2
    assert passing_stress_mpa(row, length, height) == pytest.approx(1e3 * expected, rel=1e-4)


def test_a_small_cell_is_refused_with_the_size_that_would_do() -> None:
    with pytest.raises(ConfigurationError, match=r"hold each other up to 394 MPa \(anisotropic") as refused:
        refuse_small(IRON, EDGE, (12.0, 2.8, 12.0), IRON_TENSOR, -250.0)
    length, line, height = map(float, refused.value.next_step.split()[1:4])
    assert (length, line) == (12.0, 2.8)
    assert refuse_small(IRON, EDGE, (length, line, height), IRON_TENSOR, 250.0) < 250.0
    with pytest.raises(ConfigurationError):
        refuse_small(IRON, EDGE, (length, line, height - 0.5), IRON_TENSOR, 250.0)


def test_every_default_line_passes_100_mpa_in_a_tall_narrow_cell() -> None:
    for angle_deg in (0.0, 54.74, 90.0, 109.47):
        assert 0 < refuse_small(IRON, nearest_line(angle_deg), (8.0, 2.8, 16.0), IRON_TENSOR, 140.0) < 140.0


def test_an_isotropic_crystal_is_its_own_equivalent() -> None:
    found = isotropic_equivalent(cubic_tensor(300.0, 100.0, 100.0))
    assert found.shear_modulus_gpa == pytest.approx(100.0, rel=1e-12)
    assert found.poisson_ratio == pytest.approx(0.25, rel=1e-12)


def test_the_screw_modulus_of_iron_is_that_of_the_trigonal_closed_form() -> None:
    """K_s = √(S11 / (S44 (S11 S44 - S14² - S15²))) with compliances of plane strain and the line as the third axis.

    Around <111> plane and anti-plane strain are coupled (Hirth and Lothe, Theory of Dislocations, section 13-6).
    """
    axes = SCREW.axes[[0, 2, 1]] * np.array([[1.0], [-1.0], [1.0]])
    stiffness = rotated(stiffness_tensor(IRON_TENSOR), axes)
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    compliance = np.linalg.inv([[stiffness[(*a, *b)] for b in pairs] for a in pairs])
    compliance -= np.outer(compliance[:, 2], compliance[2]) / compliance[2, 2]
    s11, s44, coupling = compliance[0, 0], compliance[3, 3], np.sum(compliance[0, 3:5] ** 2)
    expected = math.sqrt(s11 / (s44 * (s11 * s44 - coupling)))
    assert isotropic_equivalent(IRON_TENSOR).shear_modulus_gpa == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("values", [(-1.0, 0.3), (80.0, 0.5), (math.nan, 0.3)])
def test_unstable_media_are_refused(values: tuple[float, float]) -> None:
    with pytest.raises(PropertyError, match="shear modulus"):
        IsotropicElasticity(*values)


@pytest.mark.parametrize("size", [(0.0, 1.0, 1.0), (1.0, math.inf, 1.0), (-8.0, 2.8, 16.0), (8e3, 2.8e3, 1.6e3)])
def test_impossible_sizes_are_refused(size: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigurationError, match="cell"):
        whole_periods(IRON, EDGE, size)


@pytest.mark.parametrize(("lattice_constant", "ratio"), [(0.0, 0.3), (2.8, 0.5), (math.nan, 0.3)])
def test_impossible_metals_are_refused(lattice_constant: float, ratio: float) -> None:
    with pytest.raises(PropertyError, match="Fe"):
        BccMetal("Fe", lattice_constant, ratio)
