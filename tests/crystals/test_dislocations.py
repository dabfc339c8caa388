from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from glideflow.crystals.dislocations import (
    DislocationCell,
    DislocationSize,
    dislocation_cell,
    edge_dislocation,
    misfit_profile,
    screw_dislocation,
)
from glideflow.crystals.lattices import Crystal
from glideflow.crystals.layers import layered_crystal, rectangular_points
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.errors import SlipSystemError
from glideflow.properties.core_position import core_tracker

Systems = Callable[[str], tuple[Crystal, SlipSystem]]
PRIMARY = ("fcc_111", "bcc_110", "hcp_prismatic")
SIZE = DislocationSize(burgers_vectors=30, height_angstrom=50.0, line_periods=1, rigid_thickness_angstrom=8.0)


@pytest.fixture(params=PRIMARY)
def case(request: pytest.FixtureRequest, systems: Systems) -> tuple[Crystal, DislocationCell]:
    perfect, system = systems(request.param)
    return perfect, edge_dislocation(layered_crystal(perfect, system), SIZE)


SCREWS = ("fcc_111", "bcc_110", "bcc_112", "hcp_prismatic", "hcp_basal")


@pytest.mark.parametrize("name", SCREWS)
def test_a_screw_cell_is_a_perfect_crystal_away_from_the_core(systems: Systems, name: str) -> None:
    """Across the border of the cell and across the glide plane half a period away, nothing shows that it was cut."""
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    size = DislocationSize(burgers_vectors=60, height_angstrom=40.0, line_periods=2, rigid_thickness_angstrom=6.0)
    cell = screw_dislocation(layers, size)
    length, burgers = cell.cell_angstrom[0, 0], layers.burgers_vector_angstrom
    np.testing.assert_allclose(cell.cell_angstrom[0], [length, -burgers / 2, 0.0], atol=1e-12)
    np.testing.assert_allclose(cell.cell_angstrom[1], [0.0, 2 * burgers, 0.0], atol=1e-12)
    nearest, spacing = perfect.nearest_neighbour_angstrom, layers.gaps_angstrom.max()
    first, distance = neighbor_list("id", cell.atoms("Cu"), 1.18 * nearest)
    count = np.bincount(first, minlength=len(cell.positions_angstrom))
    away = np.abs(cell.positions_angstrom[:, 0] - cell.start_angstrom) > 0.4 * length
    inside = np.abs(cell.plane + 0.5) * spacing < 8.0
    assert (away & inside).sum() > 20
    assert set(count[away & inside].tolist()) == {12 if perfect.structure in ("fcc", "hcp") else 14}
    assert distance.min() > 0.85 * nearest
    assert np.sum(cell.plane >= 0) / len(np.unique(cell.plane[cell.plane >= 0])) == np.sum(cell.plane == -1)


@pytest.mark.parametrize("name", SCREWS)
def test_around_a_screw_the_displacements_add_up_to_one_burgers_vector(systems: Systems, name: str) -> None:
    """Along a row of the upper half and back along one of the lower half, the border included."""
    cell = screw_dislocation(layered_crystal(*systems(name)), SIZE)
    burgers = cell.burgers_vector_angstrom
    sums = {}
    for plane in (2, -3):
        row = np.flatnonzero(cell.plane == plane)
        row = row[np.argsort(cell.lattice_positions_angstrom[row, 0])]
        moved = (cell.positions_angstrom - cell.lattice_positions_angstrom)[row, 1]
        steps = np.diff(np.append(moved, moved[0] + cell.cell_angstrom[0, 1]))
        sums[plane] = (steps - burgers * np.rint(steps / burgers)).sum()
    assert sums[2] == pytest.approx(-burgers / 2)
    assert sums[-3] == pytest.approx(burgers / 2)


