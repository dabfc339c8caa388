"""Integration of dislocation lines that follow a mobility law."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from glideflow.config.base import Section
from glideflow.config.mobility_network import MobilityFeatureSettings


class LineDynamicsSettings(Section):
    """How dislocation lines are moved, divided, and when they are at their end."""

    duration_ps: float = Field(default=10.0, gt=0, le=1e9)
    """Time to integrate."""
    interval_ps: float = Field(default=0.1, gt=0, le=1e6)
    """Time between frames."""
    startup_ps: float = Field(default=0.0, ge=0, le=1e6)
    """First time that no velocity is taken from; lines without inertia need none."""
    tolerance_angstrom: float = Field(default=0.05, gt=0, le=1e6)
    """Largest error of the position of a node in one step, estimated by the difference to Euler's method."""
    first_step_ps: float = Field(default=0.01, gt=0, le=1e6)
    """First step that is tried."""
    largest_step_ps: float = Field(default=1.0, gt=0, le=1e6)
    """Largest step."""
    smallest_step_ps: float = Field(default=1e-7, gt=0, le=1.0)
    """Step below which the integration gives up."""
    node_spacing_angstrom: float = Field(default=15.0, gt=0, le=1e4)
    """Distance of nodes along the lines."""
    shortest_segment: float = Field(default=0.5, ge=0, le=1)
    """Share of the spacing below which a segment is merged with its neighbours."""
    longest_segment: float = Field(default=1.5, ge=1, le=10)
    """Share of the spacing above which a segment is split; at least twice the other."""
    annihilation_angstrom: float = Field(default=5.0, ge=0, le=1e3)
    """Distance of two lines at which they have met."""
    shortest_loop_angstrom: float = Field(default=60.0, ge=0, le=1e4)
    """Length below which a loop is gone: of the size of its core, it follows no law of lines."""
    largest_extent: float = Field(default=0.9, gt=0, le=1)
    """Share of the cell's edge that a loop may reach."""

    @model_validator(mode="after")
    def _refuse_misfit(self) -> Self:
        if self.longest_segment < 2 * self.shortest_segment:
            raise ValueError("longest_segment of at least twice shortest_segment")
        ratio = self.duration_ps / self.interval_ps
        if abs(ratio - round(ratio)) > 1e-6 * ratio or round(ratio) < 1:
            raise ValueError(f"duration_ps that is a whole multiple of interval_ps ({self.interval_ps:g} ps)")
        return self

    @property
    def frames(self) -> int:
        """Frames after the first one, at time zero."""
        return round(self.duration_ps / self.interval_ps)


class LineDynamicsRecord(LineDynamicsSettings):
    """What a trajectory says of how its lines were moved."""

    law: str
    """Name of the mobility law."""
    law_parameters: dict[str, float]
    """Its parameters; empty for a network."""
    medium: MobilityFeatureSettings
    """Elastic medium, images and Gauss points."""
