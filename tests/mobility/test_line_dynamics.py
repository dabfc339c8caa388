from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from glideflow.config.mobility_glide import LineDynamicsSettings
from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.errors import ConfigurationError, ConvergenceError, PropertyError
from glideflow.mobility.elasticity import IsotropicElasticity, IsotropicRow
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.laws import LocalLaw, NodeVelocities, drag_law, fit_law, measured_velocity
from glideflow.mobility.line_dynamics import (
    LineProblem,
    cell_summary,
    circular_loop,
    glide,
    glide_samples,
    glide_trajectory,
    resolved_stress_mpa,
    straight_dipole,
)
from glideflow.mobility.line_forces import LineConditions, node_geometry
from glideflow.mobility.remeshing import remeshed
from glideflow.mobility.trajectory import LineFrame, read_trajectory, write_trajectory
from glideflow.mobility.velocities import displacements_angstrom

B, DRAG = 2.48, 85.0
MU = 64.3e3
LAW = drag_law(screw_drag_mpa_ps=DRAG, edge_drag_mpa_ps=DRAG, burgers_angstrom=B)
SIZE = (60.0, 28.0, 120.0)


def medium(images: int = 1, points: int = 3, ratio: float = 0.3) -> MobilityFeatureSettings:
    return MobilityFeatureSettings(
        images=images, gauss_points=points, poisson_ratio=ratio, shear_modulus_gpa=MU / 1e3, softening_per_k=0.0
    )


def settings(duration: float, **changes: float) -> LineDynamicsSettings:
    return LineDynamicsSettings(**{"duration_ps": duration, "interval_ps": duration / 4, **changes})


FREE = MobilityFeatureSettings(images=1, gauss_points=1, shear_modulus_gpa=1e-9)
"""A medium so soft that lines do not feel each other: what is left is the applied stress."""


def dipole(
    stress: float,
    size: tuple[float, float, float] = SIZE,
    angle: float = 90.0,
    within: MobilityFeatureSettings = FREE,
) -> LineProblem:
    cell, lines = straight_dipole(angle, size, B)
    return LineProblem(
        lines=lines,
        cell_angstrom=cell,
        applied_stress_mpa=resolved_stress_mpa(stress, lines[0].burgers_angstrom),
        temperature_k=300.0,
        medium=within,
    )


def loop(
    radius: float, stress: float = 0.0, *, edge: float = 600.0, sides: int = 24, points: int = 5, ratio: float = 0.3
) -> LineProblem:
    cell, lines = circular_loop(radius, (edge,) * 3, B, sides)
    return LineProblem(
        lines=lines,
        cell_angstrom=cell,
        applied_stress_mpa=resolved_stress_mpa(stress, lines[0].burgers_angstrom),
        temperature_k=300.0,
        medium=medium(points=points, ratio=ratio),
    )


