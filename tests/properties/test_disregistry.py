from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glideflow.properties.disregistry import (
    BoolArray,
    DisregistryModel,
    core_position,
    elastic_spectrum,
    glided,
    is_mirrored,
    mirror_error,
    moved_on,
    relax,
    slopes_along_burgers,
)
from glideflow.properties.disregistry_branch import Corrector, Extremum, Points, follow, largest_stress
from glideflow.properties.disregistry_load import load

FloatArray = NDArray[np.float64]


def sinusoidal(*widths: float, spacing: float = 0.5, length: float = 60.0, asymmetry: float = 0.0) -> DisregistryModel:
    """Lines with K = b = 1 and a γ line whose continuum core has the given half width."""
    slope = 1 / (4 * np.pi * np.array(widths))
    height = slope / (2 * np.pi)
    return DisregistryModel(
        energy_tensor=np.ones((len(widths), 1, 1)),
        burgers=np.ones((len(widths), 1)),
        wavevectors=2 * np.pi * np.arange(3.0).reshape(1, 3, 1),
        cosine=np.stack([height, -height, 0 * height], axis=1),
        sine=asymmetry * np.stack([0 * height, -height, height / 2], axis=1),
        spacing=np.full(len(widths), spacing),
        nodes=round(length / spacing),
        gradient=np.zeros((len(widths), 1, 1)),
    )


def planar() -> DisregistryModel:
    """Two components, everything coupled, with a gradient term."""
    generator = np.random.default_rng(3)
    waves = 2 * np.pi * np.array([[1.0, 0.0], [0.0, 0.6], [1.0, 0.6], [1.0, -0.6]])
    return DisregistryModel(
        energy_tensor=np.array([[[1.0, 0.1], [0.1, 0.7]]]),
        burgers=np.array([[1.0, 0.0]]),
        wavevectors=waves[None],
        cosine=-np.array([[0.02, 0.015, 0.01, 0.01]]),
        sine=generator.normal(size=(1, 4)) * 2e-3,
        spacing=np.array([0.5]),
        nodes=24,
        gradient=np.array([[[0.2, 0.02], [0.02, 0.1]]]),
    )


