"""Section ``peierls_nabarro``: what continuum models say of the Peierls stress, from C and γ alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glideflow.config.base import Section


class PeierlsNabarroSettings(Section):
    """How the Peierls-Nabarro baselines are computed."""

    length_burgers: int = Field(default=60, ge=16, le=1000)
    """Distance in Burgers vectors between the dislocations of the periodic array in the semidiscrete model; the default
    is that of the atomistic cell."""
    node_spacing: Literal["rows"] | float = Field(default="rows")
    """Distance between the points at which the misfit energy is summed: ``rows``, that of the rows of atoms on both
    sides of the glide plane (fcc and hcp b/2, bcc b/3), or a number in Burgers vectors. It decides the result."""
    tolerance: float = Field(default=1e-11, gt=0, le=1e-6)
    """Largest force per area of what counts as an equilibrium, relative to the energy factor."""
    max_steps: int = Field(default=400, ge=20, le=100_000)
    """Steps along the branch of equilibria after which a core that has not moved on by one row is given up."""