def radius(line: DislocationLine, cell: np.ndarray) -> float:
    x, y, _ = line.chain_angstrom(cell).T
    return float(np.sqrt(abs(0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / np.pi))


def critical_stress(size: float, ratio: float = 0.3, core: float = B) -> float:
    """Stress that holds a circular glide loop, dE/dR / 2πRb, with the energy of Cai et al. (2006).

    E = 2πR μb²/8π [(2 - ν)/(1 - ν) (ln 8R/a - 2) + 1/2], up to terms of the order (a/R)².
    """
    return MU * B / (8 * np.pi * size) * ((2 - ratio) / (1 - ratio) * (np.log(8 * size / core) - 1) + 0.5)


@dataclass(frozen=True)
class Prescribed:
    """A law that knows nothing of stress: (N, 3) positions give (N,) speeds along the glide directions."""

    speed: Callable[[np.ndarray], np.ndarray]
    name: str = "prescribed"
    burgers_angstrom: float | None = None

    def node_velocities(self, conditions: LineConditions) -> NodeVelocities:
        geometry = conditions.geometry
        return NodeVelocities(
            directions=geometry.at_nodes.glide_direction,
            speed_angstrom_per_ps=self.speed(geometry.starts_angstrom),
        )

    def samples(self, count: int, seed: int) -> Sequence[Prescribed]:
        return ()


@pytest.mark.parametrize(("angle", "stress"), [(90.0, 500.0), (0.0, -500.0), (109.47, 250.0)])
def test_straight_lines_glide_with_the_velocity_of_the_law(angle: float, stress: float) -> None:
    run = glide(dipole(stress, angle=angle), LAW, settings(4.0, first_step_ps=1.0))
    gone = displacements_angstrom(run.frames)
    assert run.status == "completed"
    np.testing.assert_allclose(gone[-1] - gone[0], stress * B / DRAG * 4.0, rtol=1e-6)
    # Unwrapped: no frame is a period from the one before.
    np.testing.assert_allclose(np.diff(gone, axis=0), stress * B / DRAG, rtol=1e-6)


def row_stress(x: float, length: float, height: float) -> float:
    """Resolved shear stress in MPa against which the upper line of a dipole moves to the distance x from the lower."""
    row = IsotropicRow(IsotropicElasticity(MU / 1e3, 0.3), np.array([B, 0.0, 0.0]))
    return 1e3 * float(sum(row.resolved_stress_gpa(np.array(x), n * height / 2, length) for n in (-3, -1, 1, 3)))


def apart(frame: LineFrame) -> float:
    """Distance in Å along x of the upper line of a dipole from the lower one."""
    lower, upper = (line.centre_fractional()[0] for line in frame.lines)
    return float((upper - lower) * frame.cell_angstrom[0, 0])


def shifted(problem: LineProblem, distance: float) -> LineProblem:
    """The dipole with its upper line moved along x."""
    lower, upper = problem.lines
    step = np.array([distance / problem.cell_angstrom[0, 0], 0.0, 0.0])
    return replace(problem, lines=(lower, replace(upper, nodes_fractional=upper.nodes_fractional + step)))


def test_a_dipole_below_its_passing_stress_locks_where_the_closed_form_says() -> None:
    length, height, stress = 80.0, 160.0, 30.0
    assert max(row_stress(x, length, height) for x in np.linspace(1, length - 1, 50)) > 1.5 * stress
    # The lower line glides against x: their distance grows from its rest at half a period until the two balance.
    problem = shifted(dipole(stress, (length, 80.0, height), within=medium(images=2)), length / 2)
    run = glide(problem, LAW, settings(20.0, node_spacing_angstrom=40.0))
    places = [apart(frame) for frame in run.frames]
    held = brentq(lambda x: row_stress(x, length, height) - stress, length / 2, 0.75 * length)
    assert places[-1] == pytest.approx(held, abs=0.2)
    assert 0 < places[-1] - places[-2] < 0.25


def test_a_loop_is_held_by_the_stress_of_the_closed_form() -> None:
    for size in (30.0, 50.0):
        held = critical_stress(size)
        for factor in (0.97, 1.03):
            problem = loop(size, factor * held, edge=20 * size)
            velocities = LAW.node_velocities(problem.conditions(problem.lines))
            shares = node_geometry(problem.frame(problem.lines, 0.0)).shares_angstrom
            mean = float(velocities.speed_angstrom_per_ps @ shares) / (2 * np.pi * size)
            assert mean == pytest.approx((factor - 1) * held * B / DRAG, abs=0.01 * held * B / DRAG)


def test_a_loop_shrinks_as_its_energy_falls_however_it_is_divided() -> None:
    # B dR/dt = -τ_c(R) b; with ν = 0 screw and edge have the same energy, and the loop stays a circle.
    times = (0.0, 0.2, 0.4)
    wanted = solve_ivp(
        lambda _, size: -critical_stress(size, 0.0) * B / DRAG, times[::2], [50.0], t_eval=times, rtol=1e-8
    ).y[0]
    for spacing, tolerance in ((8.0, 0.004), (20.0, 0.015)):
        problem = loop(50.0, ratio=0.0, sides=48 if spacing == 8.0 else 24)
        run = glide(problem, LAW, settings(0.4, interval_ps=0.2, node_spacing_angstrom=spacing))
        found = [radius(frame.lines[0], frame.cell_angstrom) for frame in run.frames]
        np.testing.assert_allclose(found, wanted, rtol=tolerance)
        lengths = [frame.lines[0].length_angstrom(frame.cell_angstrom) for frame in run.frames]
        assert (np.diff(lengths) < 0).all()
        nodes = [len(frame.lines[0].nodes_fractional) for frame in run.frames]
        assert (nodes[0], nodes[-1] < nodes[0]) == ((48, False) if spacing == 8.0 else (24, True))


def test_without_load_the_energy_of_a_dipole_falls() -> None:
    length, height = 80.0, 120.0
    problem = shifted(dipole(0.0, (length, 80.0, height), within=medium(images=2)), 20.0)
    run = glide(problem, LAW, settings(4.0, node_spacing_angstrom=40.0))
    places = [apart(frame) for frame in run.frames]
    work = [quad(row_stress, first, second, args=(length, height))[0] for first, second in pairwise(places)]
    assert max(work) < 0
    assert abs(places[-1] - places[0]) > 3


def test_steps_are_of_second_order() -> None:
    # x → x e^(-t) for the upper line and e^(t) for the lower one: m is along -x for the one along +y.
    problem = dipole(0.0)
    law = Prescribed(lambda nodes: nodes[:, 0])
    errors = []
    for step in (0.2, 0.1, 0.05):
        fixed = {"first_step_ps": step, "largest_step_ps": step, "tolerance_angstrom": 1e6}
        run = glide(problem, law, settings(1.0, interval_ps=1.0, **fixed))
        assert run.steps == round(1 / step)
        errors.append(abs(run.frames[-1].lines[0].centre_fractional()[0] * SIZE[0] - 30.0 * np.exp(-1.0)))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.1)


