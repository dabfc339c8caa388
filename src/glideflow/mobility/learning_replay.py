"""What asking is worth: active learning played again on trajectories that are simulated already, beside drawing lots.

Each strategy starts from the same trajectories and is tested on the same ones, which it can never ask for; a
trajectory that it asks for is taken from the pool instead of being simulated. Tian et al. (npj Comput. Mater. 10
(2024), doi:10.1038/s41524-024-01394-4) compare active and passive learning in the same way.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from glideflow.errors import ConfigurationError
from glideflow.mobility.evaluation import evaluate
from glideflow.mobility.graph import LineGraph, line_graph
from glideflow.mobility.queries import STRATEGIES, ReplayedTraining, ReplayStrategy
from glideflow.mobility.samples import Split, StepData, split_by_trajectory
from glideflow.mobility.scenarios import Scenario, farthest_first
from glideflow.mobility.training import train_ensemble
from glideflow.progress import Progress, silent

if TYPE_CHECKING:
    from glideflow.config.mobility import MobilitySettings
    from glideflow.config.mobility_network import MobilityFeatureSettings
    from glideflow.mobility.ensemble import MobilityEnsemble
    from glideflow.mobility.trajectory import Trajectory


def replay(
    trajectories: Sequence[tuple[str, Trajectory]],
    data: StepData,
    settings: MobilitySettings,
    seeds: Sequence[int],
    *,
    strategies: Sequence[ReplayStrategy] = STRATEGIES,
    progress: Progress = silent,
) -> tuple[ReplayedTraining, ...]:
    """Play active learning again on finished trajectories.

    Args:
        trajectories: names and trajectories, the pool; those of the test are taken from it.
        data: their steps; its sources are these trajectories, in this order.
        settings: section ``mobility``: networks, number of initial trajectories, candidates, selected ones. Iterations
            end after ``learning.iterations``, or, where that is 0, when the pool is empty; the threshold ends none.
        seeds: repetitions, each with its own test, initial trajectories and weights.
        strategies: to be compared.
        progress: told the number of trainings that are done.

    Raises:
        ConfigurationError: there are not more trajectories to train on than the initial ones.
    """
    first = [_first_graph(trajectory, settings.network.features) for _, trajectory in trajectories]
    table = [_scenario(trajectory) for _, trajectory in trajectories]
    beginnings = [_beginning(data, first, table, settings, seed) for seed in seeds]
    found: list[ReplayedTraining] = []
    count = len(seeds) * len(strategies)
    for number, begun in enumerate(beginnings):
        ensemble = begun.trained(begun.split, None)  # the same for all strategies
        for place, strategy in enumerate(strategies):
            progress("replays", number * len(strategies) + place, count)
            found += _Replay(begun, strategy).go(ensemble)
    progress("replays", count, count)
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Beginning:
    """What all strategies of a seed have in common."""

    data: StepData
    first: Sequence[LineGraph]
    settings: MobilitySettings
    seed: int
    split: Split
    rest: tuple[int, ...]

    def trained(self, split: Split, before: MobilityEnsemble | None) -> MobilityEnsemble:
        """Networks that learned from the training part of a split, from the weights of those before."""
        network = self.settings.network
        start = None if before is None else [member.state for member in before.members]
        return train_ensemble(self.data, split, network, self.seed, range(network.training.members), start=start)


def _beginning(
    data: StepData, first: Sequence[LineGraph], table: Sequence[Scenario], settings: MobilitySettings, seed: int
) -> _Beginning:
    whole = split_by_trajectory(data.sources, settings.network.training, seed)
    initial = settings.scenarios.initial
    _refuse_small(whole, initial)
    spread = farthest_first([table[number] for number in whole.train], initial)
    known = tuple(whole.train[number] for number in sorted(spread))
    rest = tuple(number for number in whole.train if number not in known)
    return _Beginning(data, first, settings, seed, replace(whole, train=known), rest)


class _Replay:
    """One strategy with one seed."""

    def __init__(self, begun: _Beginning, strategy: ReplayStrategy) -> None:
        self._begun, self._strategy = begun, strategy
        self._data, self._learning = begun.data, begun.settings.learning
        self._split, self._rest = begun.split, list(begun.rest)

    def go(self, ensemble: MobilityEnsemble) -> list[ReplayedTraining]:
        """All trainings in their order, beginning with one that is done."""
        limit = self._learning.iterations or len(self._rest)
        trainings: list[ReplayedTraining] = []
        for iteration in range(limit + 1):
            looked_at = self._looked_at(ensemble, iteration) if iteration < limit else {}
            asked = self._chosen(looked_at)
            trainings.append(self._judged(ensemble, iteration, looked_at, asked))
            if not asked:
                break
            self._take(asked)
            ensemble = self._begun.trained(self._split, ensemble)
        return trainings

    def _looked_at(self, ensemble: MobilityEnsemble, iteration: int) -> dict[int, tuple[float, float]]:
        """Mean displacement and spread of candidates in Å, by their numbers, in the order in which they are drawn."""
        order = np.random.default_rng([self._begun.seed, iteration]).permutation(len(self._rest))
        drawn = [self._rest[k] for k in order[: self._learning.candidates].tolist()]
        return {number: self._displacement_and_spread(ensemble, number) for number in drawn}

    def _displacement_and_spread(self, ensemble: MobilityEnsemble, number: int) -> tuple[float, float]:
        graphs = [self._begun.first[number]]
        if self._strategy == "active_simulated":
            graphs = [step.graph for step in self._data.of([number])]
        predictions = [ensemble.predict(graph) for graph in graphs]
        moved = np.concatenate([np.abs(each.velocity_angstrom_per_ps) for each in predictions])
        spread = np.concatenate([each.spread_angstrom_per_ps for each in predictions])
        return float(moved.mean()) * ensemble.step_ps, float(spread.mean()) * ensemble.step_ps

    def _chosen(self, looked_at: Mapping[int, tuple[float, float]]) -> list[int]:
        ranked = list(looked_at)
        if self._strategy != "passive":
            ranked.sort(key=lambda number: -looked_at[number][1])
        return ranked[: self._learning.selected]

    def _take(self, asked: Sequence[int]) -> None:
        self._rest = [number for number in self._rest if number not in asked]
        self._split = replace(self._split, train=tuple(sorted((*self._split.train, *asked))))

    def _judged(
        self,
        ensemble: MobilityEnsemble,
        iteration: int,
        looked_at: Mapping[int, tuple[float, float]],
        asked: Sequence[int],
    ) -> ReplayedTraining:
        errors = evaluate(self._strategy, ensemble.velocity_angstrom_per_ps, self._data, self._split.test).overall
        moved, spread = np.sum([*looked_at.values(), (0.0, 0.0)], axis=0)
        return ReplayedTraining(
            strategy=self._strategy,
            seed=self._begun.seed,
            iteration=iteration,
            learned_from=len(self._split.train),
            tested_on=len(self._split.test),
            percent=errors.percent,
            absolute_angstrom=errors.absolute_angstrom,
            velocity_percent=errors.velocity_percent,
            uncertainty_percent=100.0 * float(spread / moved) if moved > 0 else None,
            asked_for=tuple(self._data.sources[number].name for number in asked),
        )


def _refuse_small(split: Split, initial: int) -> None:
    if len(split.train) <= initial or not split.test:
        raise ConfigurationError(
            f"{len(split.train)} trajectories for training, {len(split.validation)} for validation and "
            f"{len(split.test)} for the test",
            expected=f"some for the test, and more for training than the {initial} with which learning begins",
            next_step="give more trajectories, or lower mobility.scenarios.initial",
        )


def _first_graph(trajectory: Trajectory, features: MobilityFeatureSettings) -> LineGraph:
    """The lines when the stress is applied, before they move."""
    frame = next(iter(trajectory.frames()))
    return line_graph(frame, trajectory.applied_stress_mpa, trajectory.scenario.temperature_k, features)


def _scenario(trajectory: Trajectory) -> Scenario:
    cell, conditions = trajectory.cell, trajectory.scenario
    size = (cell.radius_angstrom or 0.0) / 10 if cell.character_angle_deg is None else cell.character_angle_deg
    return Scenario(
        kind=cell.kind,
        size=size,
        stress_mpa=conditions.stress_mpa,
        temperature_k=conditions.temperature_k,
        seed=conditions.seed,
    )
