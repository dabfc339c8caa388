"""Cells relaxed by LAMMPS and seen by OVITO, and cells that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from glideflow.config.engine import EngineSettings
from glideflow.errors import ConvergenceError
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.cells import DislocationCell
from glideflow.mobility.checks import check_cell, refuse_unsound, relaxed_and_checked, with_atoms
from glideflow.mobility.dipoles import dipole
from glideflow.mobility.loops import shear_loop
from glideflow.mobility.orientations import LineOrientation
from glideflow.potentials.record import Potential
from glideflow.properties.elastic import cubic_tensor

pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")

IRON = BccMetal("Fe", 2.855312)
METALS = {"Fe": IRON, "W": BccMetal("W", 3.165)}
IRON_TENSOR = cubic_tensor(243.33, 145.01, 115.99)
SMALL_NM = (4.0, 1.2, 6.0)
QUICK = {"steps": 150, "box_steps": 60, "force_tolerance_ev_per_angstrom": 0.3}
NO_STRESS = np.zeros((3, 3))


@pytest.mark.parametrize(("element", "pair"), [("Fe", (-1, 2)), ("Fe", (1, 3)), ("W", (-1, 1))])
def test_a_relaxed_dipole_has_exactly_two_lines_and_no_stress(
    wheel_potential: Callable[[str], Potential], element: str, pair: tuple[int, int]
) -> None:
    built = dipole(METALS[element], LineOrientation(*pair), SMALL_NM)
    relaxed, check = relaxed_and_checked(built, wheel_potential(element), EngineSettings(), **QUICK)
    refuse_unsound(check)
    assert check.atoms == check.expected_atoms == len(built.positions_angstrom)
    assert check.excess_stress_mpa < 100.0
    lower, upper = sorted(check.lines, key=lambda line: line.centre_fractional()[2] % 1.0)
    np.testing.assert_array_equal([lower.period, upper.period], [[0, 1, 0], [0, -1, 0]])  # as in reference_lines
    for line, reference in zip((lower, upper), relaxed.reference_lines, strict=True):
        np.testing.assert_allclose(line.burgers_angstrom, relaxed.burgers_angstrom)
        apart = line.centre_fractional() - np.linalg.solve(relaxed.cell_angstrom.T, reference.points_angstrom[0])
        assert np.linalg.norm((apart - np.rint(apart))[[0, 2]] @ relaxed.cell_angstrom[[0, 2]]) < 6.0


def test_a_loop_has_one_closed_line_and_the_applied_stress(wheel_potential: Callable[[str], Potential]) -> None:
    built = shear_loop(IRON, 2.2, (7.0, 7.0, 4.0), tensor_gpa=IRON_TENSOR, stress_mpa=1000.0, images=1)
    _, check = relaxed_and_checked(built, wheel_potential("Fe"), EngineSettings(), **QUICK)
    refuse_unsound(check)
    (line,) = check.lines
    assert line.topology == "closed"
    assert 0.8 < line.length_angstrom(built.cell_angstrom) / (2 * np.pi * 22.0) < 1.1
    np.testing.assert_allclose(check.stress_mpa, built.applied_stress_mpa, atol=100.0)


@pytest.fixture(scope="module")
def sound() -> DislocationCell:
    return dipole(IRON, LineOrientation(-1, 2), SMALL_NM)


def far_atom(cell: DislocationCell) -> int:
    """An atom half a cell away from the lines along x."""
    fractions = np.linalg.solve(cell.cell_angstrom.T, cell.positions_angstrom.T).T
    return int(np.argmin(np.linalg.norm(fractions - [0.02, 0.5, 0.5], axis=1)))


def problems(cell: DislocationCell, stress_mpa: np.ndarray = NO_STRESS) -> str:
    return "; ".join(check_cell(cell, stress_mpa, 0.0).problems)


def test_a_dipole_as_built_is_sound(sound: DislocationCell) -> None:
    assert problems(sound) == ""


def test_a_vacancy_is_found(sound: DislocationCell) -> None:
    cell = replace(sound, positions_angstrom=np.delete(sound.positions_angstrom, far_atom(sound), axis=0))
    count = len(sound.positions_angstrom)
    assert f"{count - 1} atoms instead of {count}; 14 atoms with wrong neighbours" in problems(cell)


def test_an_atom_twice_is_found(sound: DislocationCell) -> None:
    extra = sound.positions_angstrom[far_atom(sound)] + [0.3, 0.0, 0.4]
    found = problems(replace(sound, positions_angstrom=np.vstack([sound.positions_angstrom, extra])))
    assert "two atoms 0.50 Å apart, nearest neighbours are 2.47 Å apart" in found
    assert "atoms with wrong neighbours" in found


def test_a_perfect_crystal_has_no_lines(sound: DislocationCell) -> None:
    from glideflow.mobility.blocks import perfect_block

    block = perfect_block(IRON, LineOrientation(-1, 2), sound.periods)
    cell = with_atoms(sound, block.positions_angstrom, np.diag(block.lengths_angstrom))
    assert "no dislocation line instead of two infinite ones" in problems(cell)
    with pytest.raises(ConvergenceError, match="no dislocation line"):
        refuse_unsound(check_cell(cell, NO_STRESS, 0.0))


def test_another_burgers_vector_and_a_stress_are_found(sound: DislocationCell) -> None:
    found = problems(replace(sound, burgers_angstrom=sound.burgers_angstrom[[1, 0, 2]]), np.diag([0.0, -101.0, 3.0]))
    assert "with the Burgers vector ½<111>" in found
    assert "a mean stress of 101 MPa beside the applied one, more than 100" in found
