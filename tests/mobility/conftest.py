"""Trajectories of straight dipoles that follow a known mobility law, for tests of what learns from trajectories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.graph import line_graph
from glideflow.mobility.trajectory import CellSummary, LineFrame, MobilityScenario, Trajectory, packed
from glideflow.records import PotentialSummary, provenance_of

CELL = np.diag([80.0, 42.0, 160.0])
BURGERS = 2.48
BOLTZMANN_EV_PER_K = 8.617333262e-5

MakeTrajectory = Callable[..., Trajectory]


def law(force_mpa_angstrom: float, angle_deg: float, temperature_k: float) -> float:
    """Velocity along the glide direction in Å/ps: drag by character and temperature, barriers of screw and cusp."""
    angle = np.radians(angle_deg)
    drag = (70.0 + 90.0 * np.cos(angle) ** 2) * (0.7 + temperature_k / 1000.0)
    strength = max(0.0, 1 - abs(force_mpa_angstrom) / BURGERS / 2500.0)
    near_screw = np.exp(-((np.degrees(np.arcsin(abs(np.sin(angle)))) / 15.0) ** 2))
    near_cusp = np.exp(-(((angle_deg - 109.47 + 90) % 180 - 90) ** 2) / 8.0**2)
    barrier = (0.10 * near_screw + 0.04 * near_cusp) * strength
    return float(force_mpa_angstrom / drag * np.exp(-barrier / (BOLTZMANN_EV_PER_K * temperature_k)))


@pytest.fixture(scope="session")
def synthetic_trajectory() -> MakeTrajectory:
    """Makes a trajectory of a dipole at an angle, under a stress, at a temperature; its nodes jitter at random."""

    def make(
        angle_deg: float = 90.0,
        stress_mpa: float = 500.0,
        temperature_k: float = 300.0,
        *,
        seed: int = 0,
        duration_ps: float = 6.0,
        interval_ps: float = 0.5,
        jitter_angstrom: float = 0.3,
        images: int = 1,
    ) -> Trajectory:
        settings = MobilityFeatureSettings(images=images)
        radians = np.radians(angle_deg)
        burgers = BURGERS * np.array([np.sin(radians), np.cos(radians), 0.0])
        stress = np.zeros((3, 3))
        stress[2, :2] = stress[:2, 2] = stress_mpa * burgers[:2] / BURGERS
        random = np.random.default_rng(seed)
        places = np.array([10.0, 40.0])
        frames = []
        for number in range(round(duration_ps / interval_ps) + 1):
            jitter = random.normal(0, jitter_angstrom, (2, 3))
            frames.append(_frame(number * interval_ps, places, burgers, jitter, temperature_k))
            clean = _frame(0.0, places, burgers, np.zeros((2, 3)), temperature_k)
            forces = line_graph(clean, stress, temperature_k, settings).glide_force_mpa_angstrom[[0, 3]]
            speeds = np.array([law(force, angle_deg, temperature_k) for force in forces])
            places = places + np.array([-1.0, 1.0]) * speeds * interval_ps  # m is against x for the line along +y
        return _trajectory(frames, burgers, stress, angle_deg, stress_mpa, temperature_k, seed)

    return make


def _frame(
    time_ps: float, places: np.ndarray, burgers: np.ndarray, jitter: np.ndarray, temperature_k: float
) -> LineFrame:
    lines = []
    for sense, place, z, noise in zip((1, -1), places, (40.0, 120.0), jitter, strict=True):
        points = np.column_stack([place + noise, sense * 14.0 * np.arange(3), np.full(3, z)])
        lines.append(
            DislocationLine(
                nodes_fractional=points @ np.linalg.inv(CELL),
                period=np.array([0, sense, 0]),
                burgers_angstrom=burgers,
                topology="infinite",
            )
        )
    return LineFrame(
        time_ps=time_ps,
        cell_angstrom=CELL,
        stress_mpa=np.zeros((3, 3)),
        temperature_k=temperature_k,
        lines=tuple(lines),
    )


def _trajectory(
    frames: list[LineFrame],
    burgers: np.ndarray,
    stress: np.ndarray,
    angle_deg: float,
    stress_mpa: float,
    temperature_k: float,
    seed: int,
) -> Trajectory:
    cell = CellSummary(
        element="Fe",
        structure="bcc",
        kind="dipole",
        lattice_constant_angstrom=2.8553,
        atoms=30_000,
        character_angle_deg=angle_deg,
        radius_angstrom=None,
        miller_frame=np.eye(3),
        burgers_angstrom=burgers,
        cell_angstrom=CELL,
        sha256=f"{angle_deg:064.2f}",
    )
    return Trajectory(
        status="completed",
        scenario=MobilityScenario(stress_mpa=stress_mpa, temperature_k=temperature_k, seed=seed),
        cell=cell,
        potential=PotentialSummary(
            **dict.fromkeys(
                ("engine", "pair_style", "family", "source", "source_status", "citation", "doi", "licence"), ""
            ),
            id="known law",
            element="Fe",
            structure="bcc",
            source_flags=(),
            fictional=True,
            sha256="0" * 64,
        ),
        provenance=provenance_of(MobilityDynamicsSettings(startup_ps=1.0), "known law", "1", seed),
        expansion=1.0,
        applied_stress_mpa=stress,
        topologies=("infinite", "infinite"),
        rejected_ps=np.zeros(0),
        **packed(frames),
    )
