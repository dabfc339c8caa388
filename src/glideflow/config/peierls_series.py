"""Section ``peierls_series``: the Peierls stress in cells of several sizes, and its whole error."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from glideflow.config.base import Section

Length = Annotated[int, Field(ge=8, le=2000)]
Height = Annotated[float, Field(ge=10, le=2000)]


class PeierlsSeriesSettings(Section):
    """What is computed beside the cell of ``peierls_stress``, for the limit of large cells and the error budget."""

    sizes: tuple[tuple[Length, Height], ...] = Field(
        default=((60, 200.0), (120, 100.0), (120, 200.0)), min_length=1, max_length=20
    )
    """Further cells as [length in Burgers vectors, nominal height in Å]. Together with the cell of ``peierls_stress``
    they are fitted as τ∞ + A/H + B/L."""
    further_sizes: tuple[tuple[Length, Height], ...] = Field(default=((240, 200.0), (120, 400.0)), max_length=20)
    """Cells that are added where the series has not settled with the former (always so for prismatic planes of hcp)."""
    other_cut: bool = True
    """Also search with the other of two inequivalent cuts (hcp prismatic); the other planes have one."""
    other_starts: tuple[float, ...] = Field(default=(0.5, 0.75), max_length=32)
    """Core positions in Burgers vectors, with another seed, from which the unloaded core is relaxed for comparison; an
    empty list leaves the comparison out."""
    loose_force_tolerance_ev_per_angstrom: float = Field(default=1e-5, gt=0, le=1e-2)
    """Force tolerance of a search that shows how much the tolerance of ``peierls_stress`` matters."""
    settled_below: float = Field(default=0.1, gt=0, le=1)
    """Largest error from the size of the cells, relative to the value, at which a series counts as settled."""
