from __future__ import annotations

import math

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from glideflow.mobility.blocks import BccMetal, perfect_block, whole_periods
from glideflow.mobility.dipoles import Cores, dipole, displacement
from glideflow.mobility.orientations import LINES, LineOrientation

IRON = BccMetal("Fe", 2.855312)
SIZE_NM = (7.0, 1.5, 9.0)
ORIENTATIONS = [LineOrientation(*pair) for pair in ((1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-3, 1), (-5, -4))]
LENGTHS = np.array([70.0, 15.0, 90.0])
CORES = Cores(36.0, 22.0, 67.0)
BURGERS = np.array([2.0, 1.4, 0.0])


@pytest.mark.parametrize("pair", LINES)
def test_blocks_hold_the_sites_of_whole_periods(pair: tuple[int, int]) -> None:
    """As many as the volume says, none twice, and each a lattice vector away from the origin."""
    orientation = LineOrientation(*pair)
    block = perfect_block(IRON, orientation, (1, 1, 1))
    volume = np.prod(block.lengths_angstrom) / IRON.lattice_constant_angstrom**3
    assert len(block.positions_angstrom) == round(2 * volume)
    halves = 2 * block.positions_angstrom @ orientation.axes / IRON.lattice_constant_angstrom
    integers = np.rint(halves).astype(int)
    np.testing.assert_allclose(halves, integers, atol=1e-9)
    assert np.all(integers % 2 == integers[:, :1] % 2)
    assert len(np.unique(integers, axis=0)) == len(integers)


@pytest.mark.parametrize("orientation", ORIENTATIONS[2:6], ids=lambda o: f"{o.angle_deg:.0f}")
def test_a_dipole_is_a_perfect_crystal_away_from_its_cores(orientation: LineOrientation) -> None:
    """Neither the slab that was taken out nor any border of the cell shows: no vacancy, no overlap."""
    cell = dipole(IRON, orientation, SIZE_NM)
    neighbours = math.sqrt(0.75) * IRON.lattice_constant_angstrom
    first, distance = neighbor_list("id", cell.atoms(), 1.3 * neighbours)  # between second and third shell
    count = np.bincount(first, minlength=len(cell.positions_angstrom))
    shift = cell.positions_angstrom[:, None] - [line.points_angstrom[0] for line in cell.reference_lines]
    away = np.all(np.hypot(shift[..., 0], shift[..., 2]) > 15.0, axis=1)
    assert away.mean() > 0.7
    assert set(count[away].tolist()) == {14}
    assert distance.min() > 0.8 * neighbours


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda o: f"{o.angle_deg:.0f}")
def test_a_slab_of_the_edge_component_is_missing(orientation: LineOrientation) -> None:
    cell = dipole(IRON, orientation, SIZE_NM)
    periods = whole_periods(IRON, orientation, SIZE_NM)
    edges = np.array(periods) * orientation.periods * IRON.lattice_constant_angstrom
    missing = IRON.burgers_angstrom * math.sin(math.radians(orientation.angle_deg)) * edges[1] * edges[2] / 2
    atomic_volume = IRON.lattice_constant_angstrom**3 / 2
    assert cell.removed_atoms == round(missing / atomic_volume)
    assert missing / atomic_volume == pytest.approx(cell.removed_atoms, abs=1e-6)
    assert len(cell.positions_angstrom) == round(np.prod(edges) / atomic_volume) - cell.removed_atoms
    # The cell has lost the volume of the slab, so that the atoms keep theirs.
    assert cell.volume_angstrom3 / len(cell.positions_angstrom) == pytest.approx(atomic_volume, rel=1e-9)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda o: f"{o.angle_deg:.0f}")
