"""Section ``mobility``: cells with dislocation dipoles and shear loops, and molecular dynamics of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from glideflow.config.base import Section
from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.config.mobility_network import MobilityNetworkSettings
from glideflow.config.mobility_scenarios import MobilityLearningSettings, MobilityScenarioSettings

Angle = Annotated[float, Field(ge=-180, le=180)]
EdgesNm = tuple[
    Annotated[float, Field(gt=0, le=1000)],
    Annotated[float, Field(gt=0, le=1000)],
    Annotated[float, Field(gt=0, le=1000)],
]
Temperature = Annotated[float, Field(gt=0, le=10_000)]

ANGLES_DEG = (
    *(0.0, 8.05, 14.42, 19.47, 29.50, 35.26, 41.47, 48.97, 54.74, 62.79, 70.53, 79.98, 90.0),
    *(95.05, 101.42, 109.47, 115.24, 121.75, 131.47, 136.69, 144.74, 152.79, 158.0, 164.21, 174.23),
)
"""Angles of the 25 lines of `glideflow.mobility.orientations.LINES`."""


class MobilityCellSettings(Section):
    """Cells of bcc metals with dislocations of the system ½<111>{110}."""

    angles_deg: tuple[Angle, ...] = Field(default=ANGLES_DEG, min_length=1)
    """Angles between Burgers vector and line, in the sense about the normal of the glide plane: 0 is a screw, 90 an
    edge. θ and 180 - θ are different lines."""
    angle_tolerance_deg: float = Field(default=0.75, ge=0, le=45)
    """How far the nearest crystallographic line may be off an angle."""
    longest_period_nm: float = Field(default=4.1, gt=0, le=100)
    """Longest period along the line that is searched for an angle. A cell has at least one period."""
    size_nm: EdgesNm = (8.0, 2.8, 16.0)
    """Cell of a dipole along the glide direction, the lines and the normal; the nearest whole periods are taken. Tall
    and narrow cells let the lines pass each other at small stresses."""
    loop_size_nm: EdgesNm = (20.0, 20.0, 12.0)
    """Cell of a shear loop: along the Burgers vector, across it in the glide plane, and along the normal."""
    loop_radius_nm: float = Field(default=5.0, gt=0, le=500)
    """Radius of a shear loop."""
    loop_sides: int = Field(default=48, ge=6, le=1000)
    """Sides of the polygon that stands for the circle."""
    images: int = Field(default=4, ge=1, le=50)
    """Periodic images on either side whose displacements are added."""


class MobilitySettings(Section):
    """Mobility of dislocations from molecular dynamics."""

    potential: str = "Fe_2003Mendelev_Fe_eam-fs"
    """Id of the potential, of a bcc metal, that LAMMPS evaluates."""
    shipped_page: bool = False
    """Whether a run of the library branch also writes a page on the trajectories that come with the package: their
    velocities, and the held-out errors of the ensemble that was trained on them (seconds)."""
    stresses_mpa: tuple[float, ...] = Field(default=(250.0, 500.0, 1000.0), min_length=1)
    """Resolved shear stresses along the Burgers vector, on dipoles."""
    temperatures_k: tuple[Temperature, ...] = Field(default=(300.0, 500.0, 1000.0), min_length=1)
    """Temperatures."""
    cells: MobilityCellSettings = MobilityCellSettings()
    """Cells."""
    dynamics: MobilityDynamicsSettings = MobilityDynamicsSettings()
    """Molecular dynamics."""
    scenarios: MobilityScenarioSettings = MobilityScenarioSettings()
    """Which trajectories the workflow simulates."""
    network: MobilityNetworkSettings = MobilityNetworkSettings()
    """Learning the mobility from trajectories."""
    learning: MobilityLearningSettings = MobilityLearningSettings()
    """Learning that decides what is simulated next."""
