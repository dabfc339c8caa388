"""The harness: what a model gets to see, resuming, controls and curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from glideflow.errors import ConfigurationError
from glideflow.storage import read_record, write_record
from glideflow.transfer.baselines import baseline
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.models import Prediction
from glideflow.transfer.splits import LeakedSampleError
from glideflow.transfer.summary import markdown, summarise
from glideflow.transfer.validation import (
    PERMUTED,
    LearningCurves,
    Validations,
    learning_curve,
    permuted_targets,
    validate,
)

Invented = Callable[..., TransferDataset]


@dataclass
class Spy:
    """Nearest neighbour in the height of γ, which notes what it is shown; a memory of everything that it has seen."""

    name: str = "spy"
    fits: list[tuple[str, ...]] = field(default_factory=list)
    shown: list[TransferDataset] = field(default_factory=list)
    fails_after: int = 10_000

    def fit(self, dataset: TransferDataset, indices: np.ndarray, seed: int) -> Spy:
        if len(self.fits) >= self.fails_after:
            raise KeyboardInterrupt
        self.fits.append(dataset.select(indices).potential_ids)
        self._train = dataset.select(indices)
        return self

    def predict(self, dataset: TransferDataset, indices: np.ndarray) -> Prediction:
        part = dataset.select(indices)
        self.shown.append(part)
        own, other = (np.log10(each.gamma_mj_m2.max(axis=(1, 2))) for each in (part, self._train))
        nearest = np.abs(own[:, None] - other).argmin(axis=1)
        values = target_log10(self._train).log10_mpa[nearest]
        return Prediction(log10_mpa=values, spread_log10=np.full(len(values), np.nan))


def test_a_model_sees_no_target_and_no_relative_of_what_it_predicts(invented: Invented) -> None:
    dataset, spy = invented(12, relatives=2), Spy()
    found = validate(spy, dataset, "family", [0])
    families = dict(zip(dataset.potential_ids, dataset.families, strict=True))
    assert len(spy.fits) == 6
    for trained, shown in zip(spy.fits, spy.shown, strict=True):
        assert np.isnan(shown.peierls_mpa).all()
        assert not {families[name] for name in trained} & set(shown.families)
    (run,) = found.runs
    assert np.isfinite(run.log10_mpa).all()
    np.testing.assert_array_equal(run.trained_on, np.full(12, 10))
    assert run.folds == dataset.families
    np.testing.assert_array_equal(found.target_log10_mpa, target_log10(dataset).log10_mpa)


def test_a_leaked_family_stops_the_validation(invented: Invented) -> None:
    dataset = invented(12)
    copy = {n: getattr(dataset, n).copy() for n in ("gamma_mj_m2", "cell_angstrom", "elastic_gpa")}
    for array in copy.values():
        array[3] = array[0]
    spy = Spy()
    with pytest.raises(LeakedSampleError, match="P000 is held out and P003"):
        validate(spy, replace(dataset, **copy), "family", [0])
    assert not spy.fits


def test_an_interrupted_validation_goes_on(tmp_path: Path, invented: Invented) -> None:
    dataset = invented(12)
    first = Spy(fails_after=5)
    with pytest.raises(KeyboardInterrupt):
        validate(first, dataset, "family", [0, 1], work=tmp_path)
    second = Spy()
    resumed = validate(second, dataset, "family", [0, 1], work=tmp_path)
    assert len(second.fits) == 2 * 12 - 5
    whole = validate(Spy(), dataset, "family", [0, 1])
    for one, other in zip(resumed.runs, whole.runs, strict=True):
        np.testing.assert_array_equal(one.log10_mpa, other.log10_mpa)
    changed = replace(dataset, peierls_mpa=dataset.peierls_mpa * 1.1)
    third = Spy()
    validate(third, changed, "family", [0], work=tmp_path)
    assert len(third.fits) == 12  # nothing of other data is taken


def test_permuted_targets_leave_no_skill(invented: Invented) -> None:
    """The same model on the same folds: skill with the stresses where they belong, none with exchanged ones."""
    dataset = invented(60)
    real = validate(Spy(), dataset, "family", [0], folds=6)
    control = validate(Spy(), dataset, "family", [0, 1, 2], folds=6, permuted=True)
    assert control.control == PERMUTED
    assert real.scores()[0].spearman > 0.95
    assert np.mean([each.spearman for each in control.scores()]) < 0.25
    assert max(each.r2_log10 for each in control.scores()) < 0.1
    assert np.mean([each.median_factor for each in control.scores()]) > 2 * real.scores()[0].median_factor


def test_permuting_exchanges_stresses_and_nothing_else(invented: Invented) -> None:
    dataset = invented(20)
    found = permuted_targets(dataset, 1)
    assert sorted(found.peierls_mpa) == sorted(dataset.peierls_mpa)
    assert not np.array_equal(found.peierls_mpa, dataset.peierls_mpa)
    np.testing.assert_array_equal(found.gamma_mj_m2, dataset.gamma_mj_m2)


def test_seeds_count_only_where_something_is_random(invented: Invented) -> None:
    dataset, recipe = invented(12, noise=0.3), baseline("classical_pn_fit")
    assert len(validate(recipe, dataset, "family", [0, 1, 2]).runs) == 1
    assert len(validate(recipe, dataset, "metal", [0, 1, 2], folds=4).runs) == 1
    drawn = validate(recipe, dataset, "family", [0, 1], folds=4)
    assert [run.seed for run in drawn.runs] == [0, 1]
    assert drawn.runs[0].folds != drawn.runs[1].folds
    (row,) = summarise([drawn])
    assert row.seeds == 2
    assert row.median_factor_deviation is not None
    assert row.median_factor_low <= drawn.scores()[0].median_factor <= row.median_factor_high


def test_learning_curves_fall(invented: Invented) -> None:
    found = learning_curve(Spy(), invented(60), [3, 12, 40, 400], [0, 1], folds=5)
    np.testing.assert_array_equal(found.families, [3, 12, 40])
    means = found.median_factor.mean(axis=1)
    assert means[0] > means[1] > means[2]
    assert found.spearman.shape == (3, 2)


def test_a_learning_curve_trains_on_so_many_families(invented: Invented) -> None:
    spy, dataset = Spy(), invented(24, relatives=2)
    learning_curve(spy, dataset, [4, 6], [0], folds=3)
    families = dict(zip(dataset.potential_ids, dataset.families, strict=True))
    counts = [len({families[name] for name in trained}) for trained in spy.fits]
    assert counts == [4] * 3 + [6] * 3
    assert all(set(few) < set(many) for few, many in zip(spy.fits[:3], spy.fits[3:], strict=True))
    with pytest.raises(ConfigurationError, match="3 folds leave"):
        learning_curve(spy, dataset, [40], [0], folds=3)


def test_a_learning_curve_keeps_finished_folds(tmp_path: Path, invented: Invented) -> None:
    dataset, first, again = invented(24), Spy(), Spy()
    found = learning_curve(first, dataset, [4, 6], [0], folds=3, work=tmp_path)
    repeated = learning_curve(again, dataset, [4, 6, 8], [0], folds=3, work=tmp_path)
    assert (len(first.fits), len(again.fits)) == (6, 3), "only what is new is trained"
    np.testing.assert_array_equal(repeated.median_factor[:2], found.median_factor)


def test_records_and_tables(tmp_path: Path, invented: Invented) -> None:
    dataset = invented(12, noise=0.2)
    structures = ("fcc",) * 6 + ("bcc",) * 6
    joint = replace(dataset, structures=structures)
    records = tuple(validate(baseline(name), joint, "family", [0]) for name in ("metal_mean", "classical_pn_fit"))
    written = Validations(dataset="joint", protocol="reference", library_name="test", records=records)
    write_record(tmp_path / "v.h5", written)
    found = read_record(tmp_path / "v.h5", Validations)
    rows = summarise(found.records)
    assert [(row.model, row.structure, row.samples) for row in rows] == [
        ("metal_mean", "", 12),
        ("metal_mean", "bcc", 6),
        ("metal_mean", "fcc", 6),
        ("classical_pn_fit", "", 12),
        ("classical_pn_fit", "bcc", 6),
        ("classical_pn_fit", "fcc", 6),
    ]
    assert rows == summarise(records)
    table = markdown(rows).splitlines()
    assert len(table) == 8
    assert len({line.count("|") for line in table}) == 1
    curves = LearningCurves(dataset="joint", curves=(learning_curve(Spy(), dataset, [3], [0], folds=3),))
    write_record(tmp_path / "c.h5", curves)
    assert read_record(tmp_path / "c.h5", LearningCurves).curves[0].families.tolist() == [3]


def test_samples_without_a_stress_cannot_be_validated(invented: Invented) -> None:
    dataset = invented(6)
    with pytest.raises(ConfigurationError, match="6 samples"):
        validate(Spy(), replace(dataset, peierls_mpa=np.full(6, np.nan)), "family", [0])
