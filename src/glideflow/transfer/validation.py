"""Validation: any model, over any split, with several seeds; every held-out prediction is kept.

A model is given the training samples of a fold and nothing else, and predicts held-out samples whose targets are blank:
what it could leak, it does not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glideflow import __version__
from glideflow.code_digest import code_digest
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError
from glideflow.progress import Progress, silent
from glideflow.storage import record
from glideflow.threads import single_thread
from glideflow.transfer.dataset import FLOOR_MPA, Target, TransferDataset, content_sha256, target_log10
from glideflow.transfer.metrics import Scores, errors_log10, score
from glideflow.transfer.models import Prediction, Regressor
from glideflow.transfer.splits import (
    Fold,
    Split,
    family_folds,
    leave_one_family_out,
    leave_one_metal_out,
    refuse_leak,
)
from glideflow.workbench import Workbench, request_key

PERMUTED = "permuted targets"
_PACKAGE = "glideflow."


@record
@dataclass(frozen=True, kw_only=True)
class HeldOutRun:
    """Predictions of every sample by models that did not see it, with one seed.

    Attributes:
        seed: the seed.
        folds: (n) name of the fold that held the sample out.
        log10_mpa: (n,) predictions, log₁₀ of MPa.
        spread_log10: (n,) their standard deviations; NaN from a model without.
        trained_on: (n,) number of training samples behind each prediction.
    """

    seed: int
    folds: tuple[str, ...]
    log10_mpa: FloatArray
    spread_log10: FloatArray
    trained_on: FloatArray

    @property
    def record_name(self) -> str:
        """Name among the runs of a validation."""
        return f"seed {self.seed}"


@record
@dataclass(frozen=True, kw_only=True)
class ValidationRecord:
    """A model on a data set and a split.

    Attributes:
        model: name of the model.
        dataset: name of the data set.
        split: name of the split.
        control: ``permuted targets``, or empty: what was done to the training samples.
        floor_mpa: floor of the target.
        potential_ids: (n) the samples.
        elements: (n) their elements.
        structures: (n) their crystal structures.
        families: (n) their families.
        target_log10_mpa: (n,) targets.
        censored: (n,) whether the truth may lie below.
        runs: a run per seed; one only where nothing depends on it.
        dataset_sha256: digest of the samples.
        library_sha256: digest of the library that they came from.
        glideflow_version: version of this package.
    """

    model: str
    dataset: str
    split: str
    control: str = ""
    floor_mpa: float
    potential_ids: tuple[str, ...]
    elements: tuple[str, ...]
    structures: tuple[str, ...]
    families: tuple[str, ...]
    target_log10_mpa: FloatArray
    censored: NDArray[np.bool_]
    runs: tuple[HeldOutRun, ...]
    dataset_sha256: str
    library_sha256: str
    glideflow_version: str

    @property
    def record_name(self) -> str:
        """Name in a file of several."""
        return ", ".join(filter(None, (self.model, self.split, self.control)))

    @property
    def target(self) -> Target:
        """The targets."""
        return Target(log10_mpa=self.target_log10_mpa, censored=self.censored, floor_mpa=self.floor_mpa)

    def errors_log10(self, run: int) -> FloatArray:
        """(n,) errors of a run by the rule for censored samples."""
        return errors_log10(self.runs[run].log10_mpa, self.target)

    def scores(self, structure: str = "") -> tuple[Scores, ...]:
        """Scores of each run, over all samples or those of one structure."""
        chosen = np.array([structure in ("", own) for own in self.structures], dtype=bool)
        target = self.target.select(chosen)
        return tuple(score(run.log10_mpa[chosen], run.spread_log10[chosen], target) for run in self.runs)


@record
@dataclass(frozen=True, kw_only=True)
class Validations:
    """Validations of several models on one data set, as a file holds them.

    Attributes:
        dataset: name of the data set.
        protocol: how its stresses were computed.
        library_name: name of the library.
        records: the validations.
    """

    dataset: str
    protocol: str
    library_name: str
    records: tuple[ValidationRecord, ...]


@record
@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Scores on held-out families against the number of families that a model was trained on.

    Attributes:
        model: name of the model.
        dataset: name of the data set.
        folds: number of folds by family in which every sample is held out once.
        families: (p,) number of families trained on.
        seeds: (s,) seeds of folds, of the choice of families, and of the model.
        median_factor: (p, s) median factor error.
        r2_log10: (p, s) R² on the scale of log₁₀.
        spearman: (p, s) rank correlation.
        library_sha256: digest of the library.
    """

    model: str
    dataset: str
    folds: int
    families: FloatArray
    seeds: FloatArray
    median_factor: FloatArray
    r2_log10: FloatArray
    spearman: FloatArray
    library_sha256: str

    @property
    def record_name(self) -> str:
        """Name in a file of several."""
        return self.model


