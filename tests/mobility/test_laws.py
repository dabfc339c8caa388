from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityLayerSettings
from glideflow.errors import PropertyError, StorageError
from glideflow.mobility.baselines import LAWS
from glideflow.mobility.graph import line_graph
from glideflow.mobility.laws import (
    BCC_LAW,
    DRAG_LAW,
    EnsembleLaw,
    LocalLaw,
    MeasuredVelocity,
    PointLaw,
    bcc_law,
    drag_law,
    fit_law,
    measured_velocity,
    read_law,
    write_law,
)
from glideflow.mobility.line_dynamics import LineProblem, resolved_stress_mpa, straight_dipole

BURGERS = 2.48
DRAG = drag_law(screw_drag_mpa_ps=200.0, edge_drag_mpa_ps=85.0, slope=0.3, burgers_angstrom=BURGERS)
BCC = bcc_law(
    screw_drag_mpa_ps=120.0,
    edge_drag_mpa_ps=90.0,
    slope=0.4,
    kink_pair_enthalpy_ev=0.5,
    peierls_stress_mpa=1800.0,
    p=0.8,
    q=1.4,
    athermal_temperature_k=900.0,
    burgers_angstrom=BURGERS,
)
GRID = [(a, s, t) for a in (0.0, 35.0, 60.0, 90.0) for s in (250.0, 500.0, 1000.0) for t in (100.0, 300.0, 600.0)]


def velocities(law: LocalLaw, noise: float = 0.0, seed: int = 0) -> list[MeasuredVelocity]:
    random = np.random.default_rng(seed)
    return [
        MeasuredVelocity(
            angle_deg=angle,
            stress_mpa=stress,
            temperature_k=temperature,
            velocity_m_per_s=100.0 * speed(law, stress, angle, temperature) + noise * random.normal(),
            error_m_per_s=max(noise, 10.0),
            burgers_angstrom=BURGERS,
            element="Fe",
        )
        for angle, stress, temperature in GRID
    ]


def speed(law: LocalLaw, stress: float, angle: float, temperature: float) -> float:
    force = np.array([stress * BURGERS])
    return float(law.speed_angstrom_per_ps(force, np.radians([angle]), temperature)[0])


def test_drag_of_iron_has_the_published_size() -> None:
    # Molecular dynamics of this work: an edge at 300 K and 500 MPa glides at 1400 to 1500 m/s, B = τb/v.
    assert 100 * speed(DRAG, 500.0, 90.0, 300.0) == pytest.approx(500e6 * 2.48e-10 / 85e-6)
    assert speed(DRAG, 500.0, 0.0, 300.0) == pytest.approx(500.0 * BURGERS / 200.0)
    assert speed(DRAG, 500.0, 90.0, 600.0) == pytest.approx(speed(DRAG, 500.0, 90.0, 300.0) / 1.3)
    assert speed(DRAG, -500.0, 90.0, 300.0) == -speed(DRAG, 500.0, 90.0, 300.0)


def test_screws_of_the_bcc_law_are_activated_and_edges_are_not() -> None:
    boltzmann = 8.617333262e-5
    barrier = 0.5 * ((1 - (500 / 1800) ** 0.8) ** 1.4 - 300 / 900)
    expected = 500 * BURGERS / 120 * np.exp(-barrier / (2 * boltzmann * 300))
    assert speed(BCC, 500.0, 0.0, 300.0) == pytest.approx(expected)
    assert speed(BCC, 2000.0, 0.0, 300.0) == pytest.approx(2000 * BURGERS / 120)
    assert speed(BCC, 500.0, 90.0, 300.0) == pytest.approx(500 * BURGERS / 90)
    assert isinstance(BCC, PointLaw)


@pytest.mark.parametrize("law", [DRAG, BCC], ids=["drag", "bcc"])
def test_a_fit_to_exact_velocities_finds_them_again(law: LocalLaw) -> None:
    found = fit_law(law.name, velocities(law))
    expected = [each.velocity_m_per_s for each in velocities(law)]
    # The velocities decide, not the parameters: barriers and prefactors of screws compensate each other.
    np.testing.assert_allclose([each.velocity_m_per_s for each in velocities(found)], expected, rtol=2e-3, atol=0.5)
    assert found.element == "Fe"
    if law is DRAG:
        np.testing.assert_allclose(found.values, law.values, rtol=1e-6)


