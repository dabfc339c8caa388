"""Forests and Gaussian processes as arrays predict what scikit-learn predicts."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glideflow.errors import StorageError
from glideflow.transfer.forest_arrays import ForestArrays, forest_to_arrays
from glideflow.transfer.gaussian_process_arrays import GaussianProcess, covariance, gaussian_process_to_arrays

if not os.environ.get("CI"):
    pytest.importorskip("sklearn")

from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor, kernels


def samples(count: int, seed: int = 0) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, 5))
    return inputs, np.sin(inputs[:, 0]) + inputs[:, 1] ** 2 + 0.1 * generator.normal(size=count)


class TestForest:
    @pytest.fixture(scope="class", params=[RandomForestRegressor, ExtraTreesRegressor])
    @staticmethod
    def forest(request: pytest.FixtureRequest) -> Any:
        return request.param(60, random_state=0).fit(*samples(80))

    def test_predictions_are_those_of_scikit_learn(self, forest: Any) -> None:
        arrays = ForestArrays.from_arrays(forest_to_arrays(forest).to_arrays())
        unseen = samples(50, seed=1)[0]
        # Values on a threshold go left, and inputs are compared in single precision.
        unseen[:5, arrays.feature[arrays.roots[:5]]] = arrays.threshold[arrays.roots[:5]]
        mean, spread = arrays.predict(unseen)
        trees = np.array([tree.predict(unseen) for tree in forest.estimators_])
        assert mean == pytest.approx(forest.predict(unseen), rel=1e-12)
        assert spread == pytest.approx(trees.std(axis=0), rel=1e-9)

    def test_a_single_leaf_is_a_forest(self) -> None:
        forest = RandomForestRegressor(2, random_state=0).fit(np.zeros((4, 5)), np.full(4, 3.0))
        mean, spread = forest_to_arrays(forest).predict(np.ones((2, 5)))
        assert mean == pytest.approx([3.0, 3.0])
        assert spread == pytest.approx([0.0, 0.0])

    def test_a_sample_takes_less_than_a_millisecond(self) -> None:
        forest = RandomForestRegressor(300, random_state=0).fit(*samples(230))
        arrays, unseen = forest_to_arrays(forest), samples(500, seed=1)[0]
        arrays.predict(unseen)

        def cpu_s() -> float:
            started = time.process_time()
            arrays.predict(unseen)
            return time.process_time() - started

        assert min(cpu_s() for _ in range(5)) / len(unseen) < 1e-3

    @pytest.mark.parametrize(
        "change",
        [
            {"left": lambda arrays: np.zeros_like(arrays.left)},  # a walk without an end
            {"right": lambda arrays: arrays.right + 10_000},
            {"feature": lambda arrays: arrays.feature + 5},
            {"roots": lambda arrays: arrays.roots - 1},
            {"value": lambda arrays: arrays.value * np.nan},
            {"threshold": lambda arrays: arrays.threshold[:-1]},
            {"roots": lambda arrays: arrays.roots[:0]},
        ],
    )
    def test_what_is_no_forest_is_refused(self, forest: Any, change: dict[str, Any]) -> None:
        arrays = forest_to_arrays(forest)
        changed = {name: make(arrays) for name, make in change.items()}
        with pytest.raises(StorageError, match="no forest"):
            replace(arrays, **changed)

    def test_another_number_of_features_is_refused(self, forest: Any) -> None:
        with pytest.raises(StorageError, match=r"expected: \(m, 5\)"):
            forest_to_arrays(forest).predict(np.zeros((3, 4)))


KERNELS = [
    kernels.ConstantKernel(2.0) * kernels.RBF([1.0, 2.0, 0.7, 3.0, 1.0]) + kernels.WhiteKernel(0.1),
    kernels.ConstantKernel(2.0) * kernels.Matern(1.5, nu=2.5) + kernels.WhiteKernel(0.05),
    kernels.Matern(1.5, nu=1.5) + kernels.Matern(2.0, nu=0.5) + kernels.WhiteKernel(0.05),
    kernels.RationalQuadratic(1.5, alpha=0.7) + kernels.DotProduct(0.5) + kernels.WhiteKernel(0.2),
]


class TestGaussianProcess:
    @pytest.mark.parametrize("kernel", KERNELS)
    @pytest.mark.parametrize("normalised", [True, False])
    def test_predictions_are_those_of_scikit_learn(self, kernel: Any, normalised: bool) -> None:
        process = GaussianProcessRegressor(kernel, normalize_y=normalised, optimizer=None).fit(*samples(40))
        plain = GaussianProcess.from_arrays(gaussian_process_to_arrays(process).to_arrays())
        unseen = samples(20, seed=1)[0]
        mean, spread = plain.predict(unseen)
        expected = process.predict(unseen, return_std=True)
        assert mean == pytest.approx(expected[0], rel=1e-9, abs=1e-10)
        assert spread == pytest.approx(expected[1], rel=1e-7)

    def test_covariances_are_those_of_scikit_learn(self) -> None:
        first, second = samples(4)[0], samples(3, seed=2)[0]
        for kernel in KERNELS:
            fitted = GaussianProcessRegressor(kernel, optimizer=None).fit(*samples(6))
            plain = gaussian_process_to_arrays(fitted)
            assert covariance(plain.kernel, first, second) == pytest.approx(kernel(first, second), rel=1e-12)

    def test_a_kernel_that_cannot_be_written_is_refused(self) -> None:
        process = GaussianProcessRegressor(kernels.ExpSineSquared(), alpha=10.0, optimizer=None).fit(*samples(10))
        with pytest.raises(StorageError, match="ExpSineSquared"):
            gaussian_process_to_arrays(process)

    @pytest.mark.parametrize(
        "kernel",
        [b"", b"[]", b'{"kind": "eval"}', b'{"kind": "rbf", "lengths": [1, 2]}', b'{"kind": "sum"}', b"{" * 9999],
    )
    def test_a_hostile_kernel_is_refused(self, kernel: bytes) -> None:
        process = GaussianProcessRegressor(KERNELS[0], optimizer=None).fit(*samples(10))
        arrays = gaussian_process_to_arrays(process).to_arrays()
        with pytest.raises(StorageError):
            GaussianProcess.from_arrays(arrays | {"kernel": np.frombuffer(kernel, dtype=np.uint8)})

    def test_a_kernel_that_nests_too_deeply_is_refused(self) -> None:
        kernel: dict[str, Any] = {"kind": "white", "noise": 1.0}
        for _ in range(40):
            kernel = {"kind": "sum", "left": kernel, "right": kernel}
        with pytest.raises(StorageError, match="32 times"):
            covariance(kernel, np.zeros((1, 1)), np.zeros((1, 1)))

    def test_missing_arrays_are_refused(self) -> None:
        process = GaussianProcessRegressor(KERNELS[0], optimizer=None).fit(*samples(10))
        arrays = gaussian_process_to_arrays(process).to_arrays()
        del arrays["alpha"]
        with pytest.raises(StorageError, match="alpha"):
            GaussianProcess.from_arrays(arrays)
