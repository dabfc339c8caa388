"""Section ``peierls_paper``: the Peierls stress as the strength-library paper computes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glideflow.config.base import Section


class PeierlsPaperSettings(Section):
    """Straining in fixed steps with LAMMPS' own minimiser, in two cells."""

    burgers_vectors: int = Field(default=60, ge=8, le=2000)
    """Length of the upper half crystal in Burgers vectors; the lower one is one shorter."""
    height_angstrom: float = Field(default=100.0, ge=10, le=2000)
    """Nominal height along the slip-plane normal, the rigid blocks included."""
    line_periods: int = Field(default=1, ge=1, le=100)
    """Periods of the crystal along the dislocation line."""
    rigid_block_cutoffs: float = Field(default=1.2, ge=1.0, le=5)
    """Thickness of the rigid blocks at top and bottom, in cutoff radii of the potential."""
    cut: Literal["wide", "narrow"] = "wide"
    """Which of two inequivalent planes is cut (hcp prismatic; the others have one)."""
    size_s: bool = True
    """Also compute in size S: 14 b over 13 b, five planes over four, 244 atoms for fcc."""
    size_s_rigid_planes: int = Field(default=1, ge=1, le=2)
    """Rigid planes at top and bottom of size S."""
    strain_step: float = Field(default=1e-5, gt=0, le=1e-2)
    """Shear strain added before each minimisation."""
    energy_tolerance: float = Field(default=1e-10, ge=0, le=1e-2)
    """Relative change of the energy at which LAMMPS' ``minimize`` stops."""
    force_tolerance_ev_per_angstrom: float = Field(default=1e-10, ge=0, le=1)
    """Two-norm of all forces at which LAMMPS' ``minimize`` stops."""
    max_evaluations: int = Field(default=20_000, ge=100)
    """Force evaluations in one cell after which it is given up; the largest stress so far is then recorded."""
    maximum_strain: float = Field(default=0.2, gt=0, le=1)
    """Shear strain at which the search ends."""
