"""Ensembles on samples of the shipped library: mean and spread, recipes, equivalents of images, tuning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glideflow.config.network import FineTuningSettings, NetworkSettings, TrainingSettings
from glideflow.config.transfer import TransferDataSettings
from glideflow.errors import PropertyError
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.augmentation import layer_groups, transformed_images
from glideflow.transfer.calibration import calibrate
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.ensemble import NetworkEnsemble, NetworkRegressor, combined, member_seeds
from glideflow.transfer.models import FittedModel, Regressor
from glideflow.transfer.training_data import EquivalentImages, training_data

COMPACT = NetworkSettings(architecture="compact", channels=(4,), latent=8, hidden=8)
FAST = TrainingSettings(optimiser="adam", learning_rate=1e-2, fine_tuning_learning_rate=1e-2, epochs=8, batch_size=4)
RECIPE = NetworkRegressor(network=COMPACT, training=FAST, members=3)


@pytest.fixture(scope="module")
def dataset() -> TransferDataset:
    return group_dataset("fcc", TransferDataSettings()).select(np.arange(14))


@pytest.fixture(scope="module")
def train() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(0, 14, 2)


@pytest.fixture(scope="module")
def ensemble(dataset: TransferDataset, train: np.ndarray[tuple[int], np.dtype[np.int64]]) -> NetworkEnsemble:
    return RECIPE.fit(dataset, train, seed=0)


def test_recipe_and_ensemble_are_what_the_validation_takes(ensemble: NetworkEnsemble) -> None:
    assert isinstance(RECIPE, Regressor)
    assert isinstance(ensemble, FittedModel)
    assert RECIPE.name == "compact x 3"
    assert NetworkRegressor().name == "paper ResNet-18 x 5"


def test_mean_and_spread_are_those_of_the_members(dataset: TransferDataset, ensemble: NetworkEnsemble) -> None:
    indices = np.array([1, 5, 9])
    found = ensemble.predict(dataset, indices)
    members = ensemble.member_log10_mpa(dataset, indices)
    assert members.shape == (3, 3)
    assert found.log10_mpa == pytest.approx(members.mean(axis=0), rel=1e-12)
    assert found.spread_log10 == pytest.approx(np.sqrt(((members - members.mean(axis=0)) ** 2).sum(axis=0) / 2))
    alone = NetworkEnsemble(members=ensemble.members[:1]).predict(dataset, indices)
    assert np.isnan(alone.spread_log10).all()


def test_samples_outside_of_the_training_part_are_not_read(
    dataset: TransferDataset, train: np.ndarray[tuple[int], np.dtype[np.int64]], ensemble: NetworkEnsemble
) -> None:
    held_out = np.setdiff1d(np.arange(len(dataset)), train)
    gamma, stresses = dataset.gamma_mj_m2.copy(), dataset.peierls_mpa.copy()
    gamma[held_out], stresses[held_out] = np.nan, np.nan
    blind = RECIPE.fit(replace(dataset, gamma_mj_m2=gamma, peierls_mpa=stresses), train, seed=0)
    expected = ensemble.predict(dataset, held_out)
    assert np.array_equal(blind.predict(dataset, held_out).log10_mpa, expected.log10_mpa)


def test_unknown_stresses_in_the_training_part_are_refused(dataset: TransferDataset) -> None:
    unknown = replace(dataset, peierls_mpa=np.full(len(dataset), np.nan))
    with pytest.raises(PropertyError, match="leave these samples out"):
        training_data(unknown, np.arange(3))


def test_seeds_of_members_do_not_depend_on_their_number() -> None:
    assert member_seeds(3, range(5))[:3] == member_seeds(3, [0, 1, 2])
    assert len(set(member_seeds(3, range(100))) | set(member_seeds(4, range(100)))) == 200


def test_calibration_turns_spreads_into_widths(dataset: TransferDataset, ensemble: NetworkEnsemble) -> None:
    every = np.arange(len(dataset))
    calibration = calibrate(ensemble.predict(dataset, every), target_log10(dataset))
    before, after = ensemble.predict(dataset, every), ensemble.calibrated(calibration).predict(dataset, every)
    assert np.array_equal(after.log10_mpa, before.log10_mpa)
    assert np.all(after.spread_log10 >= calibration.offset_log10)


class TestEquivalentImages:
    def test_they_are_the_same_surfaces(self, dataset: TransferDataset) -> None:
        every = np.arange(len(dataset))
        images = EquivalentImages(dataset, every)(dataset.gamma_mj_m2, every, np.random.default_rng(0))
        tolerance = 3 * dataset.gamma_error_mj_m2.max() + 1e-3 * dataset.gamma_mj_m2.max()
        for original, image in zip(dataset.gamma_mj_m2, images, strict=True):
            assert image[0, 0] == pytest.approx(original[0, 0], abs=tolerance)  # the perfect lattice stays where it is
            assert image.max() == pytest.approx(original.max(), rel=0.02)
            assert image.mean() == pytest.approx(original.mean(), rel=1e-3)

    def test_they_differ_from_epoch_to_epoch(self, dataset: TransferDataset) -> None:
        every = np.arange(len(dataset))
        make = EquivalentImages(dataset, every)
        first, second = (make(dataset.gamma_mj_m2, every, np.random.default_rng(seed)) for seed in (0, 1))
        assert not np.allclose(first, second, atol=1.0)

    def test_shifted_images_hold_the_same_numbers(self, dataset: TransferDataset) -> None:
        one = np.array([3])
        shifted = EquivalentImages(dataset, one, shifted=True)
        plain = EquivalentImages(dataset, one)
        gamma = dataset.gamma_mj_m2[one]
        for seed in range(5):
            moved = shifted(gamma, np.array([0]), np.random.default_rng(seed))
            stayed = plain(gamma, np.array([0]), np.random.default_rng(seed))
            assert np.array_equal(np.sort(moved.ravel()), np.sort(stayed.ravel()))
            assert np.abs(moved[0, :, 1:] - moved[0, :, :-1]).max() <= np.abs(np.diff(gamma, axis=2)).max() * 1.05


def test_predictions_do_not_change_under_the_symmetry_of_the_layer(
    dataset: TransferDataset, ensemble: NetworkEnsemble
) -> None:
    """Operations of the layer group leave γ as it is, so that what changes is the noise of γ and its interpolation."""
    every = np.arange(len(dataset))
    expected = ensemble.predict(dataset, every).log10_mpa
    (group,) = layer_groups(dataset).values()
    for operation in group:
        images = transformed_images(dataset.gamma_mj_m2, dataset.cell_angstrom, operation)
        found = ensemble.predict(replace(dataset, gamma_mj_m2=images), every).log10_mpa
        assert found == pytest.approx(expected, abs=1e-4)


class TestTuning:
    SHOTS = FineTuningSettings(optimiser="adam", epochs=60, learning_rate=1e-2)

    def test_shots_are_learned_and_the_original_stays(
        self, dataset: TransferDataset, ensemble: NetworkEnsemble
    ) -> None:
        shots = np.array([1, 3])
        shifted = replace(dataset, peierls_mpa=dataset.peierls_mpa * 10)
        before = ensemble.predict(dataset, shots).log10_mpa
        tuned = ensemble.tuned(shifted, shots, self.SHOTS)
        target = target_log10(shifted).log10_mpa[shots]
        after = tuned.predict(dataset, shots).log10_mpa
        assert np.abs(after - target).max() < 0.5 * np.abs(before - target).max()
        assert np.array_equal(ensemble.predict(dataset, shots).log10_mpa, before)
        assert tuned.members[0].initialised_from.startswith("fine-tuned from seed")

    def test_one_shot_is_enough_where_the_convolutions_are_frozen(
        self, dataset: TransferDataset, ensemble: NetworkEnsemble
    ) -> None:
        tuned = ensemble.tuned(dataset, np.array([1]), self.SHOTS)
        moved = {
            name.partition(".")[0]
            for name, value in ensemble.members[0].state.items()
            if not np.array_equal(value, tuned.members[0].state[name])
        }
        assert moved == {"projection", "elastic", "head"}


def test_members_that_were_trained_apart_are_combined(ensemble: NetworkEnsemble) -> None:
    parts = [NetworkEnsemble(members=(member,)) for member in ensemble.members]
    assert combined(parts).members == ensemble.members
    with pytest.raises(PropertyError, match="each once"):
        combined([*parts, parts[0]])
