"""Where a branch of equilibria ends under load."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def fold_stress(
    core_angstrom: FloatArray, stress_mpa: FloatArray, stable_mpa: float, unstable_mpa: float
) -> float | None:
    """Stress at which the last equilibria of a loading path say that their branch ends.

    The core loses its equilibrium in a saddle-node bifurcation: near it the stress is a parabola in the position of the
    core, τ = τ_P - k (x_P - x)², or x_P - x ~ √(τ_P - τ). The parabola through the last three equilibria has its top at
    the Peierls stress; a cubic through the last four takes the next order with it.

    Args:
        core_angstrom: (K,) core positions along the way of glide at the last stable stresses, in the order of these.
        stress_mpa: (K,) these stresses.
        stable_mpa: highest stable stress.
        unstable_mpa: lowest unstable stress.

    Returns:
        The top, or None if there are too few equilibria or it does not lie between stable and unstable.
    """
    for count in (4, 3):
        if len(core_angstrom) >= count:
            top = _top(core_angstrom[-count:], stress_mpa[-count:])
            if top is not None and stable_mpa < top < unstable_mpa:
                return top
    return None


def _top(core: FloatArray, stress: FloatArray) -> float | None:
    """First maximum beyond the last point of the parabola or cubic through three or four points."""
    if (np.diff(core) <= 0).any() or not np.isfinite(core).all():
        return None
    from numpy.polynomial import polynomial

    scale = core[-1] - core[0]
    curve = polynomial.polyfit((core - core[-1]) / scale, stress, len(core) - 1)
    slope = np.pad(polynomial.polyder(curve), (0, 1))[:3]
    # A maximum: the slope falls. Of the two forms of the root this one stays accurate as the cubic term vanishes.
    discriminant = slope[1] ** 2 - 4 * slope[0] * slope[2]
    if slope[0] <= 0 or discriminant < 0:
        return None
    divisor = np.sqrt(discriminant) - slope[1]
    return float(polynomial.polyval(2 * slope[0] / divisor, curve)) if divisor > 0 else None
