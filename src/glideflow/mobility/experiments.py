"""Which tests of a trained mobility law are possible: what it was trained on, what it has not seen, what is given.

Tian et al. (npj Comput. Mater. 10 (2024), doi 10.1038/s41524-024-01394-4, Fig. 4 to 6) do three: (a) a law trained on
dipoles predicts dipoles, (b) one trained on loops predicts loops, (c) one trained on dipoles predicts loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from glideflow.errors import ConfigurationError
from glideflow.mobility.samples import simulation_sha256
from glideflow.mobility.trajectory import Trajectory

if TYPE_CHECKING:
    from glideflow.mobility.artifacts import MobilityCard, Part
    from glideflow.potentials.record import Potential

LineKind = Literal["dipole", "loop"]
LINE_KINDS: Final[tuple[LineKind, ...]] = ("dipole", "loop")
LARGEST_BURGERS_DIFFERENCE: Final = 0.01
"""Share of the length by which the Burgers vector of a trajectory may differ from that of the training."""


@dataclass(frozen=True)
class Experiment:
    """A test of a law.

    Attributes:
        trained_on: kinds of lines that the law was trained on.
        tested_on: kind of the lines that it predicts.
    """

    trained_on: tuple[LineKind, ...]
    tested_on: LineKind

    @property
    def letter(self) -> str:
        """Which one of the paper it is: ``a``, ``b`` or ``c``; empty if none."""
        return PAPER.get((self.trained_on, self.tested_on), "")

    @property
    def title(self) -> str:
        """The experiment in words, e.g. ``(c) dipoles → loops``."""
        learned = " and ".join(f"{kind}s" for kind in self.trained_on)
        return f"{f'({self.letter}) ' if self.letter else ''}{learned} → {self.tested_on}s"


PAPER: Final[Mapping[tuple[tuple[LineKind, ...], LineKind], str]] = {
    (("dipole",), "dipole"): "a",
    (("loop",), "loop"): "b",
    (("dipole",), "loop"): "c",
}
"""The experiments of the paper by what is trained on and what is predicted."""


def experiment_of(card: MobilityCard, tested_on: LineKind) -> Experiment:
    """The test that lines of a kind are to a model.

    Args:
        card: of the model.
        tested_on: kind of lines.
    """
    learned = {source.kind for source in card.sources if source.part == "train"}
    return Experiment(tuple(kind for kind in LINE_KINDS if kind in learned), tested_on)


def impossible(card: MobilityCard, tested: Sequence[LineKind]) -> dict[str, str]:
    """Experiments of the paper that are not made with a model and some trajectories, and why.

    Args:
        card: of the model.
        tested: kinds of lines among the held-out trajectories.
    """
    trained_on = experiment_of(card, "dipole").trained_on
    reasons = {}
    for learned, predicted in PAPER:
        experiment = Experiment(learned, predicted)
        if learned != trained_on:
            reasons[experiment.title] = f"the model was trained on {' and '.join(f'{kind}s' for kind in trained_on)}"
        elif predicted not in tested:
            reasons[experiment.title] = f"no {predicted} is among the trajectories that count"
    return reasons


def held_out(card: MobilityCard, trajectories: Sequence[Trajectory], *, seen: bool = False) -> list[int]:
    """Numbers of the trajectories of simulations that a model was neither trained on nor stopped by.

    Args:
        card: of the model.
        trajectories: the trajectories.
        seen: count the others as well.

    Raises:
        ConfigurationError: none is left.
    """
    return counted([card.part_of(simulation_sha256(each)) for each in trajectories], seen=seen)


def counted(parts: Sequence[Part], *, seen: bool = False) -> list[int]:
    """Numbers of the trajectories whose errors count, from what each was used for.

    Args:
        parts: of the trajectories.
        seen: whether those count that were trained on or stopped by.

    Raises:
        ConfigurationError: none is left.
    """
    numbers = [number for number, part in enumerate(parts) if seen or part in ("test", "new")]
    if not numbers:
        raise ConfigurationError(
            f"all {len(parts)} trajectories are of simulations that the model was trained on or stopped by",
            expected="trajectories that it has not seen",
            next_step="simulate others, or give --seen to look at the errors of the training itself",
        )
    return numbers


def refuse_mismatch(card: MobilityCard, named: Sequence[tuple[str, Trajectory]]) -> None:
    """Refuse trajectories of another metal or potential than those that a model was trained on.

    A card of an earlier version does not say which potential that was; the Burgers vector then tells metals apart.

    Args:
        card: of the model.
        named: names and trajectories.

    Raises:
        ConfigurationError: one is, named in the message.
    """
    known = _trained_with(card)
    for name, trajectory in named:
        if known and trajectory.potential.sha256 not in known:
            raise _mismatch(name, f"the potential {trajectory.potential.id}", " or ".join(sorted(set(known.values()))))
        burgers = float(np.linalg.norm(trajectory.cell.burgers_angstrom))
        if abs(burgers / card.burgers_angstrom - 1) > LARGEST_BURGERS_DIFFERENCE:
            raise _mismatch(name, f"a Burgers vector of {burgers:.3f} Å", f"one of {card.burgers_angstrom:.3f} Å")


def refuse_other_potential(card: MobilityCard, potential: Potential) -> None:
    """Refuse a model that was trained on trajectories of another potential; a card that does not say is taken.

    Args:
        card: of the model.
        potential: the potential of what it is asked for.

    Raises:
        ConfigurationError: it was.
    """
    known = _trained_with(card)
    if known and potential.content_sha256 not in known:
        raise ConfigurationError(
            f"a model that was trained with {' or '.join(sorted(set(known.values())))} is asked about {potential.id}",
            expected="a model of the potential of the configuration, mobility.potential",
            next_step="give the configuration of the model, or train one on trajectories of this potential",
        )


def _trained_with(card: MobilityCard) -> dict[str, str]:
    """Identifiers of the potentials of the training by the digests of their files; empty where the card is silent."""
    return {source.potential_sha256: source.potential_id for source in card.sources if source.potential_sha256}


def _mismatch(name: str, found: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} is a trajectory with {found}, and the model was trained with {expected}",
        expected="trajectories of the potential that the model was trained with",
        next_step="give those, or train a model on trajectories of this potential",
    )
