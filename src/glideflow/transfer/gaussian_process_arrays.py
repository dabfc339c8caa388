"""Gaussian processes as plain arrays and a kernel in JSON: no pickle to store, no scikit-learn to predict.

Source: C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press, 2006), algorithm 2.1:
mean = k*ᵀ α with α = K⁻¹ y, variance = k** - ‖L⁻¹ k*‖² with the Cholesky factor L of K.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import StorageError

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

Kernel = Mapping[str, Any]
"""A kernel as JSON: ``kind`` and its hyperparameters, or ``left`` and ``right`` of a ``sum`` or ``product``."""

_DEEPEST = 32
_SMOOTHNESS = (0.5, 1.5, 2.5)


@dataclass(frozen=True, kw_only=True)
class GaussianProcess:
    """A fitted Gaussian process with one target.

    Attributes:
        kernel: its kernel with fitted hyperparameters.
        inputs: (n, F) training inputs.
        cholesky: (n, n) lower factor of K + noise.
        alpha: (n,) weights of the training samples.
        target_mean: mean of the targets that was taken off.
        target_scale: scale by which they were divided.
    """

    kernel: Kernel
    inputs: FloatArray
    cholesky: FloatArray
    alpha: FloatArray
    target_mean: float
    target_scale: float

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together, and unknown kernels.

        Raises:
            StorageError: they do not.
        """
        count = len(self.alpha)
        shapes = (self.inputs.ndim == 2, len(self.inputs) == count, self.cholesky.shape == (count, count))
        finite = all(np.isfinite(values).all() for values in (self.inputs, self.cholesky, self.alpha))
        if not (all(shapes) and finite and count and np.all(np.diag(self.cholesky) > 0)):
            raise StorageError(
                f"arrays of {count} samples are no Gaussian process",
                expected="training inputs, a Cholesky factor and weights of the same samples, all finite",
                next_step="get the file again",
            )
        covariance(self.kernel, self.inputs[:1], self.inputs[:1])

    def predict(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation, noise of the kernel included.

        Args:
            inputs: (m, F) inputs.

        Returns:
            (m,) means, (m,) standard deviations.

        Raises:
            StorageError: another number of inputs.
        """
        from scipy.linalg import solve_triangular

        if inputs.ndim != 2 or inputs.shape[1] != self.inputs.shape[1]:
            raise StorageError(f"inputs of shape {inputs.shape}", expected=f"(m, {self.inputs.shape[1]})")
        across = covariance(self.kernel, inputs, self.inputs)  # (m, n)
        solved = solve_triangular(self.cholesky, across.T, lower=True)
        variance = np.maximum(prior_variance(self.kernel, inputs) - (solved**2).sum(axis=0), 0.0)
        return self.target_mean + self.target_scale * (across @ self.alpha), self.target_scale * np.sqrt(variance)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name; the kernel as the bytes of its JSON."""
        return {
            "inputs": self.inputs,
            "cholesky": self.cholesky,
            "alpha": self.alpha,
            "target": np.array([self.target_mean, self.target_scale]),
            "kernel": np.frombuffer(json.dumps(self.kernel, sort_keys=True).encode(), dtype=np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> GaussianProcess:
        """A process from what `to_arrays` gave.

        Raises:
            StorageError: an array is missing, or they are no Gaussian process.
        """
        try:
            kernel = json.loads(arrays["kernel"].tobytes())
            mean, scale = (float(value) for value in np.asarray(arrays["target"], dtype=np.float64))
            parts = {name: np.asarray(arrays[name], dtype=np.float64) for name in ("inputs", "cholesky", "alpha")}
            return cls(kernel=kernel, target_mean=mean, target_scale=scale, **parts)
        except (AttributeError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise StorageError(
                f"the arrays are no Gaussian process: {error!s:.200}", expected="what `to_arrays` gives"
            ) from error


def gaussian_process_to_arrays(process: GaussianProcessRegressor) -> GaussianProcess:
    """Arrays of a fitted Gaussian process of scikit-learn with one target.

    Raises:
        StorageError: its kernel is built from parts that cannot be written.
    """
    return GaussianProcess(
        kernel=kernel_to_json(process.kernel_),
        inputs=np.asarray(process.X_train_, dtype=np.float64),
        cholesky=np.asarray(process.L_, dtype=np.float64),
        alpha=np.asarray(process.alpha_, dtype=np.float64).reshape(len(process.X_train_)),
        target_mean=float(np.ravel(process._y_train_mean)[0]),
        target_scale=float(np.ravel(process._y_train_std)[0]),
    )


def kernel_to_json(kernel: Any) -> dict[str, Any]:  # noqa: ANN401 - scikit-learn ships no types
    """A kernel of scikit-learn as JSON.

    Raises:
        StorageError: it is none of sum, product, constant, white noise, RBF, Matérn 1/2, 3/2 or 5/2, rational
            quadratic and dot product.
    """
    name = type(kernel).__name__
    match name:
        case "Sum" | "Product":
            return {"kind": name.lower(), "left": kernel_to_json(kernel.k1), "right": kernel_to_json(kernel.k2)}
        case "ConstantKernel":
            return {"kind": "constant", "value": float(kernel.constant_value)}
        case "WhiteKernel":
            return {"kind": "white", "noise": float(kernel.noise_level)}
        case "RBF":
            return {"kind": "rbf", "lengths": _lengths(kernel.length_scale)}
        case "Matern" if kernel.nu in _SMOOTHNESS:
            return {"kind": "matern", "lengths": _lengths(kernel.length_scale), "nu": float(kernel.nu)}
        case "RationalQuadratic":
            return {"kind": "rational", "lengths": _lengths(kernel.length_scale), "alpha": float(kernel.alpha)}
        case "DotProduct":
            return {"kind": "dot", "offset": float(kernel.sigma_0)}
    raise StorageError(f"the kernel {kernel}", expected="one that is built of known parts", next_step="choose others")


def _lengths(scale: Any) -> list[float]:  # noqa: ANN401 - a number or an array
    return [float(value) for value in np.atleast_1d(scale)]


def covariance(kernel: Kernel, first: FloatArray, second: FloatArray) -> FloatArray:
    """Covariances (m, n) between different samples (m, F) and (n, F); white noise adds nothing to them.

    Raises:
        StorageError: the kernel is not known, or nested too deeply.
    """
    return np.asarray(_covariance(kernel, first, second, _DEEPEST), dtype=np.float64)


def _covariance(kernel: Kernel, first: FloatArray, second: FloatArray, depth: int) -> FloatArray:
    kind = kernel.get("kind") if depth else None
    match kind:
        case "sum" | "product":
            parts = [_covariance(kernel[side], first, second, depth - 1) for side in ("left", "right")]
            return parts[0] + parts[1] if kind == "sum" else parts[0] * parts[1]
        case "constant":
            return np.full((len(first), len(second)), float(kernel["value"]))
        case "white":
            return np.zeros((len(first), len(second)))
        case "dot":
            return first @ second.T + float(kernel["offset"]) ** 2
        case "rbf" | "matern" | "rational":
            return _stationary(kernel, _distances(first, second, kernel["lengths"]))
    raise StorageError(f"a kernel of the kind {kind!r:.80}", expected="a known kind, nested 32 times at most")


def _stationary(kernel: Kernel, distance: FloatArray) -> FloatArray:
    """Kernels of the distance in lengths of the kernel."""
    if kernel["kind"] == "rbf":
        return np.asarray(np.exp(-0.5 * distance**2))
    if kernel["kind"] == "rational":
        alpha = float(kernel["alpha"])
        return np.asarray((1 + distance**2 / (2 * alpha)) ** -alpha)
    nu = float(kernel["nu"])
    scaled = np.sqrt(2 * nu) * distance
    polynomials = {0.5: 1.0, 1.5: 1 + scaled, 2.5: 1 + scaled + scaled**2 / 3}
    if nu not in polynomials:
        raise StorageError(f"a Matérn kernel with ν = {nu}", expected="1/2, 3/2 or 5/2")
    return np.asarray(polynomials[nu] * np.exp(-scaled))


def _distances(first: FloatArray, second: FloatArray, lengths: Sequence[float]) -> FloatArray:
    """(n, m) distances of (n, F) and (m, F) in units of the lengths; SciPy's take longer to import than to compute."""
    scale = np.asarray(lengths, dtype=np.float64)
    if scale.shape not in ((1,), (first.shape[1],)) or not np.all(scale > 0):
        raise StorageError(f"{scale.size} lengths of a kernel", expected=f"1 or {first.shape[1]} positive numbers")
    square = np.zeros((len(first), len(second)))
    for one, other in zip((first / scale).T, (second / scale).T, strict=True):
        square += (one[:, None] - other) ** 2
    return np.sqrt(square)


def prior_variance(kernel: Kernel, inputs: FloatArray) -> FloatArray:
    """(m,) variance of each sample (m, F) before anything is known of it, white noise included."""
    kind = kernel["kind"]
    if kind in ("sum", "product"):
        left, right = (prior_variance(kernel[side], inputs) for side in ("left", "right"))
        return left + right if kind == "sum" else left * right
    if kind == "dot":
        return np.asarray((inputs**2).sum(axis=1) + float(kernel["offset"]) ** 2)
    level = {"constant": "value", "white": "noise"}.get(str(kind))
    return np.full(len(inputs), float(kernel[level]) if level else 1.0)
