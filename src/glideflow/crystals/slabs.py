"""Cells with one generalized stacking fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.crystals.layers import LayeredCrystal, stack

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class FaultCell:
    """Two half crystals that can be displaced against each other along the slip plane.

    Attributes:
        positions_angstrom: (N, 3) positions of the unfaulted cell in the frame of the slip system.
        cell_angstrom: (3, 3) cell vectors as rows.
        periodic: whether each cell vector is a period.
        upper: (N,) whether an atom belongs to the upper half.
        area_angstrom2: area of the fault in the cell.
        tilted: whether a displacement tilts the third cell vector instead of opening surfaces.
    """

    positions_angstrom: FloatArray
    cell_angstrom: FloatArray
    periodic: tuple[bool, bool, bool]
    upper: NDArray[np.bool_]
    area_angstrom2: float
    tilted: bool

    @property
    def depth_angstrom(self) -> float:
        """How much crystal there is between the fault and what else disturbs it: a free surface, or its own image."""
        if self.tilted:
            return float(self.cell_angstrom[2, 2])
        heights = self.positions_angstrom[:, 2]
        return min(float(np.ptp(heights[half])) for half in (self.upper, ~self.upper))

    def atoms(self, element: str) -> Atoms:
        """The unfaulted cell as ASE atoms."""
        from ase import Atoms

        return Atoms(
            [element] * len(self.positions_angstrom),
            positions=self.positions_angstrom,
            cell=self.cell_angstrom,
            pbc=self.periodic,
        )

    def displaced(self, displacement_angstrom: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Positions (N, 3) and cell (3, 3) with the upper half displaced by (2,) Å along the plane."""
        shift = np.append(displacement_angstrom, 0.0)
        positions = self.positions_angstrom + np.where(self.upper[:, None], shift, 0.0)
        if not self.tilted:
            return positions, self.cell_angstrom
        return positions, self.cell_angstrom + np.outer([0.0, 0.0, 1.0], shift)


def slab_cell(layers: LayeredCrystal, cut: str, layer_count: int, vacuum_angstrom: float) -> FaultCell:
    """A slab of ``layer_count`` planes with free surfaces, cut in the middle, over one in-plane lattice cell."""
    below = layer_count // 2
    positions, numbers = stack(layers, cut, below, layer_count - below)
    height = float(np.ptp(positions[:, 2])) + vacuum_angstrom
    cell = np.zeros((3, 3))
    cell[:2, :2] = layers.in_plane_angstrom
    cell[2, 2] = height
    positions[:, 2] += vacuum_angstrom / 2 - positions[:, 2].min()
    return FaultCell(positions, cell, (True, True, False), numbers >= 0, _area(layers), tilted=False)


def tilted_cell(layers: LayeredCrystal, cut: str, layer_count: int) -> FaultCell:
    """A fully periodic cell of about ``layer_count`` planes (a whole number of repeats).

    A displacement tilts the third cell vector by itself, so that the one fault of the cell lies where the upper
    half's image meets the lower one: at the cell's border. The cut of the cell is therefore its border.
    """
    planes_per_repeat = len(layers.plane_heights_angstrom)
    repeats = max(1, round(layer_count / planes_per_repeat))
    positions, _ = stack(layers, cut, 0, repeats * planes_per_repeat)
    cell = np.zeros((3, 3))
    cell[:2, :2] = layers.in_plane_angstrom
    cell[2] = repeats * layers.repeat_angstrom
    upper = np.zeros(len(positions), dtype=bool)  # the whole block stays; its image above moves with the cell vector
    return FaultCell(positions, cell, (True, True, True), upper, _area(layers), tilted=True)


def _area(layers: LayeredCrystal) -> float:
    return float(np.linalg.det(layers.in_plane_angstrom))
