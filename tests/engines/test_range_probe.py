"""Ranges of interactions whose range is known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from glideflow.engines.range_probe import measured_range
from glideflow.errors import EngineError

Energy = Callable[[np.ndarray], float]
SPACING_ANGSTROM = 2.5


def smooth(distances: np.ndarray, cutoff: float) -> np.ndarray:
    """A function that ends at the cutoff with two derivatives, 0 for an atom with itself."""
    inside = (distances < cutoff) & (distances > 0)
    return np.where(inside, (1 - np.minimum(distances / cutoff, 1)) ** 3, 0.0)


def weights(positions: np.ndarray, cutoff: float) -> np.ndarray:
    return smooth(np.linalg.norm(positions[:, None] - positions[None], axis=-1), cutoff)


def pairs(positions: np.ndarray, cutoff: float) -> float:
    return float(weights(positions, cutoff).sum())


def embedded(positions: np.ndarray, cutoff: float) -> float:
    return float(np.sqrt(0.1 + weights(positions, cutoff).sum(axis=1)).sum())


def messages(positions: np.ndarray, cutoff: float) -> float:
    """Two layers: what an atom sends depends on its own neighbours."""
    edges = weights(positions, cutoff)
    return float(np.sqrt(0.1 + edges @ np.tanh(edges.sum(axis=1))).sum())


def forces_of(energy: Energy) -> Callable[[np.ndarray], np.ndarray]:
    def forces(positions: np.ndarray) -> np.ndarray:
        gradient, step = np.zeros_like(positions), 1e-5
        for index in np.ndindex(positions.shape):
            shift = np.zeros_like(positions)
            shift[index] = step
            gradient[index] = (energy(positions + shift) - energy(positions - shift)) / (2 * step)
        return -gradient

    return forces


@pytest.mark.parametrize(("energy", "layers"), [(pairs, 1), (embedded, 1), (messages, 2)])
@pytest.mark.parametrize("cutoff", [4.5, 6.0])
def test_ranges_are_found_and_rounded_up(
    energy: Callable[[np.ndarray, float], float], layers: int, cutoff: float
) -> None:
    found = measured_range(forces_of(lambda positions: energy(positions, cutoff)), SPACING_ANGSTROM)
    assert layers * (cutoff - 0.3) <= found <= layers * (cutoff + 0.25)


def test_neighbours_that_are_farther_apart_than_the_cutoff_need_no_chain() -> None:
    found = measured_range(forces_of(lambda positions: messages(positions, 2.3)), SPACING_ANGSTROM)
    assert 2.2 <= found <= 2.5


@pytest.mark.parametrize("energy", [lambda positions: 0.0, lambda positions: pairs(positions, 16.0)])
def test_what_has_no_range_is_refused_with_what_to_give(energy: Energy) -> None:
    with pytest.raises(EngineError, match="could not be measured") as caught:
        measured_range(forces_of(energy), SPACING_ANGSTROM)
    assert "--cutoff" in caught.value.next_step


@pytest.mark.parametrize(("calculator", "cutoff"), [(LennardJones(sigma=1.5), 4.5), (EMT(), 5.9)])
def test_calculators_that_state_a_range_are_measured_to_have_it(calculator: object, cutoff: float) -> None:
    from ase import Atoms

    def forces(positions: np.ndarray) -> np.ndarray:
        return Atoms(["Cu"] * len(positions), positions, calculator=calculator).get_forces()

    assert measured_range(forces, 2.56) == pytest.approx(cutoff, abs=0.3)
