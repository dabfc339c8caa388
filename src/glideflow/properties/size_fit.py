"""Extrapolation of a quantity from finite cells: y = y∞ + A/H + B/L by weighted least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.crystals.lattices import FloatArray

_RANK_TOLERANCE = 1e-3
"""Two columns whose directions differ by less are not told apart: sizes within a per mille are the same size."""

_BISECTIONS = 60


@dataclass(frozen=True)
class SizeFit:
    """A fit of y∞ + A/H + B/L.

    Attributes:
        infinite: y∞.
        height_coefficient: A in units of y times Å; None if the heights do not determine it.
        length_coefficient: B in units of y times Å; None if the lengths do not determine it.
        residual: root of the weighted sum of the squared residuals per degree of freedom; 0 if there is none left.
        degrees_of_freedom: number of values less the number of parameters.
    """

    infinite: float
    height_coefficient: float | None
    length_coefficient: float | None
    residual: float
    degrees_of_freedom: int


def fit_sizes(
    heights_angstrom: FloatArray, lengths_angstrom: FloatArray, values: FloatArray, errors: FloatArray
) -> SizeFit | None:
    """Fit values (n,) from cells of these heights (n,) and lengths (n,), weighted by their errors (n,).

    To the variance of each value that of the law is added, as far as the residuals show one.

    A column that the cells do not determine is left out, 1/L before 1/H: a series of one length says nothing of the
    limit of long cells, and its fit is then the limit at that length. Where the errors are equal the fit is the
    ordinary one.

    Returns:
        None for fewer than two values, or if neither heights nor lengths differ.
    """
    if len(values) < 2:
        return None
    inverse = {"height": 1.0 / heights_angstrom, "length": 1.0 / lengths_angstrom}
    names = _determined(inverse)
    if not names:
        return None
    design = np.stack([np.ones(len(values)), *(inverse[name] for name in names)], axis=1)  # (n, p)
    freedom = len(values) - design.shape[1]
    variances = errors**2 + _law_variance(design, values, errors, freedom)
    solution, left = _solve(design, values, variances)
    coefficients = dict(zip(names, (float(part) for part in solution[1:]), strict=True))
    return SizeFit(
        infinite=float(solution[0]),
        height_coefficient=coefficients.get("height"),
        length_coefficient=coefficients.get("length"),
        residual=_residual(left, variances, freedom),
        degrees_of_freedom=freedom,
    )


def _solve(design: FloatArray, values: FloatArray, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares: parameters (p,) and what they leave of the values (n,)."""
    weights = 1.0 / np.sqrt(variances)
    solution, *_ = np.linalg.lstsq(design * weights[:, None], values * weights, rcond=None)
    return np.asarray(solution, dtype=float), values - design @ solution


def _law_variance(design: FloatArray, values: FloatArray, errors: FloatArray, freedom: int) -> float:
    """Variance of the law itself, beside that of the values, by bisection.

    It is chosen such that the weighted sum of squared residuals equals the degrees of freedom (R. C. Paule, J. Mandel,
    J. Res. Natl. Bur. Stand. 87, 377 (1982)), and zero if that sum is smaller: where the law misses the values by much
    more than their errors, these must not decide which value counts.
    """
    if freedom <= 0:
        return 0.0

    def excess(variance: float) -> float:
        _, left = _solve(design, values, errors**2 + variance)
        return float(np.sum(left**2 / (errors**2 + variance))) - freedom

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.ptp(values) ** 2)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _residual(left: FloatArray, variances: FloatArray, freedom: int) -> float:
    """Weighted mean of the squared residuals per degree of freedom, its root."""
    if freedom <= 0:
        return 0.0
    weights = 1.0 / variances
    return float(np.sqrt(np.sum(weights * left**2) / np.sum(weights) * len(left) / freedom))


def _determined(inverse: dict[str, FloatArray]) -> list[str]:
    """Columns that can be told apart from the constant and from those before them."""
    count = len(next(iter(inverse.values())))
    columns, names = [np.ones(count)], []
    for name, column in inverse.items():
        trial = np.stack([*columns, column / np.abs(column).max()], axis=1)
        spread = np.linalg.svd(trial / np.linalg.norm(trial, axis=0), compute_uv=False)
        if trial.shape[1] <= count and spread[-1] > _RANK_TOLERANCE:
            columns.append(trial[:, -1])
            names.append(name)
    return names
