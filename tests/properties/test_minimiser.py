from __future__ import annotations

import numpy as np
import pytest

from glideflow.properties.minimiser import Ending, Minimiser


def quadratic(size: int, condition: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A positive definite Hessian of the given condition number and where its minimum lies."""
    generator = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(generator.normal(size=(size, size)))
    hessian = (vectors * np.geomspace(1.0, condition, size)) @ vectors.T
    return hessian, generator.normal(size=size)


def rosenbrock(x: np.ndarray) -> tuple[float, np.ndarray]:
    energy = np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    gradient = np.zeros_like(x)
    gradient[:-1] += -400.0 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2.0 * (1 - x[:-1])
    gradient[1:] += 200.0 * (x[1:] - x[:-1] ** 2)
    return float(energy), gradient


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_the_exact_preconditioner_needs_a_few_evaluations(condition: float) -> None:
    hessian, centre = quadratic(60, condition)
    inverse = np.linalg.inv(hessian)
    minimiser = Minimiser(tolerance=1e-8, max_evaluations=100, largest_move=1e3, precondition=lambda g: inverse @ g)
    found = minimiser.minimise(
        lambda x: (0.5 * (x - centre) @ hessian @ (x - centre), hessian @ (x - centre)), 0 * centre
    )
    assert found.ending is Ending.CONVERGED
    assert found.evaluations <= 5
    np.testing.assert_allclose(found.coordinates, centre, atol=1e-7)


def test_a_quadratic_without_preconditioner_takes_few_steps_per_dimension() -> None:
    hessian, centre = quadratic(12, 100.0)
    minimiser = Minimiser(tolerance=1e-9, max_evaluations=1000, largest_move=1e3, memory=12)
    found = minimiser.minimise(
        lambda x: (0.5 * (x - centre) @ hessian @ (x - centre), hessian @ (x - centre)), 0 * centre
    )
    assert found.converged
    assert found.evaluations <= 5 * 12


@pytest.mark.parametrize("size", [2, 10])
def test_rosenbrock(size: int) -> None:
    start = np.full(size, -1.2)
    found = Minimiser(tolerance=1e-9, max_evaluations=2000, largest_move=0.5).minimise(rosenbrock, start)
    assert found.converged
    np.testing.assert_allclose(found.coordinates, 1.0, atol=1e-8)
    assert found.largest_gradient <= 1e-9
    assert found.energy_ev == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("offset_ev", [-2e4, -3e6])
def test_forces_vanish_where_energies_drown_in_rounding(offset_ev: float) -> None:
    """An energy of thousands of atoms, rounded as a sum over them is, has no digits left for the last steps."""
    generator = np.random.default_rng(1)
    noise = 1e-8 * abs(offset_ev) / 2e4
    hessian, centre = quadratic(200, 300.0)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        energy = 0.5 * (x - centre) @ hessian @ (x - centre) + 0.1 * np.sum((x - centre) ** 4)
        return offset_ev + energy + noise * generator.uniform(-1, 1), hessian @ (x - centre) + 0.4 * (x - centre) ** 3

    found = Minimiser(tolerance=1e-7, max_evaluations=2000, largest_move=0.2).minimise(objective, centre + 0.3)
    assert found.converged
    np.testing.assert_allclose(found.coordinates, centre, atol=1e-6)


def test_downhill_from_a_maximum() -> None:
    def waves(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.cos(x).sum()), -np.sin(x)

    found = Minimiser(tolerance=1e-8, max_evaluations=200, largest_move=0.3).minimise(
        waves, np.array([0.01, -0.02, 0.1])
    )
    np.testing.assert_allclose(found.coordinates, [np.pi, -np.pi, np.pi], atol=1e-7)


def test_no_coordinate_moves_farther_than_allowed_in_one_step() -> None:
    hessian, centre = quadratic(10, 10.0)
    accepted = []
    minimiser = Minimiser(
        tolerance=1e-6,
        max_evaluations=500,
        largest_move=0.05,
        monitor=lambda x, g, n: accepted.append(x.copy()) or False,
    )
    minimiser.minimise(lambda x: (0.5 * (x - centre) @ hessian @ (x - centre), hessian @ (x - centre)), centre + 1.0)
    moves = np.abs(np.diff(accepted, axis=0)).max(axis=1)
    assert len(moves) >= 15, "a distance of 1 in steps of at most 0.05"
    assert moves.max() <= 0.05 * (1 + 1e-12)


def test_a_minimum_is_recognised_at_once() -> None:
    found = Minimiser(tolerance=1e-6, max_evaluations=10).minimise(lambda x: (float(x @ x), 2 * x), np.zeros(3))
    assert (found.ending, found.evaluations) == (Ending.CONVERGED, 1)


def test_the_monitor_stops_where_it_wants() -> None:
    seen: list[int] = []

    def monitor(x: np.ndarray, gradient: np.ndarray, evaluations: int) -> bool:
        seen.append(evaluations)
        return x[0] < 0.5

    found = Minimiser(tolerance=1e-12, max_evaluations=500, largest_move=0.1, monitor=monitor).minimise(
        lambda x: (float(x @ x), 2 * x), np.array([1.0, 0.0])
    )
    assert found.ending is Ending.INTERRUPTED
    assert 0.4 <= found.coordinates[0] < 0.5, "the state at which it was stopped, not the best one"
    assert seen == sorted(seen)


def test_the_evaluation_limit_holds_and_gives_the_lowest_forces_seen() -> None:
    sizes = []

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        energy, gradient = rosenbrock(x)
        sizes.append(np.abs(gradient).max())
        return energy, gradient

    found = Minimiser(tolerance=1e-12, max_evaluations=15).minimise(objective, np.full(6, -1.2))
    assert found.ending is Ending.EXHAUSTED
    assert not found.converged
    assert found.evaluations == len(sizes) <= 15
    assert found.largest_gradient == pytest.approx(min(sizes), rel=0.2)


def test_forces_with_a_floor_end_as_no_progress() -> None:
    """A potential whose forces jump never meets the tolerance; it is not worth thousands of evaluations."""
    generator = np.random.default_rng(3)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(x @ x), 2 * x + 1e-3 * generator.choice([-1.0, 1.0], size=x.size)

    found = Minimiser(tolerance=1e-6, max_evaluations=100_000).minimise(objective, np.full(5, 0.4))
    assert found.ending is Ending.STALLED
    assert found.evaluations < 1500
    assert found.largest_gradient < 5e-3


def test_pairs_known_beforehand_spare_finding_them_out() -> None:
    """A preconditioner that is right but for one soft direction, and a pair along that direction."""
    hessian, centre = quadratic(40, 1e4)
    values, vectors = np.linalg.eigh(hessian)
    wrong = (vectors / np.where(values == values.min(), 50.0, 1.0) / values) @ vectors.T
    soft = 1e-3 * vectors[:, 0]

    def evaluations(pairs: list[tuple[np.ndarray, np.ndarray]]) -> int:
        minimiser = Minimiser(
            tolerance=1e-8, max_evaluations=100, largest_move=1e3, precondition=lambda g: wrong @ g, pairs=pairs
        )
        found = minimiser.minimise(
            lambda x: (0.5 * (x - centre) @ hessian @ (x - centre), hessian @ (x - centre)), 0 * centre
        )
        assert found.converged
        np.testing.assert_allclose(found.coordinates, centre, atol=1e-6)
        return found.evaluations

    assert evaluations([(soft, hessian @ soft)]) <= 3
    assert evaluations([]) > 3
    assert evaluations([(soft, -hessian @ soft)]) == evaluations([]), "a pair without positive curvature is left out"


def test_an_inflection_is_passed_quickly_and_no_step_exceeds_the_cap() -> None:
    """Down a periodic slope whose tilt just exceeds its largest hold, where energies say nothing (of 100,000 eV)."""
    places = []

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(1e5 - np.cos(x[0]) - 1.0001 * x[0]), np.sin(x) - 1.0001

    def beyond(x: np.ndarray, gradient: np.ndarray, evaluations: int) -> bool:
        places.append(x[0])
        return bool(x[0] > 6)

    minimiser = Minimiser(tolerance=1e-6, max_evaluations=200, largest_move=0.5, monitor=beyond)
    found = minimiser.minimise(objective, np.array([np.pi / 2]))  # where next to nothing pulls
    assert found.ending is Ending.INTERRUPTED
    assert found.evaluations < 40
    assert np.diff(places).max() <= 0.5 + 1e-12


def double_well(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Minima at -1 and, lower, near +1."""
    return float(np.sum((x**2 - 1) ** 2 - 0.1 * x)), 4 * x * (x**2 - 1) - 0.1


@pytest.mark.parametrize(("known", "well"), [(-1.02, -1), (-0.2, 1)])
def test_the_known_start_is_taken_where_it_is_lower(known: float, well: int) -> None:
    other = np.array([known])
    minimiser = Minimiser(tolerance=1e-8, max_evaluations=100)
    found = minimiser.minimise(double_well, np.array([0.3]), (other, double_well(other)[0]))
    assert found.converged
    assert np.sign(found.coordinates[0]) == well


def test_a_start_without_energy_is_left_for_the_known_one() -> None:
    def cut_off(x: np.ndarray) -> tuple[float, np.ndarray]:
        return (np.nan, np.full(1, np.nan)) if x[0] > 5 else (float(x @ x), 2 * x)

    found = Minimiser(tolerance=1e-8, max_evaluations=100).minimise(cut_off, np.array([9.0]), (np.array([1.0]), 1.0))
    assert found.converged
    assert found.coordinates[0] == pytest.approx(0.0, abs=1e-8)
