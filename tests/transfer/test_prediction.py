from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.config.strength_inputs import StrengthInputs
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConfigurationError
from glideflow.potentials.record import Potential
from glideflow.transfer.baselines import baseline
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.gamma_prior import gamma_prior
from glideflow.transfer.models import Prediction
from glideflow.transfer.periodic import grid_fractions
from glideflow.transfer.prediction import (
    StrengthModel,
    predict_crystal,
    sensitivity,
    stacked,
    suggest,
    training_domain,
)
from glideflow.transfer.strength_models import shipped_strength_model
from glideflow.transfer.user_inputs import UserCrystal, computed_crystal, user_crystal

TUNGSTEN: dict[str, Any] = {
    "name": "tungsten",
    "element": "W",
    "source": "somewhere",
    "structure": "bcc",
    "lattice": {"a_angstrom": 3.165},
    "elastic": {"c11_gpa": 532.6, "c12_gpa": 205.0, "c44_gpa": 163.1},
    "gamma": {"usf_mj_m2": 1770},
}


@pytest.fixture(scope="module")
def samples(shipped: TransferDataset) -> TransferDataset:
    return shipped.select(np.flatnonzero(np.array(shipped.structures) == "bcc"))


def model(samples: TransferDataset, name: str) -> StrengthModel:
    definitions = map(SlipSystemSettings.model_validate_json, samples.slip_system_definitions)
    return StrengthModel(
        name=name,
        model=baseline(name).fit(samples, np.arange(len(samples)), 0),
        prior=gamma_prior(samples, next(each for each in definitions if each.structure == "bcc")),
        domain=training_domain(samples, 0.1),
    )


@pytest.fixture(scope="module")
def ridge(samples: TransferDataset) -> StrengthModel:
    pytest.importorskip("sklearn", reason="ridge regression needs scikit-learn")
    return model(samples, "ridge")


def crystal(strength: StrengthModel, **sections: Any) -> UserCrystal:
    return user_crystal(StrengthInputs.model_validate({**TUNGSTEN, **sections}), strength.prior, Path())


def of_sample(strength: StrengthModel, samples: TransferDataset, index: int) -> UserCrystal:
    """A potential of the library as a user would describe it: constants in the cubic axes, and the whole γ grid."""
    from glideflow import strength_library
    from glideflow.properties.results import ElasticResult, LatticeResult

    entry = next(each for each in strength_library.load().entries if each.potential.id == samples.potential_ids[index])
    lattice, elastic = (getattr(entry.stage(name), "result", None) for name in ("lattice", "elastic"))
    assert isinstance(lattice, LatticeResult)
    assert isinstance(elastic, ElasticResult)
    return crystal(
        strength,
        name=entry.potential.id,
        lattice={"a_angstrom": lattice.a_angstrom},
        elastic={"c11_gpa": elastic.c11_gpa, "c12_gpa": elastic.c12_gpa, "c44_gpa": elastic.c44_gpa},
        gamma={"grid": {"gamma_mj_m2": samples.gamma_mj_m2[index].tolist()}, "error_mj_m2": 0.1},
    )


def test_a_described_potential_is_predicted_as_the_sample_itself(
    ridge: StrengthModel, samples: TransferDataset
) -> None:
    """The way through a description, waves and records ends at the same number as the data set of the library.

    Of the smoothest surfaces: of others the grid of the data set is interpolated to that of a record.
    """
    indices = np.argsort(samples.gamma_error_mj_m2)[:3]
    direct = ridge.model.predict(samples, indices)
    for index, expected, spread in zip(indices, direct.log10_mpa, direct.spread_log10, strict=True):
        found = predict_crystal(ridge, of_sample(ridge, samples, int(index)))
        assert np.log10(found.peierls_mpa) == pytest.approx(expected, abs=0.05)
        assert found.model_spread_log10 == pytest.approx(spread)
        assert found.neighbours[0].potential_id == samples.potential_ids[index]
        assert found.neighbours[0].distance < 0.05
        assert found.input_spread_log10 < 0.1 * found.model_spread_log10
        assert not found.outside
        assert not any("held-out scores" in text for text in found.warnings)


@pytest.mark.parametrize("structure", ["bcc", "fcc", "hcp"])
def test_a_computed_potential_is_predicted_as_validated(shipped: TransferDataset, structure: str) -> None:
    """Scores of held-out samples would not be those of predictions, if these saw another γ: a smooth fit of it moved
    stresses of bcc by a factor of two."""
    from glideflow import strength_library

    strength = shipped_strength_model(structure)
    own = np.flatnonzero(np.array(shipped.structures) == structure)
    index = int(own[np.argmax(shipped.gamma_error_mj_m2[own])])  # the one with kinks
    entry = next(each for each in strength_library.load().entries if each.potential.id == shipped.potential_ids[index])
    potential = Potential(id=entry.potential.id, element=entry.potential.element, structure=structure, engine="lammps")
    found = predict_crystal(strength, computed_crystal(potential, entry.stages, strength.prior))
    expected = strength.model.predict(shipped, np.array([index]))
    assert np.log10(found.peierls_mpa) == pytest.approx(expected.log10_mpa[0], abs=1e-6)
    assert found.spread_log10 == pytest.approx(expected.spread_log10[0], rel=1e-6)


