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
        width_ratio: predicted over atomistic core width without load, between the disregistries b/4 and 3b/4.
    """

    entry: LibraryEntry
    predicted_mpa: float
    atomistic_mpa: float
    is_upper_bound: bool
    width_ratio: float


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
        width_ratio: median of predicted over atomistic core width.
    """

    structure: str
    model: str
    count: int
    factor: float
    bias: float
    rank_correlation: float | None
    width_ratio: float


def prediction(result: PeierlsNabarroResult, model: str) -> tuple[float, float] | None:
    """Peierls stress in MPa and core width in Å of one of `MODELS`; None where it has no dislocation."""
    if model == "sinusoidal":
        return result.peierls_sinusoidal_mpa, 2 * result.half_width_sinusoidal_angstrom
    if model == "joos_duesbery":
        return result.peierls_joos_duesbery_mpa, 2 * result.half_width_angstrom
    semidiscrete = result.model(model)
    return None if semidiscrete is None else (semidiscrete.peierls_mpa, semidiscrete.width_angstrom)


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
                found.append(agreement(structure, model, own))
    return tuple(found)


def agreement(structure: str, model: str, own: Sequence[Pair]) -> Agreement:
    """Agreement of the pairs of a structure, of which there must be at least one."""
    predicted, atomistic = [pair.predicted_mpa for pair in own], [pair.atomistic_mpa for pair in own]
    ratio = np.log10(np.maximum(predicted, FLOOR_MPA)) - np.log10(np.maximum(atomistic, FLOOR_MPA))
    return Agreement(
        structure=structure,
        model=model,
        count=len(ratio),
        factor=float(10 ** np.median(np.abs(ratio))),
        bias=float(10 ** np.median(ratio)),
        rank_correlation=_rank_correlation(predicted, atomistic),
        width_ratio=float(np.median([pair.width_ratio for pair in own])),
    )


def _pairs(library: Library, model: str) -> Iterator[Pair]:
    atomistic = {_key(each): each.result for each in computed(library, PeierlsStressResult)}
    for each in computed(library, PeierlsNabarroResult):
        reference, predicted = atomistic.get(_key(each)), prediction(each.result, model)
        if reference is not None and predicted is not None:
            yield Pair(
                entry=each.entry,
                predicted_mpa=predicted[0],
                atomistic_mpa=reference.peierls_mpa,
                is_upper_bound=reference.is_upper_bound,
                width_ratio=predicted[1] / reference.core_unloaded.width_angstrom,
            )


def _key(each: Computed[PeierlsStressResult] | Computed[PeierlsNabarroResult]) -> tuple[str, str, str]:
    return (each.entry.potential.id, each.stage.slip_system, each.stage.character)


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if min(len(set(first)), len(set(second))) < 3:
        return None
    return float(spearmanr(first, second).statistic)
