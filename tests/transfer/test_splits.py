from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glideflow.config.transfer import TransferDataSettings
from glideflow.errors import ConfigurationError
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.splits import (
    Fold,
    LeakedSampleError,
    Split,
    family_folds,
    leave_one_family_out,
    leave_one_metal_out,
    refuse_leak,
)

Invented = Callable[..., TransferDataset]


def assert_sound(dataset: TransferDataset, split: Split) -> None:
    held_out = np.concatenate([fold.held_out for fold in split.folds])
    assert sorted(held_out.tolist()) == list(range(len(dataset)))
    for fold in split.folds:
        parts = [{dataset.families[int(k)] for k in part} for part in (fold.train, fold.held_out)]
        assert not parts[0] & parts[1]


@settings(max_examples=20)
@given(samples=st.integers(6, 40), relatives=st.integers(1, 3), folds=st.integers(2, 10), seed=st.integers(0, 9))
def test_no_family_is_ever_divided(invented: Invented, samples: int, relatives: int, folds: int, seed: int) -> None:
    dataset = invented(samples, relatives=relatives)
    families = len(set(dataset.families))
    assert_sound(dataset, leave_one_family_out(dataset))
    if folds > families:
        with pytest.raises(ConfigurationError, match=f"{folds} folds of {families} families"):
            family_folds(dataset, folds, seed)
        return
    split = family_folds(dataset, folds, seed)
    assert len(split.folds) == folds
    assert_sound(dataset, split)
    sizes = [len(fold.held_out) for fold in split.folds]
    assert max(sizes) - min(sizes) < 2 * relatives


def test_folds_repeat_with_their_seed_and_differ_between_seeds(invented: Invented) -> None:
    dataset = invented(30)
    one, again, other = (family_folds(dataset, 5, seed) for seed in (1, 1, 2))
    for first, second in zip(one.folds, again.folds, strict=True):
        np.testing.assert_array_equal(first.held_out, second.held_out)
    assert any(not np.array_equal(a.held_out, b.held_out) for a, b in zip(one.folds, other.folds, strict=True))


def test_metals_are_spread_over_the_folds(invented: Invented) -> None:
    dataset = invented(30)  # ten samples of each of three metals
    for fold in family_folds(dataset, 5, 0).folds:
        metals = [dataset.elements[int(k)] for k in fold.held_out]
        assert sorted(metals) == ["Al", "Al", "Cu", "Cu", "Ni", "Ni"]


def test_a_metal_is_left_out_with_all_relatives_of_its_potentials(invented: Invented) -> None:
    universal = ("U", "U", "U", *(f"F{k}" for k in range(9)))  # one potential for three metals
    dataset = replace(invented(12), families=universal)
    split = leave_one_metal_out(dataset)
    assert [fold.name for fold in split.folds] == ["Al (fcc)", "Cu (fcc)", "Ni (fcc)"]
    assert_sound(dataset, split)
    for fold in split.folds:
        held = {dataset.elements[int(k)] for k in fold.held_out}
        assert len(held) == 1
        assert not held & {dataset.elements[int(k)] for k in fold.train}
        assert not {0, 1, 2} & set(fold.train.tolist())  # neither trained on ...
        assert len({0, 1, 2} & set(fold.held_out.tolist())) == 1  # ... nor held out, but for its own metal


def test_a_family_in_both_parts_is_caught(invented: Invented) -> None:
    dataset = invented(12, relatives=3)
    with pytest.raises(LeakedSampleError, match="family 'F000'"):
        refuse_leak(dataset, Fold(name="bad", train=np.array([1, 5]), held_out=np.array([0])))


def test_a_sample_in_both_parts_is_caught(invented: Invented) -> None:
    with pytest.raises(LeakedSampleError, match="P003"):
        refuse_leak(invented(12), Fold(name="bad", train=np.array([3, 5]), held_out=np.array([3])))


def with_copy(dataset: TransferDataset, difference: float) -> TransferDataset:
    """Sample 3 a retabulation of sample 0 under another family's name; both are of one metal."""
    gamma, cell, elastic = (getattr(dataset, n).copy() for n in ("gamma_mj_m2", "cell_angstrom", "elastic_gpa"))
    gamma[3], cell[3], elastic[3] = gamma[0] * (1 + difference), cell[0], elastic[0]
    return replace(dataset, gamma_mj_m2=gamma, cell_angstrom=cell, elastic_gpa=elastic)


def fold_of(dataset: TransferDataset, sample: int, seed: int) -> str:
    return next(fold.name for fold in family_folds(dataset, 3, seed).folds if sample in fold.held_out)


def test_a_near_copy_under_another_name_is_caught(invented: Invented) -> None:
    dataset = with_copy(invented(12), 0.003)
    with pytest.raises(LeakedSampleError, match="P000 is held out and P003"):
        leave_one_family_out(dataset)
    apart = [seed for seed in range(8) if fold_of(invented(12), 0, seed) != fold_of(invented(12), 3, seed)]
    assert apart
    for seed in apart:
        with pytest.raises(LeakedSampleError, match="same numbers"):
            family_folds(dataset, 3, seed)
    leave_one_family_out(with_copy(invented(12), 0.02))  # what differs by more than retabulations do


def test_families_of_the_shipped_library_hold_all_near_copies() -> None:
    """Copies included: the families that the library computes are those that the split's own check finds."""
    dataset = group_dataset("joint", TransferDataSettings(one_per_family=False))
    assert_sound(dataset, leave_one_family_out(dataset))
    assert_sound(dataset, leave_one_metal_out(dataset))
    assert len(set(dataset.families)) < len(dataset)


def test_a_single_metal_cannot_be_left_out(invented: Invented) -> None:
    dataset = invented(9)
    copper = dataset.select(np.array(dataset.elements) == "Cu")
    with pytest.raises(ConfigurationError, match="nothing to train on"):
        leave_one_metal_out(copper)
