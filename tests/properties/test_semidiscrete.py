from __future__ import annotations

import numpy as np
import pytest

from glideflow.properties.disregistry import DisregistryModel
from glideflow.properties.peierls_nabarro_closed import partial_distance
from glideflow.properties.semidiscrete import core_widths, lowest_cores, lowest_fault, semidiscrete_cores

PERIOD = np.sqrt(3.0)  # of fcc {111} across the Burgers vector, in Burgers vectors


def close_packed(*faults: float, barrier: float = 0.02, length: float = 30.0) -> DisregistryModel:
    """Lines on {111} planes with K = diag(1.4, 1) and given intrinsic faults at ±(b/2, b/2√3).

    γ = A (3 - Σ cos G·δ) + B Σ sin G·δ over the three shortest wave vectors: zero at the lattice, 9A/2 ± (3√3/2) B at
    the two threefold sites.
    """
    waves = 2 * np.pi * np.array([[0.0, 2 / PERIOD], [1.0, 1 / PERIOD], [-1.0, 1 / PERIOD]])
    turns = np.array([1.0, -1.0, -1.0])
    cosine = np.full((len(faults), 3), -barrier)
    sine = (4.5 * barrier - np.array(faults))[:, None] / (1.5 * np.sqrt(3)) * turns
    size = len(faults)
    return DisregistryModel(
        energy_tensor=np.tile(np.diag([1.4, 1.0]), (size, 1, 1)),
        burgers=np.tile([1.0, 0.0], (size, 1)),
        wavevectors=waves[None],
        cosine=cosine,
        sine=sine,
        spacing=np.full(size, 0.5),
        nodes=round(2 * length),
        gradient=np.zeros((size, 2, 2)),
    )


def test_the_lowest_fault_between_the_partials_is_the_intrinsic_one() -> None:
    displacement, energy = lowest_fault(close_packed(0.004, 0.012))
    np.testing.assert_allclose(energy, [0.004, 0.012], rtol=2e-3)
    np.testing.assert_allclose(np.abs(displacement), [[0.5, PERIOD / 6]] * 2, atol=0.02)


def test_partials_stand_where_elasticity_puts_them() -> None:
    """Narrow partials at the distance b₁·K·b₂/(2πγ)."""
    faults = (0.006, 0.008, 0.012)
    model = close_packed(*faults, length=60.0)
    _, separation = core_widths(model, lowest_cores(model))
    leading, trailing = np.array([0.5, PERIOD / 6]), np.array([0.5, -PERIOD / 6])
    expected = [partial_distance(np.diag([1.4, 1.0]), leading, trailing, fault) for fault in faults]
    assert expected[0] == pytest.approx(2 * expected[2])
    # The nodes pin each partial: positions are known to half of their distance, b/4, at each.
    np.testing.assert_allclose(separation, expected, atol=0.5)
    assert (np.diff(separation) < 0).all()


def test_a_fault_that_costs_nothing_leaves_no_dislocation_and_does_not_disturb_the_others() -> None:
    together = semidiscrete_cores(close_packed(-0.002, 0.012))
    alone = semidiscrete_cores(close_packed(0.012))
    assert together.spread.tolist() == [True, False]
    assert np.isnan(together.peierls[0])
    assert together.peierls[1] == pytest.approx(alone.peierls[0], rel=1e-6)


def test_lower_barriers_make_wider_partials_and_smaller_stresses() -> None:
    stresses = [semidiscrete_cores(close_packed(0.012, barrier=barrier)).peierls[0] for barrier in (0.02, 0.035)]
    assert 0 < stresses[0] < stresses[1]