@record
@dataclass(frozen=True, kw_only=True)
class LearningCurves:
    """Learning curves of several models on one data set, as a file holds them.

    Attributes:
        dataset: name of the data set.
        curves: the curves.
    """

    dataset: str
    curves: tuple[LearningCurve, ...]


def split_of(dataset: TransferDataset, name: str, folds: int, seed: int) -> Split:
    """A split by its name in the settings.

    Args:
        dataset: the data set.
        name: ``family`` or ``metal``.
        folds: folds of the split by family; 0 leaves one family out at a time.
        seed: seed of drawn folds.

    Raises:
        ConfigurationError: the data set has too few families or metals.
        LeakedSampleError: near-copies are in different families.
    """
    if name == "metal":
        return leave_one_metal_out(dataset)
    return family_folds(dataset, folds, seed) if folds else leave_one_family_out(dataset)


def validate(
    regressor: Regressor,
    dataset: TransferDataset,
    split: str,
    seeds: Sequence[int],
    *,
    folds: int = 0,
    floor_mpa: float = FLOOR_MPA,
    permuted: bool = False,
    work: Path | None = None,
    progress: Progress = silent,
) -> ValidationRecord:
    """Fit a model to the training part of every fold and predict what is held out.

    Args:
        regressor: the model.
        dataset: the data set; every stress known.
        split: ``family`` or ``metal``.
        seeds: seeds; a model without anything random on a split without anything random runs with the first only.
        folds: as in `split_of`.
        floor_mpa: floor of the target.
        permuted: control: the stresses of the training samples are exchanged among them at random. A model that still
            has skill reads the answer somewhere.
        work: folder in which finished folds are kept, so that an interrupted validation goes on; None keeps nothing.
        progress: progress callback.

    Raises:
        ConfigurationError: the data set has too few families or metals for the split, or stresses that are not known.
        LeakedSampleError: a fold would train on what it holds out.
    """
    _refuse_unknown_stress(dataset)
    splits = {seed: split_of(dataset, split, folds, seed) for seed in seeds}
    if not (folds and split == "family") and not permuted and not getattr(regressor, "uses_seed", True):
        splits = {seed: splits[seed] for seed in list(seeds)[:1]}
    bench = Workbench(work, _key(regressor, dataset, split, folds, floor_mpa, permuted))
    runner = _Runner(regressor, dataset, permuted, bench, progress, sum(len(each.folds) for each in splits.values()))
    try:
        runs = tuple(runner.run(each, seed) for seed, each in splits.items())
    finally:
        bench.close()
    target = target_log10(dataset, floor_mpa)
    return ValidationRecord(
        model=regressor.name,
        dataset=dataset.name,
        split=next(iter(splits.values())).name,
        control=PERMUTED if permuted else "",
        floor_mpa=floor_mpa,
        potential_ids=dataset.potential_ids,
        elements=dataset.elements,
        structures=dataset.structures,
        families=dataset.families,
        target_log10_mpa=target.log10_mpa,
        censored=target.censored,
        runs=runs,
        dataset_sha256=content_sha256(dataset),
        library_sha256=dataset.library_sha256,
        glideflow_version=__version__,
    )


