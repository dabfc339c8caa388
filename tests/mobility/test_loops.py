from __future__ import annotations

import math

import numpy as np
import pytest
from matscipy.neighbours import neighbour_list

from glideflow.errors import ConfigurationError
from glideflow.mobility import segment_stress
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.cells import DislocationCell
from glideflow.mobility.elasticity import IsotropicElasticity, elastic_strain, voigt_average
from glideflow.mobility.loops import FRAME, Polygon, loop_displacement, shear_loop
from glideflow.properties.elastic import cubic_tensor

IRON = BccMetal("Fe", 2.855312)
IRON_TENSOR = cubic_tensor(243.33, 145.01, 115.99)  # Mendelev et al. 2003, docs/methods.md
ANGLES = -2 * np.pi * np.arange(9) / 9
CENTRE = np.array([1.0, 2.0, 3.0])
POLYGON = Polygon(CENTRE, CENTRE + 5 * np.stack([np.cos(ANGLES), np.sin(ANGLES), 0 * ANGLES], axis=1))
BURGERS = np.array([0.25, 0.1, 0.07])
MEDIUM = IsotropicElasticity(80.0, 0.3)
RADIUS_NM, SIZE_NM = 1.8, (6.0, 6.0, 5.0)


@pytest.fixture(scope="module")
def unloaded() -> DislocationCell:
    return shear_loop(IRON, RADIUS_NM, SIZE_NM, tensor_gpa=IRON_TENSOR, images=2)


def test_the_upper_half_has_slipped_by_the_burgers_vector_inside_the_loop_only() -> None:
    inside, outside = np.array([1.5, 2.2, 3.0]), np.array([9.0, 2.2, 3.0])
    sides = np.array([[0.0, 0.0, 1e-7], [0.0, 0.0, -1e-7]])
    above, below = loop_displacement(inside + sides, POLYGON, BURGERS, 0.3)
    np.testing.assert_allclose(above - below, BURGERS, atol=1e-6)
    above, below = loop_displacement(outside + sides, POLYGON, BURGERS, 0.3)
    np.testing.assert_allclose(above, below, atol=1e-6)


