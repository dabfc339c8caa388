"""Section ``lattice``: relaxed lattice constants."""

from __future__ import annotations

from pydantic import Field

from glideflow.config.base import Section


class LatticeSettings(Section):
    """How lattice constants and the cohesive energy are found."""

    scan_points: int = Field(default=29, ge=7, le=201)
    """Lattice constants scanned for the energy minimum before it is refined."""
    scan_range: float = Field(default=0.14, gt=0.01, lt=0.5)
    """Half width of that scan, relative to the reference lattice constant of the element."""
    stress_tolerance_gpa: float = Field(default=1e-3, gt=0, le=1.0)
    """Largest residual stress component that is accepted. Smooth potentials end at 1e-12; where a table has a kink
    at the minimum, the stress jumps across zero there."""
    compare_structures: bool = True
    """Relax fcc, bcc and hcp too and say which of them the potential holds for its ground state."""
