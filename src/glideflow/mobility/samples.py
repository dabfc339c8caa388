"""Steps to learn from: snapshots of trajectories with where the lines were some time later, split by trajectory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from glideflow.config.mobility_network import MobilityNetworkSettings, MobilityTrainingSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.mobility.graph import LineGraph, line_graph
from glideflow.mobility.targets import StepTarget, step_target
from glideflow.mobility.trajectory import LineFrame, Trajectory
from glideflow.progress import Progress, silent

FEWEST_TRAJECTORIES = 3
_PER_PS = 10_000
"""Frames are told apart by their times in steps of 0.1 fs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """A snapshot and what became of it.

    Attributes:
        trajectory: number of its trajectory in the data.
        time_ps: time of the snapshot.
        graph: its graph.
        target: the lines one step later.
    """

    trajectory: int
    time_ps: float
    graph: LineGraph
    target: StepTarget


@dataclass(frozen=True, kw_only=True)
class StepSource:
    """The trajectory of some steps.

    Attributes:
        name: what it is called in messages and tables.
        simulation: digest of cell, potential, scenario and seed: trajectories that share it are one simulation.
        content_sha256: digest of its frames.
        kind: ``dipole`` or ``loop``.
        character_angle_deg: angle of a dipole; None for a loop.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        burgers_angstrom: length of the Burgers vector.
        left_out: why steps are missing, with how many of each reason.
        potential_id: potential of the simulation.
        potential_sha256: digest of its files.
    """

    name: str
    simulation: str
    content_sha256: str
    kind: str
    character_angle_deg: float | None
    stress_mpa: float
    temperature_k: float
    burgers_angstrom: float
    left_out: tuple[str, ...] = ()
    # Part of `simulation` already: digests of data are the same as before these two were written down.
    potential_id: str = field(default="", repr=False)
    potential_sha256: str = field(default="", repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class StepData:
    """Steps of several trajectories.

    Attributes:
        steps: in the order of trajectories and time.
        sources: the trajectories.
        step_ps: time of a step.
        left_out: trajectories without a step by name, with the reason.
    """

    steps: tuple[Step, ...]
    sources: tuple[StepSource, ...]
    step_ps: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    def of(self, trajectories: Sequence[int]) -> tuple[Step, ...]:
        """Steps of some trajectories."""
        wanted = set(trajectories)
        return tuple(step for step in self.steps if step.trajectory in wanted)

    def sha256(self) -> str:
        """Digest of everything that a network can see of the steps."""
        digest = hashlib.sha256(repr((self.step_ps, self.sources)).encode())
        for step in self.steps:
            for array in (step.graph.node_features, step.graph.gauss_features, step.target.ahead.offsets_angstrom):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Split:
    """Numbers of trajectories for training, for early stopping, and for the test at the end."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        numbers = [*self.train, *self.validation, *self.test]
        if len(set(numbers)) != len(numbers):
            raise ConfigurationError(
                "a trajectory is in two parts of a split",
                expected="each trajectory for training, for validation, or for the test",
                next_step="name each of them once",
            )


def step_data(
    trajectories: Sequence[tuple[str, Trajectory]],
    settings: MobilityNetworkSettings,
    *,
    leave_out: bool = False,
    progress: Progress = silent,
) -> StepData:
    """Steps of all trajectories.

    Args:
        trajectories: names and trajectories.
        settings: elastic medium, start-up, length of a step, distance of the snapshots.
        leave_out: pass over trajectories without a step; there may be none with one.
        progress: told the number of trajectories that are done.

    Raises:
        ConfigurationError: the trajectories are of more than one potential.
        PropertyError: a trajectory has not a single step, and is not to be left out.
    """
    refuse_mixture(trajectories)
    steps: list[Step] = []
    sources: list[StepSource] = []
    without: dict[str, str] = {}
    for number, (name, trajectory) in enumerate(trajectories):
        found, missing = trajectory_steps(trajectory, len(sources), settings)
        if found:
            steps += found
            sources.append(_source(name, trajectory, missing))
        else:
            without[name] = "; ".join(missing) or "no frames are left after the start-up"
        if without and not leave_out:
            raise no_step(without, settings)
        progress("features of trajectories", number + 1, len(trajectories))
    return StepData(steps=tuple(steps), sources=tuple(sources), step_ps=settings.training.step_ps, left_out=without)


def no_step(left_out: Mapping[str, str], settings: MobilityNetworkSettings, *, all_of: bool = False) -> PropertyError:
    """What is wrong with trajectories without a step, the first of which is named.

    Args:
        left_out: reasons by name.
        settings: length of a step.
        all_of: whether there are no others.
    """
    name, reason = next(iter(left_out.items()))
    which = (
        f"none of {len(left_out)} trajectories has a step" if all_of and len(left_out) > 1 else f"{name} has no step"
    )
    instead = "" if all_of else "leave it out (`glideflow mobility train --leave-out`), "
    return PropertyError(
        f"{which} of {settings.training.step_ps:g} ps: {reason}" + (f" ({name})" if not which.startswith(name) else ""),
        expected="frames a step apart after the start-up",
        next_step=f"let it run longer, {instead}or give a shorter start-up, mobility.network.training.startup_ps",
    )


def refuse_mixture(trajectories: Sequence[tuple[str, Trajectory]]) -> None:
    """Refuse trajectories of several potentials: nothing that a law is told of says which one a line belongs to.

    Args:
        trajectories: names and trajectories.

    Raises:
        ConfigurationError: there are several, named in the message with a trajectory of each.
    """
    first: dict[str, str] = {}
    for name, trajectory in trajectories:
        potential = trajectory.potential
        first.setdefault(potential.sha256 or potential.id, f"{potential.id} ({name})")
    if len(first) > 1:
        raise ConfigurationError(
            f"trajectories of {len(first)} potentials: {', '.join(first.values())}",
            expected="those of one potential: lines of different crystals follow different laws",
            next_step="give those of one potential at a time",
        )


def trajectory_steps(
    trajectory: Trajectory, number: int, settings: MobilityNetworkSettings
) -> tuple[list[Step], tuple[str, ...]]:
    """Steps of one trajectory after its start-up, and why others are missing.

    Args:
        trajectory: whatever ended it.
        number: its number in the data.
        settings: elastic medium, start-up, length of a step, distance of the snapshots.
    """
    training = settings.training
    startup = trajectory.settings.get("startup_ps", 0.0) if training.startup_ps is None else training.startup_ps
    frames = {_tick(frame.time_ps): frame for frame in trajectory.frames()}
    wanted = _starting_times(np.array(sorted(frames)), float(startup), training.stride_ps)
    steps, reasons = [], []
    for tick in wanted:
        after = frames.get(tick + _tick(training.step_ps))
        if after is None:
            reasons.append("no frame one step later")
            continue
        try:
            steps.append(_step(trajectory, number, (frames[tick], after), settings))
        except PropertyError as error:
            reasons.append(error.found)
    return steps, tuple(f"{reasons.count(reason)} × {reason}" for reason in dict.fromkeys(reasons))


def split_by_trajectory(sources: Sequence[StepSource], training: MobilityTrainingSettings, seed: int) -> Split:
    """Divide trajectories at random into training, validation and test.

    Snapshots of one simulation resemble each other: files of the same simulation stay together.

    Args:
        sources: the trajectories.
        training: the shares.
        seed: of the division.

    Raises:
        ConfigurationError: there are fewer than three simulations.
    """
    simulations = list(dict.fromkeys(source.simulation for source in sources))
    if len(simulations) < FEWEST_TRAJECTORIES:
        raise ConfigurationError(
            f"{len(sources)} trajectories of {len(simulations)} simulations",
            expected=f"at least {FEWEST_TRAJECTORIES}: one each for training, validation and test",
            next_step="simulate more with `glideflow mobility run`, with another angle, stress, temperature or seed",
        )
    tests = max(1, round(training.test_fraction * len(simulations))) if training.test_fraction > 0 else 0
    share = 1 - training.train_fraction - training.test_fraction
    validations = max(1, min(round(share * len(simulations)), len(simulations) - tests - 1))
    order = np.random.default_rng([seed, len(simulations)]).permutation(len(simulations))
    ranks = {simulations[k]: rank for rank, k in enumerate(order.tolist())}
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for number, source in enumerate(sources):
        rank = ranks[source.simulation]
        parts[(rank >= tests) + (rank >= tests + validations)].append(number)
    split = Split(test=tuple(parts[0]), validation=tuple(parts[1]), train=tuple(parts[2]))
    refuse_leak(sources, split)
    return split


def continued_split(sources: Sequence[StepSource], parts: Mapping[str, str]) -> Split:
    """The split of an ensemble that goes on: what it knew keeps its part, and all that is new is for training.

    An ensemble that starts from trained weights must not be tested on what they were trained on.

    Args:
        sources: the trajectories.
        parts: ``train``, ``validation``, ``test`` or ``new`` by simulation.
    """
    numbers: dict[str, list[int]] = {"train": [], "validation": [], "test": [], "new": []}
    for number, source in enumerate(sources):
        numbers[parts[source.simulation]].append(number)
    train = sorted(numbers["train"] + numbers["new"])
    split = Split(train=tuple(train), validation=tuple(numbers["validation"]), test=tuple(numbers["test"]))
    refuse_leak(sources, split)
    return split


def refuse_leak(sources: Sequence[StepSource], split: Split) -> None:
    """Refuse a split with the same simulation on both sides.

    Raises:
        ConfigurationError: there is one, named in the message.
    """
    parts = {name: {sources[k].simulation: sources[k].name for k in getattr(split, name)} for name in _PARTS}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = sorted(parts[first].keys() & parts[second].keys())
        if shared:
            raise ConfigurationError(
                f"{parts[first][shared[0]]} ({first}) and {parts[second][shared[0]]} ({second}) are one simulation",
                expected="simulations that are on one side only: their snapshots resemble each other",
                next_step="leave one of the two out",
            )


_PARTS = ("train", "validation", "test")


def _tick(time_ps: float) -> int:
    return round(time_ps * _PER_PS)


def _starting_times(ticks: np.ndarray, startup_ps: float, stride_ps: float) -> list[int]:
    """Times after the start-up, at least a stride apart."""
    kept: list[int] = []
    for tick in ticks[ticks >= _tick(startup_ps)].tolist():
        if not kept or tick - kept[-1] >= _tick(stride_ps):
            kept.append(int(tick))
    return kept


def _step(
    trajectory: Trajectory, number: int, frames: tuple[LineFrame, LineFrame], settings: MobilityNetworkSettings
) -> Step:
    before, after = frames
    graph = line_graph(before, trajectory.applied_stress_mpa, trajectory.scenario.temperature_k, settings.features)
    target = step_target(graph, before, after, settings.training.neighbour_radius_angstrom)
    return Step(trajectory=number, time_ps=before.time_ps, graph=graph, target=target)


def simulation_sha256(trajectory: Trajectory) -> str:
    """Digest of cell, potential, scenario and seed: files that share it are of one simulation, however long."""
    scenario = trajectory.scenario
    conditions = (scenario.stress_mpa, scenario.temperature_k, scenario.seed)
    identity = (trajectory.cell.sha256, trajectory.potential.sha256, *conditions)
    return hashlib.sha256(repr(identity).encode()).hexdigest()


def _source(name: str, trajectory: Trajectory, left_out: tuple[str, ...]) -> StepSource:
    cell, scenario = trajectory.cell, trajectory.scenario
    return StepSource(
        name=name,
        simulation=simulation_sha256(trajectory),
        content_sha256=_content_sha256(trajectory),
        kind=cell.kind,
        character_angle_deg=cell.character_angle_deg,
        stress_mpa=scenario.stress_mpa,
        temperature_k=scenario.temperature_k,
        burgers_angstrom=float(np.linalg.norm(cell.burgers_angstrom)),
        left_out=left_out,
        potential_id=trajectory.potential.id,
        potential_sha256=trajectory.potential.sha256,
    )


def _content_sha256(trajectory: Trajectory) -> str:
    digest = hashlib.sha256()
    arrays: tuple[FloatArray, ...] = (trajectory.times_ps, trajectory.cells_angstrom, trajectory.nodes_fractional)
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return digest.hexdigest()
