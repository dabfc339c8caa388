from __future__ import annotations

import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from glideflow.crystals.dislocations import DislocationSize, edge_dislocation
from glideflow.crystals.lattices import conventional_atoms, crystal, neighbour_shells
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import Evaluation
from glideflow.potentials.record import Potential
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import Bonds, Springs, find_bonds, fit_springs, stiffness_matrix

LONGITUDINAL = np.array([1.7, 0.4, 0.09])
TRANSVERSE = np.array([0.25, 0.06, 0.02])


class HarmonicSession:
    """A crystal of springs: forces by a double loop's worth of ASE neighbours, no spring code of ours."""

    cutoff_angstrom = 6.0

    def __init__(self, atoms: Atoms, radii: np.ndarray) -> None:
        reach = float(radii[2] + radii[3]) / 2
        self._first, self._second, vectors = neighbor_list("ijD", atoms, reach)
        distances = np.linalg.norm(vectors, axis=1)
        self._directions = vectors / distances[:, None]
        self._shell = np.abs(distances[:, None] - radii[:3]).argmin(axis=1)
        self._rest = atoms.positions.copy()
        self.evaluations = 0

    def evaluate(self, positions_angstrom: np.ndarray, cell_angstrom: np.ndarray | None = None) -> Evaluation:
        self.evaluations += 1
        moves = positions_angstrom - self._rest
        relative = moves[self._second] - moves[self._first]
        along = np.sum(relative * self._directions, axis=1)[:, None] * self._directions
        pull = LONGITUDINAL[self._shell][:, None] * along + TRANSVERSE[self._shell][:, None] * (relative - along)
        forces = np.zeros_like(moves)
        np.add.at(forces, self._first, pull)
        return Evaluation(0.5 * float(-np.sum(forces * moves)), forces, np.zeros((3, 3)))

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class HarmonicEngine:
    name, version = "harmonic", "1"

    def __init__(self, radii: np.ndarray) -> None:
        self._radii = radii

    def open(self, potential: Potential, atoms: Atoms) -> HarmonicSession:
        return HarmonicSession(atoms, self._radii)


@pytest.mark.parametrize("structure", ["fcc", "bcc", "hcp"])
def test_the_springs_of_a_harmonic_crystal_are_recovered(structure: str) -> None:
    perfect = crystal(structure, 3.0, 4.95 if structure == "hcp" else None)
    radii = neighbour_shells(perfect, 4)
    potential = Potential(id="springs", element="Cu", structure=structure)
    springs = fit_springs(HarmonicEngine(radii), potential, perfect)
    np.testing.assert_allclose(springs.longitudinal_ev_per_angstrom2, LONGITUDINAL, rtol=1e-6)
    np.testing.assert_allclose(springs.transverse_ev_per_angstrom2, TRANSVERSE, rtol=1e-6)
    np.testing.assert_allclose(springs.radii_angstrom, radii[:3])


@pytest.mark.parametrize("element", ["Cu", "Fe", "Zr"])
def test_springs_of_a_potential_repeat_its_long_waves(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
    element: str,
) -> None:
    """What a preconditioner is for: the stiffness is right within a factor of two for every pattern tried."""
    lattice, potential = relaxed(element), wheel_potential(element)
    springs = fit_springs(lammps_engine, potential, lattice.crystal)
    assert (springs.longitudinal_ev_per_angstrom2 >= 0).all()
    assert (springs.transverse_ev_per_angstrom2 >= 0).all()
    atoms = conventional_atoms(lattice.crystal, element) * (4, 4, 4)
    bonds = find_bonds(
        atoms.positions, atoms.cell.array, (True, True, True), springs.radii_angstrom, springs.range_angstrom
    )
    with lammps_engine.open(potential, atoms) as session:
        rest = session.evaluate(atoms.positions).energy_ev
        for vector, axis in itertools.product([(1, 0, 0), (1, 1, 0), (2, 1, 1)], range(3)):
            wave = 2 * np.pi * np.array(vector) @ np.linalg.inv(atoms.cell.array).T
            pattern = 1e-3 * np.cos(atoms.positions @ wave)
            move = np.outer(pattern, np.eye(3)[axis])
            plus, minus = (session.evaluate(atoms.positions + s * move).energy_ev for s in (1, -1))
            matrix = stiffness_matrix(bonds, springs, len(atoms), axis)
            assert 0.5 < pattern @ (matrix @ pattern) / (plus + minus - 2 * rest) < 2.0


