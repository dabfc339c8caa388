from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list
from hypothesis import given
from hypothesis import strategies as st

from glideflow.crystals.lattices import (
    IDEAL_C_OVER_A,
    conventional_atoms,
    crystal,
    neighbour_shells,
    reference_crystal,
)
from glideflow.errors import PropertyError

LENGTHS = st.floats(2.0, 6.0)


@given(LENGTHS, LENGTHS)
def test_volumes(a: float, c: float) -> None:
    assert crystal("fcc", a).volume_per_atom_angstrom3 == pytest.approx(a**3 / 4)
    assert crystal("bcc", a).volume_per_atom_angstrom3 == pytest.approx(a**3 / 2)
    assert crystal("hcp", a, c).volume_per_atom_angstrom3 == pytest.approx(np.sqrt(3) / 4 * a**2 * c)


@pytest.mark.parametrize(
    ("structure", "shells"),
    [
        ("fcc", np.sqrt([1 / 2, 1, 3 / 2, 2, 5 / 2])),
        ("bcc", np.sqrt([3 / 4, 1, 2, 11 / 4, 3])),
        ("hcp", np.sqrt([1, 2, 8 / 3, 3, 11 / 3])),
    ],
)
def test_neighbour_shells(structure: str, shells: np.ndarray) -> None:
    np.testing.assert_allclose(neighbour_shells(crystal(structure, 3.0), 5), 3.0 * shells, rtol=1e-12)


@pytest.mark.parametrize("structure", ["fcc", "bcc", "hcp"])
def test_neighbours_are_those_of_ase(structure: str) -> None:
    a, c = 3.1, 5.2
    ours = conventional_atoms(crystal(structure, a, c if structure == "hcp" else None), "Cu")
    theirs = bulk("Cu", structure, a=a, **({"c": c} if structure == "hcp" else {}))
    found, expected = (np.sort(neighbor_list("d", atoms, 2.95 * a)) for atoms in (ours, theirs))
    np.testing.assert_allclose(np.unique(found.round(6)), np.unique(expected.round(6)))
    assert len(found) / len(ours) == len(expected) / len(theirs), "neighbours per atom"
    assert ours.get_volume() / len(ours) == pytest.approx(theirs.get_volume() / len(theirs))


@pytest.mark.parametrize("structure", ["fcc", "bcc", "hcp"])
def test_conventional_and_primitive_cells_are_the_same_crystal(structure: str) -> None:
    """Every atom of the conventional cell is a basis atom displaced by a primitive lattice vector."""
    perfect = crystal(structure, 3.1, 5.0 if structure == "hcp" else None)
    atoms = conventional_atoms(perfect, "Cu")
    sites = perfect.basis @ perfect.primitive_angstrom
    moves = atoms.positions[:, None] - atoms.positions[0] - (sites - sites[0])[None]
    steps = moves @ np.linalg.inv(perfect.primitive_angstrom)
    on_lattice = np.abs(steps - np.rint(steps)).max(axis=2) < 1e-9
    if structure == "hcp":  # the two axes systems may differ by the inversion that exchanges the sublattices
        reversed_steps = (atoms.positions[:, None] - atoms.positions[0] + (sites - sites[0])[None]) @ np.linalg.inv(
            perfect.primitive_angstrom
        )
        on_lattice |= np.abs(reversed_steps - np.rint(reversed_steps)).max(axis=2) < 1e-9
    assert on_lattice.any(axis=1).all()


def test_ideal_ratio_has_twelve_equal_neighbours() -> None:
    atoms = conventional_atoms(crystal("hcp", 3.0), "Mg")
    assert crystal("hcp", 3.0).c_angstrom == pytest.approx(3.0 * IDEAL_C_OVER_A)
    assert len(neighbor_list("d", atoms, 3.0 + 1e-6)) == 12 * len(atoms)


@pytest.mark.parametrize(
    ("structure", "a", "c"), [("fcc", -1.0, None), ("bcc", 0.0, None), ("hcp", 3.0, -5.0), ("fcc", float("nan"), None)]
)
def test_lengths_that_are_none_are_refused(structure: str, a: float, c: float | None) -> None:
    with pytest.raises(PropertyError, match="lattice constants"):
        crystal(structure, a, c)


def test_other_structures_are_refused() -> None:
    with pytest.raises(PropertyError, match="'diamond'") as caught:
        crystal("diamond", 5.4)
    assert "fcc, bcc, hcp" in caught.value.expected


def test_reference_states() -> None:
    assert reference_crystal("Cu", "fcc").a_angstrom == pytest.approx(3.61)
    magnesium = reference_crystal("Mg", "hcp")
    assert magnesium.c_angstrom / magnesium.a_angstrom == pytest.approx(1.624)
    for structure in ("fcc", "bcc", "hcp"):
        other = reference_crystal("Fe", structure)
        assert other.volume_per_atom_angstrom3 == pytest.approx(2.87**3 / 2)
    with pytest.raises(PropertyError, match="reference state of Si"):
        reference_crystal("Si", "fcc")