def learning_curve(
    regressor: Regressor,
    dataset: TransferDataset,
    families: Sequence[int],
    seeds: Sequence[int],
    *,
    folds: int = 5,
    floor_mpa: float = FLOOR_MPA,
    work: Path | None = None,
    progress: Progress = silent,
) -> LearningCurve:
    """How held-out errors fall with the number of families trained on.

    In each fold by family, so many of the other families are drawn, the smaller sets parts of the larger ones.

    Args:
        regressor: the model.
        dataset: the data set.
        families: numbers of families; those that a fold does not leave are left out.
        seeds: seeds.
        folds: folds by family.
        floor_mpa: floor of the target.
        work: folder in which finished folds are kept; None keeps nothing.
        progress: progress callback.

    Raises:
        ConfigurationError: fewer families than folds, or none of the numbers is small enough.
    """
    _refuse_unknown_stress(dataset)
    splits = {seed: family_folds(dataset, folds, seed) for seed in seeds}
    left = min(_family_count(dataset, fold.train) for split in splits.values() for fold in split.folds)
    counts = [count for count in sorted(set(families)) if 2 <= count <= left]
    if not counts:
        raise ConfigurationError(
            f"a learning curve of {dataset.name!r} with {min(families, default=0)} families or more",
            expected=f"numbers from 2 to {left}, which {folds} folds leave to train on",
            next_step="choose smaller numbers, more folds or a larger library",
        )
    target, found = target_log10(dataset, floor_mpa), []
    bench = Workbench(work, _key(regressor, dataset, "learning curve", folds, floor_mpa, permuted=False))
    try:
        for done, count in enumerate(counts):
            progress("learning curve", done, len(counts))
            predictions = [_predicted_from(regressor, dataset, splits[seed], count, seed, bench) for seed in seeds]
            found.append([score(one.log10_mpa, one.spread_log10, target) for one in predictions])
    finally:
        bench.close()
    return LearningCurve(
        model=regressor.name,
        dataset=dataset.name,
        folds=folds,
        families=np.array(counts, dtype=float),
        seeds=np.array(seeds, dtype=float),
        median_factor=np.array([[each.median_factor for each in row] for row in found]),
        r2_log10=np.array([[each.r2_log10 for each in row] for row in found]),
        spearman=np.array([[each.spearman for each in row] for row in found]),
        library_sha256=dataset.library_sha256,
    )


def permuted_targets(dataset: TransferDataset, seed: int) -> TransferDataset:
    """The data set with the stresses of its samples exchanged among them at random."""
    order = np.random.default_rng([seed, 1]).permutation(len(dataset))
    names = ("peierls_mpa", "peierls_error_mpa", "resolution_mpa", "is_upper_bound")
    return _replaced(dataset, {name: getattr(dataset, name)[order] for name in names})


def without_targets(dataset: TransferDataset) -> TransferDataset:
    """The data set with the stresses of its samples blank."""
    blank = np.full(len(dataset), np.nan)
    names = ("peierls_mpa", "peierls_error_mpa", "resolution_mpa")
    return _replaced(dataset, dict.fromkeys(names, blank) | {"is_upper_bound": np.zeros(len(dataset), dtype=bool)})


def _replaced(dataset: TransferDataset, fields: dict[str, NDArray[np.generic]]) -> TransferDataset:
    return replace(dataset, **fields)  # type: ignore[arg-type]  # names of fields with such arrays


