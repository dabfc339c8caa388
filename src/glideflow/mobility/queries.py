"""What an ensemble of networks asks for after a training, as JSON; the workflow reads it, without PyTorch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

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
