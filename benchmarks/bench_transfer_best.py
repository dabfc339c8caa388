"""What the parts of the model `best` are worth, and how far samples with nearly the same inputs differ.

    OMP_NUM_THREADS=1 python benchmarks/bench_transfer_best.py

Folds by family with three seeds, and one metal at a time, on the library that ships with the package.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.threads import single_thread
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.best import BestPart, fitted_part
from glideflow.transfer.best_features import LOG10_ENERGY_FACTOR, best_features, stress_name
from glideflow.transfer.core_solutions import STUDIES, core_solutions, part_of
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.features import Features
from glideflow.transfer.models import Prediction
from glideflow.transfer.validation import validate

FOLDS, SEEDS, PAIRS = 12, (0, 1, 2), 30
INNER_FOLDS, WEIGHTS = 10, (0.0, 0.25, 0.5, 0.75, 1.0)
STUDY_NAMES = tuple(study.name for study in STUDIES)
FLAT = tuple(f"{study.name}: " for study in STUDIES if study.components == 2)
ALONG = tuple(study for study in STUDIES if study.components == 1)

Change = Callable[[Features, TransferDataset], Features]
Predict = Callable[[BestPart, Features], FloatArray]


def only(keep: Callable[[str], bool]) -> Change:
    """Features whose names fulfil a condition."""

    def change(features: Features, dataset: TransferDataset) -> Features:
        kept = [k for k, name in enumerate(features.names) if keep(name)]
        return Features(tuple(features.names[k] for k in kept), features.values[:, kept])

    return change


def unchanged(features: Features, dataset: TransferDataset) -> Features:
    """All features."""
    return features


def one_core(features: Features, dataset: TransferDataset) -> Features:
    """Every study by its core at the factor next to 1 alone: no averages."""
    cores = core_solutions(dataset, np.arange(len(dataset)))
    shapes = only(lambda name: not name.startswith(tuple(f"{study}: " for study in STUDY_NAMES)))(features, dataset)
    columns = {}
    for study in STUDIES:
        own = part_of(study).start + int(np.abs(np.log(study.factors)).argmin())
        columns[stress_name(study.name)] = np.log10(np.maximum(cores[:, own, 0], 1e-8))
        columns[f"{study.name}: width / b"] = cores[:, own, 1]
    values = np.concatenate([shapes.values, np.stack(list(columns.values()), axis=1)], axis=1)
    return Features((*shapes.names, *columns), values)


def planes_as_others(features: Features, dataset: TransferDataset) -> Features:
    """Studies in the plane under names that the model does not leave out."""
    return Features(tuple(name.replace("plane ", "split ") for name in features.names), features.values)


def both(part: BestPart, features: Features) -> FloatArray:
    """The model as it is."""
    return part.predict(features).log10_mpa


def process_only(part: BestPart, features: Features) -> FloatArray:
    """The Gaussian process without the trees."""
    return part.prior.log10_mpa(features) + part.process.predict(part.scaled(features))[0]


def trees_only(part: BestPart, features: Features) -> FloatArray:
    """The trees without the Gaussian process."""
    return part.prior.log10_mpa(features) + part.forest.predict(part.scaled(features))[0]


def line_only(part: BestPart, features: Features) -> FloatArray:
    """The two numbers alone."""
    return part.prior.log10_mpa(features)


@dataclass(frozen=True)
class Variant:
    """The model with a change, as the validation takes it.

    Attributes:
        name: what is changed.
        change: of the features.
        predict: what the fitted model is asked.
    """

    name: str
    change: Change = unchanged
    predict: Predict = both

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedVariant:
        """Fit to samples of one structure."""
        part = dataset.select(indices)
        return FittedVariant(self, fitted_part(self.features(part), target_log10(part), seed))

    def features(self, dataset: TransferDataset) -> Features:
        """Changed features of all samples."""
        return self.change(best_features(dataset, np.arange(len(dataset))), dataset)


@dataclass(frozen=True)
class FittedVariant:
    """A fitted variant."""

    variant: Variant
    part: BestPart

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Predict samples, without spreads."""
        found = self.variant.predict(self.part, self.variant.features(dataset.select(indices)))
        return Prediction(log10_mpa=found, spread_log10=np.full(len(found), np.nan))