def test_cells_are_boxes_of_lammps_with_the_burgers_vector_turned_along(orientation: LineOrientation) -> None:
    cell = dipole(IRON, orientation, SIZE_NM)
    assert np.all(cell.cell_angstrom[np.triu_indices(3, 1)] == 0)
    assert np.all(np.diag(cell.cell_angstrom) > 0)
    assert np.linalg.norm(cell.burgers_angstrom) == pytest.approx(IRON.burgers_angstrom, rel=1e-12)
    along, line = (
        cell.burgers_angstrom / IRON.burgers_angstrom,
        cell.cell_angstrom[1] / np.linalg.norm(cell.cell_angstrom[1]),
    )
    # a1 has become a1 - b/2, so the line has turned against the glide direction by about b_y / 2 Lx.
    assert along @ line == pytest.approx(math.cos(math.radians(orientation.angle_deg)), abs=1e-9)
    assert cell.reference_lines[0].sign == 1
    assert cell.reference_lines[0].points_angstrom[0, 2] < cell.reference_lines[1].points_angstrom[0, 2]
    for reference in cell.reference_lines:
        np.testing.assert_array_equal(reference.period_angstrom, cell.cell_angstrom[1])
    np.testing.assert_allclose(cell.reference_lines[1].canonical().period_angstrom, -cell.cell_angstrom[1])


def test_the_resolved_shear_stress_has_its_components_along_the_burgers_vector() -> None:
    cell = dipole(IRON, LineOrientation(0, 1), SIZE_NM)
    stress = cell.shear_stress_mpa(300.0)
    normal, direction = np.array([0.0, 0.0, 1.0]), cell.burgers_angstrom / IRON.burgers_angstrom
    assert normal @ stress @ direction == pytest.approx(300.0)
    assert normal @ stress @ np.cross(normal, direction) == pytest.approx(0.0, abs=1e-9)
    assert np.linalg.norm(stress) == pytest.approx(300.0 * math.sqrt(2.0))


@pytest.mark.parametrize("axis", [0, 2])
def test_the_displacement_is_periodic(axis: int) -> None:
    """What the linear correction leaves falls as the square of the number of images: 0.01 Å at four."""
    points = np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 40.0], [11.0, 0.0, 0.0], [50.0, 0.0, 0.0], [5.0, 0.0, 80.0]])
    opposite = points + np.eye(3)[axis] * LENGTHS[axis]
    for images, tolerance_angstrom in ((4, 0.015), (16, 0.001)):
        here, there = (displacement(p, LENGTHS, CORES, BURGERS, 0.29, images) for p in (points, opposite))
        np.testing.assert_allclose(here, there, atol=tolerance_angstrom)


def test_the_displacement_rises_by_the_burgers_vector_around_the_lower_line() -> None:
    """Right-handed about +y, from z to x; the jump at the cut, which is none of the crystal, is left out."""
    angle = np.linspace(0.0, 2 * np.pi, 2001)[1:-1]  # starts and ends above the core, where the cut is
    circuit = np.stack([36.0 + 5 * np.sin(angle), 0 * angle, 22.0 + 5 * np.cos(angle)], axis=1)
    around = displacement(circuit, LENGTHS, CORES, BURGERS, 0.29, images=2)
    np.testing.assert_allclose(around[-1] - around[0], BURGERS, atol=0.02)
    upper = circuit * [1, 1, -1] + [0, 0, 89.0]  # about the other core, in the opposite sense
    around = displacement(upper, LENGTHS, CORES, BURGERS, 0.29, images=2)
    np.testing.assert_allclose(around[-1] - around[0], BURGERS, atol=0.02)


def test_the_sum_over_images_converges() -> None:
    points = np.random.default_rng(5).uniform(0.0, 1.0, (40, 3)) * LENGTHS
    sums = [displacement(points, LENGTHS, CORES, BURGERS, 0.29, images) for images in (2, 4, 8, 16)]
    errors = [np.ptp(each - sums[-1], axis=0).max() for each in sums[:-1]]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 2e-3


def test_a_line_in_the_other_sense_gives_the_same_dipole() -> None:
    one, other = (dipole(IRON, LineOrientation(*pair), SIZE_NM) for pair in ((-1, 2), (1, -2)))
    np.testing.assert_array_equal(one.positions_angstrom, other.positions_angstrom)