def test_rigid_blocks_of_a_screw_are_sheared_uniformly_wherever_the_core_is(systems: Systems) -> None:
    layers = layered_crystal(*systems("bcc_110"))
    first, second = (screw_dislocation(layers, SIZE, core_offset=offset) for offset in (0.0, 0.5))
    rigid = ~first.mobile
    np.testing.assert_allclose(first.positions_angstrom[rigid], second.positions_angstrom[rigid], atol=1e-12)
    moves = (first.positions_angstrom - first.lattice_positions_angstrom)[first.top]
    share = first.lattice_positions_angstrom[first.top, 0] / first.cell_angstrom[0, 0]
    np.testing.assert_allclose(moves[:, 1], -first.burgers_vector_angstrom / 2 * share, atol=1e-12)
    np.testing.assert_allclose(moves[:, [0, 2]], 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "character", "valley"),
    [
        ("bcc_110", "screw", np.sqrt(2 / 3) * 2.855),
        ("fcc_111", "screw", np.sqrt(3 / 8) * 3.615),
        ("hcp_basal", "screw", np.sqrt(3 / 4) * 3.234),
        ("hcp_prismatic", "screw", 5.168),
        ("bcc_110", "edge", np.sqrt(3 / 4) * 2.855 / 3),
        ("fcc_111", "edge", np.sqrt(1 / 2) * 3.615 / 2),
        ("hcp_prismatic", "edge", 3.234),
    ],
)
def test_distances_of_peierls_valleys(systems: Systems, name: str, character: str, valley: float) -> None:
    cell = dislocation_cell(layered_crystal(*systems(name)), SIZE, character=character)
    assert cell.valley_angstrom == pytest.approx(valley)


def test_another_character_is_refused(systems: Systems) -> None:
    with pytest.raises(SlipSystemError, match="character 'mixed'"):
        dislocation_cell(layered_crystal(*systems("fcc_111")), SIZE, character="mixed")


def test_smallest_published_cell_has_244_atoms(systems: Systems) -> None:
    """14 b over 13 b, five planes over four, one line period."""
    layers = layered_crystal(*systems("fcc_111"))
    spacing = float(layers.gaps_angstrom[0])
    size = DislocationSize(
        burgers_vectors=14, height_angstrom=9 * spacing, line_periods=1, rigid_thickness_angstrom=spacing / 2
    )
    cell = edge_dislocation(layers, size)
    assert len(cell.positions_angstrom) == 244
    assert sorted(set(cell.plane.tolist())) == [-4, -3, -2, -1, 0, 1, 2, 3, 4]
    assert [int(np.sum(cell.plane == p)) for p in (0, -1)] == [28, 26]


@pytest.mark.parametrize("line_periods", [1, 3])
@pytest.mark.parametrize("name", PRIMARY)
def test_atoms_per_plane(systems: Systems, name: str, line_periods: int) -> None:
    layers = layered_crystal(*systems(name))
    size = DislocationSize(
        burgers_vectors=20, height_angstrom=40.0, line_periods=line_periods, rigid_thickness_angstrom=5.0
    )
    cell = edge_dislocation(layers, size)
    per_plane = len(rectangular_points(layers)) * line_periods
    for plane in np.unique(cell.plane):
        assert np.sum(cell.plane == plane) == (20 if plane >= 0 else 19) * per_plane
    assert cell.cell_angstrom[0, 0] == pytest.approx(19.5 * layers.burgers_vector_angstrom)
    assert cell.cell_angstrom[1, 1] == pytest.approx(line_periods * layers.period_angstrom[1])


def test_no_two_atoms_are_close_and_none_is_missing(case: tuple[Crystal, DislocationCell]) -> None:
    perfect, cell = case
    atoms = cell.atoms("Cu")
    nearest = perfect.nearest_neighbour_angstrom
    assert neighbor_list("d", atoms, 1.5 * nearest).min() > 0.8 * nearest
    thickness = cell.height_angstrom * (1 + 1 / (len(np.unique(cell.plane)) - 1))  # each plane with its own share
    volume = cell.area_angstrom2 * thickness
    assert len(atoms) == pytest.approx(volume / perfect.volume_per_atom_angstrom3, rel=0.02)


def test_rigid_blocks_are_strained_uniformly(case: tuple[Crystal, DislocationCell]) -> None:
    """A block that remembers where the core was built pulls it back there."""
    _, cell = case
    for block, count in ((cell.top, SIZE.burgers_vectors), (cell.bottom, SIZE.burgers_vectors - 1)):
        ratio = cell.cell_angstrom[0, 0] / (count * cell.burgers_vector_angstrom)
        moves = cell.positions_angstrom[block] - cell.lattice_positions_angstrom[block] * [ratio, 1.0, 1.0]
        np.testing.assert_allclose(moves, 0.0, atol=1e-12)
    assert not (cell.top & cell.bottom).any()
    assert np.ptp(cell.lattice_positions_angstrom[cell.top, 2]) <= SIZE.rigid_thickness_angstrom


