"""One model of all structures against one of each, in the same folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from glideflow.config.transfer import TransferSettings
from glideflow.crystals.lattices import IntArray
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.reporting.figures.training_scope import scope_ratios
from glideflow.reporting.transfer_training import scope_cells, scope_markdown, scope_section
from glideflow.transfer.best import POOLED
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.metrics import mean_interval
from glideflow.transfer.models import FittedModel, Prediction
from glideflow.transfer.training_scope import Apart, Together, scope_rows, scoped_regressors
from glideflow.transfer.validation import ValidationRecord, validate

Invented = Callable[..., TransferDataset]


@dataclass(frozen=True)
class Mean:
    """The mean of all training samples."""

    name: str = "mean"
    uses_seed: bool = False

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        return FittedMean(float(target_log10(dataset.select(indices)).log10_mpa.mean()))


@dataclass(frozen=True)
class FittedMean:
    value: float

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        return Prediction(log10_mpa=np.full(len(indices), self.value), spread_log10=np.full(len(indices), 0.1))


@pytest.fixture(scope="module")
def two_structures(invented: Invented) -> TransferDataset:
    """Twenty samples of 1 MPa in fcc, and twenty of 100 MPa in bcc."""
    samples = invented(40)
    odd = np.arange(40) % 2 == 1
    return replace(
        samples,
        structures=tuple("bcc" if each else "fcc" for each in odd),
        peierls_mpa=np.where(odd, 100.0, 1.0),
        name="joint",
    )


@pytest.fixture(scope="module")
def records(two_structures: TransferDataset) -> list[ValidationRecord]:
    recipes = (Together(Mean()), Apart(Mean()))
    return [validate(recipe, two_structures, "family", [0, 1], folds=4) for recipe in recipes]


def test_apart_knows_each_structure_and_together_their_mean(records: list[ValidationRecord]) -> None:
    together, apart = records
    assert (together.model, apart.model) == ("mean, together", "mean, apart")
    for run in apart.runs:
        np.testing.assert_allclose(run.log10_mpa, apart.target_log10_mpa, atol=1e-12)
    for run in together.runs:
        np.testing.assert_allclose(run.log10_mpa, 1.0, atol=0.1)  # folds need not have as many of both


def test_rows_compare_the_same_samples(records: list[ValidationRecord]) -> None:
    rows = scope_rows(records)
    assert [(row.model, row.structure, row.samples) for row in rows] == [("mean", "bcc", 20), ("mean", "fcc", 20)]
    for row in rows:
        assert row.apart_factor == pytest.approx(1)
        assert row.together_factor == pytest.approx(10, rel=0.2)
        assert row.ratio == pytest.approx(row.together_factor, rel=0.1)
        assert row.ratio_low <= row.ratio <= row.ratio_high
    assert scope_rows(records[:1]) == ()


def test_splits_are_not_mixed(records: list[ValidationRecord]) -> None:
    """Of one file with both splits, each has rows of its own, and the table says which is which."""
    names = ("10 folds by family", "leave one metal out")
    both = [replace(record, split=name) for name in names for record in records]
    rows = scope_rows(both)
    assert [(row.split, row.structure) for row in rows] == [(name, own) for name in names for own in ("bcc", "fcc")]
    assert [cells[0] for cells in scope_cells(rows)][::2] == [f"mean, {name}" for name in names]
    assert scope_cells(scope_rows(records))[0][0] == "mean"


def test_other_folds_are_refused(records: list[ValidationRecord], two_structures: TransferDataset) -> None:
    other = validate(Apart(Mean()), two_structures, "family", [0, 1], folds=5)
    with pytest.raises(ConfigurationError, match="other samples or folds"):
        scope_rows([records[0], other])


def test_a_structure_that_was_not_trained_on_is_refused(two_structures: TransferDataset) -> None:
    fcc, bcc = (np.flatnonzero([own == name for own in two_structures.structures]) for name in ("fcc", "bcc"))
    fitted = Apart(Mean()).fit(two_structures, fcc, 0)
    with pytest.raises(PropertyError, match="a bcc sample"):
        fitted.predict(two_structures, bcc)


def test_best_trained_together_has_one_part(two_structures: TransferDataset) -> None:
    together, apart = scoped_regressors(["best"], TransferSettings(), "both")
    assert isinstance(together, Together)
    assert getattr(together.recipe, "pooled")  # noqa: B009 - a protocol does not have it
    assert apart.name == "best, apart"
    with pytest.raises(ConfigurationError, match="'alone'"):
        scoped_regressors(["best"], TransferSettings(), "alone")
    assert POOLED not in two_structures.structures


def test_the_mean_is_known_as_well_as_families_tell() -> None:
    """Of n equal families with values ±1, the mean has the deviation 1/√n: 90 % lie within 1.645 of these."""
    values = np.tile([1.0, -1.0], 200)
    low, high = mean_interval(values, [f"F{k}" for k in range(400)])
    assert (low, high) == pytest.approx((-1.645 / 20, 1.645 / 20), abs=0.02)
    low, high = mean_interval(values, [f"F{k // 2}" for k in range(400)])
    assert (low, high) == (0, 0)  # every family has the mean 0


def test_table_and_figure_hold_every_row(records: list[ValidationRecord]) -> None:
    rows = scope_rows(records)
    assert scope_markdown(rows).count("\n") == 4
    (trace,) = scope_ratios(rows).data
    np.testing.assert_allclose(trace.x, [row.ratio for row in rows])
    np.testing.assert_allclose(np.subtract(trace.x, trace.error_x.arrayminus), [row.ratio_low for row in rows])
    assert "both ways" in scope_ratios(()).layout.annotations[0].text
    assert scope_section(rows).tables[0].rows[0][0] == "mean"
