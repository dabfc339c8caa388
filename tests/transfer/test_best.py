"""The model `best`: its parts against refits, skill on the shipped library, files, and what it refuses."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow.config.transfer import TransferSettings
from glideflow.errors import PropertyError, StorageError
from glideflow.transfer.best import (
    POOLED,
    BestRegressor,
    FittedBest,
    chosen_names,
    fitted_prior,
    leave_one_out,
    sample_groups,
    study_log10_mpa,
)
from glideflow.transfer.best_features import LOG10_ENERGY_FACTOR, best_features
from glideflow.transfer.best_files import best_card, load_best, write_best
from glideflow.transfer.core_solutions import STUDIES
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.features import Features
from glideflow.transfer.gaussian_process_arrays import gaussian_process_to_arrays
from glideflow.transfer.models import FittedModel, Regressor
from glideflow.transfer.regressors import regressor
from glideflow.transfer.validation import validate

if not os.environ.get("CI"):
    pytest.importorskip("sklearn")

from sklearn.gaussian_process import GaussianProcessRegressor, kernels

Invented = Callable[..., TransferDataset]


@pytest.fixture(scope="module")
def hcp(shipped: TransferDataset) -> TransferDataset:
    return shipped.select(np.array([structure == "hcp" for structure in shipped.structures]))


@pytest.fixture(scope="module")
def fitted(hcp: TransferDataset) -> FittedBest:
    return BestRegressor().fit(hcp, np.arange(30), 0)


def test_it_is_a_model_of_the_harness(fitted: FittedBest) -> None:
    recipe = regressor("best", TransferSettings(floor_mpa=0.2))
    assert isinstance(recipe, Regressor)
    assert isinstance(fitted, FittedModel)
    assert isinstance(recipe, BestRegressor)
    assert recipe.floor_mpa == 0.2


def test_the_same_seed_gives_the_same_model_and_held_out_samples_are_not_read(
    hcp: TransferDataset, fitted: FittedBest
) -> None:
    rest = np.arange(30, len(hcp))
    expected = fitted.predict(hcp, rest)
    altered = hcp.peierls_mpa.copy()
    altered[rest] = 1e9
    found = BestRegressor().fit(replace(hcp, peierls_mpa=altered), np.arange(30), 0).predict(hcp, rest)
    np.testing.assert_array_equal(found.log10_mpa, expected.log10_mpa)
    np.testing.assert_array_equal(found.spread_log10, expected.spread_log10)
    other = BestRegressor().fit(hcp, np.arange(30), 1).predict(hcp, rest)
    assert np.abs(other.log10_mpa - expected.log10_mpa).max() > 0


def test_samples_left_out_are_predicted_as_by_a_process_without_them() -> None:
    """Eq. 5.12 of Rasmussen and Williams against 12 processes of the same kernel that lack one sample each."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(12, 2)), generator.normal(size=12)
    kernel = kernels.ConstantKernel(2.0) * kernels.RBF(1.5) + kernels.WhiteKernel(0.3)
    whole = GaussianProcessRegressor(kernel, optimizer=None).fit(x, y)
    mean, deviation = leave_one_out(gaussian_process_to_arrays(whole))
    for left in range(12):
        kept = np.arange(12) != left
        expected = (
            GaussianProcessRegressor(kernel, optimizer=None).fit(x[kept], y[kept]).predict(x[[left]], return_std=True)
        )
        np.testing.assert_allclose([mean[left], deviation[left]], np.ravel(expected), rtol=1e-9)


def test_the_study_and_its_two_numbers_are_found() -> None:
    """Of four studies in units of MPa, one is a power law of the target."""
    generator = np.random.default_rng(0)
    studies = [f"{name}: log10 stress / energy factor" for name in ("rows", "quarter", "layer", "staggered")]
    values = np.column_stack([np.full(20, 2.0), generator.uniform(-6, -2, (20, 4))])
    features = Features((LOG10_ENERGY_FACTOR, *studies), values)
    np.testing.assert_allclose(10 ** study_log10_mpa(features, "rows"), 10 ** values[:, 1] * 100e3)
    found = fitted_prior(features, 0.5 + 0.7 * (values[:, 3] + 5))
    assert (found.study, found.offset, found.slope) == ("layer", pytest.approx(0.5), pytest.approx(0.7))


def test_it_beats_the_metal_and_its_intervals_hold(hcp: TransferDataset) -> None:
    """Families that it has not seen. The bounds leave room for another machine, not for another model."""
    record = validate(BestRegressor(), hcp, "family", [0], folds=10)
    (scores,) = record.scores()
    assert scores.median_factor < 2.2
    assert scores.spearman > 0.7
    for level, share in zip(scores.levels, scores.coverage, strict=True):
        assert abs(share - level) < 0.17


def test_exchanged_stresses_leave_no_skill(hcp: TransferDataset) -> None:
    (scores,) = validate(BestRegressor(), hcp, "family", [0], folds=6, permuted=True).scores()
    assert scores.spearman < 0.35


