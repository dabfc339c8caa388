"""Section ``gamma_surface``: generalized stacking fault energies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glideflow.config.base import Section


class GammaSurfaceSettings(Section):
    """How a γ surface is computed."""

    grid: tuple[int, int] = (31, 31)
    """Points along the two axes of the rectangular period, the repeated edge included."""
    cell: Literal["slab", "tilted"] = "slab"
    """``slab``: two free surfaces and vacuum. ``tilted``: periodic along the normal, the fault made by tilting
    the third cell vector."""
    layers: int = Field(default=32, ge=4, le=400)
    """Atomic layers along the slip-plane normal."""
    vacuum_angstrom: float = Field(default=30.0, ge=5, le=200)
    """Vacuum along the normal (``slab`` only)."""
    relaxation: Literal["normal", "none"] = "normal"
    """``normal``: atoms move along the slip-plane normal only. ``none``: rigid shift."""
    force_tolerance_ev_per_angstrom: float = Field(default=1e-5, gt=0, le=1e-1)
    """Largest residual force along the normal."""
    accepted_error_mj_m2: float = Field(default=0.05, ge=0, le=10)
    """A point whose forces do not vanish, because the potential has kinks, is kept (and the result flagged) if the
    energy that is left to gain, gᵀH⁻¹g/2 per area, is below this; else the property fails."""
    max_evaluations: int = Field(default=2000, ge=10)
    """Force evaluations after which one point is given up; the property then fails, with the point named."""
    use_symmetry: bool = True
    """Compute symmetry-unique grid points only and fill in the others."""
    symmetry_check_points: int = Field(default=2, ge=0, le=100)
    """Random points for which a symmetry-equivalent shift is computed as well and compared."""
    path_points: int = Field(default=31, ge=5, le=1001)
    """Points along the primary path (the γ line)."""
    fourier_shells: int = Field(default=30, ge=1, le=80)
    """Stars of reciprocal vectors in the Fourier representation; at most a quarter of the unique grid points."""
