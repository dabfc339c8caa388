from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Minimiser
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs
from glideflow.units import EV_PER_A3_TO_MPA


@pytest.fixture(scope="module")
def problem(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
    primary_system: Callable[[str], SlipSystem],
) -> Iterator[tuple[DislocationProblem, DislocationCell]]:
    lattice, potential = relaxed("Fe"), wheel_potential("Fe")
    size = DislocationSize(
        burgers_vectors=14, height_angstrom=35.0, line_periods=1, rigid_thickness_angstrom=lattice.cutoff_angstrom
    )
    cell = edge_dislocation(layered_crystal(lattice.crystal, primary_system("Fe")), size)
    springs = fit_springs(lammps_engine, potential, lattice.crystal)
    with lammps_engine.open(potential, cell.atoms("Fe")) as session:
        yield DislocationProblem(session, cell, springs), cell


def somewhere(problem: DislocationProblem, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.05, 0.05, problem.size)


@pytest.mark.parametrize("stress_mpa", [0.0, 500.0, -200.0])
def test_gradient_is_the_derivative_of_the_enthalpy(
    problem: tuple[DislocationProblem, DislocationCell], stress_mpa: float
) -> None:
    dislocation, _ = problem
    generator = np.random.default_rng(3)
    point = somewhere(dislocation)
    _, gradient = dislocation.energy_and_gradient(point, stress_mpa)
    block = np.zeros((2, dislocation.size))
    block[0, -2] = block[1, -1] = 1.0
    for direction in (*block, *generator.normal(size=(3, dislocation.size))):
        step = 3e-5
        plus, minus = (dislocation.energy_and_gradient(point + s * step * direction, stress_mpa)[0] for s in (1, -1))
        assert (plus - minus) / (2 * step) == pytest.approx(gradient @ direction, abs=1e-5)


def test_the_load_is_stress_times_area_along_the_glide_direction(
    problem: tuple[DislocationProblem, DislocationCell],
) -> None:
    dislocation, cell = problem
    point = somewhere(dislocation)
    (free, gradient_free), (loaded, gradient_loaded) = (dislocation.energy_and_gradient(point, s) for s in (0.0, 160.0))
    force = 160.0 / EV_PER_A3_TO_MPA * cell.cell_angstrom[0, 0] * cell.cell_angstrom[1, 1]
    np.testing.assert_allclose((gradient_free - gradient_loaded)[:-2], 0.0, atol=1e-12)
    assert (gradient_free - gradient_loaded)[-2] == pytest.approx(force)
    assert free - loaded == pytest.approx(force * point[-2])
    assert dislocation.work_ev(point, 160.0) == pytest.approx(force * point[-2])


def test_blocks_are_rigid_and_the_bottom_one_is_fixed(problem: tuple[DislocationProblem, DislocationCell]) -> None:
    dislocation, cell = problem
    point = somewhere(dislocation)
    moves = dislocation.positions(point) - cell.positions_angstrom
    np.testing.assert_array_equal(moves[cell.bottom], 0.0)
    np.testing.assert_allclose(moves[cell.top], np.tile([point[-2], 0.0, point[-1]], (cell.top.sum(), 1)), atol=1e-12)
    np.testing.assert_allclose(moves[cell.mobile], point[:-2].reshape(-1, 3), atol=1e-12)
    assert dislocation.shear_strain(point) == pytest.approx(point[-2] / cell.height_angstrom)


def test_a_fresh_start_repeats_itself_bit_by_bit(problem: tuple[DislocationProblem, DislocationCell]) -> None:
    dislocation, _ = problem
    values = []
    for seed in (5, 6):
        dislocation.energy_and_gradient(somewhere(dislocation, seed), 0.0)
        dislocation.start_afresh()
        values.append(dislocation.energy_and_gradient(somewhere(dislocation), 10.0))
    assert values[0][0] == values[1][0]
    np.testing.assert_array_equal(values[0][1], values[1][1])


def test_steps_between_equilibria_say_how_the_gradient_changes(
    problem: tuple[DislocationProblem, DislocationCell],
) -> None:
    dislocation, _ = problem
    equilibria, start = [], np.zeros(dislocation.size)
    for stress_mpa in (-20.0, 0.0, 30.0):
        minimiser = Minimiser(tolerance=1e-6, max_evaluations=500, precondition=dislocation.precondition)
        found = minimiser.minimise(lambda q, s=stress_mpa: dislocation.energy_and_gradient(q, s), start)
        assert found.converged
        equilibria.append((stress_mpa, found.coordinates))
        start = found.coordinates
    pairs = dislocation.responses(equilibria)
    assert len(pairs) == 2
    for (step, change), (_, before), (_, after) in zip(pairs, equilibria, equilibria[1:], strict=False):
        np.testing.assert_allclose(before + step, after, atol=1e-15)
        gradients = [dislocation.energy_and_gradient(q, 0.0)[1] for q in (before, after)]
        np.testing.assert_allclose(change, gradients[1] - gradients[0], atol=3e-6)
        assert step @ change > 0
