from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation, screw_dislocation
from glideflow.crystals.lattices import crystal
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import slip_system
from glideflow.properties.core_position import CorePoint, core_tracker, dissociation
from glideflow.properties.results import CoreResult

SIZE = DislocationSize(burgers_vectors=60, height_angstrom=40.0, line_periods=1, rigid_thickness_angstrom=6.0)


def built(settings: SlipSystemSettings) -> DislocationCell:
    perfect = crystal(settings.structure, 3.2, 5.1 if settings.structure == "hcp" else None)
    return edge_dislocation(layered_crystal(perfect, slip_system(settings)), SIZE)


def with_core(cell: DislocationCell, centre: float, half_width: float) -> np.ndarray:
    """Positions whose spacings along x have an arctan core and its periodic images, and nothing else.

    In the row of n atoms the i-th one lies where i + (number of half Burgers vectors that the misfit has eaten up to
    there) fills the length: solved for each atom, without the displacement field of the builder.
    """
    length, burgers = cell.cell_angstrom[0, 0], cell.burgers_vector_angstrom
    images = np.arange(-60, 61) * length
    fine = np.linspace(0.0, length, 4001)
    profile = np.arctan((fine[:, None] - centre - images) / half_width).sum(axis=1) / np.pi
    profile = (profile - profile[0]) / (profile[-1] - profile[0])  # rises by 1 over the period
    positions = cell.positions_angstrom.copy()
    for plane, sign in ((0, 1.0), (-1, -1.0)):
        members = np.flatnonzero(cell.plane == plane)
        rows = cell.lattice_positions_angstrom[members, 1].round(4)
        for value in np.unique(rows):
            row = members[rows == value]
            row = row[np.argsort(cell.lattice_positions_angstrom[row, 0])]
            atoms_up_to = fine / burgers + sign * profile / 2  # 0 ... number of atoms
            phase = cell.lattice_positions_angstrom[row[0], 0] / burgers
            positions[row, 0] = np.interp(np.arange(len(row)) + phase, atoms_up_to, fine)
    return positions


@pytest.mark.parametrize("settings", [FCC_111, BCC_110, HCP_PRISMATIC], ids=lambda s: s.name)
@pytest.mark.parametrize("half_width_in_burgers", [1.0, 2.0, 5.0])
def test_position_of_arctan_cores(settings: SlipSystemSettings, half_width_in_burgers: float) -> None:
    cell = built(settings)
    tracker = core_tracker(cell)
    burgers, length = cell.burgers_vector_angstrom, tracker.length_angstrom
    for centre in np.linspace(0.0, length, 11):  # the border of the period included
        positions = with_core(cell, centre, half_width_in_burgers * burgers)
        found = tracker.position(positions, centre)
        assert found == pytest.approx(centre, abs=0.01 * burgers)


def test_the_branch_is_the_one_nearest_to_the_last_position() -> None:
    cell = built(FCC_111)
    tracker = core_tracker(cell)
    length = tracker.length_angstrom
    positions = with_core(cell, 3.0, 2 * cell.burgers_vector_angstrom)
    for turns in (-2, 0, 1, 5):
        assert tracker.position(positions, 3.0 + turns * length - 0.4 * length) == pytest.approx(
            3.0 + turns * length, abs=0.05
        )


def test_a_core_that_glides_across_the_border_moves_on_steadily() -> None:
    cell = built(BCC_110)
    tracker = core_tracker(cell)
    burgers, length = cell.burgers_vector_angstrom, tracker.length_angstrom
    last, path = 0.9 * length, np.arange(0.9, 2.3, 0.02) * length
    for centre in path:
        last = tracker.position(with_core(cell, centre % length, 2 * burgers), last)
        assert last == pytest.approx(centre, abs=0.02 * burgers)


def test_homogeneous_shear_and_translation_along_the_plane() -> None:
    cell = built(FCC_111)
    tracker = core_tracker(cell)
    positions = with_core(cell, 40.0, 5.0)
    sheared = positions + np.outer(np.where(cell.plane >= 0, 0.4, -0.4), [1.0, 0.0, 0.0])
    assert tracker.position(sheared, 40.0) == pytest.approx(tracker.position(positions, 40.0), abs=0.03)
    moved = positions + np.array([7.3, 0.0, 0.0])
    assert tracker.position(moved, 47.3) == pytest.approx(tracker.position(positions, 40.0) + 7.3, abs=1e-9)


@pytest.mark.parametrize("half_width_in_burgers", [1.5, 3.0])
def test_width_and_disregistry(half_width_in_burgers: float) -> None:
    """The half width of an arctan core is half of the distance between b/4 and 3b/4."""
    cell = built(BCC_110)
    tracker = core_tracker(cell)
    burgers = cell.burgers_vector_angstrom
    core = tracker.core(with_core(cell, 60.0, half_width_in_burgers * burgers), 60.0)
    assert core.width_angstrom == pytest.approx(2 * half_width_in_burgers * burgers, rel=0.15)
    assert core.position_angstrom == pytest.approx(60.0, abs=0.01 * burgers)
    assert (np.diff(core.x_angstrom) >= 0).all()
    assert core.disregistry_angstrom[0] == pytest.approx(0.0, abs=0.05 * burgers)
    assert core.disregistry_angstrom[-1] == pytest.approx(burgers, abs=0.05 * burgers)
    middle = np.interp(core.position_angstrom, core.x_angstrom, core.disregistry_angstrom)
    assert middle == pytest.approx(burgers / 2, abs=0.06 * burgers)


