"""Held-out tests of laws: simulations that follow a known law are predicted by it, and by no other one."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.mobility_glide import LineDynamicsSettings
from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityNetworkSettings
from glideflow.errors import ConfigurationError, PropertyError
from glideflow.mobility.laws import DRAG_LAW, LocalLaw, drag_law
from glideflow.mobility.line_dynamics import (
    LineProblem,
    cell_summary,
    circular_loop,
    glide,
    glide_trajectory,
    resolved_stress_mpa,
    straight_dipole,
)
from glideflow.mobility.roll_outs import line_error_angstrom, roll_out
from glideflow.mobility.samples import Split, simulation_sha256, step_data
from glideflow.mobility.trajectory import LineFrame, Trajectory, write_trajectory
from glideflow.reporting.figures.mobility_validation import (
    at_times,
    errors_figure,
    far_stretches,
    terms_figure,
    under_conditions,
)
from glideflow.reporting.mobility_validation import validation_csv, validation_page

pytest.importorskip("torch")
artifacts = pytest.importorskip("glideflow.mobility.artifacts")
experiments = pytest.importorskip("glideflow.mobility.experiments")
glide_terms = pytest.importorskip("glideflow.mobility.glide_terms")
training = pytest.importorskip("glideflow.mobility.training")
validation = pytest.importorskip("glideflow.mobility.validation")
spreads = pytest.importorskip("glideflow.mobility.spreads")

BURGERS = 2.48
FEATURES = MobilityFeatureSettings(images=1, shear_modulus_gpa=0.01)
"""A medium so soft that lines do not notice each other: v = τb/B."""
IRON = MobilityFeatureSettings(images=1)
DRAG = {"screw_drag_mpa_ps": 200.0, "edge_drag_mpa_ps": 100.0, "slope": 0.3}
TRUTH = drag_law(**DRAG, burgers_angstrom=BURGERS)
HALF_AS_FAST = drag_law(screw_drag_mpa_ps=400.0, edge_drag_mpa_ps=200.0, slope=DRAG["slope"], burgers_angstrom=BURGERS)
SMALL = MobilityNetworkSettings(
    features=FEATURES,
    layers={"width": 4},
    training={"members": 4, "epochs": 1, "stride_ps": 1.0, "precision": "float64"},
)


def simulation(
    angle_deg: float = 90.0,
    stress_mpa: float = 500.0,
    *,
    law: LocalLaw = TRUTH,
    radius_angstrom: float | None = None,
    duration_ps: float = 6.0,
) -> Trajectory:
    """Lines that follow a law, as a trajectory: a dipole at an angle, or a loop of a radius."""
    if radius_angstrom is None:
        cell, lines = straight_dipole(angle_deg, (60.0, 30.0, 240.0), BURGERS)
    else:
        cell, lines = circular_loop(radius_angstrom, (400.0, 400.0, 200.0), BURGERS, sides=12)
    problem = LineProblem(
        lines=lines,
        cell_angstrom=cell,
        applied_stress_mpa=resolved_stress_mpa(stress_mpa, lines[0].burgers_angstrom),
        temperature_k=300.0,
        medium=FEATURES if radius_angstrom is None else IRON,
    )
    settings = LineDynamicsSettings(duration_ps=duration_ps, interval_ps=0.5, node_spacing_angstrom=30.0)
    run = glide(problem, law, settings)
    assert run.status == "completed"
    kind = {"angle_deg": angle_deg} if radius_angstrom is None else {"radius_angstrom": radius_angstrom}
    summary = cell_summary(problem, element="Fe", **kind)
    return glide_trajectory(run, problem, law, settings, cell=summary, stress_mpa=stress_mpa)


@pytest.fixture(scope="module")
def edge() -> Trajectory:
    return simulation()


def straight(x_angstrom: float, nodes: int = 2, y_angstrom: float = 0.0) -> LineFrame:
    cell, lines = straight_dipole(90.0, (60.0, 30.0, 240.0), BURGERS)
    places = [
        dataclasses.replace(
            line,
            nodes_fractional=np.column_stack(
                [
                    np.full(nodes, x_angstrom / 60),
                    y_angstrom / 30 + line.period[1] * np.arange(nodes) / nodes,
                    np.full(nodes, line.nodes_fractional[0, 2]),
                ]
            ),
        )
        for line in lines
    ]
    return LineFrame(
        time_ps=0.0, cell_angstrom=cell, stress_mpa=np.zeros((3, 3)), temperature_k=300.0, lines=tuple(places)
    )


class TestDistances:
    @pytest.mark.parametrize("distance", [0.0, 7.0, 60.0, -200.0])
    def test_straight_lines_are_as_far_apart_as_they_are_shifted(self, distance: float) -> None:
        """However they are divided and wherever along themselves they begin; a whole period counts."""
        found = line_error_angstrom(straight(0.0), straight(distance, nodes=5, y_angstrom=-71.0))
        assert found == pytest.approx(abs(distance), abs=1e-9)

    def test_circles_are_as_far_apart_as_their_radii_differ(self) -> None:
        cell, small = circular_loop(100.0, (400.0, 400.0, 200.0), BURGERS, sides=360)
        _, large = circular_loop(103.0, (400.0, 400.0, 200.0), BURGERS, sides=350)
        first, second = (
            dataclasses.replace(straight(0.0), cell_angstrom=cell, lines=lines) for lines in (small, large)
        )
        assert line_error_angstrom(first, second) == pytest.approx(3.0, abs=0.01)

    def test_another_number_of_lines_is_refused(self) -> None:
        frame = straight(0.0)
        with pytest.raises(PropertyError, match="2 lines and 1 lines"):
            line_error_angstrom(frame, dataclasses.replace(frame, lines=frame.lines[:1]))


class TestRollOuts:
    def test_the_law_that_made_it_repeats_a_simulation(self, edge: Trajectory) -> None:
        found = roll_out("edge", edge, TRUTH, FEATURES, interval_ps=0.5, startup_ps=1.0)
        assert found.start_ps == 1.0
        np.testing.assert_allclose(found.times_ps, np.arange(0.5, 5.1, 0.5))
        assert found.error_angstrom.max() < 0.02
        assert found.travelled_angstrom[-1] > 61.0  # farther than the cell is long
        np.testing.assert_allclose(found.displacement_angstrom, found.simulated_angstrom, atol=0.02)
        assert not found.ended

    def test_a_law_that_is_half_as_fast_is_half_behind(self, edge: Trajectory) -> None:
        """500 MPa on an edge: v = τb/B = 12.4 Å/ps."""
        found = roll_out("edge", edge, HALF_AS_FAST, FEATURES, interval_ps=0.5, floor_angstrom=1.5)
        np.testing.assert_allclose(found.percent, 50.0, rtol=1e-3)
        np.testing.assert_allclose(found.error_angstrom, 0.5 * 12.4 * found.times_ps, rtol=1e-3)
        np.testing.assert_allclose(found.simulated_angstrom, 12.4 * found.times_ps, rtol=1e-3)
        np.testing.assert_allclose(found.displacement_angstrom, 6.2 * found.times_ps, rtol=1e-3)
        np.testing.assert_allclose(found.floor_angstrom, 1.5 * np.sqrt(found.times_ps))

    def test_loops_grow_in_it_as_they_did(self) -> None:
        loop = simulation(radius_angstrom=60.0, stress_mpa=2500.0, duration_ps=1.0)
        same = roll_out("loop", loop, TRUTH, IRON)
        behind = roll_out("loop", loop, HALF_AS_FAST, IRON)
        assert same.simulated_angstrom[-1] > 5.0
        assert same.percent.max() < 5.0  # the division into segments is not the same
        assert behind.percent.min() > 30.0

    def test_lines_that_vanish_end_it(self) -> None:
        """A loop that its simulation hardly lets shrink, and that shrinks away by the law."""
        held = drag_law(screw_drag_mpa_ps=1e5, edge_drag_mpa_ps=1e5, burgers_angstrom=BURGERS)
        loop = simulation(radius_angstrom=13.0, stress_mpa=0.0, law=held, duration_ps=2.0)
        found = roll_out("loop", loop, TRUTH, IRON, interval_ps=0.5)
        assert "the loop is shorter than 60 Å" in found.ended
        assert len(found.times_ps) == len(found.error_angstrom) == len(found.predicted) < 4

    def test_times_without_frames_are_refused(self, edge: Trajectory) -> None:
        with pytest.raises(PropertyError, match=r"edge has no frame a whole number of 0\.3 ps after"):
            roll_out("edge", edge, TRUTH, FEATURES, interval_ps=0.3, startup_ps=5.0)


@pytest.fixture(scope="module")
def made() -> tuple[object, object, list[tuple[str, Trajectory]]]:
    """An ensemble that has hardly learned, with the law of the simulations and one half as fast on its card."""
    named = [
        (f"{angle:g}-{stress:g}", simulation(angle, stress, duration_ps=3.0))
        for angle, stress in ((0.0, 500.0), (90.0, 250.0), (45.0, 500.0), (60.0, 500.0), (90.0, 500.0))
    ]
    data = step_data(named, SMALL)
    split = Split(train=(0, 1), validation=(2,), test=(3,))
    ensemble = training.train_ensemble(data, split, SMALL, 0, range(4))
    card = artifacts.ensemble_card(ensemble, data, split, seed=0, training={})
    laws = {DRAG_LAW: DRAG, "linear drag": {"drag_mpa_ps": 200.0}}
    return ensemble, dataclasses.replace(card, laws=laws), named


class TestValidation:
    def test_only_what_was_not_seen_counts_and_the_true_law_has_no_error(self, made: tuple) -> None:
        ensemble, card, named = made
        (found,) = validation.validate(ensemble, card, named, SMALL).experiments
        assert found.experiment.title == "(a) dipoles → dipoles"
        assert [(each.name, each.part) for each in found.trajectories] == [("60-500", "test"), ("90-500", "new")]
        network, truth, slow = found.evaluations
        assert (network.law, truth.law) == (validation.NETWORK, DRAG_LAW)
        assert truth.overall.percent < 1.0
        assert truth.overall.percent_lowest <= truth.overall.percent <= truth.overall.percent_highest
        edge = found.trajectories[1]
        assert edge.velocity_m_per_s == pytest.approx(1240.0, rel=0.02)
        assert edge.laws[DRAG_LAW].velocity_m_per_s == pytest.approx(edge.velocity_m_per_s, rel=0.01)
        assert edge.laws["linear drag"].velocity_m_per_s == pytest.approx(edge.velocity_m_per_s / 2, rel=0.01)
        assert math.isnan(edge.laws[DRAG_LAW].spread_m_per_s)
        assert edge.laws[validation.NETWORK].spread_m_per_s > 0
        assert not edge.conditions_trained
        rolled = {(each.law, each.trajectory): each for each in found.roll_outs}
        assert len(rolled) == 6
        assert rolled[DRAG_LAW, "90-500"].error_angstrom.max() < 0.05
        np.testing.assert_allclose(rolled["linear drag", "90-500"].percent, 50.0, rtol=1e-3)
        assert (rolled[validation.NETWORK, "90-500"].spread_angstrom > 0).all()
        assert slow.overall.percent_highest > 40.0

    def test_the_training_itself_counts_only_if_asked_for(self, made: tuple) -> None:
        ensemble, card, named = made
        with pytest.raises(ConfigurationError, match="that the model was trained on"):
            validation.validate(ensemble, card, named[:3], SMALL)
        found = validation.validate(ensemble, card, named[:1], SMALL, seen=True, roll_outs=0)
        assert found.seen
        assert found.experiments[0].trajectories[0].part == "train"
        assert found.experiments[0].trajectories[0].conditions_trained
        assert found.experiments[0].roll_outs == ()

    def test_short_trajectories_are_named(self, made: tuple) -> None:
        ensemble, card, named = made
        short = ("short", simulation(30.0, duration_ps=0.5))
        found = validation.validate(ensemble, card, [*named, short], SMALL, roll_outs=0)
        assert list(found.left_out) == ["short"]
        with pytest.raises(ConfigurationError, match="no held-out trajectory has a step: short has no step"):
            validation.validate(ensemble, card, [short], SMALL)

    def test_the_start_up_may_be_another_one(self, made: tuple) -> None:
        """For steps, mean velocities and roll-outs alike."""
        ensemble, card, named = made
        later = SMALL.model_copy(update={"training": SMALL.training.model_copy(update={"startup_ps": 1.0})})
        (before,), (after,) = (
            validation.validate(ensemble, card, [named[3]], each, roll_outs=1).experiments for each in (SMALL, later)
        )
        assert after.evaluations[0].overall.steps == before.evaluations[0].overall.steps - 1  # one for each picosecond
        assert after.roll_outs[0].start_ps == before.roll_outs[0].start_ps + 1.0
        assert after.trajectories[0].error_m_per_s != before.trajectories[0].error_m_per_s

    def test_another_potential_is_refused(self, made: tuple) -> None:
        ensemble, card, named = made
        knows = [dataclasses.replace(each, potential_id="A", potential_sha256="a") for each in card.sources]
        with pytest.raises(ConfigurationError, match=r"60-500 is a trajectory with the potential .* trained with A"):
            validation.validate(ensemble, dataclasses.replace(card, sources=tuple(knows)), [named[3]], SMALL)
        other = dataclasses.replace(card, burgers_angstrom=2.74)
        with pytest.raises(ConfigurationError, match=r"Burgers vector of 2.480 Å, .* one of 2.740 Å"):
            validation.validate(ensemble, other, [named[3]], SMALL)


class TestExperiments:
    @pytest.mark.parametrize(
        ("trained", "tested", "title"),
        [
            (("dipole",), "dipole", "(a) dipoles → dipoles"),
            (("loop",), "loop", "(b) loops → loops"),
            (("dipole",), "loop", "(c) dipoles → loops"),
            (("dipole", "loop"), "loop", "dipoles and loops → loops"),
            (("loop",), "dipole", "loops → dipoles"),
        ],
    )
    def test_the_three_of_the_paper_have_letters(self, made: tuple, trained: tuple, tested: str, title: str) -> None:
        _, card, _ = made
        sources = [dataclasses.replace(card.sources[0], kind=kind) for kind in reversed(trained)]
        unseen = [dataclasses.replace(card.sources[0], kind="loop", part="test")]
        found = experiments.experiment_of(dataclasses.replace(card, sources=(*sources, *unseen)), tested)
        assert found.title == title

    def test_what_cannot_be_done_says_why(self, made: tuple) -> None:
        _, card, _ = made
        assert experiments.impossible(card, ["dipole"]) == {
            "(b) loops → loops": "the model was trained on dipoles",
            "(c) dipoles → loops": "no loop is among the trajectories that count",
        }

    def test_held_out_are_tests_and_what_is_new(self, made: tuple) -> None:
        _, card, named = made
        trajectories = [each for _, each in named]
        assert experiments.held_out(card, trajectories) == [3, 4]
        assert experiments.held_out(card, trajectories, seen=True) == [0, 1, 2, 3, 4]
        longer = simulation(0.0, 500.0, duration_ps=4.0)  # the same simulation, continued
        assert simulation_sha256(longer) == simulation_sha256(trajectories[0])
        with pytest.raises(ConfigurationError):
            experiments.held_out(card, [longer])


def row(error: float, spread: float, simulated_error: float = math.nan):
    return validation.HeldOutTrajectory(
        name="x",
        part="new",
        kind="dipole",
        angle_deg=90.0,
        radius_nm=math.nan,
        stress_mpa=500.0,
        temperature_k=300.0,
        conditions_trained=False,
        velocity_m_per_s=1000.0,
        error_m_per_s=simulated_error,
        floor_m_per_s=math.nan,
        laws={validation.NETWORK: validation.LawVelocity(velocity_m_per_s=1000.0 + error, spread_m_per_s=spread)},
    )


def test_the_factor_of_the_spread_is_that_of_errors_over_deviations(made: tuple) -> None:
    ensemble, _, named = made
    data = step_data(named, SMALL)
    ratios = []
    for number in (2, 4):
        steps = data.of([number])
        members = np.mean([ensemble.predict(each.graph).members_angstrom_per_ps.mean(axis=1) for each in steps], axis=0)
        observed = np.mean([each.target.observed_angstrom.mean() for each in steps]) / SMALL.training.step_ps
        ratios.append((members.mean() - observed) / members.std())
    expected = math.sqrt((ratios[0] ** 2 + ratios[1] ** 2) / 2)
    assert spreads.error_over_spread(ensemble, data, [2, 4]) == pytest.approx(expected, rel=1e-6)
    assert math.isnan(spreads.error_over_spread(ensemble, data, []))


class TestCoverage:
    def test_shares_within_one_and_two_spreads(self) -> None:
        found = validation.coverage_of([row(5.0, 10.0), row(-15.0, 10.0), row(30.0, 10.0), row(-10.0, 10.0)])
        assert (found.within_one_percent, found.within_two_percent) == (50.0, 75.0)
        assert found.root_mean_square == pytest.approx(np.sqrt((0.25 + 2.25 + 9 + 1) / 4))
        assert found.with_error_one_percent == 50.0  # no error is known

    def test_errors_of_the_simulation_count_beside_the_spread(self) -> None:
        found = validation.coverage_of([row(45.0, 30.0, 40.0), row(90.0, 30.0, 40.0)])
        assert (found.within_one_percent, found.within_two_percent) == (0.0, 50.0)
        assert (found.with_error_one_percent, found.with_error_two_percent) == (50.0, 100.0)

    def test_a_law_without_a_spread_covers_nothing(self) -> None:
        assert validation.coverage_of([row(1.0, math.nan)]) is None


@pytest.fixture(scope="module")
def series(made: tuple) -> tuple:
    ensemble, card, _ = made
    return glide_terms.term_series(ensemble, card, size_angstrom=(60.0, 30.0, 240.0), spacing_angstrom=15.0)


class TestTerms:
    def test_barriers_slow_lines_down_and_no_stress_moves_none(self, series: tuple) -> None:
        terms = [term for each in series for term in each.terms]
        for term in terms:
            assert abs(term.velocity_m_per_s) <= abs(term.free_velocity_m_per_s) + 1e-9
            assert term.energy_ev >= 0
        still = [term for term in terms if term.conditions.stress_mpa == 0]
        assert len(still) == 2
        assert max(abs(term.velocity_m_per_s) for term in still) < 0.1  # stress of the images that are not summed

    def test_a_line_turned_by_180_degrees_is_the_same_line(self, series: tuple) -> None:
        terms = next(each.terms for each in series if each.along == "angle")
        assert terms[-1].conditions.angle_deg - terms[0].conditions.angle_deg == 180.0
        assert terms[-1].velocity_m_per_s == pytest.approx(terms[0].velocity_m_per_s, rel=1e-9)
        assert terms[-1].energy_ev == pytest.approx(terms[0].energy_ev, rel=1e-9)

    def test_conditions_far_from_the_training_are_marked(self, series: tuple) -> None:
        angles = {
            term.conditions.angle_deg: term.extrapolated
            for each in series
            if each.along == "angle"
            for term in each.terms
        }
        assert angles[0.0] == angles[90.0] == angles[170.0] == ()
        assert angles[50.0] == ("angle",)
        along = {each.along: each.terms for each in series}
        assert [bool(term.extrapolated) for term in along["stress"]] == [
            not 250.0 <= term.conditions.stress_mpa <= 500.0 for term in along["stress"]
        ]
        assert {term.extrapolated for term in along["temperature"][::12]} == {("temperature",)}

    def test_loops_have_lines_at_all_angles(self) -> None:
        trained = glide_terms.TrainingRange(angles_deg=(), loops=True, stresses_mpa=(500.0,), temperatures_k=(300.0,))
        at = glide_terms.Conditions(angle_deg=50.0, stress_mpa=-500.0, temperature_k=300.0)
        assert trained.outside(at) == ()
        assert dataclasses.replace(trained, loops=False).outside(at) == ("angle",)


class TestReport:
    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, made: tuple) -> object:
        ensemble, card, named = made
        loop = ("a|<b>", simulation(radius_angstrom=60.0, stress_mpa=1500.0, duration_ps=1.0))
        return validation.validate(ensemble, card, [*named, loop], SMALL, interval_ps=0.5, roll_outs=1)

    def test_the_page_holds_every_experiment_and_what_was_not_tested(self, found: object, series: tuple) -> None:
        page = validation_page(found, series[:1])
        for text in (
            "Single steps: (a) dipoles → dipoles",
            "Roll-outs: (c) dipoles → loops",
            "Experiment (b) loops → loops: the model was trained on dipoles.",
            "Does the spread cover the error of the velocity?",
            "Straight lines: force over drag, barrier, velocity",
        ):
            assert text in page
        assert page == validation_page(found, series[:1])
        assert "extrapolated: no such angle in the training" in page
        assert "http://" not in page.split("<script>")[0]

    def test_csv_has_a_row_for_each_law_and_trajectory(self, found: object) -> None:
        rows = list(csv.DictReader(io.StringIO(validation_csv(found))))
        assert [(row["name"], row["law"]) for row in rows[::3]] == [
            (name, validation.NETWORK) for name in ("60-500", "90-500", "a|<b>")
        ]
        edge = rows[4]
        assert edge["law"] == DRAG_LAW
        assert float(edge["velocity_m_per_s"]) == pytest.approx(1240.0, rel=0.01)
        assert edge["spread_m_per_s"] == edge["radius_nm"] == edge["roll_out_ps"] == ""  # one dipole is rolled out
        assert float(rows[1]["roll_out_angstrom"]) < 0.05
        assert "a\\|<b>" not in validation_csv(found)

    def test_lines_that_were_not_trained_on_are_shaded(self, series: tuple) -> None:
        own = [each for each in series if (each.along, each.by) == ("angle", "temperature")]
        assert far_stretches(own, "angle") == [(15.0, 75.0), (105.0, 165.0)]
        figure = terms_figure(own)
        assert [(shape.x0, shape.x1) for shape in figure.layout.shapes[:1]] == [(15.0, 75.0)]

    def test_simulations_stand_beside_straight_lines_under_their_conditions(self, found: object, series: tuple) -> None:
        own = [each for each in series if (each.along, each.by) == ("angle", "stress")]
        assert [each.terms[0].conditions.stress_mpa for each in own] == [250.0, 500.0]
        simulated = found.experiments[0].trajectories
        assert [under_conditions(each, simulated) for each in own] == [[], list(simulated)]
        drawn = [trace for trace in terms_figure(own, simulated).data if trace.name == "simulation"]
        assert [(list(trace.x), trace.yaxis) for trace in drawn] == [([60.0, 90.0], "y3")]
        assert drawn[0].y[1] == pytest.approx(1240.0, rel=0.01)

    def test_errors_are_drawn_where_they_are(self, found: object) -> None:
        evaluations = found.experiments[0].evaluations
        figure = errors_figure(evaluations, "angle")
        drawn = {(trace.name, trace.yaxis): trace for trace in figure.data}
        groups = evaluations[1].groups["angle"]
        assert list(drawn[DRAG_LAW, "y"].y) == [each.percent for each in groups]
        assert list(drawn[DRAG_LAW, "y2"].y) == [each.absolute_angstrom for each in groups]
        assert list(drawn[DRAG_LAW, "y"].x) == ["60.0°", "90.0°"]

    def test_growth_is_the_median_over_trajectories(self, edge: Trajectory) -> None:
        out = [roll_out("edge", edge, law, FEATURES) for law in (TRUTH, HALF_AS_FAST)]
        short = roll_out("edge", simulation(duration_ps=2.0), HALF_AS_FAST, FEATURES)
        times, (lowest, middle, highest) = at_times([*out, short], "error_angstrom")
        np.testing.assert_allclose(times, np.arange(1.0, 6.1))
        assert lowest[0] < 0.02
        assert middle[:2] == pytest.approx(6.2 * times[:2], rel=1e-3)
        assert highest[0] == pytest.approx(6.2, rel=1e-3)
        assert middle[2] == pytest.approx(3.1 * times[2], rel=0.01)  # of two that are left


class TestCommand:
    @pytest.fixture(scope="class")
    @classmethod
    def files(cls, made: tuple, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
        ensemble, card, named = made
        folder = tmp_path_factory.mktemp("validated")
        artifacts.write_ensemble(folder / "model" / artifacts.MODEL_FILE, ensemble, card)
        for name, trajectory in named:
            write_trajectory(folder / f"{name}.h5", trajectory)
        return str(folder / "model"), [str(folder / f"{name}.h5") for name, _ in named]

    def test_files_and_json_say_the_same(self, files: tuple[str, list[str]], tmp_path: Path) -> None:
        model, named = files
        outputs = [tmp_path / name for name in ("v.html", "v.csv", "v.md")]
        options = [text for file in outputs for text in ("--output", str(file))]
        small = ["--set", "mobility.network.training.stride_ps=1.0", "--set", "mobility.cells.size_nm=[6, 3, 24]"]
        done = CliRunner().invoke(
            app, ["mobility", "validate", model, named[0], named[4], *options, *small, "--roll-outs=0", "--json"]
        )
        assert done.exit_code == 0, done.output
        content = json.loads(done.stdout)
        (result,) = content["experiments"]
        assert [each["name"] for each in result["trajectories"]] == ["90-500"]
        assert result["letter"] == "a"
        assert content["straight_lines"]
        rows = list(csv.DictReader(outputs[1].open(encoding="utf-8")))
        assert len(rows) == 3
        assert float(rows[0]["velocity_m_per_s"]) == result["trajectories"][0]["laws"]["PI-GNN"]["velocity_m_per_s"]
        assert "| 90.00° | 500 | 300 | 1240 | – |" in outputs[2].read_text(encoding="utf-8")
        assert "Velocities: (a) dipoles → dipoles" in outputs[0].read_text(encoding="utf-8")

    def test_another_ending_is_refused_before_anything_is_computed(self, files: tuple[str, list[str]]) -> None:
        model, named = files
        done = CliRunner().invoke(app, ["mobility", "validate", model, *named, "-o", "v.pdf"])
        assert isinstance(done.exception, ConfigurationError)
        assert "the output v.pdf" in str(done.exception)
