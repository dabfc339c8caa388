from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glideflow.errors import ConfigurationError, NonFiniteError, PropertyError
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.cells import DislocationCell
from glideflow.mobility.dipoles import dipole
from glideflow.mobility.extraction import (
    DislocationLine,
    canonical,
    extract_lines,
    followed,
    in_order,
    resampled,
)
from glideflow.mobility.loops import shear_loop
from glideflow.mobility.orientations import nearest_line

IRON = BccMetal("Fe", 2.8553, 0.3)
BURGERS = np.array([2.0, 1.0, 0.0])
CELL = np.array([[50.0, 0.0, 0.0], [3.0, 30.0, 0.0], [-4.0, 2.0, 80.0]])


def line_along_y(x: float, z: float, sense: int = 1, points: int = 7) -> DislocationLine:
    """A straight infinite line at fractions x, z of the cell; its points begin somewhere and are unevenly spaced."""
    y = np.sort(np.random.default_rng(points).uniform(0.3, 1.3, points))[::sense]
    nodes = np.column_stack([np.full(points, x), y, np.full(points, z)])
    return DislocationLine(
        nodes_fractional=nodes, period=np.array([0, sense, 0]), burgers_angstrom=BURGERS, topology="infinite"
    )


def circle(radius: float, points: int = 400) -> DislocationLine:
    angles = 2 * np.pi * np.sort(np.random.default_rng(1).uniform(size=points))
    x = np.column_stack([25 + radius * np.cos(angles), 15 + radius * np.sin(angles), np.full(points, 40.0)])
    return DislocationLine(
        nodes_fractional=x @ np.linalg.inv(CELL),
        period=np.zeros(3, dtype=np.int64),
        burgers_angstrom=BURGERS,
        topology="closed",
    )


def spacings(line: DislocationLine) -> np.ndarray:
    return np.linalg.norm(np.diff(line.chain_angstrom(CELL), axis=0), axis=1)


@pytest.fixture(scope="module")
def mixed_dipole() -> DislocationCell:
    return dipole(IRON, nearest_line(109.47), (5.0, 1.2, 8.0))


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_either_description_of_a_line_becomes_the_one_with_the_reference_vector(noise: float) -> None:
    measured = replace(line_along_y(0.2, 0.5), burgers_angstrom=BURGERS + noise)
    for described in (measured, measured.reversed()):
        found = canonical(described, BURGERS)
        np.testing.assert_array_equal(found.burgers_angstrom, BURGERS)
        np.testing.assert_array_equal(found.period, measured.period)
        np.testing.assert_array_equal(found.nodes_fractional, measured.nodes_fractional)


def test_another_burgers_vector_is_kept() -> None:
    other = replace(line_along_y(0.2, 0.5), burgers_angstrom=np.array([2.0, -1.5, 0.5]))
    np.testing.assert_array_equal(canonical(other, BURGERS).burgers_angstrom, other.burgers_angstrom)


@pytest.mark.parametrize("sense", [1, -1])
def test_nodes_of_a_straight_line_are_equidistant_and_begin_at_the_face_of_the_cell(sense: int) -> None:
    line = line_along_y(0.2, 0.5, sense)
    period = np.linalg.norm(CELL[1])
    assert line.length_angstrom(CELL) == pytest.approx(period, rel=1e-12)
    found = resampled(line, CELL, 5.0)
    assert len(found.nodes_fractional) == round(period / 5.0)
    np.testing.assert_allclose(spacings(found), period / len(found.nodes_fractional), rtol=1e-12)
    assert found.nodes_fractional[0, 1] == pytest.approx(np.rint(found.nodes_fractional[0, 1]), abs=1e-12)
    np.testing.assert_allclose(found.nodes_fractional[:, [0, 2]], [[0.2, 0.5]] * len(found.nodes_fractional))


def test_a_short_line_keeps_the_nodes_that_make_it_one() -> None:
    assert len(resampled(line_along_y(0.2, 0.5), CELL, 1e3).nodes_fractional) == 2
    assert len(resampled(circle(5.0), CELL, 1e3).nodes_fractional) == 3


def test_nodes_of_a_circle_lie_on_it_at_equal_distances_and_begin_ahead_of_its_centre() -> None:
    found = resampled(circle(10.0), CELL, 2 * np.pi * 10 / 24)
    nodes = found.nodes_fractional @ CELL - [25.0, 15.0, 40.0]
    assert len(nodes) == 24
    np.testing.assert_allclose(np.linalg.norm(nodes, axis=1), 10.0, atol=0.02)  # sagitta of the polygon
    np.testing.assert_allclose(spacings(found), 2 * 10 * np.sin(np.pi / 24), rtol=0.02)
    assert abs(np.arctan2(nodes[0, 1], nodes[0, 0])) < 0.1
    assert found.length_angstrom(CELL) == pytest.approx(2 * np.pi * 10, rel=0.01)


def test_an_open_line_is_not_divided() -> None:
    with pytest.raises(PropertyError, match="open"):
        resampled(replace(line_along_y(0.2, 0.5), topology="open"), CELL, 5.0)


