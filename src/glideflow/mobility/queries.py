"""What an ensemble of networks asks for after a training, as JSON; the workflow reads it, without PyTorch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from glideflow.atomic import write_text
from glideflow.errors import StorageError


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A scenario that was looked at; displacements of its nodes within one step.

    Attributes:
        id: name of the scenario.
        displacement_angstrom: mean over the nodes of the size of the predicted displacement.
        spread_angstrom: mean over the nodes of the standard deviation over the members.
        thermal_floor_angstrom: displacement of one line by diffusion with the predicted drag, one standard deviation;
            None where the prediction tells no drag.
        selected: whether it is simulated next.
    """

    id: str
    displacement_angstrom: float
    spread_angstrom: float
    thermal_floor_angstrom: float | None
    selected: bool = False


@dataclass(frozen=True, kw_only=True)
class Query:
    """What an ensemble asks for after a training.

    Attributes:
        iteration: number of the training, from 0.
        strategy: ``active`` or ``passive``.
        simulated: names of the scenarios that it could learn from.
        uncertainty_percent: spread over displacement, both averaged over the candidates; None without candidates.
        threshold_percent: value below which nothing further is asked for.
        candidates: the pool, in the order in which it was drawn.
        done: whether this was the last training.
    """

    iteration: int
    strategy: Literal["active", "passive"]
    simulated: tuple[str, ...]
    uncertainty_percent: float | None
    threshold_percent: float
    candidates: tuple[Candidate, ...]
    done: bool

    @property
    def selected(self) -> tuple[str, ...]:
        """Names of the scenarios that are simulated next."""
        return tuple(each.id for each in self.candidates if each.selected)

    @property
    def next_scenarios(self) -> tuple[str, ...]:
        """Names of all scenarios that the next training can learn from."""
        return (*self.simulated, *self.selected)


ReplayStrategy = Literal["active", "active_simulated", "passive"]
"""``active``: the ensemble sees the lines before they move, as in the workflow. ``active_simulated``: it sees the whole
trajectories of the candidates, as in the paper. ``passive``: candidates are taken in the order in which they are drawn.
"""
STRATEGIES: tuple[ReplayStrategy, ...] = get_args(ReplayStrategy)


@dataclass(frozen=True, kw_only=True)
class ReplayedTraining:
    """One training of a replay.

    Attributes:
        strategy: how it was asked.
        seed: of split, pools and weights.
        iteration: number of the training, from 0.
        learned_from: number of trajectories for training.
        tested_on: number of trajectories for the test, alike for all trainings of a seed.
        percent: median percentage error of the steps of the test.
        absolute_angstrom: median absolute error of these.
        velocity_percent: error of mean velocities in the test.
        uncertainty_percent: spread over displacement of the candidates, both averaged; None when nothing is left to
            ask for.
        asked_for: names of the trajectories that are taken next.
    """

    strategy: ReplayStrategy
    seed: int
    iteration: int
    learned_from: int
    tested_on: int
    percent: float
    absolute_angstrom: float
    velocity_percent: float
    uncertainty_percent: float | None
    asked_for: tuple[str, ...]


def write_query(path: Path, query: Query) -> None:
    """Write a query as JSON.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, json.dumps(asdict(query), indent=2, allow_nan=False) + "\n")


def read_query(path: Path) -> Query:
    """Read a query.

    Raises:
        StorageError: the file is missing or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        candidates = tuple(Candidate(**each) for each in content.pop("candidates"))
        return Query(**content | {"candidates": candidates, "simulated": tuple(content["simulated"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f"{path} is no query: {error}",
            expected="JSON as `glideflow mobility query` writes it",
            next_step="delete it, and run the workflow again",
        ) from error