@dataclass(frozen=True)
class _Runner:
    """The folds of a validation, one after the other; finished ones come from the workbench."""

    regressor: Regressor
    dataset: TransferDataset
    permuted: bool
    bench: Workbench
    progress: Progress
    total: int

    def run(self, split: Split, seed: int) -> HeldOutRun:
        """Every held-out prediction of one seed."""
        shape = len(self.dataset)
        log10, spread, trained_on = (np.full(shape, np.nan) for _ in range(3))
        names = np.full(shape, "", dtype=object)
        for fold in split.folds:
            self.progress(f"validate {self.regressor.name}", len(self.bench.names()), self.total)
            one = self._fold(fold, seed)
            log10[fold.held_out], spread[fold.held_out] = one.log10_mpa, one.spread_log10
            names[fold.held_out], trained_on[fold.held_out] = fold.name, len(fold.train)
        return HeldOutRun(
            seed=seed,
            folds=tuple(str(name) for name in names),
            log10_mpa=log10,
            spread_log10=spread,
            trained_on=trained_on,
        )

    def _fold(self, fold: Fold, seed: int) -> Prediction:
        name = f"{seed}: {fold.name}"
        kept = self.bench.get(name)
        if kept is not None:
            return Prediction(log10_mpa=np.asarray(kept["log10"]), spread_log10=np.asarray(kept["spread"]))
        refuse_leak(self.dataset, fold)
        train = self.dataset.select(fold.train)
        found = _predicted(
            self.regressor, permuted_targets(train, seed) if self.permuted else train, self.dataset, fold, seed
        )
        self.bench.put(name, log10=found.log10_mpa, spread=found.spread_log10)
        return found


def _predicted(
    regressor: Regressor, train: TransferDataset, dataset: TransferDataset, fold: Fold, seed: int
) -> Prediction:
    """Fit to a data set and predict what a fold of another one holds out."""
    blind = without_targets(dataset.select(fold.held_out))
    with single_thread():
        model = regressor.fit(train, np.arange(len(train)), seed)
        return model.predict(blind, np.arange(len(blind)))


def _predicted_from(
    regressor: Regressor, dataset: TransferDataset, split: Split, count: int, seed: int, bench: Workbench
) -> Prediction:
    """Every sample predicted by models that were trained on so many families."""
    log10, spread = np.full(len(dataset), np.nan), np.full(len(dataset), np.nan)
    for fold in split.folds:
        kept = bench.get(f"{seed}: {count}: {fold.name}")
        if kept is None:
            refuse_leak(dataset, fold)
            train = dataset.select(_of_families(dataset, fold.train, count, seed))
            made = _predicted(regressor, train, dataset, fold, seed)
            kept = {"log10": made.log10_mpa, "spread": made.spread_log10}
            bench.put(f"{seed}: {count}: {fold.name}", **kept)
        log10[fold.held_out], spread[fold.held_out] = kept["log10"], kept["spread"]
    return Prediction(log10_mpa=log10, spread_log10=spread)


def _of_families(dataset: TransferDataset, indices: IntArray, count: int, seed: int) -> IntArray:
    """Those of the samples that are of the first ``count`` families in a random order."""
    own = np.array(dataset.families)[indices]
    order = np.random.default_rng([seed, 2]).permutation(np.unique(own))
    return np.asarray(indices[np.isin(own, order[:count])])


def _family_count(dataset: TransferDataset, indices: IntArray) -> int:
    return len({dataset.families[int(index)] for index in indices})


def _key(
    regressor: Regressor, dataset: TransferDataset, split: str, folds: int, floor_mpa: float, permuted: bool
) -> str:
    """Digest of what decides the predictions, the code of the model included."""
    return request_key("transfer", _identity(regressor), content_sha256(dataset), split, folds, floor_mpa, permuted)


def _identity(regressor: Regressor) -> tuple[object, ...]:
    """What tells a model from others: name, settings and code, those of a recipe within it included."""
    own = type(regressor).__module__
    code = code_digest(own) if own.startswith(_PACKAGE) else ""
    named = (regressor.name, own, type(regressor).__qualname__, getattr(regressor, "settings_json", ""), code)
    inner = getattr(regressor, "recipe", None)
    return named if inner is None else (*named, _identity(inner))


def _refuse_unknown_stress(dataset: TransferDataset) -> None:
    unknown = [name for name, known in zip(dataset.potential_ids, _known(dataset), strict=True) if not known]
    if unknown:
        raise ConfigurationError(
            f"{len(unknown)} samples of {dataset.name!r} have no Peierls stress, e.g. {unknown[0]}",
            expected="a data set of which every stress is known",
            next_step="make it again with `glideflow transfer dataset`, which leaves them out",
        )


def _known(dataset: TransferDataset) -> Iterator[bool]:
    yield from (bool(np.isfinite(value)) for value in dataset.peierls_mpa)
