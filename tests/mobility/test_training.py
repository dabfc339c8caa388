from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.cli.mobility_network import _tell_medium, _tell_other_features, steps_of
from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityNetworkSettings
from glideflow.errors import ConfigurationError, ConvergenceError, DependencyError, PropertyError, StorageError
from glideflow.mobility.baselines import LAWS, FittedLaw, fitted_laws
from glideflow.mobility.samples import Split, StepData, StepSource, refuse_leak, split_by_trajectory, step_data
from glideflow.mobility.trajectory import Trajectory, write_trajectory
from glideflow.progress import silent

if TYPE_CHECKING:
    from conftest import Hold

torch = pytest.importorskip("torch")
artifacts = pytest.importorskip("glideflow.mobility.artifacts")
evaluation = pytest.importorskip("glideflow.mobility.evaluation")
training = pytest.importorskip("glideflow.mobility.training")

SCENARIOS = ((90.0, 500.0, 300.0), (70.53, 750.0, 500.0), (35.26, 500.0, 300.0), (109.47, 250.0, 700.0))
SPLIT = Split(train=(0, 1), validation=(2,), test=(3,))
MakeTrajectory = Callable[..., Trajectory]


def configured(**changed: object) -> MobilityNetworkSettings:
    values = {"members": 3, "epochs": 4, "batch_size": 3, "precision": "float64", "checkpoint_interval_s": 0.0}
    return MobilityNetworkSettings(features={"images": 1}, layers={"width": 6}, training=values | changed)


@pytest.fixture(scope="module")
def trajectories(synthetic_trajectory: MakeTrajectory) -> list[tuple[str, Trajectory]]:
    return [
        (f"{number}.h5", synthetic_trajectory(*scenario, seed=number, duration_ps=4.0))
        for number, scenario in enumerate(SCENARIOS)
    ]


@pytest.fixture(scope="module")
def data(trajectories: list[tuple[str, Trajectory]]) -> StepData:
    return step_data(trajectories, configured())


def trained(data: StepData, *, members: tuple[int, ...] = (0, 1, 2), seed: int = 0, **options: object):
    given = {name: options.pop(name) for name in ("work", "resume", "start") if name in options}
    return training.train_ensemble(data, SPLIT, configured(**options), seed, members, **given)


def same(first: object, second: object, *, rtol: float = 0.0) -> None:
    for one, other in zip(first.members, second.members, strict=True):
        assert (one.seed, one.best_epoch) == (other.seed, other.best_epoch)
        np.testing.assert_allclose(one.validation_loss, other.validation_loss, rtol=rtol)
        for name, values in one.state.items():
            np.testing.assert_allclose(values, other.state[name], rtol=rtol, atol=rtol, err_msg=name)


