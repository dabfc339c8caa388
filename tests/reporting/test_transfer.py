"""The page on validations: what it shows is what was computed, and nothing is loaded from anywhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from glideflow.reporting.figures.validation import calibration, factors, learning, parity
from glideflow.reporting.transfer import validation_page
from glideflow.transfer.summary import summarise
from glideflow.transfer.validation import (
    PERMUTED,
    HeldOutRun,
    LearningCurve,
    LearningCurves,
    ValidationRecord,
    Validations,
)


def record(model: str, shift: float, seed: int = 0) -> ValidationRecord:
    """Forty samples of two metals, predicted too high by ``shift`` with a scatter of 0.2."""
    generator = np.random.default_rng(seed)
    target = generator.uniform(0, 3, 40)
    predicted = target + shift + 0.2 * generator.normal(size=40)
    run = HeldOutRun(
        seed=0,
        folds=tuple(f"F{k}" for k in range(40)),
        log10_mpa=predicted,
        spread_log10=np.full(40, 0.2),
        trained_on=np.full(40, 39.0),
    )
    return ValidationRecord(
        model=model,
        dataset="joint",
        split="leave one family out",
        floor_mpa=0.1,
        potential_ids=tuple(f"<b>P{k}</b>" for k in range(40)),
        elements=("Cu", "Fe") * 20,
        structures=("fcc", "bcc") * 20,
        families=tuple(f"F{k}" for k in range(40)),
        target_log10_mpa=target,
        censored=np.arange(40) == 0,
        runs=(run,),
        dataset_sha256="",
        library_sha256="",
        glideflow_version="",
    )


@pytest.fixture
def validations() -> Validations:
    records = (record("good", 0.0), record("high", 0.5))
    control = replace(record("good", 2.0), control=PERMUTED)
    return Validations(dataset="joint", protocol="reference", library_name="<i>lib", records=(*records, control))


CURVE = LearningCurve(
    model="good",
    dataset="joint",
    folds=5,
    families=np.array([4.0, 8.0]),
    seeds=np.array([0.0, 1.0]),
    median_factor=np.array([[3.0, 5.0], [2.0, 2.4]]),
    r2_log10=np.zeros((2, 2)),
    spearman=np.zeros((2, 2)),
    library_sha256="",
)


def test_the_page_holds_every_row_and_figure(validations: Validations) -> None:
    page = validation_page([validations], [LearningCurves(dataset="joint", curves=(CURVE,))])
    figures = json.loads(re.search(r'<script id="figures"[^>]*>(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert list(figures) == ["joint-calibration", "joint-factors", "joint-learning", "joint-parity"]
    assert all(f'<div id="{name}"' in page for name in figures)
    for row in summarise(validations.records):
        assert f">{row.median_factor:.2f}</td>" in page
    assert page.count(PERMUTED) >= 3
    assert "Held out by good" in page  # the better of the two
    assert page == validation_page([validations], [LearningCurves(dataset="joint", curves=(CURVE,))])


def test_names_stay_text_and_nothing_is_loaded(validations: Validations) -> None:
    page = validation_page([validations], [])
    own = page.partition("<script>")[0] + page.rpartition("</script>")[0].rpartition('type="application/json">')[2]
    assert "<i>lib" not in page
    assert "<b>P0" not in page
    assert not re.search(r"""(src|href)=["']?https?:""", own)


def test_calibration_draws_the_coverage(validations: Validations) -> None:
    good, high = calibration(validations.records[:2]).data[1:]
    np.testing.assert_allclose(good.y, good.x, atol=0.25)  # of forty samples
    assert np.all(np.asarray(high.y)[4:] < np.asarray(good.y)[4:])


def test_factors_draw_the_rows(validations: Validations) -> None:
    rows = summarise(validations.records[:2], by_structure=False)
    (trace,) = factors(rows).data
    np.testing.assert_allclose(trace.x, [row.median_factor for row in rows])
    np.testing.assert_allclose(np.add(trace.x, trace.error_x.array), [row.median_factor_high for row in rows])


def test_parity_draws_every_sample_and_marks_bounds(validations: Validations) -> None:
    traces = [trace for trace in parity(validations.records[0]).data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in traces) == 40
    assert sum(list(trace.marker.symbol).count("triangle-left") for trace in traces) == 1


def test_learning_draws_means_between_the_extreme_seeds() -> None:
    (trace,) = learning([CURVE]).data
    np.testing.assert_allclose(trace.y, [4.0, 2.2])
    np.testing.assert_allclose(np.add(trace.y, trace.error_y.array), [5.0, 2.4])


def test_nothing_to_draw_is_said() -> None:
    assert "No model" in factors([]).layout.annotations[0].text
    assert "No learning curve" in learning([]).layout.annotations[0].text
