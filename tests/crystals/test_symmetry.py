"""Symmetries of γ surfaces against energies of two half crystals summed atom by atom."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from glideflow.crystals.lattices import Crystal
from glideflow.crystals.layers import LayeredCrystal, layered_crystal, stack
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.crystals.symmetry import displacement_symmetry, grid_displacements, grid_orbits, senses_are_equivalent

Systems = Callable[[str], tuple[Crystal, SlipSystem]]
CASES = [
    ("fcc_111", "wide"),
    ("bcc_110", "wide"),
    ("bcc_112", "wide"),
    ("hcp_prismatic", "wide"),
    ("hcp_prismatic", "narrow"),
    ("hcp_basal", "wide"),
    ("fcc_100", "wide"),
]


class RigidShift:
    """Energy per plane-lattice cell of two rigid half crystals, by a smooth pair and a density function.

    The density of an atom is a sum over its neighbours in the other half and is raised to a power before it is added
    up: an energy that, unlike a sum over pairs alone, tells the two halves apart.
    """

    def __init__(self, layers: LayeredCrystal, cut: str, reach_angstrom: float = 9.0) -> None:
        planes = 2 * len(layers.plane_heights_angstrom) + 4
        positions, numbers = stack(layers, cut, planes, planes)
        self._upper, self._lower = positions[numbers >= 0], positions[numbers < 0]
        self._reach = reach_angstrom
        span = np.arange(-9, 10)
        points = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2) @ layers.in_plane_angstrom
        self._lattice = np.pad(points, ((0, 0), (0, 1)))

    def __call__(self, displacement: np.ndarray) -> float:
        vectors = self._upper[:, None, None] + np.append(displacement, 0.0) - self._lower[None, :, None]
        distances = np.linalg.norm(vectors - self._lattice, axis=-1)  # (U, L, lattice points)
        inside = distances < self._reach
        fade = np.where(inside, 1.0 - (distances / self._reach) ** 2, 0.0) ** 4
        pair = np.sum(fade * np.exp(-0.8 * (distances - 2.5)))
        density = fade * np.exp(-1.7 * (distances - 2.5))
        # of the lower atoms too, as they see all images of an upper one
        return float(
            pair - np.sqrt(density.sum(axis=(1, 2)) + 1.0).sum() - np.sqrt(density.sum(axis=(0, 2)) + 1.0).sum()
        )


def lattice_operations(in_plane: np.ndarray) -> list[np.ndarray]:
    """Every rotation and mirror that maps the plane lattice onto itself; a γ surface can have no others."""
    found = []
    for entries in itertools.product(range(-2, 3), repeat=4):
        matrix = (np.linalg.inv(in_plane) @ np.reshape(entries, (2, 2)) @ in_plane).T
        if np.allclose(matrix @ matrix.T, np.eye(2), atol=1e-9):
            found.append(matrix)
    return found


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_the_symmetry_is_exactly_that_of_the_energy(systems: Systems, name: str, cut: str) -> None:
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    found = displacement_symmetry(perfect, layers, cut)
    energy = RigidShift(layers, cut)
    points = np.random.default_rng(5).random((4, 2)) * layers.period_angstrom
    values = np.array([energy(point) for point in points])
    assert np.ptp(values) > 1e-3, "an energy that is flat tests nothing"
    holding = [
        matrix
        for matrix in lattice_operations(layers.in_plane_angstrom)
        if all(abs(energy(matrix @ point) - value) < 1e-8 for point, value in zip(points, values, strict=True))
    ]
    np.testing.assert_allclose(found[0], np.eye(2))
    assert len(found) == len(holding)
    for matrix in found:
        assert min(np.abs(matrix - other).max() for other in holding) < 1e-6


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_operations_form_a_group(systems: Systems, name: str, cut: str) -> None:
    perfect, system = systems(name)
    operations = displacement_symmetry(perfect, layered_crystal(perfect, system), cut)
    for product in np.einsum("aij,bjk->abik", operations, operations).reshape(-1, 2, 2):
        assert np.abs(operations - product).max(axis=(1, 2)).min() < 1e-6


@pytest.mark.parametrize(("name", "unique"), [("fcc_111", 166), ("bcc_110", 131), ("hcp_prismatic", 256)])
def test_unique_points_of_a_grid_of_30_by_30(systems: Systems, name: str, unique: int) -> None:
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    orbits = grid_orbits(layers, displacement_symmetry(perfect, layers, "wide"), (30, 30))
    assert len(np.unique(orbits)) == unique


@pytest.mark.parametrize(("name", "cut"), CASES)
def test_points_of_one_orbit_have_one_energy(systems: Systems, name: str, cut: str) -> None:
    """The centring translation of bcc {110} has a sign that a smooth but wrong surface would hide."""
    perfect, system = systems(name)
    layers = layered_crystal(perfect, system)
    shape = (6, 10)
    orbits = grid_orbits(layers, displacement_symmetry(perfect, layers, cut), shape)
    energy = RigidShift(layers, cut)
    values = np.array([energy(point) for point in grid_displacements(layers, shape).reshape(-1, 2)])
    np.testing.assert_allclose(values, values[orbits], atol=1e-8)
    np.testing.assert_array_equal(orbits[orbits], orbits)
    assert (orbits <= np.arange(len(orbits))).all()


def test_points_without_partners_on_a_coarse_grid_stay_alone(systems: Systems) -> None:
    """A grid that does not fit the threefold axis of fcc {111} only loses the operations that leave it."""
    perfect, system = systems("fcc_111")
    layers = layered_crystal(perfect, system)
    orbits = grid_orbits(layers, displacement_symmetry(perfect, layers, "wide"), (5, 7))
    energy = RigidShift(layers, "wide")
    values = np.array([energy(point) for point in grid_displacements(layers, (5, 7)).reshape(-1, 2)])
    np.testing.assert_allclose(values, values[orbits], atol=1e-8)
    assert len(np.unique(orbits)) > 35 / 6


@pytest.mark.parametrize(
    ("name", "equivalent"),
    [("fcc_111", True), ("bcc_110", True), ("hcp_prismatic", True), ("hcp_basal", True), ("bcc_112", False)],
)
def test_senses_of_slip(systems: Systems, name: str, equivalent: bool) -> None:
    perfect, system = systems(name)
    symmetry = displacement_symmetry(perfect, layered_crystal(perfect, system), "wide")
    assert senses_are_equivalent(symmetry) is equivalent