def arctan(model: DisregistryModel, widths: FloatArray, offset: float = 0.25) -> FloatArray:
    x = (np.arange(model.nodes) - model.nodes // 2 - offset) * model.spacing[:, None]
    return (0.5 + np.arctan(x / widths[:, None]) / np.pi)[..., None] * model.burgers[:, None]


def test_gradient_and_hessian_are_derivatives_of_the_energy() -> None:
    model = planar()
    start = arctan(model, np.array([0.8])) + np.random.default_rng(0).normal(size=(1, 24, 2)) * 0.05
    stress, step = np.array([0.01]), 1e-5
    _, gradient, hessian = model.energy(start, stress)
    for index in (0, 11, 24, 25, 47):
        change = np.zeros(48)
        change[index] = step
        plus, minus = (model.energy(start + sign * change.reshape(1, 24, 2), stress) for sign in (1, -1))
        assert gradient[0, index] == pytest.approx((plus[0] - minus[0])[0] / (2 * step), abs=1e-9)
        np.testing.assert_allclose(hessian[0, index], (plus[1] - minus[1])[0] / (2 * step), atol=1e-7)


def test_the_elastic_energy_is_the_double_sum_of_bulatov_and_kaxiras() -> None:
    """A bump far from its images: energy (K/4π) Σ χ_ij Δ_i Δ_j of its density, segment by segment."""
    model = sinusoidal(1.0, spacing=0.4, length=600.0)
    x = (np.arange(model.nodes) - model.nodes / 2) * 0.4
    bump = np.exp(-((x / 2) ** 2)) * (1 + 0.3 * x)
    smooth = model.secular + bump[None, :, None]
    own = model.energy(smooth, np.zeros(1))[0][0] - model.misfit(smooth)[0].sum()
    near = np.abs(x) < 20
    density = np.diff(bump[near]) / 0.4
    i = np.arange(len(density))
    apart = (i[:, None] - i) * 0.4

    def psi(distance: FloatArray) -> FloatArray:
        return 0.5 * distance**2 * np.log(np.maximum(np.abs(distance), 1e-300))

    chi = 1.5 * 0.4**2 + 2 * psi(apart) - psi(apart + 0.4) - psi(apart - 0.4)
    assert own * 0.4 == pytest.approx(density @ chi @ density / (4 * np.pi), rel=1e-4)


def test_long_waves_see_the_continuum() -> None:
    q = 2 * np.pi * np.arange(6) / 4000
    np.testing.assert_allclose(elastic_spectrum(4000)[:6], q / 2, rtol=2e-5)


@pytest.mark.parametrize(("spacing", "error"), [(0.4, 2e-3), (0.2, 5e-4)])
def test_a_wide_core_is_that_of_the_continuum(spacing: float, error: float) -> None:
    """δ = ½ + arctan(tan(πx/L)/tanh(πw/L))/π with sinh 2πw/L = 2πζ/L solves the continuum model of an array.

    It is the sum of the arctans of the array; the error of the nodes is of second order in their distance.
    """
    length, zeta = 40.0, 2.0
    model = sinusoidal(zeta, spacing=spacing, length=length)
    relaxed = relax(model, arctan(model, np.array([1.0])), held=True)
    width = np.arcsinh(2 * np.pi * zeta / length) * length / (2 * np.pi)
    x = ((np.arange(model.nodes) - core_position(model, relaxed)) * spacing)[1:]  # tan jumps at the ends
    exact = 0.5 + np.arctan(np.tan(np.pi * x / length) / np.tanh(np.pi * width / length)) / np.pi
    np.testing.assert_allclose(relaxed[0, 1:, 0], exact, atol=error)


def test_moving_on_by_a_node_changes_nothing_but_the_position() -> None:
    model = planar()
    start = arctan(model, np.array([0.8]))
    ahead = moved_on(model, start)
    assert model.energy(ahead, np.zeros(1))[0] == pytest.approx(model.energy(start, np.zeros(1))[0], abs=1e-13)
    assert glided(model, start, ahead) == pytest.approx(1.0)
    assert core_position(model, start + 0.07) == pytest.approx(core_position(model, start))


def test_peierls_stress_falls_exponentially_with_the_width_and_is_resolved_to_the_last_decades() -> None:
    widths = np.array([0.8, 1.2, 1.6, 2.0])
    model = sinusoidal(*widths, length=100.0)
    branch = follow(model, relax(model, arctan(model, widths), held=True))
    assert branch.periodic.all()
    np.testing.assert_allclose(branch.forward, branch.reverse, rtol=1e-5)
    # exp(-2πζ/h) times a power of ζ: the slope comes close to -2π/h = -12.57 from above.
    slopes = np.diff(np.log(branch.forward)) / np.diff(widths)
    assert branch.forward[-1] < 1e-9
    assert ((slopes > -12.57) & (slopes < -11.0)).all()
    assert (np.diff(slopes) < 0).all()


def test_a_batch_is_its_members_one_by_one() -> None:
    widths = np.array([0.3, 0.9])
    model = sinusoidal(*widths)
    start = relax(model, arctan(model, widths), held=True)
    together = follow(model, start)
    for index in range(2):
        single = model.take(np.arange(2) == index)
        alone = follow(single, start[index : index + 1])
        assert together.forward[index] == pytest.approx(alone.forward[0], rel=1e-9)


@pytest.mark.parametrize("width", [0.2, 0.5])
def test_equilibria_exist_up_to_the_peierls_stress_and_not_beyond(width: float) -> None:
    """By SciPy's trust-region minimiser on the energy alone, which knows of no branch."""
    from scipy.optimize import minimize

    model = sinusoidal(width, length=24.0)
    rest = relax(model, relax(model, arctan(model, np.array([width])), held=True))
    peak = follow(model, rest)
    outcomes = []
    for factor in (0.998, 1.002):
        stress = np.array([factor * peak.forward[0]])
        found = minimize(
            lambda q, stress=stress: model.energy(q.reshape(1, -1, 1), stress)[0][0],
            peak.at_peak.ravel(),
            jac=lambda q, stress=stress: model.energy(q.reshape(1, -1, 1), stress)[1][0],
            hess=lambda q, stress=stress: model.energy(q.reshape(1, -1, 1), stress)[2][0],
            method="trust-exact",
            options={"gtol": 1e-9, "maxiter": 60, "initial_trust_radius": 0.1, "max_trust_radius": 0.2},
        )
        outcomes.append(abs(glided(model, rest, found.x.reshape(1, -1, 1))[0]))
    assert outcomes[0] < 1.0 < outcomes[1]


@pytest.mark.parametrize("width", [0.15, 0.6])
def test_loading_step_by_step_finds_the_largest_stress_of_the_branch(width: float) -> None:
    model = sinusoidal(width, asymmetry=0.2)
    rest = relax(model, relax(model, arctan(model, np.array([width])), held=True))
    branch = follow(model, rest)
    for sign, expected in ((1.0, branch.forward[0]), (-1.0, branch.reverse[0])):
        loading = load(model, branch.unloaded, sign)
        assert loading.glides
        assert loading.stress == pytest.approx(expected, rel=1e-6)


def test_an_asymmetric_line_is_easier_in_one_sense_and_the_mirror_image_in_the_other() -> None:
    values = []
    for asymmetry in (0.3, -0.3):
        model = sinusoidal(0.25, asymmetry=asymmetry)
        branch = follow(model, relax(model, arctan(model, np.array([0.25]))))
        values.append((branch.forward[0], branch.reverse[0]))
    assert values[0][0] != pytest.approx(values[0][1], rel=1e-2)
    assert values[0] == pytest.approx(values[1][::-1], rel=1e-6)


@pytest.mark.parametrize("width", [0.2, 0.5, 0.9])
def test_the_branch_of_stable_cores_ends_in_a_fold(width: float) -> None:
    """At the Peierls stress one eigenvalue of the Hessian vanishes and none is negative: it was stable up to there."""
    model = sinusoidal(width, length=30.0)
    branch = follow(model, relax(model, relax(model, arctan(model, np.array([width])), held=True)))
    eigenvalues = np.linalg.eigvalsh(model.energy(branch.at_peak, branch.forward)[2][0])
    assert eigenvalues[0] == pytest.approx(0.0, abs=1e-6)
    assert eigenvalues[1] > 1e-3


@pytest.mark.parametrize(("width", "spacing"), [(0.1, 0.5), (0.08, 0.943)])
def test_the_sharp_turns_of_very_narrow_cores_are_followed(width: float, spacing: float) -> None:
    """One node after the other slips: long steps would cut the corner to another branch."""
    model = sinusoidal(width, spacing=spacing, length=30.0)
    branch = follow(model, relax(model, relax(model, arctan(model, np.array([width])), held=True)))
    assert branch.periodic.all()
    assert branch.forward == pytest.approx(branch.reverse, rel=1e-6)
    assert load(model, branch.unloaded, 1.0).stress == pytest.approx(branch.forward[0], rel=1e-6)


@pytest.mark.parametrize("width", [0.12, 0.3, 0.9])
def test_half_of_the_way_is_enough_between_two_cores_that_are_their_own_images(width: float) -> None:
    """From wherever the core starts, at rest or held elsewhere."""
    model = sinusoidal(width, length=30.0)
    assert is_mirrored(model).all()
    held = relax(model, arctan(model, np.array([width])), held=True)
    for start in (held, relax(model, held)):
        whole = follow(model, start)
        assert largest_stress(model, start) == pytest.approx(whole.forward, rel=1e-6)


def test_without_a_mirror_the_larger_of_both_senses_is_found_on_the_whole_way() -> None:
    model = sinusoidal(0.25, asymmetry=0.3)
    assert not is_mirrored(model).any()
    assert not is_mirrored(planar()).any()
    start = relax(model, arctan(model, np.array([0.25])))
    branch = follow(model, start)
    assert largest_stress(model, start) == pytest.approx(np.maximum(branch.forward, branch.reverse), rel=1e-9)


@pytest.mark.parametrize("place", [120.0, 121.0])
def test_an_arctan_core_is_its_own_image_about_its_centre_alone(place: float) -> None:
    model = sinusoidal(1.0)
    x = (np.arange(model.nodes) - place / 2) * model.spacing[0]
    core = (0.5 + np.arctan(x) / np.pi)[None, :, None]
    inner = np.abs(x) < 25  # an arctan does not meet its own period
    periodic = np.where(inner[None, :, None], core, core.round())
    assert mirror_error(model, periodic, np.array([place]))[0] < 1e-12
    off = mirror_error(model, periodic, np.array([place + 1]))[0]
    assert off == pytest.approx(2 * np.arctan(0.25) / np.pi, rel=0.1), "half a node off: the slope times one spacing"


def through(gamma: FloatArray, spacing: float = 0.5, length: float = 24.0) -> DisregistryModel:
    """A γ line known at evenly spaced points of a period, as the waves that go through them."""
    amplitude = np.fft.rfft(gamma) / len(gamma)
    amplitude[1:-1] *= 2
    return DisregistryModel(
        energy_tensor=np.ones((1, 1, 1)),
        burgers=np.ones((1, 1)),
        wavevectors=2 * np.pi * np.arange(float(len(amplitude))).reshape(1, -1, 1),
        cosine=amplitude.real[None],
        sine=-amplitude.imag[None],
        spacing=np.array([spacing]),
        nodes=round(length / spacing),
        gradient=np.zeros((1, 1, 1)),
    )


def triangle(height: float) -> FloatArray:
    """A γ line with kinks: the waves through 30 points of it swing about its flanks."""
    return height * (1 - np.abs(2 * np.arange(30) / 30 - 1))


_FLANK, _TOP = [0.0, 5.0, 19.0, 39.0, 99.4, 216.7, 236.4, 261.8, 312.5, 396.3, 516.4], [605.8, 596.2, 588.9, 584.5]
GOLD = np.array([*_FLANK, *_TOP, 583.0])
"""γ in mJ/m² along half of b of Baskes' first-neighbour MEAM of gold (1992), whose range ends within the period."""


@pytest.mark.parametrize("height", [0.12, 0.25])
def test_a_symmetric_line_with_kinks_holds_as_much_in_both_senses(height: float) -> None:
    """Every swing of γ lets a node go. One leap over a place of rest, or one step to another branch, would show."""
    model = through(triangle(height))
    rest = relax(model, relax(model, arctan(model, np.array([0.2])), held=True))
    forward, reverse = (load(model, rest, sign) for sign in (1.0, -1.0))
    assert forward.glides
    assert reverse.glides
    assert min(forward.jumps, reverse.jumps) > 5
    assert forward.stress == pytest.approx(reverse.stress, rel=1e-6)
    assert forward.stress < np.abs(slopes_along_burgers(model)).max()


def test_a_branch_of_hundreds_of_steps_is_followed_to_its_end() -> None:
    """Baskes' gold: the stress of a core whose branch was given up halfway was once minus infinity."""
    unit = 49.2 / 160.2177 * 2.88 * 16021.77  # K b in mJ/m²
    model = through(np.concatenate([GOLD, GOLD[-2:0:-1]]) / unit, length=60.0)
    rest = relax(model, relax(model, arctan(model, np.array([0.5])), held=True))
    loading = load(model, rest, 1.0)
    assert loading.glides
    assert loading.jumps > 12
    assert 0.03 < loading.stress < np.abs(slopes_along_burgers(model)).max()


def test_the_limit_leaves_a_lower_bound_that_the_core_holds() -> None:
    model = through(triangle(0.12))
    rest = relax(model, relax(model, arctan(model, np.array([0.2])), held=True))
    whole = load(model, rest, 1.0)
    bounds = [load(model, rest, 1.0, max_solves=limit) for limit in (1, 100, 400)]
    for bound in bounds:
        assert bound.exhausted
        assert not bound.glides
        force = model.energy(bound.at_peak, np.array([bound.stress]))[1]
        assert np.abs(force).max() < 1e-7
    assert 0 <= bounds[0].stress < bounds[1].stress < bounds[2].stress < whole.stress
    assert max(bounds[1].solves - 100, bounds[2].solves - 400) < 410  # the step, or the relaxation, that it was at


class RunningAway(Corrector):
    """Newton's method between two branches: what it comes to is no equilibrium."""

    def correct(self, *arguments: Any) -> tuple[Points, BoolArray, int]:
        points, found, made = super().correct(*arguments)
        return Points(1e9 * points.state, points.tangent), ~found, made


def test_a_peak_that_cannot_be_refined_is_the_highest_equilibrium_found() -> None:
    model = sinusoidal(0.5, length=24.0)
    rest = relax(model, relax(model, arctan(model, np.array([0.5])), held=True))
    state = np.append(rest.reshape(1, -1), [[0.001]], axis=1)
    left = Points(state, np.append(moved_on(model, rest).reshape(1, -1) - state[:, :-1], [[0.1]], axis=1))
    right = Points(state + 0.1 * left.tangent, left.tangent * np.append(np.ones(model.nodes), -1.0))
    peak = Extremum(1.0, left)
    peak.see(np.array([True]), left, right, np.array([0.1]), np.ones(1))
    assert peak.refined(RunningAway(model, 1e-11)).stress == pytest.approx(0.001)


def test_what_is_on_its_way_down_does_not_disturb_what_has_arrived() -> None:
    """A relaxation of a batch solves for those that still move only, and gives each what it gets alone."""
    widths = np.array([0.3, 0.9])
    model, counts = sinusoidal(*widths), np.zeros(2, dtype=np.int64)
    arrived = relax(model, arctan(model, widths), held=True, tolerance=1e-11)
    start = np.stack([arrived[0], arctan(model, 4 * widths)[1]])
    together = relax(model, start, held=True, solves=counts)
    np.testing.assert_array_equal(together[0], arrived[0])
    alone = relax(model.take(np.array([False, True])), start[1:], held=True)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-12)
    assert counts[0] == 1 < counts[1]
