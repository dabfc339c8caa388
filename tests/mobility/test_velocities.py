from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.errors import PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.trajectory import (
    CellSummary,
    LineFrame,
    MobilityScenario,
    Trajectory,
    packed,
)
from glideflow.mobility.velocities import BLOCKS, glide_velocity, thermal_displacement_angstrom
from glideflow.records import provenance_of, summary_of

CELL = np.array([[80.0, 0.0, 0.0], [0.0, 28.0, 0.0], [2.0, 0.0, 160.0]])
TIMES = np.arange(0, 15.05, 0.1)
BURGERS = np.array([2.48, 0.0, 0.0])


def line(x_angstrom: float, z: float, sense: int) -> DislocationLine:
    y = np.arange(4)[::sense] / 4
    nodes = np.column_stack([np.full(4, x_angstrom / 80.0), y, np.full(4, z)])
    return DislocationLine(
        nodes_fractional=nodes, period=np.array([0, sense, 0]), burgers_angstrom=BURGERS, topology="infinite"
    )


def circle(radius: float) -> DislocationLine:
    angles = 2 * np.pi * np.arange(200) / 200
    nodes = np.column_stack([radius * np.cos(angles), radius * np.sin(angles), np.zeros(200)]) @ np.linalg.inv(CELL)
    return DislocationLine(
        nodes_fractional=nodes, period=np.zeros(3, dtype=np.int64), burgers_angstrom=BURGERS, topology="closed"
    )


@pytest.fixture
def trajectory(wheel_potential: Callable) -> Callable[..., Trajectory]:
    """A trajectory with these lines at each time."""

    def make(lines: Callable[[float], tuple[DislocationLine, ...]], cell: Any = None, **scenario: float) -> Trajectory:
        frames = [
            LineFrame(
                time_ps=time,
                cell_angstrom=CELL if cell is None else cell(time),
                stress_mpa=np.zeros((3, 3)),
                temperature_k=300.0,
                lines=lines(time),
            )
            for time in TIMES
        ]
        topologies = tuple(each.topology for each in frames[0].lines)
        summary = CellSummary(
            element="Fe",
            structure="bcc",
            kind="dipole",
            lattice_constant_angstrom=2.8553,
            atoms=30240,
            miller_frame=np.eye(3),
            burgers_angstrom=BURGERS,
            cell_angstrom=CELL,
            sha256="",
        )
        return Trajectory(
            status="completed",
            scenario=MobilityScenario(**({"stress_mpa": 500.0, "temperature_k": 300.0, "seed": 1} | scenario)),
            cell=summary,
            potential=summary_of(wheel_potential("Fe")),
            provenance=provenance_of(MobilityDynamicsSettings(startup_ps=3.0), "lammps", "1", 1),
            expansion=1.0,
            applied_stress_mpa=np.zeros((3, 3)),
            topologies=topologies,
            rejected_ps=np.zeros(0),
            **packed(frames),
        )

    return make


def steady(velocity: float, below: float = 0.0, above: float = 0.0) -> Callable[[float], tuple[DislocationLine, ...]]:
    """A dipole whose lines glide apart, in Å/ps, after a start-up at rest of 3 ps."""

    def lines(time: float) -> tuple[DislocationLine, ...]:
        gone = max(time - 3.0, 0.0)
        return line(40 - (velocity + below) * gone, 0.25, 1), line(40 + (velocity + above) * gone, 0.75, -1)

    return lines


@pytest.mark.parametrize("sign", [1, -1])
def test_a_steady_dipole_has_its_velocity_without_error_and_without_its_start_up(trajectory, sign: int) -> None:
    found = glide_velocity(trajectory(steady(sign * 14.5), stress_mpa=sign * 500.0))
    assert found.velocity_m_per_s == pytest.approx(sign * 1450.0)
    assert found.error_m_per_s == pytest.approx(0.0, abs=1e-9)
    assert (found.from_ps, found.to_ps) == pytest.approx((3.0, 15.0))
    assert found.drag_pa_s == pytest.approx(500e6 * 2.48e-10 / 1450.0)
    with_startup = glide_velocity(trajectory(steady(sign * 14.5)), startup_ps=0.0)
    assert abs(with_startup.velocity_m_per_s) < 1450.0 - 20


def test_drift_of_the_crystal_cancels_in_the_mean_and_shows_in_the_error(trajectory) -> None:
    found = glide_velocity(trajectory(steady(14.0, below=-1.0, above=1.0)))
    assert found.velocity_m_per_s == pytest.approx(1400.0)
    assert found.line_velocities_m_per_s == pytest.approx((1300.0, 1500.0))
    assert found.line_error_m_per_s == pytest.approx(100.0)
    assert found.error_m_per_s == pytest.approx(100.0)


