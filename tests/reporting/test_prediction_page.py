from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from glideflow.config.slip_systems import BCC_110
from glideflow.config.strength_inputs import StrengthInputs
from glideflow.config.transfer import TransferDataSettings
from glideflow.reporting.prediction import PredictionReport, prediction_page, write_prediction_page
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.baselines import baseline
from glideflow.transfer.gamma_prior import gamma_prior
from glideflow.transfer.prediction import StrengthModel, predict_crystal, sensitivity, suggest, training_domain
from glideflow.transfer.user_inputs import user_crystal

HOSTILE = "<script>alert('α')</script>"


@pytest.fixture(scope="module")
def report() -> PredictionReport:
    """Tungsten by a closed form, with a name that must stay text."""
    samples = group_dataset("bcc", TransferDataSettings())
    model = StrengthModel(
        name="classical_pn",
        model=baseline("classical_pn").fit(samples, np.arange(len(samples)), 0),
        prior=gamma_prior(samples, BCC_110.model_copy(update={"cut": "wide"})),
        domain=training_domain(samples, 0.1),
    )
    inputs = StrengthInputs.model_validate(
        {
            "name": HOSTILE,
            "structure": "bcc",
            "lattice": {"a_angstrom": 3.165},
            "elastic": {"c11_gpa": 532.6, "c12_gpa": 205.0, "c44_gpa": 163.1},
            "gamma": {"usf_mj_m2": 3000, "points": [{"fraction": [0.25, 0.0], "gamma_mj_m2": 1600}]},
        }
    )
    crystal = user_crystal(inputs, model.prior, Path())
    return PredictionReport(
        crystal=crystal,
        prediction=predict_crystal(model, crystal),
        suggestions=suggest(model, crystal, 2),
        sensitivity=sensitivity(model, crystal, points=4),
    )


def test_the_page_holds_every_number_and_figure(report: PredictionReport, tmp_path: Path) -> None:
    write_prediction_page([report, report], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page == prediction_page([report, report]), "the same predictions give the same bytes"
    assert page.count("Peierls stress of the edge dislocation, bcc_110") == 2
    assert f"{report.prediction.peierls_mpa:.3g}"[:3] in page
    assert "Compute next" in page
    for neighbour in report.prediction.neighbours:
        assert neighbour.potential_id in page
    embedded = re.search(r'<script id="figures" type="application/json">(.*?)</script>', page, re.S)
    assert embedded is not None
    figures = json.loads(embedded[1])
    assert set(figures) == {f"{kind}-{n}" for kind in ("gamma", "deviation", "sensitivity", "elastic") for n in (0, 1)}
    assert len(figures["elastic-0"]["data"][0]["x"]) == 3


def test_names_of_users_stay_text(report: PredictionReport) -> None:
    page = prediction_page([report])
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert "default-src 'none'" in page