def random_bonds(seed: int) -> tuple[Bonds, np.ndarray]:
    generator = np.random.default_rng(seed)
    positions = generator.random((40, 3)) * 8
    return find_bonds(positions, 8 * np.eye(3), (True, True, False), np.array([2.0, 3.0, 4.0]), 4.5), positions


def test_bonds_are_the_pairs_of_ase_each_once() -> None:
    bonds, positions = random_bonds(1)
    atoms = Atoms("Cu40", positions=positions, cell=8 * np.eye(3), pbc=(True, True, False))
    first, second, vectors = neighbor_list("ijD", atoms, 4.5)
    assert 2 * len(bonds.first) == len(first)
    expected = {(i, j, *np.round(v / np.linalg.norm(v), 6)) for i, j, v in zip(first, second, vectors, strict=True)}
    for i, j, v in zip(bonds.first, bonds.second, bonds.direction, strict=True):
        assert (i, j, *np.round(v, 6)) in expected


def test_an_atom_joined_to_its_own_images() -> None:
    """A cell narrower than the range: bonds to periodic images count, and pull nothing when all move together."""
    radii = np.array([2.0])
    bonds = find_bonds(np.zeros((1, 3)), 2.0 * np.eye(3), (True, True, True), radii, 2.1)
    assert len(bonds.first) == 3
    matrix = stiffness_matrix(bonds, Springs(radii, 2.1, np.ones(1), np.ones(1)), 1, axis=0)
    np.testing.assert_allclose(matrix.toarray(), 0.0, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_stiffness_is_symmetric_free_of_translations_and_never_negative(axis: int) -> None:
    bonds, positions = random_bonds(2)
    springs = Springs(np.array([2.0, 3.0, 4.0]), 4.5, LONGITUDINAL, TRANSVERSE)
    matrix = stiffness_matrix(bonds, springs, len(positions), axis).toarray()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
    np.testing.assert_allclose(matrix @ np.ones(len(positions)), 0.0, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12


def test_stiffness_is_the_second_derivative_of_the_springs_energy() -> None:
    """One spring between two atoms at an angle: k_l cos² + k_t sin² along each axis."""
    direction = np.array([0.6, 0.0, 0.8])
    bonds = Bonds(np.array([0]), np.array([1]), direction[None], np.array([0]))
    springs = Springs(np.array([1.0]), 1.1, np.array([3.0]), np.array([0.5]))
    for axis in range(3):
        along, across = 3.0 * direction[axis] ** 2, 0.5 * (1 - direction[axis] ** 2)
        expected = (along + across) * np.array([[1.0, -1.0], [-1.0, 1.0]])
        np.testing.assert_allclose(stiffness_matrix(bonds, springs, 2, axis).toarray(), expected)


@pytest.mark.parametrize("element", ["Cu", "Fe", "Zr"])
def test_preconditioner_of_a_dislocation_cell_is_positive_definite(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
    primary_system: Callable[[str], SlipSystem],
    element: str,
) -> None:
    lattice, potential = relaxed(element), wheel_potential(element)
    size = DislocationSize(
        burgers_vectors=12, height_angstrom=35.0, line_periods=1, rigid_thickness_angstrom=lattice.cutoff_angstrom
    )
    cell = edge_dislocation(layered_crystal(lattice.crystal, primary_system(element)), size)
    springs = fit_springs(lammps_engine, potential, lattice.crystal)
    with lammps_engine.open(potential, cell.atoms(element)) as session:
        problem = DislocationProblem(session, cell, springs)
        inverse = np.array([problem.precondition(column) for column in np.eye(problem.size)])
    values = np.linalg.eigvalsh((inverse + inverse.T) / 2)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-8 * values.max())
    assert values.min() > 0
    assert values.max() < 1e4, "no direction is nearly free: the bottom block holds the cell"
