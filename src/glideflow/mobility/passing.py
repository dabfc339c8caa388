"""The stress at which the two rows of a periodic dipole pass each other, and the cell that is tall enough for it."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError
from glideflow.mobility.blocks import BccMetal, whole_periods
from glideflow.mobility.cells import refuse_endless_stress
from glideflow.mobility.elasticity import IsotropicElasticity, IsotropicRow, anisotropic_row
from glideflow.mobility.orientations import LineOrientation

_ROWS = 40
"""Rows above and below that are summed at most; their stress falls off exponentially with the distance."""
_NEGLIGIBLE = 1e-12
_TALLEST_NM = 10_000.0


class Row(Protocol):
    """A row of dislocations of one sign along the glide direction."""

    description: str

    def resolved_stress_gpa(self, x: FloatArray, z: float, period: float) -> FloatArray:
        """Resolved shear stress at positions x and a height z over the row."""


def passing_stress_mpa(row: Row, length: float, height: float) -> float:
    """Largest resolved shear stress in MPa that the lines of a periodic dipole exert on each other while they pass.

    The line of one sign sees the rows of the other sign at odd multiples of the distance between their planes, above
    and below; rows of its own sign are balanced. The stress is the largest over all positions along the glide
    direction.

    Args:
        row: lines of one sign; see `resolved_row`.
        length: period along the glide direction, in Å.
        height: distance of the two glide planes, half the period along the normal, in Å.
    """
    points = max(256, 64 * math.ceil(length / height))
    x = (np.arange(points) + 0.5) / points * length
    total = np.zeros(points)
    for number in range(1, 2 * _ROWS, 2):
        added = sum(row.resolved_stress_gpa(x, sign * number * height, length) for sign in (1, -1))
        total += added
        if np.abs(added).max() <= _NEGLIGIBLE * np.abs(total).max():
            break
    return 1e3 * float(np.abs(total).max())


def resolved_row(metal: BccMetal, orientation: LineOrientation, elasticity: IsotropicElasticity | FloatArray) -> Row:
    """The row of one sign of a dipole.

    Args:
        metal: the metal.
        orientation: direction of the lines.
        elasticity: an isotropic medium, or (6, 6) elastic constants in GPa in the cubic axes.
    """
    burgers = metal.burgers_vector_angstrom(orientation)
    if isinstance(elasticity, IsotropicElasticity):
        return IsotropicRow(elasticity, burgers)
    return anisotropic_row(elasticity, orientation, burgers)


def refuse_small(
    metal: BccMetal,
    orientation: LineOrientation,
    size_nm: tuple[float, float, float],
    elasticity: IsotropicElasticity | FloatArray,
    applied_mpa: float,
) -> float:
    """Passing stress in MPa of the dipole that a size gives, if it is below the applied one.

    Args:
        metal: the metal.
        orientation: direction of the lines.
        size_nm: requested edges along x, y and z; the nearest whole periods count.
        elasticity: an isotropic medium, or (6, 6) elastic constants in GPa in the cubic axes.
        applied_mpa: smallest resolved shear stress under which the lines have to glide; its sign does not matter.

    Raises:
        ConfigurationError: the two lines would stop each other; says how tall the cell has to be. Or the stress is not
            finite.
    """
    refuse_endless_stress(applied_mpa)
    edges = metal.lattice_constant_angstrom * orientation.periods
    nx, ny, nz = whole_periods(metal, orientation, size_nm)
    row = resolved_row(metal, orientation, elasticity)
    passing = passing_stress_mpa(row, nx * edges[0], nz * edges[2] / 2)
    if passing < abs(applied_mpa):
        return passing
    tall = _tall_enough(row, float(nx * edges[0]), float(edges[2]), nz, abs(applied_mpa))
    wanted = f"{size_nm[0]:g} {size_nm[1]:g} {math.ceil(tall) / 10:g} nm" if tall else "a shorter one along x"
    raise ConfigurationError(
        f"two lines at {orientation.angle_deg:.2f}° in a cell of {nx * edges[0] / 10:.1f} x {ny * edges[1] / 10:.1f} x "
        f"{nz * edges[2] / 10:.1f} nm hold each other up to {passing:.0f} MPa ({row.description} elasticity, with "
        f"periodic images), and {abs(applied_mpa):g} MPa are applied",
        expected="a passing stress below the applied one",
        next_step=f"take {wanted}: the passing stress falls exponentially with height over length",
    )


def _tall_enough(row: Row, length: float, period: float, start: int, applied_mpa: float) -> float | None:
    """Edge in Å along the normal, in whole periods, from which the passing stress stays below the applied one."""
    periods = start
    while periods * period < 10 * _TALLEST_NM:
        periods += max(1, periods // 50)
        if passing_stress_mpa(row, length, periods * period / 2) < applied_mpa:
            return periods * period
    return None
