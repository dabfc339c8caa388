"""Continuum models of the Peierls stress against the atomistic values of the same potentials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glideflow.properties.peierls_nabarro_results import PeierlsNabarroResult
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library, LibraryEntry
from glideflow.reporting.collection import STRUCTURE_ORDER, Computed, computed

MODELS = ("sinusoidal", "joos_duesbery", "line", "surface", "gradient")
FLOOR_MPA = 0.1
"""Stresses below are compared as if they were this: the atomistic search starts there."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A prediction and what it is compared with.

    Attributes:
        entry: the potential and its records.
        predicted_mpa: Peierls stress of the model.
        atomistic_mpa: Peierls stress of the atomistic search.
        is_upper_bound: whether the atomistic value is one.
    """

    entry: LibraryEntry
    predicted_mpa: float
    atomistic_mpa: float
    is_upper_bound: bool


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well a model agrees with the atomistic values of one structure.

    Attributes:
        structure: crystal structure.
        model: one of `MODELS`.
        count: number of pairs.
        factor: median of the factor by which the model errs, up or down, stresses below `FLOOR_MPA` taken as that.
        bias: median of predicted over atomistic, stresses below `FLOOR_MPA` taken as that.
        rank_correlation: Spearman's; None for fewer than three pairs or equal values.
    """

    structure: str
    model: str
    count: int
    factor: float
    bias: float
    rank_correlation: float | None


def predicted_mpa(result: PeierlsNabarroResult, model: str) -> float | None:
    """Peierls stress of one of `MODELS`; None where it has no dislocation."""
    closed = {"sinusoidal": result.peierls_sinusoidal_mpa, "joos_duesbery": result.peierls_joos_duesbery_mpa}
    if model in closed:
        return closed[model]
    semidiscrete = result.model(model)
    return None if semidiscrete is None else semidiscrete.peierls_mpa


def pairs(library: Library, model: str) -> tuple[Pair, ...]:
    """Every potential with both values of a slip system and character, ordered by metal, then as in the library."""
    return tuple(_pairs(library, model))


def agreements(library: Library) -> tuple[Agreement, ...]:
    """Agreement of each model for each structure that has pairs."""
    found = []
    for structure in STRUCTURE_ORDER:
        for model in MODELS:
            own = [pair for pair in pairs(library, model) if pair.entry.potential.structure == structure]
            if own:
                values = [pair.predicted_mpa for pair in own], [pair.atomistic_mpa for pair in own]
                found.append(agreement(structure, model, *values))
    return tuple(found)


def agreement(structure: str, model: str, predicted: Sequence[float], atomistic: Sequence[float]) -> Agreement:
    """Agreement of predicted and atomistic stresses in MPa, at least one of each."""
    ratio = np.log10(np.maximum(predicted, FLOOR_MPA)) - np.log10(np.maximum(atomistic, FLOOR_MPA))
    return Agreement(
        structure=structure,
        model=model,
        count=len(ratio),
        factor=float(10 ** np.median(np.abs(ratio))),
        bias=float(10 ** np.median(ratio)),
        rank_correlation=_rank_correlation(predicted, atomistic),
    )


def _pairs(library: Library, model: str) -> Iterator[Pair]:
    atomistic = {_key(each): each.result for each in computed(library, PeierlsStressResult)}
    for each in computed(library, PeierlsNabarroResult):
        reference, value = atomistic.get(_key(each)), predicted_mpa(each.result, model)
        if reference is not None and value is not None:
            yield Pair(
                entry=each.entry,
                predicted_mpa=value,
                atomistic_mpa=reference.peierls_mpa,
                is_upper_bound=reference.is_upper_bound,
            )


def _key(each: Computed[PeierlsStressResult] | Computed[PeierlsNabarroResult]) -> tuple[str, str, str]:
    return (each.entry.potential.id, each.stage.slip_system, each.stage.character)


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if min(len(set(first)), len(set(second))) < 3:
        return None
    return float(spearmanr(first, second).statistic)
