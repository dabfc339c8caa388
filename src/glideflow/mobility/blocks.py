"""Perfect bcc blocks with an integer frame: what dipoles and loops are cut from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.mobility.orientations import BURGERS, LineOrientation

_LARGEST_BLOCK_ATOMS = 200_000_000
"""More than any machine that runs this holds; a size given in Å instead of nm ends here."""


@dataclass(frozen=True)
class BccMetal:
    """A bcc metal as far as the geometry of its dislocations goes.

    Attributes:
        element: chemical symbol.
        lattice_constant_angstrom: lattice constant at the temperature at which the cell is made.
        poisson_ratio: of the isotropic displacement field from which relaxation starts; see
            `glideflow.mobility.elasticity.isotropic_equivalent`.
    """

    element: str
    lattice_constant_angstrom: float
    poisson_ratio: float = 0.29

    def __post_init__(self) -> None:
        if not self.lattice_constant_angstrom > 0:
            raise PropertyError(
                f"the lattice constant {self.lattice_constant_angstrom} Å of {self.element}",
                expected="a positive length",
            )
        if not -1.0 < self.poisson_ratio < 0.5:
            raise PropertyError(
                f"the Poisson ratio {self.poisson_ratio} of {self.element}", expected="a number between -1 and 0.5"
            )

    @property
    def burgers_angstrom(self) -> float:
        """Length of the Burgers vector ½<111>."""
        return float(np.sqrt(0.75) * self.lattice_constant_angstrom)

    def burgers_vector_angstrom(self, orientation: LineOrientation) -> FloatArray:
        """(3,) Burgers vector ½[11-1]a in the frame of an orientation, b (sin θ, cos θ, 0)."""
        return np.asarray(self.lattice_constant_angstrom / 2 * orientation.axes @ np.array(BURGERS))


@dataclass(frozen=True, eq=False)
class Block:
    """A perfect crystal, orthogonal and periodic.

    Attributes:
        positions_angstrom: (N, 3) positions.
        lengths_angstrom: (3,) edges.
        periods: whole lattice periods along the edges.
    """

    positions_angstrom: FloatArray
    lengths_angstrom: FloatArray
    periods: tuple[int, int, int]


def whole_periods(
    metal: BccMetal, orientation: LineOrientation, size_nm: Sequence[float], *, even: bool = False
) -> tuple[int, int, int]:
    """Whole lattice periods closest to a size, at least one along each axis.

    Args:
        metal: the metal.
        orientation: frame of the block.
        size_nm: edges along x, y and z.
        even: whether the number along z has to be even.

    Raises:
        ConfigurationError: a size is not a positive number, or the block would have more atoms than memory holds.
    """
    size = np.asarray(size_nm, dtype=float)
    if size.shape != (3,) or not (np.isfinite(size).all() and (size > 0).all()):
        raise ConfigurationError(
            f"the cell size {size.tolist()} nm",
            expected="three positive lengths",
            next_step="correct mobility.cells.size_nm",
        )
    periods_angstrom = metal.lattice_constant_angstrom * orientation.periods
    step = np.array([1, 1, 2 if even else 1])
    counts = np.maximum(1, np.rint(10.0 * size / (periods_angstrom * step))) * step
    atoms = 2 * np.prod(counts * orientation.periods)
    if atoms > _LARGEST_BLOCK_ATOMS:
        raise ConfigurationError(
            f"a cell of {size.tolist()} nm has {atoms:.1e} atoms",
            expected=f"at most {_LARGEST_BLOCK_ATOMS:.0e}",
            next_step="lower mobility.cells.size_nm, which is in nm",
        )
    x, y, z = (int(count) for count in counts)
    return (x, y, z)


def perfect_block(metal: BccMetal, orientation: LineOrientation, periods: tuple[int, int, int]) -> Block:
    """Whole periods of the perfect crystal, with an atom at the origin.

    Args:
        metal: the metal.
        orientation: frame of the block.
        periods: lattice periods along x, y and z.
    """
    unit = _unit_fractions(orientation)  # (U, 3)
    shifts = np.stack(np.meshgrid(*map(np.arange, periods), indexing="ij"), axis=-1).reshape(-1, 3)
    period_angstrom = metal.lattice_constant_angstrom * orientation.periods
    positions = (shifts[:, None] + unit[None]).reshape(-1, 3) * period_angstrom
    return Block(positions, np.array(periods) * period_angstrom, periods)


def _unit_fractions(orientation: LineOrientation) -> FloatArray:
    """(U, 3) atoms of one period along each axis, as fractions of the periods.

    Sites of bcc are half-integer vectors whose doubled components are all even or all odd. Found in integers, none is
    lost or doubled by rounding.
    """
    edges = orientation.half_periods  # (3, 3) doubled lattice vectors
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ edges
    axes = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    found = [_sites_inside(edges, axes, parity) for parity in (0, 1)]
    return np.asarray(np.concatenate(found) / np.sum(edges**2, axis=1))


def _sites_inside(edges: IntArray, axes: list[IntArray], parity: int) -> IntArray:
    """(U, 3) products s·e of the doubled sites s of one parity with the edges e, for sites inside the period."""
    grid = np.stack(np.meshgrid(*(axis[axis % 2 == parity] for axis in axes), indexing="ij"), axis=-1).reshape(-1, 3)
    products = grid @ edges.T
    inside = np.all((products >= 0) & (products < np.sum(edges**2, axis=1)), axis=1)
    return np.asarray(products[inside])
