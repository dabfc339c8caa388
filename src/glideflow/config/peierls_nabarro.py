"""Section ``peierls_nabarro``: what continuum models say of the Peierls stress, from C and γ alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from glideflow.config.base import Section


class PeierlsNabarroSettings(Section):
    """How the Peierls-Nabarro baselines are computed."""

    models: tuple[Literal["line", "surface", "gradient"], ...] = ("line", "surface", "gradient")
    """Semidiscrete models: the disregistry along the Burgers vector only, in the whole plane, and that with the energy
    of the layers between the two planes next to the cut."""
    length_burgers: int = Field(default=60, ge=16, le=1000)
    """Distance in Burgers vectors between the dislocations of the periodic array in the semidiscrete model; the default
    is that of the atomistic cell."""
    node_spacing: Literal["rows"] | Annotated[float, Field(gt=0.05, le=4)] = "rows"
    """Distance between the points at which the misfit energy is summed: ``rows``, that of equivalent rows of atoms in
    the glide plane (fcc b/2, bcc b/3, hcp b), or a number in Burgers vectors. It decides the result."""
    gamma: Literal["grid", "fourier"] = "grid"
    """Where γ is taken from between the computed points: ``grid``, the trigonometric polynomial through every point, or
    ``fourier``, the smooth fit of the record, which has fewer waves than the grid holds. Rows a fraction of b apart
    feel what the fit smooths away; docs/peierls_nabarro.md has the measurement that decided for ``grid``."""
    tolerance: float = Field(default=1e-11, gt=0, le=1e-6)
    """Largest force per area of what counts as an equilibrium, relative to the energy factor."""
    max_steps: int = Field(default=120, ge=20, le=100_000)
    """Steps along the branch of equilibria after which a core that has not moved on by one row is loaded instead."""
    max_solves: int = Field(default=5000, ge=100, le=10_000_000)
    """Linear systems after which a core that is loaded is given up, in each sense of the stress. A γ surface with kinks
    may need them; the model is flagged then, and its stress a lower bound."""