def test_errors_of_fitted_parameters_are_those_of_repeated_experiments() -> None:
    fits = [fit_law(DRAG_LAW, velocities(DRAG, noise=60.0, seed=seed)) for seed in range(60)]
    scatter = np.std([fit.values for fit in fits], axis=0)
    claimed = np.sqrt(np.mean([np.diag(fit.covariance) for fit in fits], axis=0))
    np.testing.assert_allclose(claimed, scatter, rtol=0.35)


def test_the_spread_of_a_velocity_is_that_of_its_drag() -> None:
    law = replace(DRAG, covariance=np.diag([0.0, 8.5**2, 0.0]))
    force, angle = np.array([500 * BURGERS, -500 * BURGERS]), np.radians([90.0, 90.0])
    speeds = law.speed_angstrom_per_ps(force, angle, 300.0)
    np.testing.assert_allclose(law.spread_angstrom_per_ps(force, angle, 300.0), 0.1 * np.abs(speeds), rtol=1e-6)
    drawn = [each.speed_angstrom_per_ps(force, angle, 300.0)[0] for each in law.samples(400, seed=1)]
    assert np.std(drawn) == pytest.approx(0.1 * speeds[0], rel=0.15)
    assert DRAG.spread_angstrom_per_ps(force, angle, 300.0) is None
    assert not DRAG.samples(3, seed=0)


def test_fixed_parameters_stay_and_are_sure() -> None:
    found = fit_law(DRAG_LAW, velocities(DRAG)[-2:], fixed={"slope": 0.3, "screw_drag_mpa_ps": 200.0})
    assert found.parameters["screw_drag_mpa_ps"] == 200.0
    assert (found.covariance[0] == 0).all()
    # All that is left is B = f/v: its error is that of the velocities, 10 m/s each.
    speeds = np.array([each.velocity_m_per_s for each in velocities(DRAG)[-2:]])
    assert np.sqrt(found.covariance[1, 1]) == pytest.approx(85.0 * 10 / np.linalg.norm(speeds), rel=1e-3)
    with pytest.raises(PropertyError, match="none depends on edge_drag_mpa_ps"):
        fit_law(DRAG_LAW, velocities(DRAG)[:6])  # of screws alone


def test_too_few_velocities_and_unknown_names_are_refused() -> None:
    with pytest.raises(PropertyError, match="3 velocities for 8 parameters"):
        fit_law(BCC_LAW, velocities(BCC)[:3])
    with pytest.raises(PropertyError, match="the law 'drag'"):
        fit_law("drag", velocities(DRAG))
    with pytest.raises(PropertyError, match="fixed parameters friction"):
        fit_law(DRAG_LAW, velocities(DRAG), fixed={"friction": 1.0})
    for value in (-5.0, np.nan):
        with pytest.raises(PropertyError, match="edge_drag_mpa_ps fixed at"):
            fit_law(DRAG_LAW, velocities(DRAG), fixed={"edge_drag_mpa_ps": value})
    with pytest.raises(PropertyError, match="with the parameters drag"):
        LocalLaw(name=DRAG_LAW, parameters={"drag": 1.0}, burgers_angstrom=BURGERS)


