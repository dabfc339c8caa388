"""Section ``elastic``: elastic constants from central differences of the stress."""

from __future__ import annotations

from pydantic import Field

from glideflow.config.base import Section


class ElasticSettings(Section):
    """How the elastic tensor is computed."""

    strain_amplitudes: tuple[float, ...] = Field(default=(1e-3, 5e-4), min_length=1, max_length=8)
    """Engineering strain amplitudes. The first gives the constants; the spread over all of them is reported."""
    force_tolerance_ev_per_angstrom: float = Field(default=1e-7, gt=0, le=1e-2)
    """Largest residual force after the internal relaxation of each strained cell."""
    strain_dependence_flag: float = Field(default=0.02, gt=0, le=1)
    """Relative change of a constant between amplitudes above which the result is flagged."""
