"""Glide velocities from trajectories, with their errors and the floor that thermal motion sets.

Displacements are taken in fractional coordinates and turned into lengths by the mean period, so that the shear of the
box under plastic strain is not counted as motion of the lines through the crystal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import PropertyError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.trajectory import LineFrame, Trajectory
from glideflow.units import EV_PER_A3_TO_MPA

BOLTZMANN_EV_PER_K: Final = 8.617333262e-5
ANGSTROM_PER_PS_TO_M_PER_S: Final = 100.0
BLOCKS: Final = 5
"""Blocks of time whose velocities tell the statistical error."""
FEWEST_FRAMES: Final = 2 * BLOCKS + 1
_SAME_TIME_PS: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class GlideVelocity:
    """Velocity of the lines of a trajectory after its start-up.

    A positive velocity is in the sense of the Peach-Koehler force of a positive resolved stress: the line of a dipole
    along +y glides along -x, the other one along +x; a loop grows.

    Attributes:
        velocity_m_per_s: mean over the lines of a dipole; rate of the mean radius of a loop.
        error_m_per_s: standard error: the larger of the two that follow.
        line_error_m_per_s: half the difference of the two lines; 0 for a loop.
        block_error_m_per_s: standard error of the mean over blocks of time.
        line_velocities_m_per_s: velocity of each line.
        block_velocities_m_per_s: velocity in each block.
        thermal_floor_m_per_s: velocity that diffusion of the lines alone would show over the same time, one standard
            deviation; NaN where the drag is not known, for want of stress or motion.
        step_floor_angstrom: displacement by diffusion of one line within ``step_ps``, one standard deviation, from the
            drag τ b / v. Where the velocity no longer grows in proportion to the stress it is too large.
        step_fluctuation_angstrom: standard deviation that the displacements of a line within ``step_ps`` have in this
            trajectory, root mean square over the lines; NaN where no frames lie so far apart.
        step_ps: time of both displacements.
        drag_pa_s: drag coefficient τ b / v.
        from_ps: beginning of the time from which the velocity is taken.
        to_ps: its end.
        frames: frames in it.
    """

    velocity_m_per_s: float
    error_m_per_s: float
    line_error_m_per_s: float
    block_error_m_per_s: float
    line_velocities_m_per_s: tuple[float, ...]
    block_velocities_m_per_s: tuple[float, ...]
    thermal_floor_m_per_s: float
    step_floor_angstrom: float
    step_fluctuation_angstrom: float
    step_ps: float
    drag_pa_s: float
    from_ps: float
    to_ps: float
    frames: int


def glide_velocity(trajectory: Trajectory, *, startup_ps: float | None = None, step_ps: float = 1.0) -> GlideVelocity:
    """Velocity of the lines of a trajectory.

    The velocity of a line is the slope of its displacement by least squares. A dipole's is the mean of its two lines,
    which is half their relative velocity: drift of the crystal as a whole cancels, and shows in their difference.

    Args:
        trajectory: a trajectory, whatever ended it.
        startup_ps: time from the beginning that is left out; None takes that of the trajectory's settings.
        step_ps: time for which the thermal displacement is given.

    Raises:
        PropertyError: too few frames are left.
    """
    startup = float(trajectory.settings["startup_ps"]) if startup_ps is None else startup_ps
    frames = [frame for frame in trajectory.frames() if frame.time_ps >= startup - 1e-9]
    if len(frames) < FEWEST_FRAMES:
        raise PropertyError(
            f"{len(frames)} frames after the first {startup:g} ps of a trajectory that is {trajectory.status}",
            expected=f"at least {FEWEST_FRAMES}, for {BLOCKS} blocks of two",
            next_step="let it run longer, or take less time for its start-up",
        )
    times = np.array([frame.time_ps for frame in frames])
    displacements = displacements_angstrom(frames)  # (F, lines)
    lines = np.array([_slope(times, each) for each in displacements.T]) * ANGSTROM_PER_PS_TO_M_PER_S
    blocks = _block_slopes(times, displacements.mean(axis=1)) * ANGSTROM_PER_PS_TO_M_PER_S
    velocity = float(lines.mean())
    between = float(np.ptp(lines)) / 2
    block_error = float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
    drag = _drag_pa_s(trajectory, velocity)
    length = float(np.mean([line.length_angstrom(frame.cell_angstrom) for frame in frames for line in frame.lines]))
    whole_ps = float(times[-1] - times[0])
    floor = thermal_displacement_angstrom(trajectory.scenario.temperature_k, drag, length * len(lines), whole_ps)
    step_floor = thermal_displacement_angstrom(trajectory.scenario.temperature_k, drag, length, step_ps)
    return GlideVelocity(
        velocity_m_per_s=velocity,
        error_m_per_s=max(between, block_error),
        line_error_m_per_s=between,
        block_error_m_per_s=block_error,
        line_velocities_m_per_s=tuple(lines.tolist()),
        block_velocities_m_per_s=tuple(blocks.tolist()),
        thermal_floor_m_per_s=floor / whole_ps * ANGSTROM_PER_PS_TO_M_PER_S,
        step_floor_angstrom=step_floor,
        step_fluctuation_angstrom=_fluctuation_angstrom(times, displacements, step_ps),
        step_ps=step_ps,
        drag_pa_s=drag,
        from_ps=float(times[0]),
        to_ps=float(times[-1]),
        frames=len(frames),
    )


def displacements_angstrom(frames: Sequence[LineFrame]) -> FloatArray:
    """(F, lines) displacement of each line, positive where a positive resolved stress drives it.

    For a dipole along x, of the mean of each line; for a loop its mean radius √(A/π) from the area that it encloses.

    Args:
        frames: frames of one trajectory.
    """
    cell = np.mean([frame.cell_angstrom for frame in frames], axis=0)
    if frames[0].lines[0].topology == "closed":
        return np.array([[_mean_radius(line, cell) for line in frame.lines] for frame in frames])
    sense = np.array([-np.sign(line.period[1]) for line in frames[0].lines])
    period = cell[0, 0] * cell[1, 1] / np.hypot(*cell[1, :2])  # of the glide planes, across the lines
    return np.asarray(sense * period * [[line.centre_fractional()[0] for line in frame.lines] for frame in frames])


def thermal_displacement_angstrom(
    temperature_k: float, drag_pa_s: float, length_angstrom: float, time_ps: float
) -> float:
    """Standard deviation of the displacement of a line by diffusion, √(2 k T t / (B L)); Einstein's relation.

    Args:
        temperature_k: temperature T.
        drag_pa_s: drag coefficient B of the line per length; NaN gives NaN.
        length_angstrom: length L of the line.
        time_ps: time t.
    """
    drag_ev_ps_per_angstrom3 = drag_pa_s * 1e-6 / EV_PER_A3_TO_MPA * 1e12
    mean_square = 2 * BOLTZMANN_EV_PER_K * temperature_k * time_ps / (drag_ev_ps_per_angstrom3 * length_angstrom)
    return float(np.sqrt(mean_square))


def _drag_pa_s(trajectory: Trajectory, velocity_m_per_s: float) -> float:
    """Drag coefficient B = τ b / v of a line that moves with the stress; NaN for one that does not."""
    force = trajectory.scenario.stress_mpa * 1e6 * float(np.linalg.norm(trajectory.cell.burgers_angstrom)) * 1e-10
    return force / velocity_m_per_s if force * velocity_m_per_s > 0 else float("nan")


def _fluctuation_angstrom(times: FloatArray, displacements: FloatArray, step_ps: float) -> float:
    """Standard deviation of the displacements of a line within a step, for (F,) times and (F, lines) positions."""
    later = np.searchsorted(times, times + step_ps - _SAME_TIME_PS)
    first = np.flatnonzero(later < len(times))
    first = first[np.abs(times[later[first]] - times[first] - step_ps) < _SAME_TIME_PS]
    moved = displacements[later[first]] - displacements[first]  # (steps, lines)
    return float(np.sqrt(moved.var(axis=0, ddof=1).mean())) if len(moved) > 1 else float("nan")


def _slope(times: FloatArray, values: FloatArray) -> float:
    return float(np.polyfit(times - times.mean(), values, 1)[0])


def _block_slopes(times: FloatArray, values: FloatArray) -> FloatArray:
    """(BLOCKS,) velocity of each block, from its end to end; blocks share their ends, so that no time is left out."""
    ends = np.linspace(0, len(times) - 1, BLOCKS + 1).round().astype(int)
    return np.asarray(np.diff(values[ends]) / np.diff(times[ends]))


def _mean_radius(line: DislocationLine, cell_angstrom: FloatArray) -> float:
    """√(A/π) of the area that a loop encloses in the slip plane."""
    x, y, _ = line.chain_angstrom(cell_angstrom).T
    area = 0.5 * float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    return float(np.sqrt(abs(area) / np.pi))