def test_few_samples_of_a_structure_share_a_model() -> None:
    structures = ("fcc",) * 12 + ("bcc",) * 3
    groups = sample_groups(structures)
    assert groups.keys() == {"fcc", POOLED}
    assert [len(chosen) for chosen in groups.values()] == [12, 15]
    assert sample_groups(("fcc",) * 10 + ("hcp",) * 10).keys() == {"fcc", "hcp"}


def test_a_handful_of_samples_is_enough_for_a_model(hcp: TransferDataset) -> None:
    found = BestRegressor().fit(hcp, np.arange(4), 0).predict(hcp, np.arange(4, 8))
    assert np.isfinite(found.log10_mpa).all()
    assert np.all(found.spread_log10 > 0)


def test_an_unknown_structure_is_refused(hcp: TransferDataset, fitted: FittedBest) -> None:
    other = replace(hcp, structures=("bcc",) * len(hcp))
    with pytest.raises(PropertyError, match="a bcc sample for a model that was trained on hcp"):
        fitted.predict(other, np.arange(3))


def test_missing_features_are_refused(hcp: TransferDataset, fitted: FittedBest) -> None:
    features = best_features(hcp, np.arange(2))
    renamed = Features(("another", *features.names[1:]), features.values)
    with pytest.raises(PropertyError, match=r"1 features .* missing, e\.g\. 'log10 energy factor"):
        fitted.predict_features(renamed, ("hcp", "hcp"))


def test_studies_in_the_plane_count_where_cores_dissociate(shipped: TransferDataset) -> None:
    """On {111} of fcc there is a fault between two barriers, on {110} of bcc and on prism planes hardly any."""
    for structure, expected in (("fcc", True), ("bcc", False), ("hcp", False)):
        part = np.flatnonzero([each == structure for each in shipped.structures])
        names = chosen_names(best_features(shipped, part))
        assert any(name.startswith("plane ") and ": " in name for name in names) == expected
        assert any(name.startswith("rows: ") for name in names)


def test_only_studies_that_the_model_looks_at_are_solved(hcp: TransferDataset, fitted: FittedBest) -> None:
    """Cores with two components take as long as all others, and this model has no feature of them."""
    studies = [study for study in STUDIES if study in fitted.parts["hcp"].studies]
    assert {study.components for study in studies} == {1}
    few, all_ = (best_features(hcp, np.arange(30, 33), studies=chosen) for chosen in (studies, STUDIES))
    assert len(few.names) < len(all_.names)
    np.testing.assert_array_equal(few.values, all_.values[:, [all_.names.index(name) for name in few.names]])
    found = fitted.predict_features(few, ("hcp",) * 3)
    np.testing.assert_array_equal(found.log10_mpa, fitted.predict(hcp, np.arange(30, 33)).log10_mpa)


class TestFiles:
    @pytest.fixture
    @staticmethod
    def path(tmp_path: Path, hcp: TransferDataset, fitted: FittedBest) -> Path:
        write_best(tmp_path / "hcp.safetensors", fitted, best_card(hcp, np.arange(30), floor_mpa=0.1))
        return tmp_path / "hcp.safetensors"

    def test_a_model_comes_back_as_it_was(self, path: Path, hcp: TransferDataset, fitted: FittedBest) -> None:
        loaded, card = load_best(path)
        rest = np.arange(30, len(hcp))
        found, expected = loaded.predict(hcp, rest), fitted.predict(hcp, rest)
        np.testing.assert_array_equal(found.log10_mpa, expected.log10_mpa)
        np.testing.assert_array_equal(found.spread_log10, expected.spread_log10)
        assert (card.kind, card.structures, len(card.potential_ids)) == ("best", ("hcp",), 30)
        assert path.stat().st_size < 5e6

    def test_a_sample_takes_less_than_a_millisecond(self, path: Path, hcp: TransferDataset) -> None:
        loaded, _ = load_best(path)
        features = best_features(hcp, np.resize(np.arange(len(hcp)), 400))
        loaded.predict_features(features, ("hcp",) * 400)
        started = time.process_time()
        loaded.predict_features(features, ("hcp",) * 400)
        assert (time.process_time() - started) / 400 < 1e-3

    @pytest.mark.parametrize("lost", ["features", "prior", "calibration", "name"])
    def test_a_card_that_lacks_something_is_refused(self, path: Path, lost: str) -> None:
        from glideflow.transfer.artifacts import read_artifact, write_artifact

        arrays, card = read_artifact(path)
        (described,) = card.details["models"]
        del described[lost]
        write_artifact(path, arrays, replace(card, details={"models": [described]}))
        with pytest.raises(StorageError, match="does not hold the model"):
            load_best(path)

    def test_arrays_of_other_features_are_refused(self, path: Path) -> None:
        from glideflow.transfer.artifacts import read_artifact, write_artifact

        arrays, card = read_artifact(path)
        (described,) = card.details["models"]
        described["features"] = described["features"][:-1]
        write_artifact(path, arrays, replace(card, details={"models": [described]}))
        with pytest.raises(StorageError, match="different numbers of features"):
            load_best(path)

    def test_the_card_is_json_without_machine_words(self, path: Path) -> None:
        card = json.loads(path.with_suffix(".json").read_text())
        assert card["details"]["models"][0]["prior"]["study"] in {"rows", "quarter", "layer", "staggered"}
