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
    """First maximum beyond the last point of the polynomial through the points."""
    if (np.diff(core) <= 0).any() or not np.isfinite(core).all():
        return None
    from numpy.polynomial import polynomial

    scale = core[-1] - core[0]
    curve = polynomial.polyfit((core - core[-1]) / scale, stress, len(core) - 1)
    slope = polynomial.polyder(curve)
    roots = polynomial.polyroots(slope)
    ahead = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and root.real > 0]
    if not ahead or float(polynomial.polyval(min(ahead), polynomial.polyder(slope))) >= 0:
        return None
    return float(polynomial.polyval(min(ahead), curve))
