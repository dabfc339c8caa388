"""How far a calculator reaches that does not say so, measured on a few atoms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from glideflow.engines.protocol import FloatArray
from glideflow.errors import EngineError

Forces = Callable[[FloatArray], FloatArray]

LARGEST_RANGE_ANGSTROM: Final = 15.0
SMALLEST_RANGE_ANGSTROM: Final = 1.0
STEP_ANGSTROM: Final = 0.25
NO_FORCE_EV_PER_ANGSTROM: Final = 1e-6
"""Forces below this are none: the minimiser stops there, and single precision knows no smaller ones."""
MOST_LAYERS: Final = 4
_NUDGE_ANGSTROM: Final = np.array([0.05, 0.03, 0.0])


def measured_range(forces: Forces, spacing_angstrom: float) -> float:
    """Distance in Å beyond which two atoms exert no direct force on each other, rounded up.

    Two atoms alone tell the cutoff. The energy of an atom in a message-passing network depends on more distant ones,
    through those between: there the range is a multiple of the cutoff, which a chain of atoms tells. Its forces
    respond to a moved atom over twice the range, because the atoms between feel both ends.

    Args:
        forces: gives the (N, 3) forces in eV/Å for (N, 3) positions in Å of atoms in empty space.
        spacing_angstrom: distance of neighbours in the chain, such as that of the crystal.

    Raises:
        EngineError: atoms interact over more than 15 Å, or not at all.
    """
    cutoff = _pair_range(forces)
    if spacing_angstrom >= cutoff:
        return cutoff
    layers = math.ceil(_chain_range(forces, spacing_angstrom, cutoff) / (2 * cutoff) - 1e-9)
    if layers * cutoff > LARGEST_RANGE_ANGSTROM or layers > MOST_LAYERS:
        raise _no_range(f"a moved atom is felt through {layers} layers of neighbours within {cutoff:g} Å")
    return max(1, layers) * cutoff


def _pair_range(forces: Forces) -> float:
    """Largest distance of the scan at which two atoms still feel each other, plus one step."""
    for step in range(round(LARGEST_RANGE_ANGSTROM / STEP_ANGSTROM), 0, -1):
        distance = step * STEP_ANGSTROM
        if distance < SMALLEST_RANGE_ANGSTROM:
            break
        if np.abs(forces(np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]))).max() > NO_FORCE_EV_PER_ANGSTROM:
            if distance >= LARGEST_RANGE_ANGSTROM:
                raise _no_range(f"two atoms {distance:g} Å apart feel each other")
            return distance + STEP_ANGSTROM
    raise _no_range(f"two atoms do not feel each other down to {SMALLEST_RANGE_ANGSTROM:g} Å")


def _chain_range(forces: Forces, spacing_angstrom: float, cutoff_angstrom: float) -> float:
    """Distance from the end of a chain to the last atom whose force changes when the end is moved."""
    count = math.ceil((2 * MOST_LAYERS + 1) * cutoff_angstrom / spacing_angstrom) + 1
    chain = np.outer(np.arange(count) * spacing_angstrom, [1.0, 0.0, 0.0])
    moved = chain.copy()
    moved[0] += _NUDGE_ANGSTROM
    change = np.abs(forces(moved) - forces(chain)).max(axis=1)
    return float(spacing_angstrom * np.flatnonzero(change > NO_FORCE_EV_PER_ANGSTROM).max(initial=0))


def _no_range(found: str) -> EngineError:
    return EngineError(
        f"the range of the calculator could not be measured: {found}",
        expected=f"forces that vanish within {LARGEST_RANGE_ANGSTROM:g} Å",
        next_step="state the range: --cutoff on the command line, `cutoff` in the manifest, or an attribute `cutoff`",
    )
