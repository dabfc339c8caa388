"""`glideflow predict` as a user meets it, with the models that ship with the package."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import ConfigurationError, StorageError
from glideflow.strength_library import SHIPPED
from glideflow.transfer import prediction
from glideflow.transfer.strength_models import CONTEXT_FILE, MODEL_FILE, read_strength_model, shipped_strength_model

Command = Callable[..., Result]
WHOLE_GRID = "gamma:\n  grid: {file: gamma.txt, repeats_edges: true}\n  error_mj_m2: 0.05\n"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["predict", *arguments])


def known_grid(command: Command, structure: str, folder: Path) -> Path:
    """The example of a structure with a whole γ grid, that of its first training sample."""
    import numpy as np

    from glideflow import strength_library
    from glideflow.properties.results import GammaSurfaceResult

    name = shipped_strength_model(structure).domain.potential_ids[0]
    entry = next(each for each in strength_library.load().entries if each.potential.id == name)
    gamma = getattr(entry.stage("gamma_surface"), "result", None)
    assert isinstance(gamma, GammaSurfaceResult)
    np.savetxt(folder / "gamma.txt", gamma.gamma_mj_m2)
    example = command("--example", structure).stdout
    file = folder / f"{structure}.yaml"
    file.write_text(example[: example.index("gamma:")] + WHOLE_GRID, encoding="utf-8")
    return file


@pytest.mark.parametrize("structure", ["fcc", "bcc", "hcp"])
def test_every_example_is_a_description_that_works(command: Command, tmp_path: Path, structure: str) -> None:
    file = known_grid(command, structure, tmp_path)
    (found,) = json.loads(command(str(file), "--json").stdout)
    assert found["structure"] == structure
    assert 1e-3 < found["peierls_mpa"] < 1e4
    low, high = found["intervals_mpa"]["0.9"]
    assert low < found["peierls_mpa"] < high
    assert found["model"] == "best"
    assert "strength-library" in found["trained_on"]
    assert len(found["neighbours"]) == 5
    assert [each["split"] for each in found["held_out"]] == ["leave one family out", "leave one metal out"]
    assert all(1 < each["median_factor"] < 10 and each["coverage_90"] > 0.5 for each in found["held_out"])


@pytest.fixture
def few_variations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer examples of what γ may be, and fewer places where it is varied: each costs solved cores."""
    monkeypatch.setattr(prediction, "EXAMPLES", 4)
    monkeypatch.setattr(prediction, "_SENSITIVITY_POINTS", 4)


@pytest.mark.usefixtures("few_variations")
def test_little_of_gamma_is_enough_and_says_so(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "copper.yaml"
    file.write_text(command("--example", "fcc").stdout, encoding="utf-8")
    result = command(str(file))
    assert result.exit_code == 0, result.output
    assert "copper, Cu (fcc_111, wide cut, edge)" in result.stdout
    assert "MPa: 68% within" in result.stdout
    assert "of what is not known of γ" in result.stdout
    assert "Overton and Gaffney" in result.stdout


@pytest.mark.slow  # cores for some thirty variations of γ and of the elastic constants
@pytest.mark.usefixtures("few_variations")
def test_everything_that_can_be_asked_for(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "magnesium.yaml"
    file.write_text(command("--example", "hcp").stdout, encoding="utf-8")
    result = command(str(file), "--suggest", "2", "--report", "page.html")
    assert result.exit_code == 0, result.output
    assert "compute next, γ at" in result.stdout
    assert "Predicted Peierls stress" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_prediction_needs_no_package_for_training(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users who predict install neither scikit-learn nor PyTorch."""
    file = known_grid(command, "hcp", tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("sklearn", "torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = command(str(file))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("structure", ["fcc", "bcc", "hcp"])
def test_shipped_models_are_of_the_shipped_library(structure: str) -> None:
    """`glideflow transfer fit` writes them; a new library asks for new models."""
    library = (resources.files("glideflow") / "data" / SHIPPED).read_bytes()
    model = shipped_strength_model(structure)
    assert model.domain.library_sha256 == model.prior.library_sha256 == hashlib.sha256(library).hexdigest()
    assert set(model.domain.sources) <= {"EAM/MEAM", "machine-learned", "other"}


def test_parts_of_different_models_are_refused(tmp_path: Path) -> None:
    shipped = resources.files("glideflow") / "data" / "strength_models"
    with resources.as_file(shipped) as folder:
        shutil.copytree(folder / "fcc", tmp_path / "mixed")
        shutil.copy(folder / "bcc" / CONTEXT_FILE, tmp_path / "mixed" / CONTEXT_FILE)
    with pytest.raises(StorageError, match="holds a model of the data"):
        read_strength_model(tmp_path / "mixed")
    (tmp_path / "mixed" / MODEL_FILE).write_bytes(b"nothing")
    with pytest.raises(StorageError):
        read_strength_model(tmp_path / "mixed")


def test_a_model_of_another_structure_is_refused_before_anything_is_computed(command: Command, tmp_path: Path) -> None:
    shipped = resources.files("glideflow") / "data" / "strength_models"
    with resources.as_file(shipped) as folder:
        shutil.copytree(folder / "fcc", tmp_path / "models")
        (tmp_path / "iron.yaml").write_text(command("--example", "bcc").stdout, encoding="utf-8")
        error = command("iron.yaml", "--model", "models").exception
        assert isinstance(error, ConfigurationError)
        assert "holds a model of fcc crystals" in str(error)
        known = known_grid(command, "hcp", tmp_path)
        assert command(str(known), "--model", str(folder)).exit_code == 0, "the folder of all structures will do"


def test_nothing_to_predict_and_unknown_examples_are_said(command: Command) -> None:
    assert isinstance((error := command().exception), ConfigurationError)
    assert "nothing to predict was named" in str(error)
    assert "--example fcc" in error.next_step
    assert "no example for 'diamond'" in str(command("--example", "diamond").exception)
    assert "cannot read" in str(command("missing.yaml").exception)
    Path("copper.yaml").write_text(command("--example", "fcc").stdout, encoding="utf-8")
    assert "nowhere holds no model of fcc crystals" in str(command("copper.yaml", "--model", "nowhere").exception)