@dataclass(frozen=True)
class Shrunken:
    """The model whose residual counts by a weight, chosen by folds of families inside the training part.

    Attributes:
        name: what is changed.
    """

    name: str = "residual by a weight"

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedVariant:
        """Fit to samples of one structure."""
        part = dataset.select(indices)
        features, target = best_features(part, np.arange(len(part))), target_log10(part)
        families = np.array(part.families)
        names = np.random.default_rng(seed).permutation(np.unique(families))
        prior, residual = np.zeros(len(part)), np.zeros(len(part))
        for fold in range(INNER_FOLDS):
            held = np.isin(families, names[fold::INNER_FOLDS])
            inner = fitted_part(_rows(features, ~held), target.select(np.flatnonzero(~held)), seed)
            prior[held] = line_only(inner, _rows(features, held))
            residual[held] = both(inner, _rows(features, held)) - prior[held]
        errors = [float(np.abs(prior + weight * residual - target.log10_mpa).mean()) for weight in WEIGHTS]
        weight = WEIGHTS[int(np.argmin(errors))]

        def predict(fitted: BestPart, found: Features) -> FloatArray:
            return (1 - weight) * line_only(fitted, found) + weight * both(fitted, found)

        return FittedVariant(Variant(self.name, predict=predict), fitted_part(features, target, seed))


def _rows(features: Features, chosen: NDArray[np.bool_]) -> Features:
    return Features(features.names, features.values[chosen])


def with_noise(level: float, copies: int = 4) -> Change:
    """Averages over γ along b as it is and with waves of random heights, of a root mean square relative to its maximum.

    They are even, as γ along b is in bcc, and the same for a potential in every fold.
    """

    def change(features: Features, dataset: TransferDataset) -> Features:
        kept = only(lambda name: not name.startswith(FLAT))(features, dataset)
        values = [kept.values]
        for copy in range(copies):
            images = np.array([_noisy(dataset, index, level, copy) for index in range(len(dataset))])
            noisy = replace(dataset, gamma_mj_m2=images)
            values.append(best_features(noisy, np.arange(len(noisy)), studies=ALONG).values)
        return Features(kept.names, np.mean(values, axis=0))

    return change


