"""How much potentials of one metal differ: mean, standard deviation, coefficient of variation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.records import Library
from glideflow.reporting.collection import CHARACTERISTIC, Metal, Quantity, Sample, by_metal, samples

FEW = 5
"""Potentials of a metal below which a standard deviation is itself known to a factor of about two at best."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One quantity over the potentials of one metal.

    Attributes:
        metal: the metal.
        quantity: the quantity; its unit is that of ``mean`` and ``deviation``.
        values: (n,) the values.
        ids: (n,) ids of the potentials.
        upper_bounds: (n,) whether a value is an upper bound.
        mean: arithmetic mean μ; None if there is no value.
        deviation: sample standard deviation σ (n - 1 in the denominator); None for fewer than two values.
        coefficient: σ/μ; None for fewer than two values or a mean that is not positive.
    """

    metal: Metal
    quantity: Quantity
    values: tuple[float, ...]
    ids: tuple[str, ...]
    upper_bounds: tuple[bool, ...]
    mean: float | None
    deviation: float | None
    coefficient: float | None


def spreads(library: Library) -> tuple[Spread, ...]:
    """Spread of each characteristic quantity that a metal has, over its potentials.

    Deliberately altered ("fictional") potentials do not describe the metal and are left out. An upper bound enters
    with its value: leaving it out would remove the softest potentials.
    """
    groups = by_metal(sample for sample in samples(library) if not sample.entry.potential.fictional)
    found = (_spread(metal, quantity, group) for metal, group in groups.items() for quantity in CHARACTERISTIC)
    return tuple(spread for spread in found if spread.values)


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """σ/μ with the sample standard deviation; None for fewer than two values or a mean that is not positive."""
    mean, deviation = _mean(values), _deviation(values)
    if mean is None or deviation is None or mean <= 0:
        return None
    return deviation / mean


def _spread(metal: Metal, quantity: Quantity, group: Sequence[Sample]) -> Spread:
    valued = [(sample, value) for sample in group if (value := sample.value(quantity.key)) is not None]
    values = tuple(value for _, value in valued)
    bounded = quantity.key == "peierls_mpa"
    return Spread(
        metal=metal,
        quantity=quantity,
        values=values,
        ids=tuple(sample.id for sample, _ in valued),
        upper_bounds=tuple(bounded and sample.row["peierls_is_upper_bound"] is True for sample, _ in valued),
        mean=_mean(values),
        deviation=_deviation(values),
        coefficient=coefficient_of_variation(values),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