def test_the_tolerance_decides_how_large_steps_are() -> None:
    law = Prescribed(lambda nodes: nodes[:, 0])
    errors, steps = [], []
    for tolerance in (1e-1, 1e-3):
        run = glide(dipole(0.0), law, settings(1.0, tolerance_angstrom=tolerance, first_step_ps=1.0))
        errors.append(abs(run.frames[-1].lines[0].centre_fractional()[0] * SIZE[0] - 30.0 * np.exp(-1.0)))
        steps.append(run.steps)
        assert run.rejected_steps > 0
    assert errors[1] < errors[0] / 30
    assert 5 * steps[0] < steps[1] < 20 * steps[0]


def test_lines_on_one_plane_annihilate() -> None:
    problem = dipole(0.0, (60.0, 28.0, 600.0), within=medium())
    lower, upper = problem.lines
    nodes = lower.nodes_fractional[::-1] + np.array([0.3, 0.0, 0.0])
    pair = (lower, replace(upper, nodes_fractional=nodes))
    run = glide(replace(problem, lines=pair), LAW, settings(1.0, tolerance_angstrom=0.2))
    assert run.status == "annihilated"
    assert run.reason.startswith("two lines have met after ")
    # In its plane a row of edges with the period L exerts μb/2(1-ν)L cot(πd/L); B dd/dt = -2τb gives the time.
    from_18_to_5 = np.log(np.cos(np.pi * 5 / 60) / np.cos(np.pi * 18 / 60))
    wanted = DRAG * 0.7 * 60.0**2 / (np.pi * MU * B**2) * from_18_to_5
    assert run.end_ps == pytest.approx(wanted, rel=0.06)  # the core of the lines softens their attraction at the end
    assert all(len(frame.lines) == 2 for frame in run.frames)


def test_a_small_loop_vanishes_and_a_large_one_meets_its_images() -> None:
    gone = glide(loop(14.0, sides=12), LAW, settings(2.0, interval_ps=0.5, node_spacing_angstrom=10.0))
    assert (gone.status, len(gone.frames)) == ("vanished", 1)
    assert "shorter than 60 Å" in gone.reason
    outwards = Prescribed(lambda nodes: np.full(len(nodes), 50.0))
    large = glide(loop(50.0, edge=200.0), outwards, settings(4.0, interval_ps=0.1))
    assert large.status == "merged"
    assert large.end_ps == pytest.approx(0.8, abs=0.15)  # 50 Å to 90 Å at 50 Å/ps
    sizes = [radius(frame.lines[0], frame.cell_angstrom) for frame in large.frames]
    np.testing.assert_allclose(np.diff(sizes) / 0.1, 50.0, rtol=0.02)


def test_dividing_a_line_anew_keeps_its_shape_and_topology() -> None:
    cell, (circle,) = circular_loop(60.0, (200.0, 200.0, 200.0), B, 17)
    fine = remeshed(circle, cell, shortest_angstrom=3.0, longest_angstrom=8.0)
    back = remeshed(fine, cell, shortest_angstrom=12.0, longest_angstrom=40.0)
    for line in (fine, back):
        lengths = np.linalg.norm(np.diff(line.chain_angstrom(cell), axis=0), axis=1)
        assert lengths.max() <= 40.0
        assert line.topology == "closed"
        assert radius(line, cell) == pytest.approx(60.0, rel=0.03)
    assert np.linalg.norm(np.diff(fine.chain_angstrom(cell), axis=0), axis=1).max() <= 8.0
    assert len(back.nodes_fractional) < len(fine.nodes_fractional) / 2
    _, (straight, _) = straight_dipole(30.0, SIZE, B)
    divided = remeshed(straight, np.diag(SIZE), shortest_angstrom=1.0, longest_angstrom=3.0)
    chain = divided.chain_angstrom(np.diag(SIZE))
    np.testing.assert_allclose(chain[-1] - chain[0], [0, 28.0, 0], atol=1e-9)
    np.testing.assert_allclose(chain[:, [0, 2]] - chain[0, [0, 2]], 0, atol=1e-9)
    assert (np.diff(chain[:, 1]) > 0).all()