def _noisy(dataset: TransferDataset, index: int, level: float, copy: int) -> FloatArray:
    image = dataset.gamma_mj_m2[index]
    number = np.arange(1, len(image) // 2 + 1)
    generator = np.random.default_rng([crc32(dataset.potential_ids[index].encode()), copy])
    height = generator.normal(size=len(number))
    line = height @ (np.cos(2 * np.pi * np.outer(number, np.arange(len(image)) / len(image))) - 1)
    return np.asarray(image + (level * image[:, 0].max() / np.sqrt((height**2).sum() / 2) * line)[:, None])


def without(*studies: str) -> Change:
    """Features without those of some studies."""
    starts = tuple(f"{study}: " for study in studies)
    return only(lambda name: not name.startswith(starts))


VARIANTS = (
    Variant("as it is"),
    Variant("process without trees", predict=process_only),
    Variant("trees without process", predict=trees_only),
    Variant("the two numbers of the prior alone", predict=line_only),
    Variant("one core of each study, no averages", one_core),
    Variant("no study in the plane", without("plane quarter", "plane layer")),
    Variant("studies in the plane everywhere", planes_as_others),
    Variant("no staggered rows", without("staggered")),
    Variant("no layers next to the cut", without("quarter", "layer", *STUDY_NAMES[4:])),
    Variant("no shapes of γ and of elasticity", only(lambda name: ": " in name or name == LOG10_ENERGY_FACTOR)),
)


TRIALS: tuple[Variant | Shrunken, ...] = (
    Variant("as it is"),
    Variant("the two numbers of the prior alone", predict=line_only),
    Shrunken(),
    *(Variant(f"averages over γ with noise of {level:g}", with_noise(level)) for level in (1e-4, 4e-4)),
)
"""What did not help."""


def variants(dataset: TransferDataset, chosen: Sequence[Variant | Shrunken] = VARIANTS) -> None:
    """Print a row for each variant."""
    print("| variant | factor | 90 % | rmse of log₁₀ | rank | other metal: factor | rmse | rank |")
    print("|---|---|---|---|---|---|---|---|")
    for variant in chosen:
        cells = []
        for split, folds, seeds in (("family", FOLDS, SEEDS), ("metal", 0, SEEDS[:1])):
            scores = validate(variant, dataset, split, seeds, folds=folds).scores()
            factors = [each.median_factor for each in scores]
            cells += [f"{np.mean(factors):.2f}" + (f" ± {np.std(factors):.2f}" if len(seeds) > 1 else "")]
            cells += [f"{np.mean([each.p90_factor for each in scores]):.1f}"] if folds else []
            cells += [f"{np.mean([each.rmse_log10 for each in scores]):.2f}"]
            cells += [f"{np.mean([each.spearman for each in scores]):.2f}"]
        print(f"| {variant.name} | {' | '.join(cells)} |", flush=True)


def pairs(dataset: TransferDataset) -> None:
    """Print how far the stresses of the pairs with the closest features differ, and the closest of them."""
    from scipy.spatial.distance import pdist

    values = best_features(dataset, np.arange(len(dataset))).values
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    first, second = np.triu_indices(len(dataset), 1)
    nearest = np.argsort(pdist(scaled))[:PAIRS]
    target = target_log10(dataset).log10_mpa
    ratio = 10 ** np.abs(target[first[nearest]] - target[second[nearest]])
    print(f"{PAIRS} nearest pairs: stresses differ by a factor of {np.median(ratio):.2f} in the median,", end=" ")
    print(f"{np.quantile(ratio, 0.9):.1f} at 90 %; those with γ along b and K within 2 %:")
    row = dataset.gamma_mj_m2[:, :, 0]
    for i, k in [(int(first[pair]), int(second[pair])) for pair in nearest]:
        apart = np.abs(row[i] - row[k]).max() / row[i].max()
        factors = dataset.energy_factor_gpa[[i, k]]
        stresses = dataset.peierls_mpa[[i, k]]
        if apart < 0.02 and abs(np.log(factors[1] / factors[0])) < 0.02:
            names = " / ".join(dataset.potential_ids[each] for each in (i, k))
            print(f"  {names}: γ along b within {apart:.1%}, K {factors[0]:.0f} and {factors[1]:.0f} GPa,", end=" ")
            print(f"{stresses[0]:.2f} and {stresses[1]:.2f} MPa")


def interference(dataset: TransferDataset) -> None:
    """Print how far the stress of a study changes from one factor to the next, apart from its median change."""
    cores = core_solutions(dataset, np.arange(len(dataset)))
    for study in STUDIES[:4]:
        change = np.diff(np.log10(np.maximum(cores[:, part_of(study), 0], 1e-8)), axis=1)
        apart = 10 ** np.abs(change - np.median(change, axis=1)[:, None])
        step = study.factors[1] / study.factors[0] - 1
        print(
            f"{study.name}: K changed by {step:.0%} changes the stress by a factor of {np.median(apart):.2f}", end=" "
        )
        print(f"in the median and {np.quantile(apart, 0.9):.1f} at 90 %, beside the trend")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--group", nargs="*", default=["fcc", "bcc", "hcp"], help="data sets")
    parser.add_argument("--limits", action="store_true", help="pairs and interference only")
    parser.add_argument("--trials", action="store_true", help="what was tried and did not help, only")
    arguments = parser.parse_args()
    for group in arguments.group:
        dataset = group_dataset(group, TransferDataSettings())
        print(f"\n{group}, {len(dataset)} samples\n")
        with single_thread():
            if arguments.trials:
                variants(replace(dataset, name=group), TRIALS)
                continue
            pairs(dataset)
            interference(dataset)
            if not arguments.limits:
                variants(replace(dataset, name=group))


if __name__ == "__main__":
    main()