def test_more_line_periods_give_the_same_core() -> None:
    perfect = crystal("fcc", 3.6)
    layers = layered_crystal(perfect, slip_system(FCC_111))
    cells = [edge_dislocation(layers, dataclasses.replace(SIZE, line_periods=n), core_offset=0.3) for n in (1, 3)]
    positions = [core_tracker(cell).position(cell.positions_angstrom, cell.start_angstrom) for cell in cells]
    assert positions[0] == pytest.approx(positions[1], abs=1e-9)


def screw(settings: SlipSystemSettings, core_offset: float = 0.0) -> DislocationCell:
    perfect = crystal(settings.structure, 3.2, 5.1 if settings.structure == "hcp" else None)
    return screw_dislocation(layered_crystal(perfect, slip_system(settings)), SIZE, core_offset=core_offset)


BCC_112 = SlipSystemSettings(name="bcc_112", structure="bcc", plane=(1, 1, 2), direction=(-1, -1, 1))


@pytest.mark.parametrize("settings", [FCC_111, BCC_110, BCC_112, HCP_PRISMATIC], ids=lambda s: s.name)
def test_screw_cores_are_found_where_they_were_put(settings: SlipSystemSettings) -> None:
    for offset in (-3.0, -0.25, 0.0, 0.5, 2.2):
        cell = screw(settings, offset)
        tracker = core_tracker(cell)
        found = tracker.locate(cell.positions_angstrom, cell.start_angstrom)
        assert found.x_angstrom == pytest.approx(cell.start_angstrom, abs=0.1 * cell.valley_angstrom)
        assert abs(found.z_angstrom) < 1.2
        core = tracker.core(cell.positions_angstrom, cell.start_angstrom)
        assert core.disregistry_angstrom[[0, -1]] == pytest.approx([0.0, cell.burgers_vector_angstrom], abs=0.1)


@pytest.mark.parametrize("settings", [FCC_111, BCC_110, BCC_112], ids=lambda s: s.name)
def test_a_screw_that_has_left_its_plane_is_found(settings: SlipSystemSettings) -> None:
    """The field of Volterra's screw, u = b θ/2π, around a line somewhere else in the cell."""
    cell = screw(settings)
    tracker = core_tracker(cell)
    lattice, middle = cell.lattice_positions_angstrom, cell.cell_angstrom[2, 2] / 2
    for x, z in ((cell.start_angstrom + 3.7, middle + 5.3), (cell.start_angstrom - 8.1, middle - 6.2)):
        positions = lattice.copy()
        angle = np.arctan2(lattice[:, 2] - z, lattice[:, 0] - x)
        positions[:, 1] += cell.burgers_vector_angstrom * angle / (2 * np.pi)
        found = tracker.locate(positions, x)
        assert found.x_angstrom == pytest.approx(x, abs=1.5)
        built_on = np.mean([lattice[cell.plane == plane, 2].mean() for plane in (-1, 0)])
        assert found.z_angstrom == pytest.approx(z - built_on, abs=1.5)
        origin = CorePoint(cell.start_angstrom, 0.0)
        assert tracker.glided(found, origin)
        assert not tracker.glided(CorePoint(origin.x_angstrom + 0.5 * cell.valley_angstrom, 0.0), origin)


def test_polarity_counts_how_far_the_three_columns_have_moved() -> None:
    """Six times their common displacement over b; none for a core that keeps the twofold axis."""
    cell = screw(BCC_110)
    columns = core_tracker(cell).columns  # type: ignore[attr-defined]
    triangles, winding = columns.enclosures(cell.positions_angstrom)
    assert len(triangles) == 1
    assert abs(winding[0]) == 1
    assert columns.polarity(cell.positions_angstrom) == pytest.approx(0.0, abs=0.01)
    for shift in (0.02, -0.1):
        positions = cell.positions_angstrom.copy()
        positions[columns.atoms[triangles[0]], 1] += shift * cell.burgers_vector_angstrom
        assert columns.polarity(positions) == pytest.approx(6 * abs(shift), abs=0.01)


def test_polarity_is_for_lines_along_111_of_bcc_only() -> None:
    for settings in (FCC_111, HCP_PRISMATIC):
        cell = screw(settings)
        assert core_tracker(cell).core(cell.positions_angstrom, cell.start_angstrom).polarity is None


def disregistry(x: np.ndarray, partials: tuple[float, float], half_width: float) -> CoreResult:
    """Two arctan partials of b/2 each, alone in the world, as a record of the first schema version has them."""
    steps = [np.arctan((x - place) / half_width) / np.pi + 0.5 for place in partials]
    position, total = float(np.mean(partials)), np.asarray(2.5 / 2 * sum(steps))
    return CoreResult(x_angstrom=x, disregistry_angstrom=total, position_angstrom=position, width_angstrom=1.0)


@pytest.mark.parametrize(("width", "half_width"), [(36.0, 4.0), (12.0, 3.0), (8.0, 1.5)])
def test_partials_are_found_in_a_disregistry(width: float, half_width: float) -> None:
    x = np.linspace(-1000.0, 1100.0, 8001)
    core = replace(disregistry(x, (20.0, 20.0 + width), half_width), width_angstrom=width)
    found = dissociation(core, 2.5, 1e5)
    assert found.partials_angstrom == pytest.approx([20.0, 20.0 + width], abs=0.01)
    assert found.half_width_angstrom == pytest.approx(half_width, rel=0.01)
    assert found.residual_angstrom < 1e-3
    assert found.is_split


def test_one_wide_core_is_not_split() -> None:
    x = np.linspace(-1000.0, 1000.0, 8001)
    assert not dissociation(replace(disregistry(x, (0.0, 0.0), 5.0), width_angstrom=10.0), 2.5, 1e5).is_split