class TestSteps:
    def test_steps_begin_after_the_start_up_and_have_an_end(self, data: StepData) -> None:
        """Frames every 0.5 ps from 0 to 4 ps, 1 ps of start-up, steps of 1 ps."""
        times = [step.time_ps for step in data.of([0])]
        np.testing.assert_allclose(times, [1.0, 1.5, 2.0, 2.5, 3.0])
        assert data.sources[0].left_out == ("2 × no frame one step later",)

    def test_another_start_up_than_that_of_the_simulations(
        self, trajectories: list[tuple[str, Trajectory]], data: StepData
    ) -> None:
        earlier = step_data(trajectories, configured(startup_ps=0.5))
        assert min(step.time_ps for step in earlier.steps) == 0.5
        own = step_data(trajectories, configured(startup_ps=1.0))  # what they were simulated with
        assert own.sha256() == data.sha256() != earlier.sha256()

    def test_observed_displacements_are_those_of_the_law(self, synthetic_trajectory: MakeTrajectory) -> None:
        quiet = synthetic_trajectory(90.0, 500.0, 300.0, duration_ps=4.0, jitter_angstrom=0.0)
        places = [frame.nodes_angstrom()[[0, 3], 0] for frame in quiet.frames()]  # every 0.5 ps
        steps = step_data([("quiet", quiet)], configured()).steps
        for number, step in enumerate(steps):
            moved = places[2 + number + 2] - places[2 + number]
            np.testing.assert_allclose(step.target.observed_angstrom, np.repeat([-1, 1] * moved, 3), rtol=1e-9)

    def test_trajectories_without_a_step_are_named_and_passed_over(
        self, synthetic_trajectory: MakeTrajectory, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole, short = (synthetic_trajectory(90.0, 500.0, 300.0, duration_ps=time) for time in (4.0, 1.5))
        found = steps_of({"short": short, "whole": whole}, configured(), leave_out=True, progress=silent)
        assert [source.name for source in found.sources] == ["whole"]
        assert {step.trajectory for step in found.steps} == {0}
        assert capsys.readouterr().err == ("left out: short (completed) has no step: 2 × no frame one step later\n")
        for pool, leave_out in (({"short": short, "whole": whole}, False), ({"short": short}, True)):
            with pytest.raises(PropertyError, match="short has no step of 1 ps: 2 × no frame one step later"):
                steps_of(pool, configured(), leave_out=leave_out, progress=silent)

    def test_a_trajectory_without_a_step_is_refused(self, synthetic_trajectory: MakeTrajectory) -> None:
        short = synthetic_trajectory(duration_ps=1.5)
        with pytest.raises(PropertyError, match=r"short.h5 has no step of 1 ps: 2 × no frame one step later"):
            step_data([("short.h5", short)], configured())

    def test_trajectories_of_two_potentials_are_refused(self, trajectories: list[tuple[str, Trajectory]]) -> None:
        name, first = trajectories[0]
        other = dataclasses.replace(first.potential, id="another", sha256="f" * 64)
        with pytest.raises(ConfigurationError, match=r"2 potentials: another \(W\), known law"):
            step_data([("W", dataclasses.replace(first, potential=other)), (name, first)], configured())

    def test_digest_depends_on_what_networks_see(self, data: StepData) -> None:
        assert dataclasses.replace(data, steps=data.steps[:-1]).sha256() != data.sha256()
        assert dataclasses.replace(data, step_ps=2.0).sha256() != data.sha256()


def sources(simulations: list[str]) -> list[StepSource]:
    return [
        StepSource(
            name=f"{number}",
            simulation=simulation,
            content_sha256="",
            kind="dipole",
            character_angle_deg=90.0,
            stress_mpa=500.0,
            temperature_k=300.0,
            burgers_angstrom=2.48,
        )
        for number, simulation in enumerate(simulations)
    ]


class TestSplits:
    @given(count=st.integers(3, 80), repeated=st.integers(0, 10), seed=st.integers(0, 1000))
    @settings(max_examples=50)
    def test_simulations_are_on_one_side_and_shares_are_kept(self, count: int, repeated: int, seed: int) -> None:
        names = [str(k) for k in range(count)] + [str(k % count) for k in range(repeated)]
        found = split_by_trajectory(sources(names), configured().training, seed)
        parts = [{names[k] for k in part} for part in (found.train, found.validation, found.test)]
        assert sum(map(len, parts)) == count == len(set().union(*parts))
        assert sorted([*found.train, *found.validation, *found.test]) == list(range(len(names)))
        for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
            assert abs(len(part) - share * count) <= 2
            assert part
        assert found == split_by_trajectory(sources(names), configured().training, seed)

    def test_two_simulations_are_too_few(self) -> None:
        with pytest.raises(ConfigurationError, match="4 trajectories of 2 simulations"):
            split_by_trajectory(sources(["a", "b", "a", "b"]), configured().training, 0)

    def test_a_simulation_on_both_sides_is_refused(self, data: StepData) -> None:
        with pytest.raises(ConfigurationError, match=r"0 \(train\) and 2 \(test\) are one simulation"):
            refuse_leak(sources(["a", "b", "a"]), Split(train=(0,), validation=(1,), test=(2,)))
        with pytest.raises(ConfigurationError, match="two parts"):
            Split(train=(0, 1), validation=(1,))


class TestTraining:
    def test_members_trained_at_once_equal_members_trained_alone(self, data: StepData) -> None:
        same(trained(data, batched=True), trained(data, batched=False), rtol=1e-8)
        same(trained(data, members=(2,)), dataclasses.replace(one := trained(data), members=one.members[2:]), rtol=1e-8)

    def test_the_same_seed_gives_the_same_bits_and_another_one_others(self, data: StepData) -> None:
        same(trained(data), trained(data))
        other = trained(data, seed=1)
        assert not np.array_equal(other.members[0].validation_loss, trained(data).members[0].validation_loss)

    @pytest.mark.parametrize("batched", [True, False])
    @pytest.mark.parametrize("precision", ["float32", "float64"])
    def test_goes_on_after_an_interruption_to_the_bit(
        self, data: StepData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batched: bool, precision: str
    ) -> None:
        """Broken off behind the second checkpoint, which with one member at a time is that of the first member."""
        write, calls = training.write_checkpoint, []

        def counted(*arguments: object) -> None:
            write(*arguments)
            calls.append(arguments)
            if len(calls) == 2:
                raise KeyboardInterrupt

        options = {"batched": batched, "precision": precision}
        monkeypatch.setattr(training, "write_checkpoint", counted)
        with pytest.raises(KeyboardInterrupt):
            trained(data, work=tmp_path, **options)
        resumed = trained(data, work=tmp_path, **options)
        epochs = len(calls) - 2  # one more checkpoint each at the end
        assert epochs == (4 - 2) + 1 if batched else (4 - 2) + 1 + 2 * 5
        same(resumed, trained(data, **options))
        same(trained(data, work=tmp_path, **options), resumed)  # a finished one trains nothing twice

    def test_a_checkpoint_of_another_training_is_refused(self, data: StepData, tmp_path: Path) -> None:
        trained(data, work=tmp_path)
        with pytest.raises(StorageError, match=r"training\.learning_rate was 0\.003, is 0\.01"):
            trained(data, work=tmp_path, learning_rate=0.01)
        with pytest.raises(StorageError, match="seed was 0, is 7"):
            trained(data, work=tmp_path, seed=7)
        trained(data, work=tmp_path, seed=7, resume=False)

    def test_stops_when_it_gets_no_better_and_keeps_the_best_weights(self, data: StepData) -> None:
        ensemble = trained(data, epochs=40, patience=2, learning_rate=0.3, schedule="constant")
        for member in ensemble.members:
            assert len(member.train_loss) == min(40, member.best_epoch + 3)
            assert member.best_epoch == int(np.argmin(member.validation_loss))
        last = ensemble.members[0]
        predicted = dataclasses.replace(ensemble, members=(last,))
        pairs = [evaluation.loss_of(step, predicted.velocity_angstrom_per_ps(step.graph)) for step in data.of([2])]
        assert np.mean(pairs) == pytest.approx(last.score, rel=1e-9)

    def test_a_warm_restart_begins_with_the_given_weights(self, data: StepData) -> None:
        before = trained(data, epochs=3)
        states = [member.state for member in before.members]
        after = trained(data, epochs=1, learning_rate=1e-12, start=states)
        for one, other in zip(before.members, after.members, strict=True):
            assert other.validation_loss[0] == pytest.approx(one.score, rel=1e-6)

    def test_a_warm_restart_with_other_features_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        seen = MobilityFeatureSettings(softening_per_k=0.0)
        _tell_other_features(Path("model"), seen, seen)
        assert capsys.readouterr().err == ""
        _tell_other_features(Path("model"), seen, MobilityFeatureSettings())
        assert "--set mobility.network.features.softening_per_k=0.0 goes on as it was" in capsys.readouterr().err

    def test_the_gradient_of_each_member_is_cut_by_itself(self, data: StepData) -> None:
        request = training._Request(data, SPLIT, configured(largest_gradient=2.0), 0, (0, 1), None)
        run = training._Training(request)
        for parameter in run.networks.parameters():
            parameter.grad = torch.zeros_like(parameter)
            parameter.grad[:, 0] = 1.0
        run.networks.get_parameter("head_bias").grad[:, 1] = 0.5
        run._cut_gradients()
        norms = [sum(float(p.grad[:, m].square().sum()) for p in run.networks.parameters()) ** 0.5 for m in (0, 1)]
        assert norms == pytest.approx([2.0, 0.5 * 3**0.5])

    def test_weights_that_are_no_numbers_end_the_training(self, data: StepData) -> None:
        states = [{name: values * np.nan for name, values in trained(data, epochs=1).members[0].state.items()}]
        with pytest.raises(ConvergenceError, match="member 5 diverged in epoch 0"):
            trained(data, members=(5,), start=states)

    def test_a_part_without_steps_is_refused(self, data: StepData) -> None:
        with pytest.raises(PropertyError, match="validation part of 0 trajectories"):
            training.train_ensemble(data, Split(train=(0,), validation=()), configured(), 0, (0,))

    def test_members_are_ranked_by_their_validation_loss(self, data: StepData) -> None:
        ensemble = trained(data, members=(0, 1, 2, 3))
        best = ensemble.best()
        assert len(best) == 2
        assert max(ensemble.members[k].score for k in best) <= min(
            ensemble.members[k].score for k in range(4) if k not in best
        )
        graph = data.steps[0].graph
        prediction = ensemble.predict(graph)
        assert prediction.members_angstrom_per_ps.shape == (2, graph.nodes)
        np.testing.assert_allclose(prediction.velocity_angstrom_per_ps, prediction.members_angstrom_per_ps.mean(axis=0))
        np.testing.assert_allclose(prediction.spread_angstrom_per_ps, prediction.members_angstrom_per_ps.std(axis=0))


@pytest.mark.gpu
class TestGpu:
    """pytest -m gpu tests/mobility/test_training.py"""

    @pytest.fixture(autouse=True)
    def device(self) -> None:
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")

    @pytest.mark.parametrize("batched", [True, False])
    def test_the_numbers_are_those_of_the_cpu(self, data: StepData, batched: bool) -> None:
        same(trained(data, device="cuda", batched=batched), trained(data, batched=batched), rtol=1e-6)

    def test_the_same_seed_gives_the_same_bits(self, data: StepData, tmp_path: Path) -> None:
        first = trained(data, device="cuda", work=tmp_path)
        same(trained(data, device="cuda"), first)
        same(trained(data, device="cuda", work=tmp_path), first)


def test_a_missing_gpu_is_told(data: StepData) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(DependencyError, match="set device: cpu"):
        trained(data, device="cuda")


@pytest.fixture(scope="module")
def written(data: StepData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    ensemble = trained(data)
    laws = (FittedLaw(name="linear drag", parameters={"drag_mpa_ps": 90.0}, burgers_angstrom=2.48),)
    card = artifacts.ensemble_card(
        ensemble, data, SPLIT, seed=3, training={"epochs": 4}, laws=laws, metrics={"percent": np.nan}
    )
    path = tmp_path_factory.mktemp("model") / artifacts.MODEL_FILE
    artifacts.write_ensemble(path, ensemble, card)
    return path, ensemble


class TestFiles:
    def test_an_ensemble_predicts_the_same_after_a_journey(self, written: tuple[Path, object], data: StepData) -> None:
        path, ensemble = written
        found, card = artifacts.read_ensemble(path.parent)
        same(found, ensemble)
        graph = data.steps[0].graph
        np.testing.assert_array_equal(
            found.predict(graph).velocity_angstrom_per_ps, ensemble.predict(graph).velocity_angstrom_per_ps
        )
        assert [source.part for source in card.sources] == ["train", "train", "validation", "test"]
        assert card.part_of(data.sources[2].simulation) == "validation"
        assert card.part_of("another") == "new"
        assert np.isnan(card.metrics["percent"])
        assert card.fitted_laws()[0].parameters == {"drag_mpa_ps": 90.0}

    def test_changed_files_are_refused(self, written: tuple[Path, object], tmp_path: Path) -> None:
        path, _ = written
        weights, text = path.read_bytes(), path.with_suffix(".json").read_text(encoding="utf-8")
        changed = {
            "has the SHA-256": (weights[:-1] + bytes([weights[-1] ^ 1]), text),
            "not what was written": (weights, text.replace('"seed": 3', '"seed": 4')),
            "no card of a model": (weights, text.replace("mobility-card/1", "mobility-card/9")),
            "cannot read": (weights, None),
        }
        for number, (reason, (arrays, card)) in enumerate(changed.items()):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "model.safetensors").write_bytes(arrays)
            if card is not None:
                (folder / "model.json").write_text(card, encoding="utf-8")
            with pytest.raises(StorageError, match=reason):
                artifacts.read_ensemble(folder)

    def test_networks_that_were_trained_in_a_cold_medium_see_it(
        self, written: tuple[Path, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Cards of earlier versions do not tell how the medium softens: it did not."""
        path, ensemble = written
        _, card = artifacts.read_ensemble(path)
        dumped = MobilityFeatureSettings.model_dump
        monkeypatch.setattr(
            MobilityFeatureSettings, "model_dump", lambda self, **how: dumped(self, **how, exclude={"softening_per_k"})
        )
        artifacts.write_ensemble(tmp_path / "earlier.safetensors", ensemble, card)
        earlier, _ = artifacts.read_ensemble(tmp_path / "earlier.safetensors")
        assert earlier.features == ensemble.features.model_copy(update={"softening_per_k": 0.0}) != ensemble.features

    def test_networks_of_other_features_or_layers_are_refused(
        self, written: tuple[Path, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, ensemble = written
        _, card = artifacts.read_ensemble(path)
        other = dataclasses.replace(ensemble, layers=ensemble.layers.model_copy(update={"width": 7}))
        artifacts.write_ensemble(tmp_path / "layers.safetensors", other, card)
        with pytest.raises(StorageError, match="size mismatch"):
            artifacts.read_ensemble(tmp_path / "layers.safetensors")
        monkeypatch.setattr(artifacts, "NODE_FEATURES", artifacts.NODE_FEATURES[:-1])
        with pytest.raises(StorageError, match="other features"):
            artifacts.read_ensemble(path)


class TestEvaluation:
    def test_a_perfect_law_has_no_error_and_none_has_all(self, synthetic_trajectory: MakeTrajectory) -> None:
        quiet = synthetic_trajectory(90.0, 500.0, 300.0, duration_ps=4.0, jitter_angstrom=0.0)
        found = step_data([("quiet.h5", quiet)], configured())
        truth = {id(step.graph): step.target.observed_angstrom / found.step_ps for step in found.steps}
        for share, percent in ((1.0, 0.0), (0.5, 50.0), (0.0, 100.0), (-1.0, 200.0)):
            errors = evaluation.evaluate("x", lambda graph, k=share: k * truth[id(graph)], found, [0])
            assert errors.overall.percent == pytest.approx(percent, abs=1e-5)
            assert errors.overall.velocity_percent == pytest.approx(percent, abs=1e-9)
        (row,) = errors.trajectories
        assert errors.overall.absolute_angstrom == pytest.approx(2 * row.observed_m_per_s / 100, rel=0.05)
        assert [each.group for each in errors.groups["angle"]] == ["90.0°"]
        # √(2 k T Δt / (B L)) for f = B v on a line of 42 Å
        step = found.steps[0]
        drag = np.mean([each.graph.glide_force_mpa_angstrom.mean() for each in found.steps]) / (
            row.observed_m_per_s / 100
        )
        floor = np.sqrt(2 * 8.617333262e-5 * 300 * 1.0 / (drag / 160.2176634e3 * 42.0))
        assert row.thermal_floor_angstrom == pytest.approx(floor, rel=1e-6)
        assert evaluation.step_errors(step, step.target.observed_angstrom)[0] == pytest.approx(0.0, abs=1e-6)

    def test_groups_hold_the_trajectories_that_they_name(self, data: StepData) -> None:
        errors = evaluation.evaluate("x", lambda graph: np.zeros(graph.nodes), data, range(4))
        assert errors.overall.trajectories == 4
        assert [(each.group, each.trajectories) for each in errors.groups["temperature"]] == [
            ("300 K", 2),
            ("500 K", 1),
            ("700 K", 1),
        ]
        assert [each.group for each in errors.groups["stress"]] == ["250 MPa", "500 MPa", "750 MPa"]
        assert errors.overall.percent == pytest.approx(100.0)

    @pytest.mark.parametrize("name", list(LAWS))
    def test_fits_find_laws_that_made_the_data(self, data: StepData, name: str) -> None:
        kind = LAWS[name]
        truth = np.array(kind.start) * np.linspace(0.8, 1.1, len(kind.start))
        law = FittedLaw(name=name, parameters=dict(zip(kind.names, truth, strict=True)), burgers_angstrom=2.48)
        made = [
            dataclasses.replace(
                step,
                target=dataclasses.replace(
                    step.target, observed_angstrom=law.velocity_angstrom_per_ps(step.graph) * data.step_ps
                ),
            )
            for step in data.steps
        ]
        copy = dataclasses.replace(data, steps=tuple(made))
        (found,) = (each for each in fitted_laws(copy, range(4)) if each.name == name)
        for step in made:
            velocity = step.target.observed_angstrom / data.step_ps
            np.testing.assert_allclose(
                found.velocity_angstrom_per_ps(step.graph), velocity, atol=0.02 * np.abs(velocity).max()
            )


@pytest.fixture(scope="module")
def files(trajectories: list[tuple[str, Trajectory]], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("trajectories")
    for name, trajectory in trajectories:
        write_trajectory(folder / name, trajectory)
    return [str(folder / name) for name, _ in trajectories]


class TestCommands:
    def test_train_and_evaluate(self, files: list[str], tmp_path: Path) -> None:
        small = {"features.images": 1, "layers.width": 4, "training.members": 2, "training.epochs": 2}
        options = [text for name, value in small.items() for text in ("--set", f"mobility.network.{name}={value}")]
        model = str(tmp_path / "model")
        run = CliRunner().invoke(app, ["mobility", "train", *files, "-o", model, "--json", *options])
        assert run.exit_code == 0, run.output
        content = json.loads(run.stdout)
        assert content["evaluated_on"] == "test"
        assert len(content["split"]["train"]) == 2
        assert [law["law"] for law in content["laws"]] == ["PI-GNN", *LAWS]
        assert sorted(each.name for each in Path(model).iterdir()) == ["model.json", "model.safetensors"]
        again = CliRunner().invoke(app, ["mobility", "evaluate", model, *files, "--json"])
        evaluated = json.loads(again.stdout)
        assert evaluated["laws"] == content["laws"]
        counted = [row["name"] for row in evaluated["trajectories"] if row["counted"]]
        assert counted == content["split"]["test"]
        seen = CliRunner().invoke(app, ["mobility", "evaluate", model, *files, "--seen"])
        assert "PI-GNN by temperature" in seen.stdout

    def test_trajectories_of_the_training_do_not_count(self, files: list[str], tmp_path: Path) -> None:
        small = ["--set", "mobility.network.training.members=1", "--set", "mobility.network.training.epochs=1"]
        model = str(tmp_path / "model")
        run = CliRunner().invoke(app, ["mobility", "train", *files, "-o", model, "--json", *small])
        train = json.loads(run.stdout)["split"]["train"]
        refused = CliRunner().invoke(app, ["mobility", "evaluate", model, *train])
        assert isinstance(refused.exception, ConfigurationError)
        assert "that the model was trained on" in str(refused.exception)

    def test_trajectories_of_another_potential_are_refused_and_another_metal_is_told_of_its_medium(
        self,
        files: list[str],
        trajectories: list[tuple[str, Trajectory]],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        anew = ["train", *files, "--start", "shipped", "-o", str(tmp_path / "model")]
        for command in (["evaluate", "shipped", *files], anew):
            refused = CliRunner().invoke(app, ["mobility", *command])
            assert isinstance(refused.exception, ConfigurationError)
            assert "known law, and the model was trained with Fe_2003Mendelev" in str(refused.exception)
        iron = dict(trajectories)
        tungsten = {
            name: dataclasses.replace(each, cell=dataclasses.replace(each.cell, element="W"))
            for name, each in trajectories
        }
        _tell_medium(iron, MobilityFeatureSettings())
        known = MobilityFeatureSettings(shear_modulus_gpa=160.0, poisson_ratio=0.28, softening_per_k=1e-4)
        _tell_medium(tungsten, known)
        assert capsys.readouterr().err == ""
        _tell_medium(tungsten, MobilityFeatureSettings())
        assert "shear_modulus_gpa, poisson_ratio, softening_per_k of W taken to be" in capsys.readouterr().err
        _tell_medium(tungsten, known.model_copy(update={"softening_per_k": MobilityFeatureSettings().softening_per_k}))
        assert "note: softening_per_k of W taken to be" in capsys.readouterr().err

    def test_a_killed_training_goes_on_to_the_same_bits(self, files: list[str], tmp_path: Path, hold: Hold) -> None:
        small = {"members": 2, "epochs": 4, "checkpoint_interval_s": 0}
        options = [
            text for name, value in small.items() for text in ("--set", f"mobility.network.training.{name}={value}")
        ]
        command = ["mobility", "train", *files, *options, "-o"]
        child = subprocess.Popen(
            [sys.executable, "-m", "glideflow", *command, str(tmp_path / "model")],
            env=os.environ | hold.environment("glideflow.mobility.training:write_checkpoint", calls=2),
            stderr=subprocess.DEVNULL,
        )
        while not hold.held:
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
        child.wait(timeout=600)
        assert [each.name for each in (tmp_path / "model").iterdir()] == ["checkpoints"]
        assert CliRunner().invoke(app, [*command, str(tmp_path / "model")]).exit_code == 0
        assert CliRunner().invoke(app, [*command, str(tmp_path / "whole")]).exit_code == 0
        for name in ("model.safetensors", "model.json"):
            assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert not (tmp_path / "model" / "checkpoints").exists()
