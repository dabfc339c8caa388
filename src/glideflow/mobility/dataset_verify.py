"""A data set against a fresh simulation: the first picoseconds of trajectories are simulated again and compared.

With the same versions on the same kind of processor molecular dynamics repeats itself to the last digit. Elsewhere
rounding errors grow until nothing but averages can be compared: the lines must then have come as far as they had, give
or take what heat adds over that time.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.mobility.dataset import DatasetEntry, TrajectoryDataset, dataset_of
from glideflow.mobility.trajectory import LineFrame, Trajectory
from glideflow.mobility.velocities import displacements_angstrom
from glideflow.progress import Progress, silent

if TYPE_CHECKING:
    from glideflow.config.engine import EngineSettings
    from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
    from glideflow.mobility.building import CellBuilder
    from glideflow.mobility.cells import DislocationCell
    from glideflow.mobility.dynamics import TrajectoryRequest
    from glideflow.potentials.record import Potential

Outcome = Literal["identical", "within errors", "differs", "not simulated"]
AGREES: Final[frozenset[Outcome]] = frozenset({"identical", "within errors"})
_STANDARD_DEVIATIONS: Final = 4.0
_FEWEST_WINDOWS: Final = 3
_FIELDS = ("time_ps", "cell_angstrom", "stress_mpa", "temperature_k", "debris_angstrom")


@dataclass(frozen=True, kw_only=True)
class TrajectoryCheck:
    """A trajectory of a data set whose beginning was simulated again.

    Attributes:
        name: of the trajectory.
        outcome: ``identical`` to the last digit that the data set keeps, ``within errors`` of each other, ``differs``,
            or ``not simulated``.
        reason: why it was not simulated, or what differs; empty otherwise.
        compared_ps: time until which it was compared; 0 if it was not.
        difference_angstrom: difference of the displacements of the lines until then, mean over the lines.
        tolerance_angstrom: how far two simulations may differ by heat.
        made_with: engine and version that made it.
        simulated_with: those of the fresh one.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    compared_ps: float = 0.0
    difference_angstrom: float = 0.0
    tolerance_angstrom: float = 0.0
    made_with: str = ""
    simulated_with: str = ""


@dataclass(frozen=True, kw_only=True)
class VerificationSetup:
    """With what trajectories are simulated again.

    Attributes:
        potential: the potential.
        builder: builds the cells from its lattice and elastic constants.
        engine: how LAMMPS runs.
        duration_ps: time under stress; it is rounded up to whole checkpoints of each trajectory.
        work: folder of checkpoints, from which an interrupted verification goes on; None keeps none.
    """

    potential: Potential
    builder: CellBuilder
    engine: EngineSettings
    duration_ps: float
    work: Path | None = None


def drawn(dataset: TrajectoryDataset, count: int, seed: int, names: Collection[str] = ()) -> tuple[DatasetEntry, ...]:
    """Trajectories of a data set, at random or by name.

    Args:
        dataset: the data set.
        count: how many; all if there are fewer.
        seed: of the choice.
        names: exactly these instead.

    Raises:
        ConfigurationError: there is no such trajectory.
    """
    known = {entry.name: entry for entry in dataset.entries}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise ConfigurationError(
            f"the data set has no trajectory {unknown[0]!r}",
            expected=f"a name such as {min(known)}",
            next_step="`glideflow mobility data list` lists them",
        )
    chosen = sorted(names) if names else random.Random(seed).sample(sorted(known), min(count, len(known)))
    return tuple(known[name] for name in chosen)


def verify(
    entries: Sequence[DatasetEntry], setup: VerificationSetup, progress: Progress = silent
) -> Iterator[TrajectoryCheck]:
    """Simulate the beginning of each trajectory again and compare.

    Args:
        entries: the trajectories.
        setup: with what they are simulated.
        progress: shown the simulated time.

    Yields:
        A check per trajectory, as they are made; what cannot be simulated here says why.
    """
    from glideflow.mobility.dynamics import run_trajectory

    for entry in entries:
        try:
            fresh = run_trajectory(request_again(entry.trajectory, setup), progress)
        except GlideflowError as error:
            yield TrajectoryCheck(name=entry.name, outcome="not simulated", reason=error.found)
            continue
        if fresh.status == "failed":
            yield TrajectoryCheck(name=entry.name, outcome="not simulated", reason=fresh.reason)
        else:
            yield compared(entry, fresh)


def request_again(trajectory: Trajectory, setup: VerificationSetup) -> TrajectoryRequest:
    """What simulates the beginning of a trajectory.

    Raises:
        ConfigurationError: its potential is another one, or the cell that is built now is not its own.
    """
    from glideflow.mobility.dynamics import TrajectoryRequest

    if setup.potential.content_sha256 != trajectory.potential.sha256:
        raise ConfigurationError(
            f"the files of {setup.potential.id} are not those of {trajectory.potential.id} that it was made with",
            expected=f"the SHA-256 {trajectory.potential.sha256}",
            next_step="name a source of the potential in the configuration",
        )
    return TrajectoryRequest(
        cell=_cell(trajectory, setup.builder),
        potential=setup.potential,
        scenario=trajectory.scenario,
        settings=_beginning(trajectory, setup.duration_ps),
        engine=setup.engine,
        work=setup.work,
    )


