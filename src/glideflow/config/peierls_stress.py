"""Section ``peierls_stress``: the stress that moves a straight dislocation without thermal activation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glideflow.config.base import Section


class PeierlsStressSettings(Section):
    """How the Peierls stress is searched."""

    burgers_vectors: int = Field(default=60, ge=8, le=2000)
    """Length of the upper half crystal in Burgers vectors; the lower one is one shorter. A screw cell has the nearest
    whole number of periods."""
    height_angstrom: float = Field(default=100.0, ge=10, le=2000)
    """Nominal height along the slip-plane normal, the rigid blocks included."""
    line_periods: int = Field(default=1, ge=1, le=100)
    """Periods of the crystal along the dislocation line."""
    rigid_block_cutoffs: float = Field(default=1.2, ge=1.0, le=5)
    """Thickness of the rigid blocks at top and bottom, in cutoff radii of the potential."""
    cut: Literal["wide", "narrow"] = "wide"
    """Which of two inequivalent planes is cut (hcp prismatic; the others have one), unless the slip system says."""
    force_tolerance_ev_per_angstrom: float = Field(default=1e-6, gt=0, le=1e-2)
    """Largest force component of an equilibrium. 1e-5 already puts a false floor at 0.1 to 0.2 MPa."""
    accepted_force_ev_per_angstrom: float = Field(default=1e-4, gt=0, le=1e-1)
    """Where kinks of a potential keep even the unloaded core from the tolerance, twice the force that is left there
    is the tolerance of the search, up to this; the resolution, and with it the error, grows in proportion."""
    bracket: float = Field(default=0.005, gt=0, le=0.5)
    """Relative width of the interval between the highest stable and the lowest unstable stress."""
    initial_stress_mpa: float = Field(default=0.1, gt=0)
    """First stress; a core that already runs there gives an upper bound instead of a value."""
    growth: float = Field(default=1.6, gt=1.01, le=4)
    """Largest ratio of two successive stresses."""
    maximum_stress_mpa: float = Field(default=5000.0, gt=0)
    """Stress beyond which the search ends with a failure."""
    directions: tuple[Literal["forward", "reverse"], ...] = Field(default=("forward", "reverse"), min_length=1)
    """Loading directions; the lower of them is the value. Their difference enters its error, unless the crystal itself
    distinguishes them (as on {112} of bcc)."""
    start_positions: tuple[float, ...] = Field(default=(0.0, 0.25), min_length=1, max_length=32)
    """Core positions from which the unloaded core is relaxed, in Burgers vectors (edge) or in pairs of Peierls valleys
    (screw); the lowest energy is kept."""
    start_noise_angstrom: float = Field(default=0.01, ge=0, le=0.2)
    """Amplitude of the random displacements added to the starts, to leave unstable symmetric cores."""
    max_evaluations: int = Field(default=3000, ge=50)
    """Force evaluations after which one relaxation is given up as unconverged (which is neither stable nor not)."""
