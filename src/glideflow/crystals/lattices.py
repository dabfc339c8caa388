"""The three crystal structures and their reference lattice constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glideflow.errors import PropertyError

if TYPE_CHECKING:
    from ase import Atoms

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

IDEAL_C_OVER_A = float(np.sqrt(8.0 / 3.0))

_FCC_PRIMITIVE = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_BCC_PRIMITIVE = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
_HEXAGONAL_AXES = np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 1.0]])
_HCP_BASIS = np.array([[1 / 3, 2 / 3, 1 / 4], [2 / 3, 1 / 3, 3 / 4]])


@dataclass(frozen=True)
class Crystal:
    """A perfect crystal of one element.

    Attributes:
        structure: ``fcc``, ``bcc`` or ``hcp``.
        a_angstrom: lattice constant a in Å.
        c_angstrom: lattice constant c in Å; equal to a for cubic structures.
        conventional_angstrom: (3, 3) axes as rows to which Miller indices refer: the cubic axes, or a1, a2 at
            120° and c.
        primitive_angstrom: (3, 3) primitive vectors as rows, in the same Cartesian axes.
        basis: (B, 3) fractional coordinates of the atoms in the primitive cell.
    """

    structure: str
    a_angstrom: float
    c_angstrom: float
    conventional_angstrom: FloatArray
    primitive_angstrom: FloatArray
    basis: FloatArray

    @property
    def volume_per_atom_angstrom3(self) -> float:
        """Atomic volume in Å³."""
        return float(np.linalg.det(self.primitive_angstrom)) / len(self.basis)

    @property
    def nearest_neighbour_angstrom(self) -> float:
        """Distance between nearest neighbours in Å."""
        return float(neighbour_shells(self, 1)[0])


def crystal(structure: str, a_angstrom: float, c_angstrom: float | None = None) -> Crystal:
    """Make a crystal from its lattice constants.

    Args:
        structure: ``fcc``, ``bcc`` or ``hcp``.
        a_angstrom: lattice constant a in Å.
        c_angstrom: lattice constant c in Å (hcp only; the ideal ratio √(8/3) if None).

    Raises:
        PropertyError: another structure, or lattice constants that are not positive.
    """
    c = a_angstrom * IDEAL_C_OVER_A if c_angstrom is None and structure == "hcp" else (c_angstrom or a_angstrom)
    if not (a_angstrom > 0 and c > 0):
        raise PropertyError(f"lattice constants a = {a_angstrom} Å, c = {c} Å", expected="positive lengths")
    if structure in ("fcc", "bcc"):
        primitive = a_angstrom * (_FCC_PRIMITIVE if structure == "fcc" else _BCC_PRIMITIVE)
        return Crystal(structure, a_angstrom, a_angstrom, a_angstrom * np.eye(3), primitive, np.zeros((1, 3)))
    if structure == "hcp":
        axes = _HEXAGONAL_AXES * np.array([[a_angstrom], [a_angstrom], [c]])
        return Crystal(structure, a_angstrom, c, axes, axes, _HCP_BASIS)
    raise PropertyError(f"the structure {structure!r}", expected="one of fcc, bcc, hcp")


def conventional_atoms(perfect: Crystal, element: str) -> Atoms:
    """The conventional cell of a crystal: 4 atoms (fcc), 2 (bcc), 4 in the orthorhombic cell a, √3 a, c (hcp)."""
    from ase import Atoms

    a, c = perfect.a_angstrom, perfect.c_angstrom
    if perfect.structure == "hcp":
        cell = np.diag([a, np.sqrt(3.0) * a, c])
        positions = np.array([[0, 0, 0], [1 / 2, 1 / 2, 0], [0, 1 / 3, 1 / 2], [1 / 2, 5 / 6, 1 / 2]])
    else:
        cell = a * np.eye(3)
        centres = [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]] if perfect.structure == "fcc" else [[0.5, 0.5, 0.5]]
        positions = np.array([[0.0, 0.0, 0.0], *centres])
    return Atoms([element] * len(positions), scaled_positions=positions, cell=cell, pbc=True)


def reference_crystal(element: str, structure: str) -> Crystal:
    """A first guess of an element's crystal, from the experimental reference state in ASE.

    For another structure than that of the reference state, the atomic volume is kept.

    Raises:
        PropertyError: ASE lists no cubic or hexagonal reference state for the element.
    """
    from ase.data import atomic_numbers, reference_states

    state: dict[str, Any] | None = reference_states[atomic_numbers[element]]
    if state is None or state["symmetry"] not in ("fcc", "bcc", "hcp"):
        raise PropertyError(
            f"no fcc, bcc or hcp reference state of {element}",
            expected="a metal with a reference lattice constant",
            next_step="compute one of the supported metals",
        )
    known = state["symmetry"]
    a = float(state["a"])
    reference = crystal(known, a, a * float(state["c/a"]) if known == "hcp" else None)
    if known == structure:
        return reference
    unit = crystal(structure, 1.0)
    return crystal(structure, float(np.cbrt(reference.volume_per_atom_angstrom3 / unit.volume_per_atom_angstrom3)))


def neighbour_shells(perfect: Crystal, count: int) -> FloatArray:
    """Radii in Å of the first ``count`` neighbour shells around an atom, ascending."""
    span = np.arange(-4, 5)
    lattice = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = lattice[None] + (perfect.basis - perfect.basis[0])[:, None]  # (B, L, 3) fractional
    distances = np.linalg.norm(offsets.reshape(-1, 3) @ perfect.primitive_angstrom, axis=1)
    distances = np.sort(distances[distances > 1e-6])
    first_of_shell = np.concatenate([[True], np.diff(distances) > 1e-4 * distances[0]])
    return np.asarray(distances[first_of_shell][:count])