def compared(entry: DatasetEntry, fresh: Trajectory) -> TrajectoryCheck:
    """A trajectory beside a fresh simulation of its beginning.

    Args:
        entry: the trajectory.
        fresh: the simulation, of any duration.
    """
    kept = dataset_of({entry.name: replace(fresh, status="completed", failure=None)})  # rounded alike
    before, after = _common(entry.trajectory, kept.entries[0].trajectory)
    check = TrajectoryCheck(
        name=entry.name,
        outcome="identical",
        compared_ps=before[-1].time_ps if before else 0.0,
        made_with=_versions(entry.trajectory),
        simulated_with=_versions(fresh),
    )
    if len(before) < 2:
        return replace(check, outcome="differs", reason="fewer than two frames at the same times")
    if all(map(_same, before, after)):
        return check
    moved = [displacements_angstrom(frames) for frames in (before, after)]
    difference = float(abs(np.mean((moved[0][-1] - moved[0][0]) - (moved[1][-1] - moved[1][0]))))
    tolerance = _tolerance_angstrom(entry.trajectory, before[-1].time_ps - before[0].time_ps)
    outcome: Outcome = "within errors" if difference <= tolerance else "differs"
    reason = "" if outcome in AGREES else f"its lines came {difference:.2g} Å farther or less far"
    return replace(check, outcome=outcome, reason=reason, difference_angstrom=difference, tolerance_angstrom=tolerance)


def _cell(trajectory: Trajectory, builder: CellBuilder) -> DislocationCell:
    """The cell from which the trajectory started, built anew.

    Raises:
        ConfigurationError: it is another one.
    """
    told = trajectory.cell
    edges = np.diag(told.cell_angstrom).copy()
    if told.character_angle_deg is None:
        size = (float(edges[0]) / 10, float(edges[1]) / 10, float(edges[2]) / 10)
        radius_nm = None if told.radius_angstrom is None else told.radius_angstrom / 10
        cell = builder.loop(radius_nm, size, trajectory.scenario.stress_mpa)
    else:
        edges[0] += abs(float(told.burgers_angstrom[0])) / 2  # the plastic strain of the dipole is in the cell
        cell = builder.dipole(told.character_angle_deg, (edges[0] / 10, edges[1] / 10, edges[2] / 10))
    atoms = len(cell.positions_angstrom)
    if atoms != told.atoms or not np.allclose(cell.cell_angstrom, told.cell_angstrom, rtol=1e-3, atol=1e-2):
        raise ConfigurationError(
            f"the cell that is built now has {atoms} atoms in {np.diag(cell.cell_angstrom).round(2).tolist()} Å",
            expected=f"that of the trajectory: {told.atoms} atoms in {np.diag(told.cell_angstrom).round(2).tolist()} Å",
            next_step="use the settings mobility.cells that it was made with",
        )
    return cell


def _beginning(trajectory: Trajectory, duration_ps: float) -> MobilityDynamicsSettings:
    from glideflow.config.mobility_dynamics import MobilityDynamicsSettings

    settings = MobilityDynamicsSettings.model_validate(trajectory.settings)
    checkpoints = max(1, int(np.ceil(round(duration_ps / settings.checkpoint_interval_ps, 6))))
    return settings.model_copy(
        update={"duration_ps": checkpoints * settings.checkpoint_interval_ps, "keep_atoms": False}
    )


def _common(one: Trajectory, other: Trajectory) -> tuple[list[LineFrame], list[LineFrame]]:
    """Frames of both at the same times."""
    frames = [{round(frame.time_ps, 6): frame for frame in each.frames()} for each in (one, other)]
    times = sorted(frames[0].keys() & frames[1].keys())
    return [frames[0][time] for time in times], [frames[1][time] for time in times]


def _same(one: LineFrame, other: LineFrame) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in _FIELDS) and all(
        np.array_equal(mine.nodes_fractional, yours.nodes_fractional) and np.array_equal(mine.period, yours.period)
        for mine, yours in zip(one.lines, other.lines, strict=True)
    )


def _tolerance_angstrom(trajectory: Trajectory, time_ps: float) -> float:
    """How far two simulations of the same conditions may part within a time.

    That of one is the standard deviation of what heat and extraction add to its own displacements over such times after
    the start-up; with too few of them nothing can be told apart.
    """
    startup_ps = float(trajectory.settings["startup_ps"])
    frames = [frame for frame in trajectory.frames() if frame.time_ps >= startup_ps - 1e-9]
    times = np.array([frame.time_ps for frame in frames])
    if len(times) < 2 or times[-1] - times[0] < _FEWEST_WINDOWS * time_ps:
        return float("inf")
    later = np.searchsorted(times, times + time_ps - 1e-6)
    there = later < len(times)
    places = _by_heat_angstrom(frames)
    return float(_STANDARD_DEVIATIONS * np.sqrt(2) * (places[later[there]] - places[there]).std())


def _by_heat_angstrom(frames: Sequence[LineFrame]) -> FloatArray:
    """(F,) displacements that scatter as their mean over the lines does.

    The lines of a dipole drive each other alike, which is in their mean; half their difference has the heat alone.
    """
    places = displacements_angstrom(frames)
    return np.asarray((places[:, 0] - places[:, 1]) / 2 if places.shape[1] == 2 else places.mean(axis=1))


def _versions(trajectory: Trajectory) -> str:
    made = trajectory.provenance
    return f"{made.engine} {made.engine_version}, glideflow {made.glideflow_version}"