def test_an_unsteady_motion_has_the_error_of_its_blocks(trajectory) -> None:
    random = np.random.default_rng(3)
    path = np.cumsum(random.normal(1.4, 1.0, len(TIMES)))
    lines = {time: (line(-gone, 0.25, 1), line(gone, 0.75, -1)) for time, gone in zip(TIMES, path, strict=True)}
    found = glide_velocity(trajectory(lines.__getitem__))
    ends = path[30 + np.arange(BLOCKS + 1) * 24] * 100.0
    blocks = np.diff(ends) / 2.4
    np.testing.assert_allclose(found.block_velocities_m_per_s, blocks)
    assert found.block_error_m_per_s == pytest.approx(blocks.std(ddof=1) / np.sqrt(BLOCKS))
    assert found.error_m_per_s == found.block_error_m_per_s
    # The true mean, 1400 m/s, lies within a few of these errors.
    assert abs(found.velocity_m_per_s - 1400.0) < 4 * found.error_m_per_s


def test_the_shear_of_the_box_is_no_glide(trajectory) -> None:
    def tilting(time: float) -> np.ndarray:
        return CELL + np.array([[0.0, 0, 0], [0, 0, 0], [0.3 * time, 0, 0]])

    assert glide_velocity(trajectory(steady(0.0), tilting)).velocity_m_per_s == pytest.approx(0.0, abs=1e-9)


def test_a_growing_loop_has_the_rate_of_its_radius(trajectory) -> None:
    found = glide_velocity(trajectory(lambda time: (circle(20.0 + 7.0 * time),)))
    assert found.velocity_m_per_s == pytest.approx(700.0, rel=1e-3)
    assert found.line_error_m_per_s == 0.0


def test_thermal_motion_is_that_of_einstein(trajectory) -> None:
    # √(2 · 1.380649e-23 · 300 · 1e-12 / (8.5e-5 · 2.8e-9)) m, in SI units throughout
    expected = np.sqrt(2 * 1.380649e-23 * 300 * 1e-12 / (8.5e-5 * 2.8e-9)) * 1e10
    assert thermal_displacement_angstrom(300.0, 8.5e-5, 28.0, 1.0) == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(1.9, abs=0.05)
    found = glide_velocity(trajectory(steady(14.5)), step_ps=1.0)
    assert found.step_floor_angstrom == pytest.approx(1.87, abs=0.02)
    # Two lines over 12 ps: diffusion over 2 L, divided by the time.
    assert found.thermal_floor_m_per_s == pytest.approx(found.step_floor_angstrom * 100 / np.sqrt(2 * 12.0), rel=1e-3)


def test_fluctuations_are_those_of_the_displacements_within_a_step(trajectory) -> None:
    """A line that jumps back and forth by 0.8 Å from frame to frame beside its glide, and one that does not.

    Three frames later every displacement is 0.8 Å more or less than the mean, four frames later none is.
    """

    def jumping(time: float) -> tuple[DislocationLine, ...]:
        below, above = steady(14.5)(time)
        return below.translated(np.array([0.8 / 80.0 * (round(time / 0.1) % 2), 0.0, 0.0])), above

    odd, even = (glide_velocity(trajectory(jumping), step_ps=step) for step in (0.3, 0.4))
    assert odd.step_fluctuation_angstrom == pytest.approx(0.8 / np.sqrt(2), rel=0.01)
    assert even.step_fluctuation_angstrom == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(glide_velocity(trajectory(jumping), step_ps=0.25).step_fluctuation_angstrom)


def test_without_motion_along_the_stress_there_is_no_drag_and_no_floor(trajectory) -> None:
    for lines, stress in ((steady(-1.0), 500.0), (steady(1.0), 0.0)):
        found = glide_velocity(trajectory(lines, stress_mpa=stress))
        assert np.isnan([found.drag_pa_s, found.thermal_floor_m_per_s, found.step_floor_angstrom]).all()


def test_too_short_a_trajectory_is_refused(trajectory) -> None:
    with pytest.raises(PropertyError, match=r"10 frames after the first 14\.1 ps"):
        glide_velocity(trajectory(steady(1.0)), startup_ps=14.1)


def test_settings_of_the_trajectory_say_how_long_it_starts_up(trajectory) -> None:
    made = trajectory(steady(14.5))
    assert json.loads(made.provenance.settings_json)["startup_ps"] == 3.0
    assert glide_velocity(made).from_ps == pytest.approx(3.0)
