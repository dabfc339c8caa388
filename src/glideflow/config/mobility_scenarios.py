"""Which trajectories are simulated, and which a network asks for: ``mobility.scenarios``, ``mobility.learning``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glideflow.config.base import Section

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Radius = Annotated[float, Field(gt=0, le=500)]


class MobilityLearningSettings(Section):
    """Iterations in which an ensemble of networks decides what is simulated next."""

    iterations: int = Field(default=0, ge=0, le=1000)
    """How often an ensemble may ask for trajectories, after each of which it is trained again. 0: every scenario is
    simulated, and nothing is asked for."""
    whole_grid: bool = False
    """With 0 iterations: train an ensemble on all scenarios when they are simulated, and validate it. Needs PyTorch."""
    candidates: int = Field(default=8, ge=1, le=10_000)
    """Scenarios of the rest of the grid that are looked at after a training, drawn at random."""
    selected: int = Field(default=4, ge=1, le=10_000)
    """How many of them are simulated and learned from next."""
    strategy: Literal["active", "passive"] = "active"
    """Which ones: those of which the ensemble is least sure, or those that were drawn first."""
    threshold_percent: float = Field(default=25.0, gt=0, le=1000)
    """Spread of the ensemble in percent of the mean displacement, averaged over the candidates, below which no further
    trajectory is asked for."""

    @model_validator(mode="after")
    def _refuse_more_than_there_are(self) -> Self:
        if self.selected > self.candidates:
            raise ValueError(f"at most as many selected as there are candidates ({self.candidates})")
        return self


class MobilityScenarioSettings(Section):
    """The grid of scenarios, beside the angles, stresses and temperatures of the section ``mobility``."""

    seeds: tuple[Seed, ...] = Field(default=(0,), min_length=1)
    """Seeds of the velocities: repetitions of every scenario."""
    loop_radii_nm: tuple[Radius, ...] = ()
    """Radii of shear loops; none: dipoles only."""
    loop_stresses_mpa: tuple[float, ...] = (1500.0,)
    """Resolved shear stresses on loops, which shrink under a small one."""
    initial: int = Field(default=8, ge=1)
    """Trajectories with which learning begins, spread over the grid as far from each other as possible."""