def test_the_displacement_has_the_stress_of_the_segments() -> None:
    """Hooke's law on its gradient against `segment_stress`: formulas that share nothing, signs included."""
    points, step = np.random.default_rng(7).uniform(-6.0, 8.0, (6, 3)), 1e-4
    gradient = np.empty((6, 3, 3))
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        ahead, behind = (loop_displacement(points + s * shift, POLYGON, BURGERS, 0.3) for s in (1, -1))
        gradient[:, axis] = (ahead - behind) / (2 * step)
    strain = (gradient + gradient.transpose(0, 2, 1)) / 2
    lame = 2 * 80.0 * 0.3 / (1 - 2 * 0.3)
    stress = 2 * 80.0 * strain + lame * np.trace(strain, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    ends, burgers = np.roll(POLYGON.corners, -1, axis=0), np.tile(BURGERS, (9, 1))
    medium = {"shear_modulus": 80.0, "poisson_ratio": 0.3, "core_radius": 0.0}
    np.testing.assert_allclose(stress, segment_stress(points, POLYGON.corners, ends, burgers, **medium), atol=1e-7)


def test_a_loop_is_a_perfect_crystal_away_from_its_line(unloaded: DislocationCell) -> None:
    neighbours = math.sqrt(0.75) * IRON.lattice_constant_angstrom
    first, distance = neighbour_list("id", unloaded.atoms(), cutoff=1.2 * IRON.lattice_constant_angstrom)
    count = np.bincount(first, minlength=len(unloaded.positions_angstrom))
    line = unloaded.reference_lines[0].points_angstrom
    apart = np.linalg.norm(unloaded.positions_angstrom[:, None] - line[None], axis=2).min(axis=1)
    assert set(count[apart > 9.0].tolist()) == {14}
    assert distance.min() > 0.75 * neighbours
    assert unloaded.removed_atoms == 0


def test_the_plastic_strain_of_the_loop_tilts_the_cell(unloaded: DislocationCell) -> None:
    box = unloaded.cell_angstrom
    expected = IRON.burgers_angstrom * math.pi * (10 * RADIUS_NM) ** 2 / (box[0, 0] * box[1, 1])
    np.testing.assert_allclose(box - np.diag(np.diag(box)), [[0, 0, 0], [0, 0, 0], [expected, 0, 0]], atol=1e-9)
    np.testing.assert_allclose(unloaded.burgers_angstrom, [IRON.burgers_angstrom, 0, 0], atol=1e-9)


def test_the_line_is_closed_and_grows_under_a_positive_stress(unloaded: DislocationCell) -> None:
    """The Peach-Koehler force (σ·b) × t of the resolved stress points outwards on every segment."""
    (line,) = unloaded.reference_lines
    assert line.is_closed
    assert line.sign == 1
    starts, ends = line.segments()
    force = np.cross(unloaded.shear_stress_mpa(100.0) @ unloaded.burgers_angstrom, ends - starts)
    outwards = (starts + ends) / 2 - line.points_angstrom.mean(axis=0)
    assert np.all(np.einsum("si,si->s", force, outwards) > 0)
    polygon_area = np.linalg.norm(np.cross(starts, ends).sum(axis=0)) / 2
    lean = unloaded.cell_angstrom[2, 0] / unloaded.cell_angstrom[2, 2]
    assert polygon_area == pytest.approx(math.pi * (10 * RADIUS_NM) ** 2, rel=lean**2 + 1e-6)


def test_an_applied_stress_strains_the_cell_as_hookes_law_says(unloaded: DislocationCell) -> None:
    loaded = shear_loop(IRON, RADIUS_NM, SIZE_NM, tensor_gpa=IRON_TENSOR, stress_mpa=1000.0, images=1)
    stress = np.zeros((3, 3))
    stress[0, 2] = stress[2, 0] = 1000.0
    strain = elastic_strain(IRON_TENSOR, FRAME, stress)
    metric, before = (each.cell_angstrom @ each.cell_angstrom.T for each in (loaded, unloaded))
    gradient = unloaded.cell_angstrom @ (np.eye(3) + strain)
    np.testing.assert_allclose(metric, gradient @ gradient.T, rtol=1e-9)
    assert abs(metric - before).max() > 1.0
    assert np.all(loaded.cell_angstrom[np.triu_indices(3, 1)] == 0)
    np.testing.assert_allclose(loaded.applied_stress_mpa, stress, atol=0.02 * 1000.0)
    assert np.linalg.eigvalsh(loaded.applied_stress_mpa) == pytest.approx(np.array([-1000.0, 0.0, 1000.0]), abs=1e-6)


def test_strains_of_an_isotropic_medium_are_those_of_its_moduli() -> None:
    tensor, stress = (
        cubic_tensor(300.0, 100.0, 100.0),
        np.array([[100.0, 40.0, 7.0], [40.0, 0.0, 5.0], [7.0, 5.0, -20.0]]),
    )
    medium = voigt_average(tensor)
    assert (medium.shear_modulus_gpa, medium.poisson_ratio) == pytest.approx((100.0, 0.25))
    young = 2 * 100.0 * 1.25
    expected = ((1 + 0.25) * stress - 0.25 * np.trace(stress) * np.eye(3)) / (1e3 * young)
    np.testing.assert_allclose(elastic_strain(tensor, FRAME, stress), expected, atol=1e-15)


@pytest.mark.parametrize("radius_nm", [2.9, 0.0, -1.0, math.nan])
def test_loops_that_do_not_fit_are_refused(radius_nm: float) -> None:
    with pytest.raises(ConfigurationError, match="a loop of radius"):
        shear_loop(IRON, radius_nm, SIZE_NM, tensor_gpa=IRON_TENSOR)
