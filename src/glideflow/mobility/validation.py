"""Tests of a trained mobility law on simulations that it has not seen, beside laws fitted to the same data.

Per experiment (`glideflow.mobility.experiments`): errors of single steps, mean velocities of whole trajectories, how
often the spread of the ensemble covers its error, and roll-outs over many steps.

This module imports PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from glideflow.config.mobility_network import MobilityNetworkSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.mobility.artifacts import MobilityCard, Part
from glideflow.mobility.ensemble import MobilityEnsemble
from glideflow.mobility.evaluation import Evaluation, Predict, TrajectoryErrors, evaluate
from glideflow.mobility.experiments import (
    LINE_KINDS,
    Experiment,
    LineKind,
    experiment_of,
    held_out,
    impossible,
    refuse_mismatch,
)
from glideflow.mobility.laws import EnsembleLaw, MobilityLaw
from glideflow.mobility.roll_outs import INTERVAL_PS, GraphLaw, RollOut, roll_out
from glideflow.mobility.samples import StepData, simulation_sha256, step_data
from glideflow.mobility.spreads import mean_velocity_spread_m_per_s, step_velocities_angstrom_per_ps
from glideflow.mobility.trajectory import Trajectory
from glideflow.mobility.velocities import glide_velocity
from glideflow.progress import Progress, silent

NETWORK: Final = "PI-GNN"
ROLL_OUTS: Final = 8
"""Trajectories of an experiment that are rolled out, unless more are asked for."""


@dataclass(frozen=True, kw_only=True)
class HeldOutTrajectory:
    """A simulation that a law is tested on.

    Attributes:
        name: what it is called.
        part: what the model used it for; ``new`` if it does not know it.
        kind: ``dipole`` or ``loop``.
        angle_deg: angle of a dipole; NaN for a loop.
        radius_nm: radius of a loop as built; NaN for a dipole.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        conditions_trained: whether the model was trained on the same lines, stress and temperature with another seed:
            such a trajectory tests what was remembered more than what was understood.
        velocity_m_per_s: its velocity (`glideflow.mobility.velocities.glide_velocity`), else the mean over its steps.
        error_m_per_s: standard error of that; NaN where the trajectory is too short to tell.
        floor_m_per_s: what diffusion alone would show over the same time; NaN where it is not known.
        laws: what each law makes of it.
    """

    name: str
    part: Part
    kind: str
    angle_deg: float
    radius_nm: float
    stress_mpa: float
    temperature_k: float
    conditions_trained: bool
    velocity_m_per_s: float
    error_m_per_s: float
    floor_m_per_s: float
    laws: Mapping[str, LawVelocity]


@dataclass(frozen=True, kw_only=True)
class LawVelocity:
    """Mean velocity of a law over the steps of a trajectory.

    Attributes:
        velocity_m_per_s: the velocity.
        spread_m_per_s: standard deviation over the members of an ensemble of their mean velocities; NaN for a formula.
    """

    velocity_m_per_s: float
    spread_m_per_s: float


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Whether the spread of an ensemble tells its error; errors that are normal with it give 68 %, 95 % and 1.

    Attributes:
        trajectories: trajectories with a velocity.
        within_one_percent: share of them whose velocity is within one spread of the predicted one.
        within_two_percent: within two.
        root_mean_square: of error over spread.
        with_error_one_percent: within one √(spread² + σ²), with σ the standard error of the simulation.
        with_error_two_percent: within two of these.
        with_error_root_mean_square: of error over these.
    """

    trajectories: int
    within_one_percent: float
    within_two_percent: float
    root_mean_square: float
    with_error_one_percent: float
    with_error_two_percent: float
    with_error_root_mean_square: float


