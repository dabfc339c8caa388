"""Periodic cells with a dislocation dipole or a shear loop: what builders make and molecular dynamics starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError

if TYPE_CHECKING:
    from ase import Atoms

CellKind = Literal["dipole", "loop"]


def refuse_endless_stress(stress_mpa: float) -> None:
    """Refuse a resolved shear stress that is not finite.

    Raises:
        ConfigurationError: it is not.
    """
    if not math.isfinite(stress_mpa):
        raise ConfigurationError(
            f"a resolved shear stress of {stress_mpa:g} MPa", expected="a finite one", next_step="correct the stress"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceLine:
    """A dislocation line as it was built.

    Line sense and Burgers vector follow the convention of dislocation dynamics: the displacement rises by the Burgers
    vector around a circuit that is right-handed about the line, and the Peach-Koehler force is (σ·b) × t. The extra
    half plane of an edge lies on the side t × b.

    Attributes:
        points_angstrom: (M, 3) points in the order of the line sense, none repeated.
        period_angstrom: (3,) lattice vector from the first point to its image, which follows the last point: a period
            of the cell for a line that runs through it, zero for a closed loop.
        sign: +1 if the Burgers vector is +b_ref (`DislocationCell.burgers_angstrom`) for this sense, -1 if it is
            -b_ref.
    """

    points_angstrom: FloatArray
    period_angstrom: FloatArray
    sign: Literal[1, -1]

    @property
    def is_closed(self) -> bool:
        """Whether the line is a loop inside the cell."""
        return not np.any(self.period_angstrom)

    def canonical(self) -> ReferenceLine:
        """The same line in the sense that makes its Burgers vector +b_ref."""
        if self.sign == 1:
            return self
        return ReferenceLine(points_angstrom=self.points_angstrom[::-1], period_angstrom=-self.period_angstrom, sign=1)

    def segments(self) -> tuple[FloatArray, FloatArray]:
        """(M, 3) starts and (M, 3) ends of the line's segments in Å, the one to the image of the first point last."""
        ends = np.vstack([self.points_angstrom[1:], self.points_angstrom[:1] + self.period_angstrom])
        return self.points_angstrom, ends


@dataclass(frozen=True, eq=False, kw_only=True)
class DislocationCell:
    """A cell, periodic in all three directions, with a dislocation dipole or a shear loop.

    z is the normal of the slip plane. y runs along the lines of a dipole, x = y × z; for a loop x lies along the
    Burgers vector. The plastic strain of the dislocations is in the cell vectors, so that the mean stress is close to
    zero (or to the applied one): they are tilted, and for a dipole turned about z by a fraction of a degree to make the
    first one lie along x. ``burgers_angstrom`` and the positions are turned with them; ``miller_frame`` is the frame
    before.

    Attributes:
        element: chemical symbol.
        structure: crystal structure, ``bcc``.
        lattice_constant_angstrom: lattice constant.
        kind: ``dipole`` or ``loop``.
        positions_angstrom: (N, 3) positions of the atoms.
        cell_angstrom: (3, 3) periods as rows, lower triangular with a positive diagonal: LAMMPS' restricted triclinic
            box with its origin at zero.
        miller_frame: (3, 3) integer rows: crystal directions of x, y (the line of a dipole) and z (the normal).
        periods: (3,) lattice periods along x, y and z of the perfect crystal from which the cell was made.
        burgers_angstrom: (3,) reference Burgers vector +b_ref in the frame of the cell.
        character_angle_deg: angle from +b_ref to +y about the normal, in (-180, 180]; None for a loop.
        radius_angstrom: radius of a loop; None for a dipole.
        reference_lines: the lines as built; for a dipole first the one with +b_ref along +y.
        removed_atoms: atoms that the perfect crystal had more.
        applied_stress_mpa: (3, 3) stress whose elastic strain the cell has; zero for a cell without load.
    """

    element: str
    structure: str = "bcc"
    lattice_constant_angstrom: float
    kind: CellKind
    positions_angstrom: FloatArray
    cell_angstrom: FloatArray
    miller_frame: IntArray
    periods: tuple[int, int, int]
    burgers_angstrom: FloatArray
    character_angle_deg: float | None
    radius_angstrom: float | None
    reference_lines: tuple[ReferenceLine, ...]
    removed_atoms: int
    applied_stress_mpa: FloatArray

    @property
    def volume_angstrom3(self) -> float:
        """Volume of the cell."""
        return float(np.linalg.det(self.cell_angstrom))

    def shear_stress_mpa(self, resolved_mpa: float) -> FloatArray:
        """(3, 3) stress in the frame of the cell, pure shear on the slip plane along +b_ref.

        σ_xz = τ b_x/b and σ_yz = τ b_y/b, that is τ sin θ and τ cos θ for a dipole. Where τ > 0 a line with +b_ref
        along +y glides along -x, and a loop grows.

        Args:
            resolved_mpa: resolved shear stress τ.
        """
        stress = np.zeros((3, 3))
        stress[2, :2] = stress[:2, 2] = resolved_mpa * self.burgers_angstrom[:2] / np.linalg.norm(self.burgers_angstrom)
        return stress

    def atoms(self) -> Atoms:
        """The cell as ASE atoms, moved into the cell."""
        from ase import Atoms

        symbols = [self.element] * len(self.positions_angstrom)
        atoms = Atoms(symbols, positions=self.positions_angstrom, cell=self.cell_angstrom, pbc=True)
        atoms.wrap(eps=0.0)  # type: ignore[no-untyped-call]
        return atoms
