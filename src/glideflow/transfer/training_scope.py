"""One model of all crystal structures, or one of each: Supplementary Fig. 13 of the physics-transfer paper.

Both are trained in the same folds of a data set that holds all structures, and scored structure by structure, so that
what differs is the training alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from glideflow.config.transfer import TransferSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.transfer.best import BestRegressor
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.metrics import mean_interval
from glideflow.transfer.models import FittedModel, Prediction, Regressor
from glideflow.transfer.regressors import regressor
from glideflow.transfer.validation import ValidationRecord

TOGETHER, APART = "together", "apart"
SCOPES: Mapping[str, tuple[str, ...]] = {TOGETHER: (TOGETHER,), APART: (APART,), "both": (TOGETHER, APART)}
"""What `--training` may say, and the models that it makes of each."""


@dataclass(frozen=True)
class Apart:
    """A recipe that is trained on each crystal structure apart.

    Attributes:
        recipe: the recipe.
    """

    recipe: Regressor

    @property
    def name(self) -> str:
        """Name in tables."""
        return scoped_name(self.recipe.name, APART)

    @property
    def uses_seed(self) -> bool:
        """Whether anything of it is random."""
        return bool(getattr(self.recipe, "uses_seed", True))

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Train a model of each structure."""
        own = np.array(dataset.structures)[indices]
        return _FittedApart(
            {str(name): self.recipe.fit(dataset, indices[own == name], seed) for name in np.unique(own)}
        )


@dataclass(frozen=True)
class Together:
    """A recipe that makes one model of all structures, under a name that says so.

    Attributes:
        recipe: the recipe.
    """

    recipe: Regressor

    @property
    def name(self) -> str:
        """Name in tables."""
        return scoped_name(self.recipe.name, TOGETHER)

    @property
    def uses_seed(self) -> bool:
        """Whether anything of it is random."""
        return bool(getattr(self.recipe, "uses_seed", True))

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        """Train one model."""
        return self.recipe.fit(dataset, indices, seed)


@dataclass(frozen=True)
class _FittedApart:
    models: Mapping[str, FittedModel]

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        """Predict samples, each by the model of its structure."""
        own = np.array(dataset.structures)[indices]
        log10, spread = np.full(len(own), np.nan), np.full(len(own), np.nan)
        for name in np.unique(own):
            if str(name) not in self.models:
                raise PropertyError(
                    f"a {name} sample for models of {', '.join(sorted(self.models))}",
                    expected="structures that were trained on",
                    next_step="hold out less at a time: of every structure something has to be left to train on",
                )
            chosen = own == name
            found = self.models[str(name)].predict(dataset, indices[chosen])
            log10[chosen], spread[chosen] = found.log10_mpa, found.spread_log10
        return Prediction(log10_mpa=log10, spread_log10=spread)


@dataclass(frozen=True, kw_only=True)
class ScopeRow:
    """Both ways of training a model, on the samples of one structure.

    Attributes:
        model: name of the model.
        split: what was held out together.
        structure: the structure.
        samples: samples scored.
        families: their families.
        seeds: runs.
        together_factor: median factor error of one model of all structures, mean over the seeds.
        apart_factor: of one model of each structure.
        ratio: mean error of training together over that of training apart, as a factor: 10^⟨|error together| - |error
            apart|⟩ over samples and seeds. Above 1, training together is worse.
        ratio_low: lower end of its 90 % interval by the bootstrap over families.
        ratio_high: upper end.
    """

    model: str
    split: str
    structure: str
    samples: int
    families: int
    seeds: int
    together_factor: float
    apart_factor: float
    ratio: float
    ratio_low: float
    ratio_high: float


def scoped_name(model: str, scope: str) -> str:
    """Name of a model in tables, e.g. ``ridge, together``."""
    return f"{model}, {scope}"


def scoped_regressors(names: Sequence[str], settings: TransferSettings, training: str) -> list[Regressor]:
    """Recipes of models that are trained on all structures together, on each apart, or both.

    Args:
        names: names of models.
        settings: as for `regressor`.
        training: ``together``, ``apart`` or ``both``.

    Raises:
        ConfigurationError: there is no such way of training, or no such model.
    """
    if training not in SCOPES:
        raise ConfigurationError(
            f"the training {training!r}", expected=", ".join(SCOPES), next_step="correct --training"
        )
    return [_scoped(name, settings, scope) for name, scope in product(names, SCOPES[training])]


def scope_rows(records: Sequence[ValidationRecord]) -> tuple[ScopeRow, ...]:
    """Both ways of training side by side, for every model, split and structure that was validated in both."""
    found = {(record.model, record.split): record for record in records if not record.control}
    names = [(own.removesuffix(f", {TOGETHER}"), split) for own, split in found if own.endswith(f", {TOGETHER}")]
    pairs = [
        (name, found[scoped_name(name, TOGETHER), split], _in_split(found, scoped_name(name, APART), split))
        for name, split in names
    ]
    return tuple(
        _row(name, together, apart, structure)
        for name, together, apart in pairs
        if apart is not None
        for structure in sorted(set(together.structures))
    )


def _in_split(found: Mapping[tuple[str, str], ValidationRecord], model: str, split: str) -> ValidationRecord | None:
    """The validation of a model in a split; if it has others only by family, one of these, to be refused."""
    kind = "metal" in split
    alike = [record for (own, other), record in found.items() if own == model and ("metal" in other) == kind]
    return found.get((model, split)) or (alike[0] if alike else None)


def _scoped(name: str, settings: TransferSettings, scope: str) -> Regressor:
    recipe = regressor(name, settings)
    if scope == APART:
        return Apart(recipe)
    # By itself the model `best` has a part for each structure.
    return Together(replace(recipe, pooled=True) if isinstance(recipe, BestRegressor) else recipe)


def _row(model: str, together: ValidationRecord, apart: ValidationRecord, structure: str) -> ScopeRow:
    _refuse_different_samples(together, apart)
    chosen = np.array([own == structure for own in together.structures])
    families = [family for family, own in zip(together.families, chosen, strict=True) if own]
    difference = _mean_error(together)[chosen] - _mean_error(apart)[chosen]
    low, high = mean_interval(difference, families)
    return ScopeRow(
        model=model,
        split=together.split,
        structure=structure,
        samples=int(chosen.sum()),
        families=len(set(families)),
        seeds=len(together.runs),
        together_factor=_factor(together, structure),
        apart_factor=_factor(apart, structure),
        ratio=float(10 ** difference.mean()),
        ratio_low=10**low,
        ratio_high=10**high,
    )


def _mean_error(record: ValidationRecord) -> FloatArray:
    """(n,) |error| of log₁₀, means over the seeds."""
    return np.asarray(np.mean([np.abs(record.errors_log10(run)) for run in range(len(record.runs))], axis=0))


def _factor(record: ValidationRecord, structure: str) -> float:
    return float(np.mean([each.median_factor for each in record.scores(structure)]))


def _refuse_different_samples(together: ValidationRecord, apart: ValidationRecord) -> None:
    same_folds = [run.folds for run in together.runs] == [run.folds for run in apart.runs]
    if together.dataset_sha256 != apart.dataset_sha256 or not same_folds:
        raise ConfigurationError(
            f"{together.model} and {apart.model} were validated on other samples or folds",
            expected="the same samples, folds and seeds",
            next_step="validate both in one call: glideflow transfer validate --group joint --training both",
        )
