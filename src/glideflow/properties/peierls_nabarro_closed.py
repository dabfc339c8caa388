"""Closed forms of the Peierls-Nabarro model, in any consistent units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def half_width(energy_factor: ArrayLike, burgers: ArrayLike, largest_slope: ArrayLike) -> FloatArray:
    """Half width ζ = K b/(4π τ_max) of the disregistry δ(x) = b/2 + (b/π) arctan(x/ζ).

    It solves the continuum model exactly for γ(δ) = (τ_max b/2π) (1 - cos 2πδ/b); see Joós and Duesbery, Phys. Rev.
    Lett. 78, 266 (1997).

    Args:
        energy_factor: K along the Burgers vector, μ/(1-ν) for an edge and μ for a screw in an isotropic crystal.
        burgers: b.
        largest_slope: τ_max, the largest slope of γ.
    """
    return np.asarray(np.multiply(energy_factor, burgers) / np.multiply(4 * np.pi, largest_slope))


def joos_duesbery_stress(
    energy_factor: ArrayLike, burgers: ArrayLike, half_width: ArrayLike, spacing: ArrayLike
) -> FloatArray:
    """Peierls stress of an arctan core whose misfit energy is summed at points a distance a apart.

    The sum is W(z) = (K b²/4π) sinh 2πΓ / (cosh 2πΓ - cos 2πz) with Γ = ζ/a and the core at z a, and the stress the
    largest value of |dW/dz|/(a b), of which Joós and Duesbery, Phys. Rev. Lett. 78, 266 (1997) give the limits of
    narrow and of wide cores; this is the maximum itself. For wide cores it is (K b/a) exp(-2πΓ).

    Args:
        energy_factor: K along the Burgers vector.
        burgers: b.
        half_width: ζ.
        spacing: a.
    """
    # Scaled by exp(-2πΓ), so that a wide core does not overflow. At the maximum, cos 2πz = (√(cosh² + 8) - cosh)/2.
    decay = np.exp(-2 * np.pi * np.divide(half_width, spacing))
    cosh, sinh = (1 + decay**2) / 2, (1 - decay**2) / 2
    cosine = 4 * decay / (np.sqrt(cosh**2 + 8 * decay**2) + cosh)
    sine = np.sqrt(np.maximum(0.0, 1 - cosine**2))
    shape = decay * sinh * sine / (cosh - decay * cosine) ** 2
    return np.asarray(np.multiply(energy_factor, burgers) / np.multiply(2, spacing) * shape)


def partial_distance(energy_tensor: FloatArray, leading: FloatArray, trailing: FloatArray, fault: float) -> float:
    """Equilibrium distance d = b₁·K·b₂/(2π γ) of two partials that are narrow against it.

    Args:
        energy_tensor: (3, 3) or (2, 2) K.
        leading: (3,) or (2,) Burgers vector b₁.
        trailing: b₂.
        fault: γ of the fault between them.
    """
    return float(leading @ energy_tensor @ trailing / (2 * np.pi * fault))