def test_a_law_comes_back_from_its_file(tmp_path: Path) -> None:
    law = replace(fit_law(BCC_LAW, velocities(BCC)), element="Fe")
    write_law(tmp_path / "law.json", law)
    found = read_law(tmp_path / "law.json")
    assert isinstance(found, LocalLaw)
    np.testing.assert_array_equal(found.values, law.values)
    np.testing.assert_array_equal(found.covariance, law.covariance)
    assert (found.name, found.burgers_angstrom, found.element) == (BCC_LAW, law.burgers_angstrom, "Fe")
    assert set(found.parameters) == set(LAWS[BCC_LAW].names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:40], "is no mobility law"),
        (lambda text: "[]", "but no mobility law"),
        (lambda text: json.dumps({**json.loads(text), "parameters": None}), "missing or wrong"),
        (lambda text: text.replace('"element"', '"metal"'), "missing or wrong"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "law.json"
    write_law(path, DRAG)
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(StorageError, match=message):
        read_law(path)


def test_the_velocity_of_a_trajectory_is_taken_with_its_error(synthetic_trajectory) -> None:
    made = synthetic_trajectory(90.0, 500.0, 300.0)
    found = measured_velocity(made)
    assert (found.angle_deg, found.stress_mpa, found.temperature_k, found.element) == (90.0, 500.0, 300.0, "Fe")
    assert found.burgers_angstrom == pytest.approx(BURGERS)
    # v = τb/B with the drag 70 MPa·ps and its factor of one at 300 K that the fixture has for an edge
    assert found.velocity_m_per_s == pytest.approx(100 * 500 * BURGERS / 70, rel=0.05)
    assert found.error_m_per_s > 0
    loop = replace(made, cell=replace(made.cell, character_angle_deg=None))
    with pytest.raises(PropertyError, match="has no velocity at one angle"):
        measured_velocity(loop)


def test_an_ensemble_of_networks_is_a_law_with_its_spread_and_its_members(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch")
    from glideflow.mobility.artifacts import MobilityCard, write_ensemble
    from glideflow.mobility.ensemble import MobilityEnsemble, TrainedMember
    from glideflow.mobility.network import initial_state
    from glideflow.mobility.spreads import ERROR_OVER_SPREAD

    features, layers = MobilityFeatureSettings(images=1), MobilityLayerSettings(width=4)
    losses = np.array([[3.0], [1.0], [2.0], [4.0]])
    members = tuple(
        TrainedMember(state=initial_state(layers, seed), seed=seed, best_epoch=0, train_loss=loss, validation_loss=loss)
        for seed, loss in enumerate(losses)
    )
    ensemble = MobilityEnsemble(features=features, layers=layers, step_ps=1.0, members=members)
    cell, lines = straight_dipole(90.0, (80.0, 28.0, 160.0), BURGERS)
    stress = resolved_stress_mpa(500.0, lines[0].burgers_angstrom)
    problem = LineProblem(
        lines=lines, cell_angstrom=cell, applied_stress_mpa=stress, temperature_k=300.0, medium=features
    )
    conditions = problem.conditions(lines)
    law = EnsembleLaw(ensemble, "untrained", BURGERS)
    found = law.node_velocities(conditions)
    expected = ensemble.predict(line_graph(conditions.frame, stress, 300.0, features))
    np.testing.assert_array_equal(found.speed_angstrom_per_ps, expected.velocity_angstrom_per_ps)
    np.testing.assert_array_equal(found.spread_angstrom_per_ps, expected.spread_angstrom_per_ps)
    # Both lines glide where the Peach-Koehler force drives them: against x the one along +y, along x the other one.
    assert (np.sign(found.vectors_angstrom_per_ps[:, 0]) == [-1, -1, 1, 1]).all()
    alone = law.samples(5, seed=0)
    assert sorted(each.ensemble.members[0].seed for each in alone) == [1, 2]  # the better half
    speeds = [each.node_velocities(conditions) for each in alone]
    assert all(each.spread_angstrom_per_ps is None for each in speeds)
    mean = np.mean([each.speed_angstrom_per_ps for each in speeds], axis=0)
    np.testing.assert_allclose(mean, found.speed_angstrom_per_ps, rtol=1e-6)
    assert not alone[0].samples(2, seed=0)
    card = MobilityCard(
        name="untrained", step_ps=1.0, seed=0, sources=(), data_sha256="", burgers_angstrom=BURGERS, training={}
    )
    write_ensemble(tmp_path / "model.safetensors", ensemble, card)
    for ratio, factor in ((3.0, 3.0), (0.4, 1.0), (math.nan, 1.0)):
        known = replace(card, metrics={ERROR_OVER_SPREAD: ratio})
        spread = replace(law, card=known).node_velocities(conditions).spread_angstrom_per_ps
        np.testing.assert_array_equal(spread, factor * expected.spread_angstrom_per_ps)
    read = read_law(tmp_path)
    assert (read.name, read.burgers_angstrom) == ("untrained", BURGERS)
    again = read.node_velocities(conditions).speed_angstrom_per_ps
    np.testing.assert_allclose(again, found.speed_angstrom_per_ps, rtol=1e-12)