def test_lines_are_followed_through_boundaries_in_whatever_order_and_image_they_come() -> None:
    random = np.random.default_rng(0)
    steps = np.linspace(0.0, 2.3, 24)  # more than two cells, a tenth of one at a time
    first = in_order([resampled(line_along_y(x, z, s), CELL, 5.0) for x, z, s in ((0.9, 0.25, 1), (0.1, 0.75, -1))])
    seen = first
    for step in steps[1:]:
        lines = [line_along_y(0.9 - step, 0.25, 1), line_along_y(0.1 + step, 0.75, -1)]
        images = [resampled(line, CELL, 5.0).translated(random.integers(-2, 3, 3)) for line in lines]
        seen = followed(seen, [images[k] for k in random.permutation(2)], CELL)
    moved = [new.centre_fractional()[0] - old.centre_fractional()[0] for new, old in zip(seen, first, strict=True)]
    np.testing.assert_allclose(moved, [-2.3, 2.3], atol=1e-12)
    assert [line.period[1] for line in seen] == [1, -1]


def test_two_lines_of_one_sense_are_told_apart_by_where_they_were() -> None:
    before = in_order([line_along_y(0.3, 0.2), line_along_y(0.3, 0.8)])
    after = followed(before, [line_along_y(0.35, 0.81), line_along_y(0.35, 0.22)], CELL)
    assert [round(line.centre_fractional()[2], 2) for line in after] == [0.22, 0.81]


@pytest.mark.parametrize("missing", [[], [line_along_y(0.3, 0.2)], [line_along_y(0.3, 0.2)] * 2])
def test_other_lines_than_before_are_refused(missing: list[DislocationLine]) -> None:
    with pytest.raises(PropertyError, match="infinite line"):
        followed([line_along_y(0.3, 0.2, 1), line_along_y(0.3, 0.8, -1)], missing, CELL)


@pytest.mark.parametrize("image", [False, True])
def test_the_lines_of_a_dipole_are_found_where_they_were_built_with_their_burgers_vector(
    mixed_dipole: DislocationCell, image: bool
) -> None:
    pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    cell = mixed_dipole
    random = np.random.default_rng(2)
    moved = random.integers(-1, 2, cell.positions_angstrom.shape) @ cell.cell_angstrom if image else 0.0
    found = extract_lines(
        cell.positions_angstrom + moved,
        cell.cell_angstrom,
        structure="bcc",
        burgers_angstrom=cell.burgers_angstrom,
    )
    assert [line.topology for line in found] == ["infinite", "infinite"]
    lines = in_order(found)
    for line, built in zip(lines, cell.reference_lines, strict=True):
        # Built by displacements, without a word on OVITO's convention of signs.
        np.testing.assert_allclose(line.period @ cell.cell_angstrom, built.canonical().period_angstrom, atol=1e-9)
        np.testing.assert_array_equal(line.burgers_angstrom, cell.burgers_angstrom)
        apart = (line.centre_fractional() - built.points_angstrom[0] @ np.linalg.inv(cell.cell_angstrom))[[0, 2]]
        np.testing.assert_allclose((apart - np.rint(apart)) * np.diag(cell.cell_angstrom)[[0, 2]], 0.0, atol=2.5)


def test_a_shear_loop_is_found_in_the_sense_in_which_a_positive_stress_makes_it_grow() -> None:
    pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    stiffness = np.diag([170.0, 170, 170, 60, 60, 60]) + np.pad(50.0 * (1 - np.eye(3)), (0, 3))
    cell = shear_loop(IRON, 1.8, (6.0, 6.0, 4.0), tensor_gpa=stiffness, sides=24, images=1)
    (line,) = extract_lines(
        cell.positions_angstrom, cell.cell_angstrom, structure="bcc", burgers_angstrom=cell.burgers_angstrom
    )
    assert line.topology == "closed"
    assert not line.period.any()
    np.testing.assert_array_equal(line.burgers_angstrom, cell.burgers_angstrom)
    chain = resampled(line, cell.cell_angstrom, 5.0).chain_angstrom(cell.cell_angstrom)
    force = np.cross(cell.shear_stress_mpa(1.0) @ cell.burgers_angstrom, np.diff(chain, axis=0))
    outward = 0.5 * (chain[1:] + chain[:-1]) - chain[:-1].mean(axis=0)
    assert (np.sum(force * outward, axis=1) > 0).all()
    radii = np.linalg.norm(chain[:-1] - chain[:-1].mean(axis=0), axis=1)
    assert radii.mean() == pytest.approx(18.0, abs=2.0)
    assert np.ptp(chain[:, 2]) < 5.0


def test_a_perfect_crystal_has_no_lines() -> None:
    pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    grid = np.indices((6, 6, 6)).reshape(3, -1).T * 2.8553
    positions = np.vstack([grid, grid + 2.8553 / 2])
    assert extract_lines(positions, 6 * 2.8553 * np.eye(3), structure="bcc", burgers_angstrom=BURGERS) == ()


def test_positions_that_are_nowhere_and_unknown_structures_are_refused(mixed_dipole: DislocationCell) -> None:
    pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    positions, cell = mixed_dipole.positions_angstrom.copy(), mixed_dipole.cell_angstrom
    with pytest.raises(ConfigurationError, match="diamond"):
        extract_lines(positions, cell, structure="diamond", burgers_angstrom=BURGERS)
    positions[17, 1] = np.nan
    with pytest.raises(NonFiniteError, match=f"1 of {len(positions)} atoms"):
        extract_lines(positions, cell, structure="bcc", burgers_angstrom=BURGERS)
    with pytest.raises(NonFiniteError, match="cell"):
        extract_lines(positions[:5], np.full((3, 3), np.inf), structure="bcc", burgers_angstrom=BURGERS)