def test_what_is_not_known_of_gamma_widens_the_interval(ridge: StrengthModel) -> None:
    little = predict_crystal(ridge, crystal(ridge))
    more = predict_crystal(
        ridge, crystal(ridge, gamma={"usf_mj_m2": 1770, "lines": [{"end_fraction": [0, 1], "gamma_mj_m2": [0] * 3}]})
    )
    assert little.input_spread_log10 > 0.02
    assert any("held-out scores are of crystals whose γ is known" in text for text in little.warnings)
    assert little.spread_log10 == pytest.approx(np.hypot(little.model_spread_log10, little.input_spread_log10))
    low, high = little.intervals_mpa[0.68]
    assert np.log10(high / low) == pytest.approx(2 * 0.9945 * little.spread_log10, rel=1e-3)
    assert low < little.peierls_mpa < high
    assert (little.input_source, little.element) == ("somewhere", "W")
    assert "EAM/MEAM" in little.trained_on
    assert more.gamma_deviation_mj_m2 < little.gamma_deviation_mj_m2


def test_suggested_points_tell_most_of_gamma_where_cores_glide(ridge: StrengthModel) -> None:
    """More than any of thirty others, one point at a time; the promised spread falls with every one."""
    start = crystal(ridge)
    before, found = predict_crystal(ridge, start), suggest(ridge, start, 3)
    assert len({each.fraction for each in found}) == 3
    left = [before.input_spread_log10, *(each.input_spread_log10 for each in found)]
    assert left == sorted(left, reverse=True)
    along_b = np.stack([np.linspace(0, 1, 41), np.zeros(41)], axis=1)

    def unknown(fraction: FloatArray) -> float:
        value = float(start.gamma.gamma_mj_m2(fraction[None])[0])
        points = [{"fraction": fraction.tolist(), "gamma_mj_m2": value}]
        told = crystal(ridge, gamma={"usf_mj_m2": 1770, "points": points}).gamma
        return float((told.deviation_mj_m2(along_b) ** 2).sum())

    others = np.random.default_rng(0).uniform(0, 1, (30, 2))
    assert unknown(np.array(found[0].fraction)) < 1.1 * min(map(unknown, others))


def test_stresses_scale_with_moduli_and_gamma_together(samples: TransferDataset) -> None:
    """The closed form is homogeneous: one percent more of every constant and of γ is one percent more of stress."""
    strength = model(samples, "classical_pn")
    start = crystal(strength, gamma={"usf_mj_m2": 3000})
    slopes = sensitivity(strength, start, points=4).elastic
    assert set(slopes) == {"c11", "c12", "c44"}
    assert slopes["c44"] != pytest.approx(0, abs=1e-3)
    logs = []
    for factor in (0.97, 1.03):
        grid = start.gamma.example(0).gamma_mj_m2(
            np.stack(np.meshgrid(*[grid_fractions(30)] * 2, indexing="ij"), -1).reshape(-1, 2)
        )
        values = {"grid": {"gamma_mj_m2": (factor * grid).reshape(30, 30).tolist()}, "error_mj_m2": 0.01}
        logs.append(np.log10(predict_crystal(strength, crystal(strength, gamma=values)).peierls_mpa))
    by_gamma = (logs[1] - logs[0]) / np.log10(1.03 / 0.97)
    assert sum(slopes.values()) + by_gamma == pytest.approx(1, abs=0.05)


def test_a_bump_of_gamma_acts_where_the_model_looks(samples: TransferDataset) -> None:
    """The closed form knows γ along b only: far across b nothing matters, and equivalent points matter alike."""
    strength = model(samples, "classical_pn")
    found = sensitivity(strength, crystal(strength, gamma={"usf_mj_m2": 3000}), points=8)
    along, across = np.abs(found.per_percent[:, 0]).max(), np.abs(found.per_percent[1, 3:6]).max()
    assert along > 3 * across
    assert found.per_percent.shape == (8, 8)
    np.testing.assert_allclose(found.per_percent[1:, 0], found.per_percent[:0:-1, 0], rtol=1e-6, atol=1e-9)


def test_crystals_unlike_the_training_samples_are_named(ridge: StrengthModel) -> None:
    soft = crystal(ridge, elastic={"c11_gpa": 30.0, "c12_gpa": 29.0, "c44_gpa": 60.0}, gamma={"usf_mj_m2": 150})
    found = predict_crystal(ridge, soft)
    assert any("shear modulus" in text and "in training" in text for text in found.outside)


