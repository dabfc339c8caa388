"""Splits into training and held-out samples that never divide a family, and the check that they do not.

Near-copies of one potential have the same inputs and the same stress: a model that has seen one knows the other. A
split is made by families, and every split is checked, whoever made it, before anything is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError, GlideflowError
from glideflow.library_families import WITH_GAMMA
from glideflow.transfer.dataset import TransferDataset


class LeakedSampleError(GlideflowError):
    """A held-out sample, or its like, is among those to train on."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Samples to train on, and samples that are held out.

    Attributes:
        name: what is held out, e.g. a family, a metal, or ``fold 3 of 10``.
        train: (t,) numbers of the samples to train on, ascending.
        held_out: (h,) numbers of the samples held out, ascending.
    """

    name: str
    train: IntArray
    held_out: IntArray


@dataclass(frozen=True, kw_only=True)
class Split:
    """Folds that together hold every sample out once.

    Attributes:
        name: ``leave one family out``, ``10 folds by family`` or ``leave one metal out``.
        seed: seed of the folds; None where nothing is drawn.
        folds: the folds.
    """

    name: str
    seed: int | None
    folds: tuple[Fold, ...]


def leave_one_family_out(dataset: TransferDataset) -> Split:
    """A fold per family."""
    families = np.array(dataset.families)
    folds = [_fold(dataset, name, families == name) for name in sorted(set(dataset.families))]
    return _checked(dataset, Split(name="leave one family out", seed=None, folds=tuple(folds)))


def leave_one_metal_out(dataset: TransferDataset) -> Split:
    """A fold per metal (element and structure).

    Relatives of its potentials for other metals are neither trained on nor held out in its fold: the other metals of
    one universal potential would tell of this one.
    """
    metals = np.array([f"{element} ({structure})" for element, structure in _metals(dataset)])
    folds = [_fold(dataset, name, metals == name) for name in sorted(set(metals.tolist()))]
    return _checked(dataset, Split(name="leave one metal out", seed=None, folds=tuple(folds)))


def family_folds(dataset: TransferDataset, folds: int, seed: int) -> Split:
    """Folds of whole families drawn at random, every metal spread over all of them as evenly as it goes.

    Args:
        dataset: the data set.
        folds: number of folds.
        seed: seed of the draw.

    Raises:
        ConfigurationError: there are fewer families than folds.
    """
    families = sorted(set(dataset.families))
    if not 2 <= folds <= len(families):
        raise ConfigurationError(
            f"{folds} folds of {len(families)} families",
            expected="at least two folds, and a family in each",
            next_step="choose fewer folds, or 0 to leave one family out at a time",
        )
    fold_of = _drawn_folds(dataset, families, folds, seed)
    number = np.array([fold_of[family] for family in dataset.families])
    parts = [_fold(dataset, f"fold {k + 1} of {folds}", number == k) for k in range(folds)]
    return _checked(dataset, Split(name=f"{folds} folds by family", seed=seed, folds=tuple(parts)))


def refuse_leak(dataset: TransferDataset, fold: Fold) -> None:
    """Check that a fold trains on nothing that tells of its held-out samples.

    Refused are samples in both parts, families in both parts, and near-copies: two samples of one metal whose cell,
    elastic features and γ agree within the tolerances by which families are found (`glideflow.library_families`),
    whatever their families are called.

    Raises:
        LeakedSampleError: the fold leaks; the samples are named.
    """
    _refuse_shared(dataset, fold)
    _refuse_shared_family(dataset, fold)
    _refuse_near_copies(dataset, fold)


def _fold(dataset: TransferDataset, name: str, held_out: NDArray[np.bool_]) -> Fold:
    """A fold that trains on nothing of the families that it holds out."""
    families = np.array(dataset.families)
    related = np.isin(families, families[held_out])
    return Fold(name=name, train=np.flatnonzero(~related), held_out=np.flatnonzero(held_out))


def _checked(dataset: TransferDataset, split: Split) -> Split:
    held_out = np.concatenate([fold.held_out for fold in split.folds])
    assert np.array_equal(np.sort(held_out), np.arange(len(dataset))), "every sample is held out once"
    for fold in split.folds:
        if not len(fold.train):
            raise ConfigurationError(
                f"the fold {fold.name!r} of {dataset.name!r} leaves nothing to train on",
                expected="at least two families, and for the split by metal at least two metals",
                next_step="use a larger library, or a data set of more structures",
            )
        refuse_leak(dataset, fold)
    return split


def _drawn_folds(dataset: TransferDataset, families: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """The fold of each family: families in random order within each metal, dealt out one after the other."""
    order = np.random.default_rng(seed).permutation(len(families))
    metal_of = dict(zip(dataset.families, _metals(dataset), strict=True))
    shuffled = [families[index] for index in order]
    dealt = sorted(shuffled, key=lambda family: metal_of[family])  # stable: random within a metal
    start = int(np.random.default_rng(seed + 1).integers(folds))
    return {family: (start + position) % folds for position, family in enumerate(dealt)}


def _metals(dataset: TransferDataset) -> list[tuple[str, str]]:
    return list(zip(dataset.elements, dataset.structures, strict=True))


def _refuse_shared(dataset: TransferDataset, fold: Fold) -> None:
    shared = np.intersect1d(fold.train, fold.held_out)
    if len(shared):
        raise _leak(fold, f"{dataset.potential_ids[int(shared[0])]} is in both parts")


def _refuse_shared_family(dataset: TransferDataset, fold: Fold) -> None:
    families = np.array(dataset.families)
    shared = sorted(set(families[fold.train].tolist()) & set(families[fold.held_out].tolist()))
    if shared:
        raise _leak(fold, f"the family {shared[0]!r} is in both parts")


def _refuse_near_copies(dataset: TransferDataset, fold: Fold) -> None:
    for one in fold.held_out:
        for other in fold.train[_alike(dataset, int(one), fold.train)]:
            names = [dataset.potential_ids[int(index)] for index in (one, other)]
            raise _leak(fold, f"{names[0]} is held out and {names[1]}, with the same numbers, is not")


def _alike(dataset: TransferDataset, one: int, others: IntArray) -> NDArray[np.bool_]:
    """(o,) which of the others is a near-copy of a sample."""
    metals = _metals(dataset)
    same_metal = np.array([metals[int(other)] == metals[one] for other in others], dtype=bool)
    pairs = (
        (dataset.cell_angstrom, WITH_GAMMA.lattice),
        (dataset.elastic_gpa, WITH_GAMMA.elastic),
        (dataset.gamma_mj_m2.reshape(len(dataset), -1), WITH_GAMMA.gamma),
    )
    agree = [_close(values, one, others, tolerance) for values, tolerance in pairs]
    return np.asarray(np.all([same_metal, *agree], axis=0))


def _close(values: FloatArray, one: int, others: IntArray, tolerance: float) -> NDArray[np.bool_]:
    """(o,) whether all numbers (n, k) of a sample agree within a part of its largest."""
    differences = np.abs(values[others] - values[one]).max(axis=1)
    return np.asarray(differences <= tolerance * np.abs(values[one]).max())


def _leak(fold: Fold, found: str) -> LeakedSampleError:
    return LeakedSampleError(
        f"the fold {fold.name!r} leaks: {found}",
        expected="families and near-copies in one part only",
        next_step="give near-copies one family (`glideflow library families`), and split by `families`",
    )
