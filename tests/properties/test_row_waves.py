from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.sparse import csr_matrix

from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation, screw_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.errors import PropertyError
from glideflow.properties.results import LatticeResult
from glideflow.properties.row_waves import AtomRow, inverse_by_waves, rows_of
from glideflow.properties.springs import Springs, find_bonds, stiffness_matrix


def as_matrix(inverse: Callable[[np.ndarray], np.ndarray], size: int) -> np.ndarray:
    return np.array([inverse(column) for column in np.eye(size)]).T


def positive_definite(size: int, seed: int = 0) -> np.ndarray:
    dense = np.random.default_rng(seed).normal(size=(size, size))
    return dense @ dense.T + np.eye(size)


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_a_ring_of_springs_is_inverted_exactly(count: int) -> None:
    """Closed form: eigenvalues k_0 + 2 k (1 - cos(2πm/n)) of a ring of n atoms, each also tied to the ground."""
    matrix = 0.3 * np.eye(count)
    for atom in range(count):
        for other in (atom - 1, (atom + 1) % count):
            matrix[atom, atom] += 2.0
            matrix[atom, other] -= 2.0
    inverse = as_matrix(inverse_by_waves(csr_matrix(matrix), [AtomRow(np.arange(count))]), count)
    expected = 1 / (0.3 + 4.0 * (1 - np.cos(2 * np.pi * np.arange(count) / count)))
    np.testing.assert_allclose(np.linalg.eigvalsh(inverse), np.sort(expected), rtol=1e-12)
    np.testing.assert_allclose(inverse @ matrix, np.eye(count), atol=1e-12)


@pytest.mark.parametrize("count", [5, 6])
def test_rows_that_are_alike_all_along_are_inverted_exactly(count: int) -> None:
    """Three rows, each shifted against the one below by a third of a spacing, coupled the same way at every atom."""
    generator = np.random.default_rng(1)
    blocks = generator.normal(size=(3, 3, count))
    matrix = np.zeros((3 * count, 3 * count))
    for first, second, step in np.ndindex(3, 3, count):
        for atom in range(count):
            matrix[first * count + atom, second * count + (atom + step) % count] = blocks[first, second, step]
    matrix = matrix @ matrix.T + np.eye(3 * count)
    order = generator.permutation(3 * count)  # unknowns may stand anywhere
    rows = [AtomRow(np.argsort(order)[row * count : (row + 1) * count], row / 3) for row in range(3)]
    shuffled = matrix[np.ix_(order, order)]
    inverse = as_matrix(inverse_by_waves(csr_matrix(shuffled), rows), 3 * count)
    np.testing.assert_allclose(inverse @ shuffled, np.eye(3 * count), atol=1e-10)