def test_other_units_are_suspected_and_nothing_learned_is_said(ridge: StrengthModel) -> None:
    """Moduli in Mbar: γ over μb is a hundred times that of any metal."""
    grid = crystal(ridge).gamma.gamma_mj_m2(
        np.stack(np.meshgrid(*[grid_fractions(9)] * 2, indexing="ij"), -1).reshape(-1, 2)
    )
    mbar = crystal(
        ridge,
        elastic={"c11_gpa": 5.326, "c12_gpa": 2.05, "c44_gpa": 1.631},
        gamma={"grid": {"gamma_mj_m2": grid.reshape(9, 9).tolist()}},
    )
    found = predict_crystal(ridge, mbar)
    assert any("elastic constants are in GPa and γ in mJ/m²" in text for text in found.warnings)


def test_neighbours_at_the_floor_are_marked(ridge: StrengthModel) -> None:
    floor = float(np.median(ridge.domain.peierls_mpa))
    domain = replace(ridge.domain, peierls_mpa=np.maximum(ridge.domain.peierls_mpa, floor), floor_mpa=floor)
    found = predict_crystal(replace(ridge, domain=domain), crystal(ridge)).neighbours
    assert [each.at_floor for each in found] == [each.peierls_mpa == floor for each in found]
    assert {each.at_floor for each in found} == {True, False}


def test_points_that_no_symmetric_surface_meets_are_named(ridge: StrengthModel) -> None:
    """γ(d) = γ(-d): two values for one displacement."""
    points = [{"fraction": [x, 0.2], "gamma_mj_m2": g} for x, g in ((0.3, 900.0), (-0.3, 1500.0))]
    mirrored = [{"fraction": [-0.3, -0.2], "gamma_mj_m2": 1500.0}]
    found = predict_crystal(ridge, crystal(ridge, gamma={"points": [points[0], *mirrored]}))
    assert found.gamma_residual_mj_m2 == pytest.approx(300, rel=0.05)
    assert any("no γ surface with the symmetry" in text for text in found.warnings)


def test_a_mirrored_fcc_surface_is_noticed(shipped: TransferDataset) -> None:
    """Its symmetry is the same; only which of the two faults is the low one tells."""
    samples = shipped.select(np.flatnonzero(np.array(shipped.structures) == "fcc"))
    definitions = map(SlipSystemSettings.model_validate_json, samples.slip_system_definitions)
    strength = StrengthModel(
        name="classical_pn",
        model=baseline("classical_pn").fit(samples, np.arange(len(samples)), 0),
        prior=gamma_prior(samples, next(each for each in definitions if each.structure == "fcc")),
        domain=training_domain(samples, 0.1),
    )
    points = [{"fraction": [0, sign / 3], "gamma_mj_m2": value} for sign, value in ((1, 40.0), (-1, 700.0))]
    copper = {
        "structure": "fcc",
        "lattice": {"a_angstrom": 3.6},
        "elastic": {"c11_gpa": 176.2, "c12_gpa": 124.9, "c44_gpa": 81.8},
        "gamma": {"points": points},
    }
    inputs = StrengthInputs.model_validate(copper)
    found = predict_crystal(strength, user_crystal(inputs, strength.prior, Path()))
    assert any("have the other sign" in text for text in found.warnings)


class _CountsThreads:
    """A model that notes the threads of linear algebra it was asked with."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def predict(self, dataset: TransferDataset, indices: IntArray) -> Prediction:
        from threadpoolctl import threadpool_info

        self.threads |= {int(pool["num_threads"]) for pool in threadpool_info()}
        return Prediction(log10_mpa=np.zeros(len(indices)), spread_log10=np.ones(len(indices)))


def test_predictions_take_one_thread(ridge: StrengthModel) -> None:
    """Small matrices on two threads of a busy machine took seven times the processor time."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    counting = _CountsThreads()
    with threadpoolctl.threadpool_limits(2):
        predict_crystal(replace(ridge, model=counting), crystal(ridge))
    assert counting.threads == {1}


def test_a_model_of_another_structure_is_refused(ridge: StrengthModel) -> None:
    other = replace(ridge, prior=replace(ridge.prior, structure="fcc"))
    with pytest.raises(ConfigurationError, match="tungsten is bcc, the model of fcc"):
        predict_crystal(other, crystal(ridge))


def test_samples_are_put_together(samples: TransferDataset) -> None:
    both = stacked([samples.select(np.array([2, 0])), samples.select(np.array([1]))])
    assert both.potential_ids == tuple(samples.potential_ids[k] for k in (2, 0, 1))
    np.testing.assert_array_equal(both.gamma_mj_m2[2], samples.gamma_mj_m2[1])