def test_two_starts_share_their_rigid_blocks_and_differ_in_the_core(systems: Systems) -> None:
    layers = layered_crystal(*systems("fcc_111"))
    first, second = (edge_dislocation(layers, SIZE, core_offset=offset) for offset in (0.0, 0.25))
    rigid = ~first.mobile
    np.testing.assert_allclose(first.positions_angstrom[rigid], second.positions_angstrom[rigid], atol=1e-12)
    assert np.abs(first.positions_angstrom - second.positions_angstrom).max() > 0.01
    np.testing.assert_array_equal(first.lattice_positions_angstrom, second.lattice_positions_angstrom)


def test_burgers_circuit_closes_with_one_burgers_vector(case: tuple[Crystal, DislocationCell]) -> None:
    """Around the core: along a row above, back along one below, in steps of the perfect crystal."""
    _, cell = case
    burgers, length = cell.burgers_vector_angstrom, cell.cell_angstrom[0, 0]
    steps = {}
    for plane in (2, -3):
        members = np.flatnonzero(cell.plane == plane)
        y = cell.lattice_positions_angstrom[members, 1]
        row = members[np.abs(y - y[0]) < 1e-6]
        x = np.sort(cell.positions_angstrom[row, 0])
        gaps = np.diff(np.append(x, x[0] + length))
        assert (gaps > 0.7 * burgers).all()
        assert (gaps < 1.4 * burgers).all()
        steps[plane] = len(gaps)
    assert steps[2] - steps[-3] == 1


@pytest.mark.parametrize("offset", [-3.0, -0.3, 0.0, 0.25, 2.4])
@pytest.mark.parametrize("name", PRIMARY)
def test_the_core_is_where_it_was_put(systems: Systems, name: str, offset: float) -> None:
    cell = edge_dislocation(layered_crystal(*systems(name)), SIZE, core_offset=offset)
    burgers = cell.burgers_vector_angstrom
    assert cell.start_angstrom == pytest.approx(cell.cell_angstrom[0, 0] / 2 + offset * burgers)
    found = core_tracker(cell).position(cell.positions_angstrom, cell.start_angstrom)
    assert found == pytest.approx(cell.start_angstrom, abs=0.05 * burgers)


def test_prismatic_cuts(systems: Systems) -> None:
    layers = layered_crystal(*systems("hcp_prismatic"))
    gaps = {}
    for cut in ("wide", "narrow"):
        cell = edge_dislocation(layers, SIZE, cut=cut)
        z, plane = cell.lattice_positions_angstrom[:, 2], cell.plane
        gaps[cut] = z[plane == 0].min() - z[plane == -1].max()
    assert gaps["wide"] == pytest.approx(2 * gaps["narrow"])


def test_no_room_between_the_rigid_blocks_is_refused(systems: Systems) -> None:
    layers = layered_crystal(*systems("fcc_111"))
    thick = DislocationSize(burgers_vectors=20, height_angstrom=20.0, line_periods=1, rigid_thickness_angstrom=8.0)
    with pytest.raises(SlipSystemError, match="mobile planes") as caught:
        edge_dislocation(layers, thick)
    assert "height_angstrom" in caught.value.next_step


@given(st.floats(-40.0, 40.0), st.floats(0.5, 20.0), st.floats(30.0, 100.0))
def test_misfit_profile_is_the_sum_over_periodic_images(x: float, half_width: float, length: float) -> None:
    images = np.arange(-20000, 20001) * length
    # the sum over images converges like 1/n to a linear function less; its odd part is summed in pairs
    step = np.arctan((x - images) / half_width) - np.arctan(-images / half_width)
    direct = step.sum() / np.pi
    found = misfit_profile(np.array(x), np.array(half_width), length)
    origin = misfit_profile(np.array(0.0), np.array(half_width), length)
    assert float(found - origin) == pytest.approx(direct, abs=2e-3)


@given(st.floats(-200.0, 200.0), st.floats(0.5, 20.0), st.floats(30.0, 100.0))
def test_misfit_profile_rises_by_one_per_period(x: float, half_width: float, length: float) -> None:
    here, there = (float(misfit_profile(np.array(p), np.array(half_width), length)) for p in (x, x + length))
    assert there - here == pytest.approx(1.0, abs=1e-9)