def test_of_any_matrix_the_part_between_equal_waves_is_inverted() -> None:
    """Against the definition, with every wave of both signs written out: U (blocks of U* A U)⁻¹ U*."""
    rows = [AtomRow(np.arange(6), 0.2), AtomRow(np.arange(6, 11), 0.7), AtomRow(np.arange(11, 17), 0.9)]
    rows.append(AtomRow(np.array([17])))
    matrix = positive_definite(18)
    columns, kinds = [], []
    for row in rows:
        count = len(row.members)
        for k in range(-((count - 1) // 2), count // 2 + 1):
            wave = np.zeros(18, dtype=complex)
            wave[row.members] = np.exp(2j * np.pi * k * (np.arange(count) + row.phase) / count) / np.sqrt(count)
            columns.append(wave)
            kinds.append((k, 2 * k == count))
    unitary = np.array(columns).T
    np.testing.assert_allclose(unitary.conj().T @ unitary, np.eye(18), atol=1e-12)
    alike = np.array([[a == b for b in kinds] for a in kinds])
    expected = unitary @ np.linalg.inv(np.where(alike, unitary.conj().T @ matrix @ unitary, 0.0)) @ unitary.conj().T
    np.testing.assert_allclose(expected.imag, 0.0, atol=1e-12)
    inverse = as_matrix(inverse_by_waves(csr_matrix(matrix), rows), 18)
    np.testing.assert_allclose(inverse, expected.real, atol=1e-10)
    assert np.linalg.eigvalsh((inverse + inverse.T) / 2).min() > 0


@pytest.fixture(scope="module")
def cell_of(
    relaxed: Callable[[str], LatticeResult], primary_system: Callable[[str], SlipSystem]
) -> Callable[..., DislocationCell]:
    def build(element: str, line_periods: int = 1) -> DislocationCell:
        size = DislocationSize(
            burgers_vectors=12, height_angstrom=35.0, line_periods=line_periods, rigid_thickness_angstrom=6.0
        )
        return edge_dislocation(layered_crystal(relaxed(element).crystal, primary_system(element)), size)

    return build


@pytest.mark.parametrize("element", ["Cu", "Fe", "Zr"])
def test_rows_of_a_screw_hold_every_mobile_atom_once(
    relaxed: Callable[[str], LatticeResult], primary_system: Callable[[str], SlipSystem], element: str
) -> None:
    """Rows across the line: columns of atoms of one height along it."""
    size = DislocationSize(burgers_vectors=12, height_angstrom=35.0, line_periods=1, rigid_thickness_angstrom=6.0)
    cell = screw_dislocation(layered_crystal(relaxed(element).crystal, primary_system(element)), size)
    mobile = np.flatnonzero(cell.mobile)
    rows = rows_of(cell)
    assert sorted(np.concatenate([row.members for row in rows])) == list(range(len(mobile)))
    for row in rows:
        x, y, z = cell.lattice_positions_angstrom[mobile[row.members]].T
        assert np.ptp(z) < 1e-6
        assert np.ptp((y - y[0] + 1.0) % cell.cell_angstrom[1, 1]) < 1e-3
        spacing = cell.cell_angstrom[0, 0] / len(x)
        places = (x / spacing - row.phase - np.arange(len(x)) + 0.5) % len(x)
        np.testing.assert_allclose(places, 0.5, atol=1e-3)


@pytest.mark.parametrize(("element", "line_periods"), [("Cu", 1), ("Fe", 1), ("Fe", 2), ("Zr", 1)])
def test_rows_of_a_cell_hold_every_mobile_atom_once(
    cell_of: Callable[..., DislocationCell], element: str, line_periods: int
) -> None:
    cell = cell_of(element, line_periods)
    mobile = np.flatnonzero(cell.mobile)
    rows = rows_of(cell)
    assert sorted(np.concatenate([row.members for row in rows])) == list(range(len(mobile)))
    heights = []
    for row in rows:
        x, y, z = cell.lattice_positions_angstrom[mobile[row.members]].T
        planes = cell.plane[mobile[row.members]]
        assert len(row.members) == (12 if planes[0] >= 0 else 11)
        assert np.ptp(z) < 1e-6
        assert np.ptp(planes) == 0
        assert np.ptp((y - y[0] + 1.0) % cell.cell_angstrom[1, 1]) < 1e-3, "one line of atoms"
        own_length = len(x) * cell.burgers_vector_angstrom
        expected = cell.burgers_vector_angstrom * (np.arange(len(x)) + row.phase)
        np.testing.assert_allclose((x - expected + 1.0) % own_length, 1.0, atol=1e-3)
        heights.append(z[0])
    assert (np.diff(heights) >= 0).all()


def test_a_crooked_row_is_refused(cell_of: Callable[..., DislocationCell]) -> None:
    cell = cell_of("Cu")
    cell.lattice_positions_angstrom[np.flatnonzero(cell.mobile)[5], 0] += 0.3
    with pytest.raises(PropertyError, match="not evenly spaced"):
        rows_of(cell)


@pytest.mark.parametrize("element", ["Cu", "Fe", "Zr"])
def test_the_waves_know_the_springs_of_a_dislocation_cell(
    cell_of: Callable[..., DislocationCell], element: str
) -> None:
    """Stiffness after preconditioning: all eigenvalues lie close to 1, those of long waves very close."""
    cell = cell_of(element)
    radii = np.array([1.0, 1.2, 1.6]) * cell.burgers_vector_angstrom
    springs = Springs(radii, 1.45 * radii[0], np.array([2.0, 0.5, 0.1]), np.array([0.2, 0.1, 0.0]))
    bonds = find_bonds(cell.positions_angstrom, cell.cell_angstrom, (True, True, False), radii, springs.range_angstrom)
    matrix = stiffness_matrix(bonds, springs, len(cell.positions_angstrom), axis=0)[cell.mobile][:, cell.mobile]
    inverse = as_matrix(inverse_by_waves(matrix, rows_of(cell)), matrix.shape[0])
    values = eigh(matrix.toarray(), np.linalg.inv((inverse + inverse.T) / 2), eigvals_only=True)
    assert values.min() > 0.4
    assert values.max() < 2.0
    assert np.median(np.abs(values - 1)) < 0.05
