"""What a card says of held-out samples is what the validation found, of the same samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from glideflow.errors import ConfigurationError, StorageError
from glideflow.transfer.baselines import baseline
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.held_out_scores import HeldOutScores, from_card, held_out_scores, metrics_of, to_card
from glideflow.transfer.validation import ValidationRecord, validate


@pytest.fixture(scope="module")
def samples(invented: Callable[..., TransferDataset]) -> TransferDataset:
    return invented(24, noise=0.2)


@pytest.fixture(scope="module")
def records(samples: TransferDataset) -> list[ValidationRecord]:
    model = baseline("classical_pn_fit")
    by_family = validate(model, samples, "family", [3, 5], folds=4)
    return [by_family, validate(model, samples, "metal", [0]), replace(by_family, control="permuted targets")]


@pytest.fixture(scope="module")
def scores(records: list[ValidationRecord], samples: TransferDataset) -> tuple[HeldOutScores, ...]:
    return held_out_scores(records, samples, "classical_pn_fit")


def test_scores_are_those_of_the_validation(scores: tuple[HeldOutScores, ...], records: list[ValidationRecord]) -> None:
    family, metal = scores
    runs = records[0].scores()
    assert (family.split, family.seeds, family.samples) == ("4 folds by family", (3, 5), 24)
    assert family.median_factor == pytest.approx(np.mean([each.median_factor for each in runs]))
    assert family.coverage_90 == pytest.approx(np.mean([each.coverage[list(each.levels).index(0.9)] for each in runs]))
    assert family.median_factor_low <= family.median_factor_high
    assert metal.split == "leave one metal out"
    assert f"a factor of {family.median_factor:.2f}" in family.sentence()
    assert "inside 90 %" in family.sentence()


def test_a_card_gives_them_back(scores: tuple[HeldOutScores, ...]) -> None:
    again = from_card(json.loads(json.dumps(to_card(scores))))
    assert again == scores
    assert from_card({}) == ()
    assert metrics_of(scores)["p90_factor, leave one metal out"] == scores[1].p90_factor
    with pytest.raises(StorageError, match="cannot be read"):
        from_card({"validation": [{"split": "x", "seeds": [0]}]})


def test_scores_of_other_samples_are_refused(records: list[ValidationRecord], samples: TransferDataset) -> None:
    other = samples.select(np.arange(20))
    with pytest.raises(ConfigurationError, match="other samples"):
        held_out_scores(records, other, "classical_pn_fit")
    assert held_out_scores(records, replace(samples, name="another"), "classical_pn_fit") == ()
