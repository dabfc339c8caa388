"""Molecular dynamics of moving dislocations, and what is kept of it: key ``mobility.dynamics``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from glideflow.config.base import Section


class MobilityDynamicsSettings(Section):
    """Molecular dynamics of dipoles and loops under a constant stress, with lines extracted while it runs."""

    timestep_ps: float = Field(default=0.002, gt=0, le=0.01)
    """Timestep."""
    expansion_cells: int = Field(default=10, ge=3, le=100)
    """Unit cells along each edge of the perfect crystal whose thermal expansion the starting cell gets."""
    expansion_ps: float = Field(default=3.0, ge=0, le=1000)
    """Time over which that crystal is simulated, its second half averaged. 0: no expansion."""
    relaxation_steps: int = Field(default=200, ge=0, le=100_000)
    """Steps of the minimiser (FIRE) before atoms get velocities."""
    equilibration_ps: float = Field(default=1.5, ge=0, le=1000)
    """Time at temperature and zero stress before the stress is applied."""
    duration_ps: float = Field(default=40.0, gt=0, le=1e6)
    """Time under stress."""
    startup_ps: float = Field(default=3.0, ge=0, le=1e5)
    """First time under stress, in which lines gather speed; no velocity is taken from it."""
    extraction_interval_ps: float = Field(default=0.1, gt=0, le=100)
    """Time between frames. An extraction costs as much as about twenty timesteps."""
    checkpoint_interval_ps: float = Field(default=1.0, gt=0, le=1000)
    """Time between checkpoints, from which an interrupted trajectory goes on."""
    thermostat_ps: float = Field(default=0.2, gt=0, le=100)
    """Damping time of the Nosé-Hoover thermostat."""
    barostat_ps: float = Field(default=1.0, gt=0, le=1000)
    """Damping time of the barostat, which acts on all six components of the stress."""
    node_spacing_angstrom: float = Field(default=15.0, gt=0, le=1000)
    """Distance of nodes along the lines."""
    smallest_gap: float = Field(default=0.5, ge=0, lt=1)
    """Share of the first distance between the glide planes of a dipole at which a trajectory ends."""
    largest_extent: float = Field(default=0.9, gt=0, le=1)
    """Share of the cell's edge that a loop may reach before its trajectory ends."""
    patience_frames: int = Field(default=5, ge=1, le=1000)
    """Frames in a row without the expected lines that end a trajectory; hot atoms may hide a line for a moment."""
    shortest_loop_angstrom: float = Field(default=30.0, ge=0, le=1000)
    """Length below which a closed line counts as debris of the lattice, not as a dislocation."""
    keep_atoms: bool = False
    """Write the atoms of each checkpoint beside the trajectory, as LAMMPS dump files."""
    time_limit_s: float = Field(default=7 * 86400.0, gt=0)
    """Wall time of one attempt; the next one goes on from the last checkpoint."""

    @model_validator(mode="after")
    def _refuse_unequal_times(self) -> Self:
        """Every time is a whole number of the shorter one: frames lie on timesteps, checkpoints on frames."""
        pairs = (
            ("extraction_interval_ps", "timestep_ps"),
            ("checkpoint_interval_ps", "extraction_interval_ps"),
            ("duration_ps", "checkpoint_interval_ps"),
        )
        for longer, shorter in pairs:
            ratio = getattr(self, longer) / getattr(self, shorter)
            if abs(ratio - round(ratio)) > 1e-6 * ratio or round(ratio) < 1:
                raise ValueError(f"{longer} that is a whole multiple of {shorter} ({getattr(self, shorter):g} ps)")
        return self

    @property
    def steps_per_frame(self) -> int:
        """Timesteps between frames."""
        return round(self.extraction_interval_ps / self.timestep_ps)

    @property
    def frames_per_checkpoint(self) -> int:
        """Frames between checkpoints."""
        return round(self.checkpoint_interval_ps / self.extraction_interval_ps)

    @property
    def frames(self) -> int:
        """Frames of a whole trajectory after the first one, at time zero."""
        return round(self.duration_ps / self.extraction_interval_ps)
