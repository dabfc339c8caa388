from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow.errors import StorageError
from glideflow.transfer.dataset import TransferDataset, content_sha256, read_dataset, target_log10, write_dataset

Invented = Callable[..., TransferDataset]


def test_what_is_written_is_what_is_read(tmp_path: Path, invented: Invented) -> None:
    written = invented(5)
    write_dataset(tmp_path / "set.h5", written)
    found = read_dataset(tmp_path / "set.h5")
    assert content_sha256(found) == content_sha256(written)
    assert found.is_upper_bound.dtype == np.bool_
    assert found.slip_system_definitions == written.slip_system_definitions


def test_a_part_keeps_samples_whole(invented: Invented) -> None:
    whole = invented(6)
    part = whole.select(np.array([4, 1]))
    assert part.potential_ids == ("P004", "P001")
    for name in TransferDataset.sample_fields():
        assert len(getattr(part, name)) == 2
    np.testing.assert_array_equal(part.gamma_mj_m2[0], whole.gamma_mj_m2[4])
    mask = np.arange(6) >= 4
    assert whole.select(mask).potential_ids == ("P004", "P005")


def test_fields_of_different_lengths_are_refused(invented: Invented) -> None:
    with pytest.raises(StorageError, match="entries of peierls_mpa for 4 samples"):
        replace(invented(4), peierls_mpa=np.ones(3))


def test_bounds_and_values_below_the_floor_are_censored(invented: Invented) -> None:
    stresses = np.array([0.01, 0.1, 5.0, 2.0])
    samples = replace(invented(4), peierls_mpa=stresses, is_upper_bound=np.array([False, False, False, True]))
    target = target_log10(samples, floor_mpa=0.1)
    np.testing.assert_allclose(target.log10_mpa, np.log10([0.1, 0.1, 5.0, 2.0]))
    np.testing.assert_array_equal(target.censored, [True, False, False, True])
    assert target_log10(samples, floor_mpa=3.0).censored.tolist() == [True, True, False, True]


@pytest.mark.parametrize("name", ["gamma_mj_m2", "peierls_mpa", "elastic_gpa"])
def test_the_digest_sees_every_number(invented: Invented, name: str) -> None:
    before = invented(3)
    changed = getattr(before, name).copy()
    changed.flat[-1] = np.nextafter(changed.flat[-1], np.inf)
    assert content_sha256(replace(before, **{name: changed})) != content_sha256(before)
    for same in ({"library_sha256": "another"}, {"flags": ("unsettled size series",) * len(before)}):
        assert content_sha256(replace(before, **same)) == content_sha256(before)


def test_an_unknown_model_is_named(invented: Invented) -> None:
    with pytest.raises(KeyError, match="ab initio"):
        invented(3).peierls_nabarro("ab initio")
