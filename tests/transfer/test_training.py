"""Training: what it can learn, what it must not learn, and that data, settings and seed alone decide the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glideflow.config.network import NetworkSettings, TrainingSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import BusyError, ConvergenceError, DependencyError, PropertyError, StorageError
from glideflow.exclusive import Lock, try_lock
from glideflow.transfer.training import TrainedNetwork, fine_tuned, losses, train_networks
from glideflow.transfer.training_data import TrainingData, held_out_families

COMPACT = NetworkSettings(architecture="compact", channels=(4,), latent=8, hidden=8)
FAST = TrainingSettings(optimiser="adam", learning_rate=1e-2, fine_tuning_learning_rate=1e-2, epochs=6, batch_size=4)


def surfaces(count: int, seed: int = 0) -> TrainingData:
    """Sinusoidal γ surfaces of random height; the stress grows with the height, and falls with C44."""
    generator = np.random.default_rng(seed)
    height = 10 ** generator.uniform(1, 3, count)
    phase = 2 * np.pi * np.arange(31) / 31
    image = 2 - np.cos(phase)[:, None] - np.cos(phase)[None]
    elastic = generator.uniform(50, 300, (count, 6))
    return TrainingData(
        gamma_mj_m2=height[:, None, None] * image,
        elastic_gpa=elastic,
        log10_mpa=2 * np.log10(height) - np.log10(elastic[:, 3]),
        censored=np.zeros(count, dtype=bool),
        families=tuple(f"family {number // 2}" for number in range(count)),
    )


def mirrored(gamma: FloatArray, samples: IntArray, generator: np.random.Generator) -> FloatArray:
    """An augmentation: these surfaces are even, so that nothing is lost."""
    return np.where(generator.random((len(samples), 1, 1)) < 0.5, gamma, gamma[:, ::-1]) * generator.uniform(0.9, 1.1)


def same(first: TrainedNetwork, second: TrainedNetwork) -> bool:
    return all(np.array_equal(value, second.state[name]) for name, value in first.state.items())


def errors(member: TrainedNetwork, data: TrainingData) -> np.ndarray[Any, Any]:
    return np.asarray(member.log10_mpa(data.gamma_mj_m2, data.elastic_gpa) - data.log10_mpa)


class TestLearning:
    def test_ten_samples_are_learned_by_heart(self) -> None:
        data = surfaces(10)
        settings = FAST.model_copy(update={"epochs": 140, "validation_fraction": 0.0})
        (member,) = train_networks(data, COMPACT, settings, [1])
        assert np.abs(errors(member, data)).max() < 0.05 * data.log10_mpa.std()

    def test_the_papers_network_learns_ten_samples_by_heart(self) -> None:
        data = surfaces(10)
        settings = TrainingSettings(
            epochs=25,
            validation_fraction=0.0,
            learning_rate=1e-2,
            fine_tuning_learning_rate=1e-3,
            batch_size=10,
        )
        (member,) = train_networks(data, NetworkSettings(), settings, [1])
        assert member.train_loss[-1] < 0.02 * member.train_loss[0]

    def test_families_that_it_never_saw_are_predicted(self) -> None:
        data, unseen = surfaces(40), surfaces(20, seed=1)
        settings = FAST.model_copy(update={"epochs": 40})
        (member,) = train_networks(data, COMPACT, settings, [1])
        assert np.std(errors(member, unseen)) < 0.5 * unseen.log10_mpa.std()

    def test_permuted_targets_teach_nothing(self) -> None:
        data, unseen = surfaces(40), surfaces(20, seed=1)
        shuffled = replace(data, log10_mpa=np.random.default_rng(3).permutation(data.log10_mpa))
        settings = FAST.model_copy(update={"epochs": 40})
        (member,) = train_networks(shuffled, COMPACT, settings, [1])
        assert np.std(errors(member, unseen)) > 0.8 * unseen.log10_mpa.std()

    def test_divergence_is_told(self) -> None:
        settings = TrainingSettings(learning_rate=10.0, fine_tuning_learning_rate=10.0, epochs=50)
        with pytest.raises(ConvergenceError, match="seed 1 diverged"):
            train_networks(surfaces(20), COMPACT, settings, [1])


class TestLosses:
    OUTPUT = torch.tensor([-1.0, 1.0, -1.0, 1.0, 3.0])
    CENSORED = torch.tensor([True, True, False, False, False])

    def of(self, kind: Any, rule: Any) -> list[float]:
        found = losses(self.OUTPUT, torch.zeros(5), self.CENSORED, kind=kind, rule=rule)
        return [float(value) for value in found]

    def test_predictions_below_a_bound_cost_nothing(self) -> None:
        assert self.of("squared", "one_sided") == [0.0, 1.0, 1.0, 1.0, 9.0]

    def test_a_bound_taken_for_the_value(self) -> None:
        assert self.of("squared", "bound") == [1.0, 1.0, 1.0, 1.0, 9.0]

    def test_huber_grows_linearly(self) -> None:
        assert self.of("huber", "bound") == [0.5, 0.5, 0.5, 0.5, 2.5]

    def test_censored_samples_pull_downwards_only(self) -> None:
        data = surfaces(12)
        bounds = replace(data, log10_mpa=np.full(12, 3.0), censored=np.arange(12) > 0)
        settings = FAST.model_copy(update={"epochs": 1, "validation_fraction": 0.0})
        low = replace(bounds, log10_mpa=np.where(bounds.censored, 3.0, -1.0))
        (member,) = train_networks(low, COMPACT, settings.model_copy(update={"epochs": 100}), [1])
        assert np.abs(errors(member, low)[0]) < 0.2  # the one measured value
        assert errors(member, low)[1:].mean() < -0.3  # bounds do not hold the others up


class TestDeterminism:
    def test_members_do_not_influence_each_other(self) -> None:
        data = surfaces(14)
        together = train_networks(data, COMPACT, FAST, [5, 6], augment=mirrored)
        alone = [train_networks(data, COMPACT, FAST, [seed], augment=mirrored)[0] for seed in (5, 6)]
        assert all(same(*pair) for pair in zip(together, alone, strict=True))
        assert not same(*together)

    def test_batched_members_agree_with_single_ones_to_rounding(self) -> None:
        data = surfaces(14)
        settings = FAST.model_copy(update={"batched": True})
        single, batched = (train_networks(data, COMPACT, each, [5, 6, 7]) for each in (FAST, settings))
        for one, other in zip(single, batched, strict=True):
            assert one.held_out_families == other.held_out_families
            assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
            assert errors(other, data) == pytest.approx(errors(one, data), abs=1e-3)

    def test_batch_normalisation_of_batched_members_agrees(self) -> None:
        data = surfaces(6)
        settings = TrainingSettings(epochs=1, batch_size=6, validation_fraction=0.0)
        single, batched = (
            train_networks(data, NetworkSettings(), settings.model_copy(update={"batched": flag}), [1, 2])
            for flag in (False, True)
        )
        for one, other in zip(single, batched, strict=True):
            for name in ("bn1.running_var", "layer4.1.bn2.running_mean", "bn1.num_batches_tracked"):
                stored = f"image.resnet.{name}"
                assert other.state[stored] == pytest.approx(one.state[stored], rel=1e-4, abs=1e-5)

    def test_frozen_parts_keep_weights_and_statistics(self) -> None:
        data = surfaces(6)
        settings = TrainingSettings(epochs=1, batch_size=3, validation_fraction=0.0, frozen=("image", "elastic"))
        (before,) = train_networks(data, NetworkSettings(), settings, [1])
        (after,) = fine_tuned([before], data, settings.model_copy(update={"epochs": 2}))
        moved = {
            name.partition(".")[0]
            for name, value in before.state.items()
            if not np.array_equal(value, after.state[name])
        }
        assert moved == {"projection", "head"}
        assert after.initialised_from == "fine-tuned from seed 1, random"


@pytest.mark.gpu
class TestGpu:
    """pytest -m gpu tests/transfer/test_training.py"""

    @pytest.fixture(autouse=True)
    def device(self) -> None:
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")

    @pytest.mark.parametrize("batched", [False, True])
    @pytest.mark.parametrize("network", [COMPACT, NetworkSettings()])
    def test_the_first_epoch_is_that_of_the_cpu(self, network: NetworkSettings, batched: bool) -> None:
        data = surfaces(12)
        settings = TrainingSettings(epochs=2, batch_size=12, batched=batched, validation_fraction=0.0)
        on_gpu = settings.model_copy(update={"device": "cuda"})
        host, device = (train_networks(data, network, each, [1, 2]) for each in (settings, on_gpu))
        for one, other in zip(host, device, strict=True):
            assert other.train_loss == pytest.approx(one.train_loss, rel=1e-2)

    def test_a_resumed_training_agrees_with_the_uninterrupted_one(self, tmp_path: Path) -> None:
        data, file = surfaces(14), tmp_path / "state.safetensors"
        settings = EACH_EPOCH.model_copy(update={"device": "cuda"})
        (whole,) = train_networks(data, COMPACT, settings, [1])
        with pytest.raises(Killed):
            train_networks(data, COMPACT, settings, [1], checkpoint=file, progress=kill_at(3))
        (parts,) = train_networks(data, COMPACT, settings, [1], checkpoint=file)
        assert parts.train_loss == pytest.approx(whole.train_loss, rel=1e-4)


def test_a_missing_gpu_is_told() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DependencyError, match="set device: cpu"):
        train_networks(surfaces(4), COMPACT, FAST.model_copy(update={"device": "cuda"}), [1])


class TestEarlyStopping:
    def test_whole_families_are_held_out(self) -> None:
        families = surfaces(40).families
        held_out = held_out_families(families, 0.2, np.random.default_rng(0))
        assert 8 <= held_out.sum() <= 9
        assert not {f for f, out in zip(families, held_out, strict=True) if out} & {
            f for f, out in zip(families, held_out, strict=True) if not out
        }

    def test_one_family_is_left(self) -> None:
        assert not held_out_families(["a"] * 5, 0.5, np.random.default_rng(0)).any()

    def test_the_best_weights_are_kept_and_training_stops(self) -> None:
        data = surfaces(20)
        settings = FAST.model_copy(update={"epochs": 60, "patience": 3, "learning_rate": 0.2})
        (member,) = train_networks(data, COMPACT, settings, [2])
        assert len(member.validation_loss) < 60
        assert member.best_epoch == int(np.argmin(member.validation_loss))
        assert len(member.validation_loss) == member.best_epoch + 1 + 3
        inside = np.isin(data.families, member.held_out_families)
        found = np.mean((errors(member, data)[inside] / member.scaling.target_scale) ** 2)
        assert found == pytest.approx(member.validation_loss.min(), rel=1e-4)

    def test_scaling_knows_the_training_part_only(self) -> None:
        data = surfaces(20)
        (member,) = train_networks(data, COMPACT, FAST, [2])
        kept = ~np.isin(data.families, member.held_out_families)
        assert member.scaling.target_mean == pytest.approx(data.log10_mpa[kept].mean())
        assert member.scaling.gamma_scale_mj_m2 == pytest.approx(data.gamma_mj_m2[kept].std())


class Killed(BaseException):
    """A signal, as far as the training is concerned."""


def kill_at(epoch: int) -> Any:
    def progress(stage: str, done: float, total: float) -> None:
        if done == epoch:
            raise Killed

    return progress


EACH_EPOCH = FAST.model_copy(update={"checkpoint_interval_s": 0.0, "patience": 2, "learning_rate": 0.1})


class TestResuming:
    @pytest.mark.parametrize("batched", [False, True])
    @pytest.mark.parametrize("optimiser", ["sgd", "adam"])
    def test_a_resumed_training_is_the_uninterrupted_one(self, optimiser: str, batched: bool, tmp_path: Path) -> None:
        data, file = surfaces(14), tmp_path / "state.safetensors"
        settings = EACH_EPOCH.model_copy(update={"optimiser": optimiser, "batched": batched})
        whole = train_networks(data, COMPACT, settings, [1, 2], augment=mirrored)
        for epoch in (2, 4):
            with pytest.raises(Killed):
                train_networks(
                    data, COMPACT, settings, [1, 2], augment=mirrored, checkpoint=file, progress=kill_at(epoch)
                )
        parts = train_networks(data, COMPACT, settings, [1, 2], augment=mirrored, checkpoint=file)
        for one, other in zip(whole, parts, strict=True):
            assert same(one, other)
            assert np.array_equal(one.validation_loss, other.validation_loss)
            assert one.best_epoch == other.best_epoch

    def test_the_papers_network_resumes_too(self, tmp_path: Path) -> None:
        data, file = surfaces(6), tmp_path / "state.safetensors"
        settings = TrainingSettings(epochs=2, batch_size=5, checkpoint_interval_s=0.0)
        (whole,) = train_networks(data, NetworkSettings(), settings, [1])
        with pytest.raises(Killed):
            train_networks(data, NetworkSettings(), settings, [1], checkpoint=file, progress=kill_at(2))
        (resumed,) = train_networks(data, NetworkSettings(), settings, [1], checkpoint=file)
        assert same(whole, resumed)

    @pytest.fixture
    def interrupted(self, tmp_path: Path) -> Path:
        file = tmp_path / "state.safetensors"
        with pytest.raises(Killed):
            train_networks(surfaces(14), COMPACT, EACH_EPOCH, [1], checkpoint=file, progress=kill_at(3))
        return file

    def test_another_data_set_is_refused(self, interrupted: Path) -> None:
        with pytest.raises(StorageError, match="another training: data_sha256 was"):
            train_networks(surfaces(14, seed=1), COMPACT, EACH_EPOCH, [1], checkpoint=interrupted)

    def test_other_settings_are_refused_by_name(self, interrupted: Path) -> None:
        settings = EACH_EPOCH.model_copy(update={"learning_rate": 0.2})
        with pytest.raises(StorageError, match=r"training\.learning_rate was 0\.1, is 0\.2"):
            train_networks(surfaces(14), COMPACT, settings, [1], checkpoint=interrupted)

    def test_another_seed_is_refused(self, interrupted: Path) -> None:
        with pytest.raises(StorageError, match=r"seeds was \[1\], is \[2\]"):
            train_networks(surfaces(14), COMPACT, EACH_EPOCH, [2], checkpoint=interrupted)

    def test_a_torn_checkpoint_is_refused(self, interrupted: Path) -> None:
        interrupted.write_bytes(interrupted.read_bytes()[:-20])
        with pytest.raises(StorageError, match="shorter or longer"):
            train_networks(surfaces(14), COMPACT, EACH_EPOCH, [1], checkpoint=interrupted)

    def test_starting_anew_ignores_it(self, interrupted: Path) -> None:
        interrupted.write_bytes(b"nonsense")
        train_networks(surfaces(14), COMPACT, EACH_EPOCH, [1], checkpoint=interrupted, resume=False)

    def test_two_processes_do_not_share_a_checkpoint(self, tmp_path: Path) -> None:
        lock = try_lock(tmp_path / "state.safetensors.lock")
        assert isinstance(lock, Lock)
        with pytest.raises(BusyError, match="another process trains"):
            train_networks(surfaces(14), COMPACT, FAST, [1], checkpoint=tmp_path / "state.safetensors")
        lock.release()


class TestRefusals:
    def test_unknown_stresses_are_refused(self) -> None:
        data = surfaces(4)
        with pytest.raises(PropertyError, match="log10_mpa is not finite for 1 of 4"):
            replace(data, log10_mpa=np.array([1.0, np.nan, 2.0, 3.0]))

    def test_one_sample_is_too_few(self) -> None:
        with pytest.raises(PropertyError, match="1 samples"):
            train_networks(surfaces(1), NetworkSettings(), FAST, [1])

    def test_everything_frozen_is_refused(self) -> None:
        settings = FAST.model_copy(update={"frozen": ("image", "projection", "elastic", "head")})
        with pytest.raises(PropertyError, match="frozen"):
            train_networks(surfaces(8), COMPACT, settings, [1])
