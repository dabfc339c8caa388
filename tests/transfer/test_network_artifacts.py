"""Files of models: what was written comes back, and anything else is refused with its reason."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from glideflow.config.network import NetworkSettings, TrainingSettings
from glideflow.config.transfer import TransferDataSettings
from glideflow.errors import StorageError
from glideflow.tensor_files import read_tensors, write_tensors
from glideflow.transfer.artifacts import (
    ModelCard,
    card_of,
    card_path,
    read_artifact,
    read_forest,
    read_gaussian_process,
    write_artifact,
    write_forest,
    write_gaussian_process,
)
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.calibration import Calibration
from glideflow.transfer.dataset import FLOOR_MPA, TransferDataset
from glideflow.transfer.ensemble import NetworkEnsemble, NetworkRegressor
from glideflow.transfer.ensemble_files import ensemble_card, read_ensemble, write_ensemble
from glideflow.transfer.forest_arrays import forest_to_arrays
from glideflow.transfer.gaussian_process_arrays import gaussian_process_to_arrays

RECIPE = NetworkRegressor(
    network=NetworkSettings(architecture="compact", channels=(4,), latent=8, hidden=8),
    training=TrainingSettings(optimiser="adam", epochs=3, batch_size=4),
    members=2,
)
EVERY = np.arange(10)


@pytest.fixture(scope="module")
def dataset() -> TransferDataset:
    return group_dataset("fcc", TransferDataSettings()).select(EVERY)


@pytest.fixture(scope="module")
def ensemble(dataset: TransferDataset) -> NetworkEnsemble:
    return RECIPE.fit(dataset, EVERY, seed=0)


@pytest.fixture(scope="module")
def card(dataset: TransferDataset, ensemble: NetworkEnsemble) -> ModelCard:
    metrics = {"median_factor": 2.5, "spearman": float("nan")}
    return ensemble_card(
        ensemble, dataset, EVERY, name=RECIPE.name, floor_mpa=FLOOR_MPA, split="leave one family out", metrics=metrics
    )


@pytest.fixture
def file(ensemble: NetworkEnsemble, card: ModelCard, tmp_path: Path) -> Path:
    path = tmp_path / "fcc.safetensors"
    write_ensemble(path, ensemble, card)
    return path


class TestEnsembles:
    def test_an_ensemble_predicts_the_same_after_a_journey(
        self, file: Path, ensemble: NetworkEnsemble, dataset: TransferDataset
    ) -> None:
        again, card = read_ensemble(file)
        before, after = ensemble.predict(dataset, EVERY), again.predict(dataset, EVERY)
        assert np.array_equal(after.log10_mpa, before.log10_mpa)
        assert np.array_equal(after.spread_log10, before.spread_log10)
        assert [member.seed for member in again.members] == [member.seed for member in ensemble.members]
        assert card.initialised_from == ("random",)

    def test_calibrated_intervals_come_back_infinite_ones_too(
        self, file: Path, ensemble: NetworkEnsemble, card: ModelCard
    ) -> None:
        calibration = Calibration(
            method="conformal", offset_log10=0.2, slope=1.5, levels=(0.5, 0.95), factors=(0.7, np.inf), residuals=12
        )
        write_ensemble(file, ensemble.calibrated(calibration), card)
        assert read_ensemble(file)[0].calibration == calibration

    def test_the_card_says_what_it_is(self, file: Path, dataset: TransferDataset) -> None:
        content = json.loads(card_path(file).read_text(encoding="utf-8"))
        assert content["structures"] == ["fcc"]
        assert content["licence"] == "MIT"
        assert content["families"] == list(dataset.families)
        assert content["library_sha256"] == dataset.library_sha256
        assert content["metrics"] == {"median_factor": 2.5, "spearman": None}
        assert content["input_ranges"]["c11_gpa"] == [dataset.elastic_gpa[:, 0].min(), dataset.elastic_gpa[:, 0].max()]
        assert {"glideflow", "torch", "numpy"} <= content["versions"].keys()
        assert content["tensors_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()

    def test_equal_content_gives_equal_bytes(
        self, file: Path, ensemble: NetworkEnsemble, card: ModelCard, tmp_path: Path
    ) -> None:
        write_ensemble(tmp_path / "other.safetensors", ensemble, card)
        assert (tmp_path / "other.safetensors").read_bytes() == file.read_bytes()
        assert (tmp_path / "other.json").read_bytes() == card_path(file).read_bytes()


def flip(position: int) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        at = position % len(content)
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return change


class TestRefusals:
    @pytest.mark.parametrize(
        "change", [flip(-1), flip(5), flip(100), lambda c: c[:-8], lambda c: c + b"0", lambda c: b""]
    )
    def test_changed_arrays_are_refused(self, file: Path, change: Callable[[bytes], bytes]) -> None:
        file.write_bytes(change(file.read_bytes()))
        with pytest.raises(StorageError, match=r"damaged|SHA-256"):
            read_ensemble(file)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"fcc"', '"bcc"'),
            ('"random"', '"ImageNet"'),
            ('"median_factor": 2.5', '"median_factor": 1.5'),
            ('"depth": 18', '"depth": 34'),
            ('"licence": "MIT"', '"licence": "none"'),
        ],
    )
    def test_a_changed_card_is_refused(self, file: Path, old: str, new: str) -> None:
        text = card_path(file).read_text(encoding="utf-8")
        assert old in text
        card_path(file).write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(StorageError, match="not what was written"):
            read_ensemble(file)

    def test_the_card_of_other_arrays_is_refused(self, file: Path, dataset: TransferDataset, tmp_path: Path) -> None:
        other = tmp_path / "other.safetensors"
        trained = RECIPE.fit(dataset, EVERY, seed=1)
        write_ensemble(other, trained, ensemble_card(trained, dataset, EVERY, name="other", floor_mpa=FLOOR_MPA))
        card_path(other).replace(card_path(file))
        with pytest.raises(StorageError, match="is another model's"):
            read_ensemble(file)

    def test_a_missing_card_is_refused(self, file: Path) -> None:
        card_path(file).unlink()
        with pytest.raises(StorageError, match="keep the two files"):
            read_ensemble(file)

    def test_arrays_of_another_architecture_are_refused(self, file: Path, card: ModelCard) -> None:
        arrays, written = read_artifact(file)
        network = {**written.details["network"], "latent": 9}
        write_artifact(file, arrays, ModelCard(**{**vars(written), "details": {**written.details, "network": network}}))
        with pytest.raises(StorageError, match="does not hold the networks"):
            read_ensemble(file)

    def test_another_kind_of_model_is_refused(self, file: Path) -> None:
        with pytest.raises(StorageError, match="expected: forest"):
            read_forest(file)

    def test_other_endings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match=r"ends in \.safetensors"):
            read_artifact(tmp_path / "model.pkl")

    @pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b"[" * 100_000, b'{"schema": 1}', b"\xff"])
    def test_what_is_no_card_is_refused(self, file: Path, content: bytes) -> None:
        card_path(file).write_bytes(content)
        with pytest.raises(StorageError, match="no card of a model"):
            read_ensemble(file)


def tensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


class TestHostileHeaders:
    @pytest.mark.parametrize(
        "content",
        [
            b"\xff" * 8,  # a header of 16 EiB
            struct.pack("<Q", 2**40) + b"{}",
            tensors(b"{"),
            tensors(b"[1, 2]"),
            tensors(b"[" * 200_000),
            tensors({"a": entry([2**40, 2**20], 0, 2**62)}),  # promises exabytes
            tensors({"a": entry([4], 0, 16)}, b"0" * 8),
            tensors({"a": entry([4], 0, 8)}, b"0" * 8),
            tensors({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, b"0" * 12),  # one above the other
            tensors({"a": entry([-2], 0, 8)}, b"0" * 8),
            tensors({"a": entry([2], 0, 8, "PICKLE")}, b"0" * 8),
            tensors({"a": {"dtype": "F32"}}),
            tensors({"a": 3}),
            tensors({"__metadata__": [1], "a": entry([2], 0, 8)}, b"0" * 8),
            tensors({str(number): entry([0], 0, 0) for number in range(51_000)}),
        ],
    )
    def test_they_are_refused_before_anything_is_allocated(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "hostile.safetensors"
        path.write_bytes(content)
        with pytest.raises(StorageError, match="damaged or no safetensors file"):
            read_tensors(path, kind="a model")

    def test_a_large_file_is_refused_by_its_size(self, tmp_path: Path) -> None:
        path = tmp_path / "large.safetensors"
        write_tensors(path, {"a": np.zeros(1000)}, {})
        with pytest.raises(StorageError, match="more than 4096 bytes"):
            read_tensors(path, kind="a model", largest_bytes=4096)

    def test_arrays_of_every_shape_come_back(self, tmp_path: Path) -> None:
        path = tmp_path / "arrays.safetensors"
        arrays = {
            "number": np.array(3.5),
            "none": np.zeros((0, 3)),
            "transposed": np.arange(6.0).reshape(2, 3).T,
            "truth": np.array([True, False]),
            "whole": np.array([1, -2], dtype=np.int32),
        }
        digest = write_tensors(path, arrays, {"b": "2", "a": "ü"})
        file = read_tensors(path, kind="a model")
        assert file.sha256 == digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.metadata == {"a": "ü", "b": "2"}
        for name, values in arrays.items():
            assert file.arrays[name].dtype == values.dtype
            assert np.array_equal(file.arrays[name], values)


class TestPlainModels:
    @pytest.fixture(scope="class")
    @staticmethod
    def samples(dataset: TransferDataset) -> tuple[Any, Any]:
        return dataset.elastic_gpa / 100, np.log10(dataset.peierls_mpa + 0.1)

    def test_a_forest_comes_back(self, dataset: TransferDataset, samples: tuple[Any, Any], tmp_path: Path) -> None:
        forest = RandomForestRegressor(20, random_state=0).fit(*samples)
        made = card_of(dataset, EVERY, name="forest", kind="forest", floor_mpa=FLOOR_MPA)
        write_forest(tmp_path / "forest.safetensors", forest_to_arrays(forest), made)
        again, card = read_forest(tmp_path / "forest.safetensors")
        assert again.predict(samples[0])[0] == pytest.approx(forest.predict(samples[0]), rel=1e-12)
        assert card.kind == "forest"

    def test_a_gaussian_process_comes_back(
        self, dataset: TransferDataset, samples: tuple[Any, Any], tmp_path: Path
    ) -> None:
        process = GaussianProcessRegressor(RBF() + WhiteKernel(0.1), normalize_y=True, optimizer=None).fit(*samples)
        made = card_of(dataset, EVERY, name="process", kind="gaussian process", floor_mpa=FLOOR_MPA)
        write_gaussian_process(tmp_path / "gp.safetensors", gaussian_process_to_arrays(process), made)
        again, _ = read_gaussian_process(tmp_path / "gp.safetensors")
        assert again.predict(samples[0])[0] == pytest.approx(process.predict(samples[0]), rel=1e-9)

    def test_arrays_that_are_no_forest_are_refused(self, dataset: TransferDataset, tmp_path: Path) -> None:
        made = card_of(dataset, EVERY, name="forest", kind="forest", floor_mpa=FLOOR_MPA)
        write_artifact(tmp_path / "forest.safetensors", {"roots": np.zeros(1)}, made)
        with pytest.raises(StorageError, match="a forest without"):
            read_forest(tmp_path / "forest.safetensors")
