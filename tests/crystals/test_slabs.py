from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from glideflow.crystals.lattices import Crystal, conventional_atoms
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slabs import FaultCell, slab_cell, tilted_cell
from glideflow.crystals.slip_systems import SlipSystem

Systems = Callable[[str], tuple[Crystal, SlipSystem]]
ALL = ("fcc_111", "bcc_110", "hcp_prismatic", "bcc_112", "hcp_basal")
REACH_ANGSTROM = 5.5


def distances(cell: FaultCell, displacement: np.ndarray) -> np.ndarray:
    """Sorted distances per atom up to a reach, of the displaced cell."""
    positions, vectors = cell.displaced(displacement)
    atoms = Atoms("Cu" * len(positions), positions=positions, cell=vectors, pbc=cell.periodic)
    return np.sort(neighbor_list("d", atoms, REACH_ANGSTROM))


@pytest.mark.parametrize("name", ALL)
def test_slab_is_a_crystal_with_two_surfaces(systems: Systems, name: str) -> None:
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    cell = slab_cell(layers, "wide", 12, 15.0)
    atoms_per_plane = len(layers.motif_angstrom) / len(layers.plane_heights_angstrom)
    assert len(cell.positions_angstrom) == 12 * atoms_per_plane
    assert cell.upper.sum() == 6 * atoms_per_plane
    assert cell.periodic == (True, True, False)
    heights = cell.positions_angstrom[:, 2]
    assert cell.cell_angstrom[2, 2] - np.ptp(heights) == pytest.approx(15.0)
    assert heights[cell.upper].min() > heights[~cell.upper].max()
    assert cell.area_angstrom2 == pytest.approx(np.linalg.norm(np.cross(*cell.cell_angstrom[:2])))
    # an atom in the middle has the neighbours of the bulk
    atoms = cell.atoms("Cu")
    middle = int(np.argmin(np.abs(heights - heights.mean())))
    first, found = neighbor_list("id", atoms, REACH_ANGSTROM)
    bulk_first, bulk = neighbor_list("id", conventional_atoms(perfect, "Cu"), REACH_ANGSTROM)
    np.testing.assert_allclose(np.sort(found[first == middle]), np.sort(bulk[bulk_first == 0]), atol=1e-9)


@pytest.mark.parametrize("cut", ["wide", "narrow"])
@pytest.mark.parametrize("name", ALL)
def test_tilted_cell_is_the_crystal(systems: Systems, name: str, cut: str) -> None:
    perfect, system = systems(name)
    cell = tilted_cell(layered_crystal(perfect, system), cut, 8)
    found = distances(cell, np.zeros(2))
    bulk = conventional_atoms(perfect, "Cu")
    expected = np.sort(neighbor_list("d", bulk, REACH_ANGSTROM))
    assert len(found) / len(cell.positions_angstrom) == len(expected) / len(bulk)
    np.testing.assert_allclose(np.unique(found.round(6)), np.unique(expected.round(6)))


@pytest.mark.parametrize("tilted", [False, True], ids=["slab", "tilted"])
@pytest.mark.parametrize("name", ALL)
def test_displacement_by_a_lattice_vector_changes_nothing(systems: Systems, name: str, tilted: bool) -> None:
    layers = layered_crystal(*systems(name))
    cell = tilted_cell(layers, "wide", 8) if tilted else slab_cell(layers, "wide", 8, 12.0)
    perfect = distances(cell, np.zeros(2))
    for vector in (*layers.in_plane_angstrom, layers.period_angstrom * [1, 0], layers.period_angstrom * [0, -1]):
        np.testing.assert_allclose(distances(cell, vector), perfect, atol=1e-9)
    somewhere = distances(cell, 0.37 * layers.in_plane_angstrom[0] + 0.21 * layers.in_plane_angstrom[1])
    assert len(somewhere) != len(perfect) or np.abs(somewhere - perfect).max() > 0.01


@pytest.mark.parametrize("cut", ["wide", "narrow"])
@pytest.mark.parametrize("name", ["fcc_111", "bcc_110", "hcp_prismatic"])
def test_both_cells_hold_the_same_fault(systems: Systems, name: str, cut: str) -> None:
    """Distances across the fault: those of the displaced cell that the perfect one does not have."""
    layers = layered_crystal(*systems(name))
    displacement = 0.31 * layers.in_plane_angstrom[0] + 0.17 * layers.in_plane_angstrom[1]
    slab, tilted = slab_cell(layers, cut, 12, 12.0), tilted_cell(layers, cut, 12)
    new = []
    for cell in (slab, tilted):
        perfect = set(distances(cell, np.zeros(2)).round(5))
        new.append(sorted(d for d in distances(cell, displacement).round(5) if d not in perfect))
    assert len(new[0]) > 4
    np.testing.assert_allclose(new[0], new[1], atol=2e-5)


def test_depth_is_the_crystal_between_the_fault_and_the_next_disturbance(systems: Systems) -> None:
    perfect, system = systems("fcc_111")
    layers = layered_crystal(perfect, system)
    spacing = perfect.a_angstrom / np.sqrt(3)
    assert slab_cell(layers, "wide", 9, 15.0).depth_angstrom == pytest.approx(3 * spacing), "four planes below"
    assert tilted_cell(layers, "wide", 9).depth_angstrom == pytest.approx(9 * spacing)
