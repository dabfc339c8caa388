"""What `glideflow predict --suggest` promises against what is reached, on families that are left out.

    OMP_NUM_THREADS=1 python benchmarks/bench_transfer_suggest.py --families 5

Of each structure, potentials of which three points of γ are told. The two displacements that are suggested are then
looked up on their whole γ surfaces, as is one that is drawn at random, and the crystal is predicted again: what is the
spread that comes from γ then? Half a minute of one core for each family.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_transfer_points import FLOOR_MPA, described

from glideflow.config.strength_inputs import GammaPoint, StrengthInputs
from glideflow.config.transfer import TransferDataSettings
from glideflow.threads import single_thread
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.best import BestRegressor
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.gamma_prior import gamma_prior
from glideflow.transfer.periodic import values_at
from glideflow.transfer.prediction import StrengthModel, predict_crystal, suggest, training_domain
from glideflow.transfer.strength_models import only_system
from glideflow.transfer.user_inputs import user_crystal

STRUCTURES = ("bcc", "hcp", "fcc")
GIVEN, SUGGESTED = 3, 2
SURFACES = 10
"""More than predictions take: spreads of six answers are known to a third only."""

Place = tuple[float, float]


@dataclass(frozen=True)
class Trial:
    """Spreads of log₁₀ by γ over the first one: promised and reached with one and two points, and with a random one."""

    promised: tuple[float, ...]
    reached: tuple[float, ...]
    drawn: float


def with_points(
    inputs: StrengthInputs, dataset: TransferDataset, index: int, places: Sequence[Place]
) -> StrengthInputs:
    """The description with only the first points, and with those that are looked up."""
    values = values_at(dataset.gamma_mj_m2[index], np.array(places).reshape(-1, 2))
    more = tuple(
        GammaPoint(fraction=place, gamma_mj_m2=float(value)) for place, value in zip(places, values, strict=True)
    )
    points = (*inputs.gamma.points[:GIVEN], *more)
    return inputs.model_copy(update={"gamma": inputs.gamma.model_copy(update={"points": points})})


def trial(dataset: TransferDataset, index: int) -> Trial:
    """A potential by models that have seen nothing of its family."""
    families = np.array(dataset.families)
    others = np.flatnonzero(families != families[index])
    known = dataset.select(others)
    prior = gamma_prior(known, only_system(known))
    fitted = BestRegressor(FLOOR_MPA).fit(dataset, others, 0)
    model = StrengthModel(name="best", model=fitted, prior=prior, domain=training_domain(known, FLOOR_MPA))
    inputs = described(dataset, index)

    def spread(places: Sequence[Place]) -> float:
        crystal = user_crystal(with_points(inputs, dataset, index, places), prior, Path())
        return predict_crystal(model, crystal, surfaces=SURFACES).input_spread_log10

    three = user_crystal(with_points(inputs, dataset, index, ()), prior, Path())
    found = suggest(model, three, SUGGESTED, surfaces=SURFACES)
    first, places = spread(()), [each.fraction for each in found]
    x, y = np.random.default_rng(index).uniform(0, 1, 2)
    return Trial(
        promised=tuple(each.input_spread_log10 / first for each in found),
        reached=tuple(spread(places[: count + 1]) / first for count in range(SUGGESTED)),
        drawn=spread([(float(x), float(y))]) / first,
    )


def main() -> None:
    """Print a row for each potential, and means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=int, default=5, help="of each structure")
    options = parser.parse_args()
    trials = []
    with single_thread():
        for structure in STRUCTURES:
            dataset = group_dataset(structure, TransferDataSettings())
            for index in np.linspace(2, len(dataset) - 3, options.families).astype(int):
                found = trial(dataset, int(index))
                trials.append(found)
                texts = [" ".join(f"{each:.2f}" for each in values) for values in (found.promised, found.reached)]
                print(f"{dataset.potential_ids[index]}: promised {texts[0]}, reached {texts[1]}", end=", ")
                print(f"a point at random {found.drawn:.2f} of the spread by γ", flush=True)
    for name in ("promised", "reached", "drawn"):
        logs = np.log([np.atleast_1d(getattr(each, name)) for each in trials])
        means = " ".join(f"{each:.2f}" for each in np.exp(logs.mean(axis=0)))
        print(f"{name}: {means} in the geometric mean of {len(trials)}", end=", ")
        print("median " + " ".join(f"{each:.2f}" for each in np.exp(np.median(logs, axis=0))))


if __name__ == "__main__":
    main()