def test_the_uncertainty_of_a_law_becomes_one_of_the_distance() -> None:
    sure = {"screw_drag_mpa_ps": DRAG, "edge_drag_mpa_ps": DRAG, "slope": 0.0}
    law = LocalLaw(name=LAW.name, parameters=sure, burgers_angstrom=B, covariance=np.diag([0.0, 4.25**2, 0.0]))
    problem, brief = dipole(500.0), settings(1.0, first_step_ps=1.0, interval_ps=1.0)
    run = glide(problem, law, brief)
    np.testing.assert_allclose(run.spread_angstrom, [0.0, 0.05 * 500 * B / DRAG], rtol=1e-3)
    runs = glide_samples(problem, law, brief, 12, seed=3)
    gone = [np.ptp(displacements_angstrom(each.frames), axis=0).mean() for each in runs]
    assert np.std(gone, ddof=1) == pytest.approx(run.spread_angstrom[-1], rel=0.6)
    assert np.isnan(glide(problem, LAW, brief).spread_angstrom[-1])
    with pytest.raises(PropertyError, match="does not say how sure it is"):
        glide_samples(problem, LAW, brief, 2)


def test_a_run_is_a_trajectory_like_one_of_molecular_dynamics(tmp_path: Path) -> None:
    problem, steps = dipole(500.0), settings(1.2, interval_ps=0.1, first_step_ps=0.1)
    run = glide(problem, LAW, steps)
    summary = cell_summary(problem, element="Fe", angle_deg=90.0)
    write_trajectory(tmp_path / "glide.h5", glide_trajectory(run, problem, LAW, steps, cell=summary, stress_mpa=500.0))
    found = read_trajectory(tmp_path / "glide.h5")
    assert (found.status, found.cell.kind, found.potential.engine) == ("completed", "dipole", "line dynamics")
    assert len(list(found.frames())) == len(run.frames) == 13
    assert found.settings["law_parameters"] == dict(LAW.parameters)
    assert found.settings["medium"]["shear_modulus_gpa"] == FREE.shear_modulus_gpa
    measured = measured_velocity(found)
    assert measured.velocity_m_per_s == pytest.approx(100 * 500 * B / DRAG, rel=1e-3)
    # A law fitted to the motion of lines by a law is that law.
    fitted = fit_law(LAW.name, [measured], fixed={"screw_drag_mpa_ps": 1.0, "slope": 0.0})
    assert fitted.parameters["edge_drag_mpa_ps"] == pytest.approx(DRAG, rel=1e-3)


def test_what_cannot_be_integrated_is_refused() -> None:
    with pytest.raises(ConvergenceError, match="a step of"):
        glide(dipole(0.0), Prescribed(lambda nodes: np.full(len(nodes), np.nan)), settings(1.0))
    with pytest.raises(ConfigurationError, match="a loop of radius 40 nm"):
        circular_loop(400.0, (300.0, 300.0, 300.0), B)
    with pytest.raises(ConfigurationError, match="with a Burgers vector of 0 Å"):
        straight_dipole(0.0, SIZE, 0.0)
    problem = dipole(0.0)
    single = replace(problem, lines=problem.lines[:1])
    with pytest.raises(PropertyError, match="more Burgers vector runs"):
        glide(single, LAW, settings(1.0))
    _, (circle,) = circular_loop(60.0, (200.0, 200.0, 200.0), B)
    with pytest.raises(PropertyError, match="segments between 5 and 8"):
        remeshed(circle, np.eye(3), shortest_angstrom=5.0, longest_angstrom=8.0)


def test_the_example_of_the_manual_grows_a_loop(repository: Path) -> None:
    page = (repository / "docs" / "mobility_lines.md").read_text("utf-8")
    [block] = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(block, namespace)
    first, last = (namespace["run"].frames[number].lines[0] for number in (0, -1))
    assert last.length_angstrom(namespace["cell"]) > first.length_angstrom(namespace["cell"])
