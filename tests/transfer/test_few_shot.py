"""Error against the number of shots: who learns from whom, and what is said of so few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import IntArray
from glideflow.errors import ConfigurationError
from glideflow.records import Library
from glideflow.reporting.figures.few_shot import shots_figure
from glideflow.reporting.transfer_shots import cannot_show, shot_markdown, shot_rows, shot_section
from glideflow.transfer.dataset import EMPIRICAL, TransferDataset, target_log10
from glideflow.transfer.few_shot import FewShotCurve, chosen_shots, few_shot_curve
from glideflow.transfer.models import FittedModel, Prediction

LEARNED = ("UNEP-v1:Mo", "UNEP-v1:Ta", "UNEP-v1:W")


class LastShots:
    """The mean of the machine-learned training samples, else 1 MPa; and what it was trained on."""

    name = "last shots"

    def __init__(self) -> None:
        self.trained_on: list[tuple[str, ...]] = []

    def fit(self, dataset: TransferDataset, indices: IntArray, seed: int) -> FittedModel:
        part = dataset.select(indices)
        self.trained_on.append(part.potential_ids)
        shots = np.array([source != EMPIRICAL for source in part.sources])
        return Constant(float(target_log10(part).log10_mpa[shots].mean()) if shots.any() else 0.0)


class Constant:
    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        assert np.isnan(dataset.peierls_mpa).all()
        return Prediction(log10_mpa=np.full(len(indices), self.value), spread_log10=np.full(len(indices), 0.1))


@pytest.fixture(scope="module")
def library() -> Library:
    """Three classical potentials, and three machine-learned ones of 2, 4 and 8 MPa."""
    whole = strength_library.load()
    tungsten = [e for e in whole.entries if e.potential.element == "W" and e.potential.pair_style.startswith("eam")]
    classical = [e for e in tungsten if e.stage("peierls_stress")][:3]
    entries = [e for e in whole.entries if e.potential.id in LEARNED]
    stress = classical[0].stage("peierls_stress")
    assert stress is not None
    learned = []
    for entry, value in zip(entries, (2.0, 4.0, 8.0), strict=True):
        own = replace(stress, result=replace(stress.result, peierls_mpa=value, is_upper_bound=False))  # type: ignore[type-var]
        kept = tuple(each for each in entry.stages if each.property != "peierls_stress")
        learned.append(replace(entry, stages=(*kept, own)))
    return replace(whole, entries=(*classical, *learned))


@pytest.fixture(scope="module")
def model() -> LastShots:
    return LastShots()


@pytest.fixture(scope="module")
def curve(library: Library, model: LastShots) -> FewShotCurve:
    return few_shot_curve(library, TransferDataSettings(), model, (0, 1, 2, 4), floor_mpa=0.1)


def test_errors_are_those_of_what_was_drawn(curve: FewShotCurve) -> None:
    factors = {(each.element, each.shots): each.factor for each in curve.entries}
    assert factors["Mo", 0] == pytest.approx(2)
    assert factors["Mo", 1] == pytest.approx(np.sqrt(2 * 4))  # by tantalum, and by tungsten
    assert factors["Mo", 2] == pytest.approx(np.sqrt(4 * 8) / 2)
    assert set(factors) == {(element, shots) for element in ("Mo", "Ta", "W") for shots in (0, 1, 2)}


def test_nobody_learns_from_what_is_held_out(model: LastShots, curve: FewShotCurve) -> None:
    assert curve.entries[0].available == 2
    shots = [set(trained) & set(LEARNED) for trained in model.trained_on]
    assert not shots[0], "without shots one fit is enough"
    assert sorted(map(len, shots)) == [0] + 6 * [1] + 3 * [2]


def test_shots_are_different_sets() -> None:
    generator = np.random.default_rng(0)
    allowed = np.arange(5)
    assert [tuple(each) for each in chosen_shots(allowed, 0, 5, generator)] == [()]
    assert len(chosen_shots(allowed, 4, 5, generator)) == 5
    drawn = {tuple(each) for each in chosen_shots(allowed, 2, 6, generator)}
    assert len(drawn) == 6
    assert all(len(set(each)) == 2 for each in drawn)


def test_groups_are_compared_at_equal_potentials(curve: FewShotCurve) -> None:
    rows = {(row.group, row.shots): row for row in shot_rows(curve)}
    assert rows["all", 0].potentials == rows["bcc", 2].potentials == 3
    assert rows["W (bcc)", 1].lowest == rows["W (bcc)", 1].highest
    assert rows["bcc", 0].factor == pytest.approx(4)
    fewer = replace(curve, entries=curve.entries[:-1])  # tungsten without its two shots
    assert {row.shots for row in shot_rows(fewer) if row.group == "bcc"} == {0, 1}


def test_what_so_few_cannot_show_is_said(curve: FewShotCurve) -> None:
    said = " ".join(cannot_show(curve))
    assert "bcc: 3 held-out potentials and up to 2 shots; medians of fewer than 5" in said
    assert "fcc: no machine-learned potential" in said
    bound = replace(curve, entries=tuple(replace(each, censored=each.element == "Mo") for each in curve.entries))
    assert "bcc: 1 of 3 stresses are bounds" in " ".join(cannot_show(bound))
    assert "say next to nothing" in shot_markdown(curve)
    assert len(shots_figure(curve).data) == 3
    assert len(shot_section(curve).tables[0].rows) == len(shot_rows(curve))


def test_without_machine_learned_stresses_there_is_no_curve(library: Library, model: LastShots) -> None:
    with pytest.raises(ConfigurationError, match="no machine-learned potential of hcp"):
        few_shot_curve(library, TransferDataSettings(), model, (0, 1), floor_mpa=0.1, structures=("hcp",))
