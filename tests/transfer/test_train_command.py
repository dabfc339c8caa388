"""`glideflow transfer train` and `combine` as a user meets them, a scheduler's signals included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.transfer import TransferDataSettings, TransferSettings
from glideflow.errors import ConfigurationError, DependencyError, PropertyError, StorageError
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.dataset import TransferDataset, write_dataset
from glideflow.transfer.ensemble import NetworkRegressor
from glideflow.transfer.ensemble_files import read_ensemble
from glideflow.transfer.regressors import regressor

if TYPE_CHECKING:
    from conftest import Hold

SMALL = {
    "network.architecture": "compact",
    "network.channels": "[3]",
    "training.optimiser": "adam",
    "training.epochs": "4",
    "training.batch_size": "4",
    "members": "3",
}

Command = Callable[..., Result]


def options(**changed: str) -> list[str]:
    values = SMALL | {name.replace("__", "."): value for name, value in changed.items()}
    return [text for name, value in values.items() for text in ("--set", f"transfer.networks.{name}={value}")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "fcc.h5"
    write_dataset(path, samples())
    return path


def samples() -> TransferDataset:
    return group_dataset("fcc", TransferDataSettings()).select(np.arange(10))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["transfer", *map(str, arguments)])


def test_an_ensemble_is_trained_and_described(command: Command, data: Path) -> None:
    result = command("train", "--dataset", data, "-o", "fcc.safetensors", "--json", *options())
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["file"] == "fcc.safetensors"
    assert [row["member"] for row in printed["members"]] == [0, 1, 2]
    assert "epochs: 4/4" in result.stderr or "epochs" in result.stderr
    ensemble, card = read_ensemble(Path("fcc.safetensors"))
    assert card.name == "compact x 3"
    assert card.details["training"]["epochs"] == 4
    assert [member.seed for member in ensemble.members] == [row["seed"] for row in printed["members"]]


def test_members_trained_apart_are_the_ensemble(command: Command, data: Path) -> None:
    whole = command("train", "--dataset", data, "-o", "whole.safetensors", *options())
    files = [f"{number}.safetensors" for number in range(3)]
    for number, file in enumerate(files):
        command("train", "--dataset", data, "-o", file, "--member", number, *options())
    joined = command("combine", *files, "-o", "joined.safetensors")
    assert whole.exit_code == joined.exit_code == 0, joined.output
    assert Path("joined.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    assert Path("joined.json").read_bytes() == Path("whole.json").read_bytes()


def test_members_of_other_data_are_not_combined(command: Command, data: Path) -> None:
    write_dataset(Path("other.h5"), samples().select(np.arange(9)))
    for name, file in (("a", data), ("b", Path("other.h5"))):
        command("train", "--dataset", file, "-o", f"{name}.safetensors", "--member", 0, *options())
    result = command("combine", "a.safetensors", "b.safetensors", "-o", "joined.safetensors")
    assert isinstance(result.exception, StorageError)
    assert "b.safetensors was trained on other data" in str(result.exception)
    twice = command("combine", "a.safetensors", "a.safetensors", "-o", "joined.safetensors")
    assert isinstance(twice.exception, PropertyError)


def test_an_ensemble_is_calibrated_on_a_validation_of_its_recipe(command: Command, data: Path) -> None:
    two = options(members="2")
    command("train", "--dataset", data, "-o", "fcc.safetensors", *two)
    validated = ["--dataset", data, "--split", "family", "--folds", "2", "--seed", "0", *two]
    assert command("validate", *validated, "--model", "compact", "-o", "validation.h5").exit_code == 0
    result = command("calibrate", "fcc.safetensors", "validation.h5", "--json")
    assert result.exit_code == 0, result.output
    ensemble, card = read_ensemble(Path("fcc.safetensors"))
    assert ensemble.calibration is not None
    assert json.loads(result.stdout)["residuals"] == ensemble.calibration.residuals == 10
    assert card.split == "2 folds by family"
    assert card.metrics["samples"] == 10
    assert card.metrics["median_factor"] > 1
    command("validate", *validated, "--model", "metal_median", "-o", "other.h5")
    refused = command("calibrate", "fcc.safetensors", "other.h5")
    assert isinstance(refused.exception, PropertyError)
    assert "metal_median" in str(refused.exception)


def test_an_ensemble_is_tuned_to_the_shots_that_are_named(command: Command, data: Path) -> None:
    command("train", "--dataset", data, "-o", "fcc.safetensors", *options(members="2"))
    better = samples()
    write_dataset(Path("better.h5"), better)
    names = better.potential_ids[:2]
    shots = [text for name in names for text in ("--shot", name)]
    arguments = ["fcc.safetensors", "--dataset", "better.h5", "-o", "tuned.safetensors"]
    result = command("tune", *arguments, *shots, *options(fine_tuning__epochs="2"))
    assert result.exit_code == 0, result.output
    tuned, card = read_ensemble(Path("tuned.safetensors"))
    assert card.potential_ids == names
    assert card.name == "compact x 2, tuned"
    assert card.details["tuned_from"]["potential_ids"] == list(better.potential_ids)
    assert all(member.initialised_from.startswith("fine-tuned from seed") for member in tuned.members)
    refused = command("tune", *arguments, "--shot", "none")
    assert isinstance(refused.exception, ConfigurationError)
    assert "no potential 'none'" in str(refused.exception)
    write_dataset(Path("better.h5"), replace(better, structures=("bcc",) * len(better)))
    refused = command("tune", *arguments)
    assert isinstance(refused.exception, ConfigurationError)
    assert "shots of bcc, protocol reference, for an ensemble of fcc, protocol reference" in str(refused.exception)


def test_a_terminated_training_goes_on_to_the_same_result(
    command: Command, data: Path, tmp_path: Path, hold: Hold
) -> None:
    long = ["--dataset", data, "--member", 0, *options(training__epochs="30", training__patience="30")]
    command("train", *long, "-o", "whole.safetensors")
    each = [*long, "--set", "transfer.networks.training.checkpoint_interval_s=0", "--work", "work"]
    child = subprocess.Popen(
        [sys.executable, "-m", "glideflow", "transfer", "train", *map(str, each), "-o", "parts.safetensors"],
        cwd=tmp_path,
        env=os.environ | hold.environment("glideflow.transfer.training:write_checkpoint", calls=4),
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = tmp_path / "work" / "member-0.safetensors"
    while not hold.held:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    assert "ended by SIGTERM" in child.communicate(timeout=600)[1]
    assert child.returncode == 143
    assert checkpoint.exists()
    assert not Path("parts.safetensors").exists()
    command("train", *each, "-o", "parts.safetensors")
    whole, parts = (read_ensemble(Path(f"{name}.safetensors"))[0].members[0] for name in ("whole", "parts"))
    assert all(np.array_equal(value, parts.state[name]) for name, value in whole.state.items())
    assert np.array_equal(whole.validation_loss, parts.validation_loss)
    assert not list(Path("work").iterdir())  # neither checkpoints nor locks nor halves of files


def test_a_checkpoint_of_other_settings_is_refused(command: Command, data: Path) -> None:
    arguments = ["--dataset", data, "--member", 0, "--work", "work"]
    command("train", *arguments, "-o", "a.safetensors", *options())
    checkpoint = Path("work/member-0.safetensors")
    assert not checkpoint.exists()
    checkpoint.write_bytes(b"nonsense")
    refused = command("train", *arguments, "-o", "a.safetensors", *options())
    assert isinstance(refused.exception, StorageError)
    anew = command("train", *arguments, "-o", "a.safetensors", "--no-resume", *options())
    assert anew.exit_code == 0


def test_what_cannot_be_done_is_said_before_anything_is_trained(
    command: Command, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = command("train", "--dataset", data, "-o", "model.pkl")
    assert isinstance(ending.exception, ConfigurationError)
    nothing = command("train", "-o", "model.safetensors")
    assert isinstance(nothing.exception, ConfigurationError)
    assert "no data set was named" in str(nothing.exception)
    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "torch" else found(name))
    missing = command("train", "--dataset", data, "-o", "model.safetensors")
    assert isinstance(missing.exception, DependencyError)
    assert "make setup TORCH=cpu" in str(missing.exception)


@pytest.mark.parametrize("name", ["paper", "compact"])
def test_networks_are_models_of_the_validation(name: str) -> None:
    found = regressor(name, TransferSettings())
    assert isinstance(found, NetworkRegressor)
    assert found.network.architecture == name
    assert "0x" not in repr(found)  # part of the key of partial results