@dataclass(frozen=True, eq=False, kw_only=True)
class ExperimentResult:
    """What came of an experiment.

    Attributes:
        experiment: which one.
        evaluations: errors of single steps, the network's first.
        trajectories: velocities, in the order of angle, stress and temperature.
        coverage: of the network; None for an ensemble of which one member predicts.
        roll_outs: of each law and some of the trajectories.
    """

    experiment: Experiment
    evaluations: tuple[Evaluation, ...]
    trajectories: tuple[HeldOutTrajectory, ...]
    coverage: Coverage | None
    roll_outs: tuple[RollOut, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Validation:
    """A validated model.

    Attributes:
        model: its name.
        step_ps: time of its steps.
        experiments: what was tested.
        impossible: experiments of the paper that were not made, and why.
        left_out: held-out trajectories that say nothing, and why.
        seen: whether trajectories count that the model was trained on or stopped by.
    """

    model: str
    step_ps: float
    experiments: tuple[ExperimentResult, ...]
    impossible: Mapping[str, str]
    left_out: Mapping[str, str]
    seen: bool


def validate(
    ensemble: MobilityEnsemble,
    card: MobilityCard,
    named: Sequence[tuple[str, Trajectory]],
    settings: MobilityNetworkSettings,
    *,
    seen: bool = False,
    roll_outs: int = ROLL_OUTS,
    interval_ps: float = INTERVAL_PS,
    progress: Progress = silent,
) -> Validation:
    """Test a model on trajectories of simulations that it has not seen.

    Args:
        ensemble: the networks.
        card: what they were made with.
        named: names and trajectories, those of the training among them or not.
        settings: start-up and distance of the snapshots; medium and time of a step are those of the ensemble.
        seen: count trajectories that the model was trained on or stopped by as well.
        roll_outs: trajectories of an experiment that are rolled out, evenly chosen; 0 for none.
        interval_ps: time between comparisons of a roll-out.
        progress: told what is done.

    Raises:
        ConfigurationError: trajectories are of another potential, or none of those that count has a step.
    """
    refuse_mismatch(card, named)
    chosen = [named[number] for number in held_out(card, [each for _, each in named], seen=seen)]
    own = _settings_of(ensemble, settings)
    known, left_out = _with_steps(ensemble, sorted(chosen, key=_order), own, progress)
    tester = _Tester(ensemble, card, roll_outs, interval_ps, own.training.startup_ps, progress)
    kinds = [kind for kind in LINE_KINDS if any(each.trajectory.cell.kind == kind for each in known)]
    results = [tester.result(kind, [each for each in known if each.trajectory.cell.kind == kind]) for kind in kinds]
    return Validation(
        model=card.name,
        step_ps=ensemble.step_ps,
        experiments=tuple(results),
        impossible=impossible(card, kinds),
        left_out=left_out,
        seen=seen,
    )


def coverage_of(trajectories: Sequence[HeldOutTrajectory], law: str = NETWORK) -> Coverage | None:
    """How often velocities of simulations are within the spread of a law.

    Args:
        trajectories: the simulations.
        law: name of the law.

    Returns:
        None if the law has no spread.
    """
    rows = [(each, each.laws[law]) for each in trajectories if each.laws[law].spread_m_per_s > 0]
    if not rows:
        return None
    errors = np.array([own.velocity_m_per_s - each.velocity_m_per_s for each, own in rows])
    spreads = np.array([own.spread_m_per_s for _, own in rows])
    both = np.hypot(spreads, np.nan_to_num([each.error_m_per_s for each, _ in rows]))
    alone, joint = _shares(errors / spreads), _shares(errors / both)
    return Coverage(
        trajectories=len(rows),
        within_one_percent=alone[0],
        within_two_percent=alone[1],
        root_mean_square=alone[2],
        with_error_one_percent=joint[0],
        with_error_two_percent=joint[1],
        with_error_root_mean_square=joint[2],
    )


def _shares(ratios: FloatArray) -> tuple[float, float, float]:
    within = [100.0 * float((np.abs(ratios) <= bound).mean()) for bound in (1, 2)]
    return within[0], within[1], float(np.sqrt((ratios**2).mean()))


def _settings_of(ensemble: MobilityEnsemble, settings: MobilityNetworkSettings) -> MobilityNetworkSettings:
    """The settings with medium and step of an ensemble."""
    training = settings.training.model_copy(update={"step_ps": ensemble.step_ps})
    return settings.model_copy(update={"features": ensemble.features, "training": training})


@dataclass(frozen=True, eq=False)
class _Known:
    """A trajectory with its steps, and the velocities of the members of the ensemble for each of them."""

    name: str
    trajectory: Trajectory
    data: StepData
    velocities: Sequence[FloatArray]


def _order(named: tuple[str, Trajectory]) -> tuple[float | int | str, ...]:
    name, trajectory = named
    cell, scenario = trajectory.cell, trajectory.scenario
    size = cell.character_angle_deg if cell.character_angle_deg is not None else cell.radius_angstrom or 0.0
    return (size, scenario.stress_mpa, scenario.temperature_k, scenario.seed, name)


def _with_steps(
    ensemble: MobilityEnsemble,
    named: Sequence[tuple[str, Trajectory]],
    settings: MobilityNetworkSettings,
    progress: Progress,
) -> tuple[list[_Known], dict[str, str]]:
    """Trajectories with steps, and why the others have none.

    Raises:
        ConfigurationError: none has.
    """
    known, left_out = [], {}
    for number, (name, trajectory) in enumerate(named):
        try:
            data = step_data([(name, trajectory)], settings)
            known.append(_Known(name, trajectory, data, step_velocities_angstrom_per_ps(ensemble, data.steps)))
        except PropertyError as error:
            left_out[name] = f"{error.found} ({trajectory.status})"
        progress("features of trajectories", number + 1, len(named))
    if not known:
        raise ConfigurationError(
            "no held-out trajectory has a step: " + "; ".join(left_out.values()),
            expected=f"frames {settings.training.step_ps:g} ps apart after the start-up",
            next_step="let them run longer",
        )
    return known, left_out


def _joined(known: Sequence[_Known]) -> StepData:
    """Steps of several trajectories, numbered in their order."""
    steps = [replace(step, trajectory=number) for number, each in enumerate(known) for step in each.data.steps]
    sources = tuple(source for each in known for source in each.data.sources)
    return StepData(steps=tuple(steps), sources=sources, step_ps=known[0].data.step_ps)


@dataclass(frozen=True, eq=False)
class _Tester:
    """A model and how it is tested."""

    ensemble: MobilityEnsemble
    card: MobilityCard
    roll_outs: int
    interval_ps: float
    startup_ps: float | None
    progress: Progress

    def result(self, kind: LineKind, known: Sequence[_Known]) -> ExperimentResult:
        """What comes of trajectories with one kind of lines."""
        data, numbers = _joined(known), range(len(known))
        evaluations = tuple(self._evaluated(known, data))
        trajectories = tuple(
            self._held_out(known[number], {each.law: each.trajectories[number] for each in evaluations})
            for number in numbers
        )
        return ExperimentResult(
            experiment=experiment_of(self.card, kind),
            evaluations=evaluations,
            trajectories=trajectories,
            coverage=coverage_of(trajectories),
            roll_outs=tuple(self._rolled_out(known, evaluations[0])),
        )

    def _evaluated(self, known: Sequence[_Known], data: StepData) -> Iterator[Evaluation]:
        """Errors of the network and of the laws fitted to the same data."""
        members = [velocities for each in known for velocities in each.velocities]
        means = {id(step.graph): own.mean(axis=0) for step, own in zip(data.steps, members, strict=True)}
        laws: dict[str, Predict] = {NETWORK: lambda graph: means[id(graph)], **self._fitted()}
        for done, (name, predict) in enumerate(laws.items()):
            yield evaluate(name, predict, data, range(len(known)))
            self.progress("errors of single steps", done + 1, len(laws))

    def _fitted(self) -> dict[str, Predict]:
        return {law.name: law.velocity_angstrom_per_ps for law in self.card.fitted_laws()}

    def _held_out(self, known: _Known, rows: Mapping[str, TrajectoryErrors]) -> HeldOutTrajectory:
        cell, scenario = known.trajectory.cell, known.trajectory.scenario
        velocity, error, floor = _simulated(known.trajectory, self.startup_ps, rows[NETWORK])
        spreads = {NETWORK: mean_velocity_spread_m_per_s(known.velocities)}
        return HeldOutTrajectory(
            name=known.name,
            part=self.card.part_of(simulation_sha256(known.trajectory)),
            kind=cell.kind,
            angle_deg=math.nan if cell.character_angle_deg is None else cell.character_angle_deg,
            radius_nm=math.nan if cell.radius_angstrom is None else cell.radius_angstrom / 10,
            stress_mpa=scenario.stress_mpa,
            temperature_k=scenario.temperature_k,
            conditions_trained=_conditions_trained(self.card, known.trajectory),
            velocity_m_per_s=velocity,
            error_m_per_s=error,
            floor_m_per_s=floor,
            laws={
                name: LawVelocity(velocity_m_per_s=row.velocity_m_per_s, spread_m_per_s=spreads.get(name, math.nan))
                for name, row in rows.items()
            },
        )

    def _rolled_out(self, known: Sequence[_Known], errors: Evaluation) -> Iterator[RollOut]:
        """Roll-outs of every law and some of the trajectories."""
        features = self.ensemble.features
        laws: list[MobilityLaw] = [EnsembleLaw(self.ensemble, NETWORK, self.card.burgers_angstrom, self.card)]
        laws += [GraphLaw(name, predict, features) for name, predict in self._fitted().items()]
        chosen = evenly(len(known), self.roll_outs)
        for done, number in enumerate(chosen):
            each = known[number]
            floor = errors.trajectories[number].thermal_floor_angstrom / math.sqrt(self.ensemble.step_ps)
            for law in laws:
                yield roll_out(
                    each.name,
                    each.trajectory,
                    law,
                    features,
                    interval_ps=self.interval_ps,
                    startup_ps=self.startup_ps,
                    floor_angstrom=floor,
                )
            self.progress("roll-outs", done + 1, len(chosen))


def evenly(count: int, wanted: int) -> list[int]:
    """So many numbers below a count, as evenly as they go."""
    return sorted({round(number) for number in np.linspace(0, count - 1, min(count, wanted)).tolist()})


def _simulated(trajectory: Trajectory, startup_ps: float | None, row: TrajectoryErrors) -> tuple[float, float, float]:
    """Velocity of a simulation with its error and thermal floor in m/s."""
    try:
        found = glide_velocity(trajectory, startup_ps=startup_ps)
    except PropertyError:
        return row.observed_m_per_s, math.nan, math.nan
    return found.velocity_m_per_s, found.error_m_per_s, found.thermal_floor_m_per_s


def _conditions_trained(card: MobilityCard, trajectory: Trajectory) -> bool:
    """Whether the training has the same lines under the same stress at the same temperature, with any seed."""
    cell, scenario = trajectory.cell, trajectory.scenario
    wanted = (cell.kind, cell.character_angle_deg, scenario.stress_mpa, scenario.temperature_k)
    return any(
        (each.kind, each.character_angle_deg, each.stress_mpa, each.temperature_k) == wanted
        for each in card.sources
        if each.part == "train"
    )
