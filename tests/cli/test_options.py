"""How a user names a potential on the command line, and what is said where that does not work."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.cli.options import PotentialChoice, RunChoice, chosen_potential, with_options
from glideflow.config.run import RunSettings
from glideflow.errors import DependencyError, GlideflowError, PotentialError
from glideflow.potentials.bundled import wheel_folder
from glideflow.potentials.record import Potential

NepFile = Callable[..., Path]
COPPER = {"element": "Cu", "structure": "fcc"}
EAM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Cu_mishin1.eam.alloy Cu"]}
EMT = "ase.calculators.emt:EMT"
installed = pytest.mark.skipif(importlib.util.find_spec("_nepy") is None, reason="needs calorine")


def chosen(**choice: Any) -> Potential:
    return chosen_potential(PotentialChoice(**choice), RunSettings())


def test_the_ways_to_name_a_potential() -> None:
    assert chosen(potential="Cu_2001Mishin_Cu_eam-alloy_v2").pair_style == "eam/alloy"
    assert chosen(**COPPER, **EAM).engine == "lammps"
    calculator = chosen(**COPPER, calculator=EMT, argument=["asap_cutoff=true", "scale=2", "name=a=b"], cutoff=5.5)
    assert (calculator.engine, calculator.cutoff_angstrom) == ("ase", 5.5)
    assert json.loads(calculator.calculator_arguments) == {"asap_cutoff": True, "scale": 2, "name": "a=b"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:9000], "holds 8994 values"),
        (lambda lines: [*lines[:300], "0.1", *lines[300:]], "holds 30004 values"),
    ],
)
def test_tables_with_other_values_than_announced_are_refused_before_anything_is_computed(
    tmp_path: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    whole = (wheel_folder() / "Cu_mishin1.eam.alloy").read_text(encoding="utf-8").split("\n")
    file = tmp_path / "Cu.eam.alloy"
    file.write_text("\n".join(change(whole)), encoding="utf-8")
    with pytest.raises(PotentialError, match=said):
        chosen(**COPPER, pair_style="eam/alloy", pair_coeff=[f"* * {file} Cu"])


def test_values_that_are_not_finite_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (wheel_folder() / "Cu_mishin1.eam.alloy").read_text(encoding="utf-8").split("\n")
    file = tmp_path / "Cu.eam.alloy"
    file.write_text("\n".join([*whole[:300], "nan", *whole[301:]]), encoding="utf-8")
    assert chosen(**COPPER, pair_style="eam/alloy", pair_coeff=[f"* * {file} Cu"]).element == "Cu"
    assert capsys.readouterr().err == "remark: Cu.eam.alloy holds 1 values that are not finite\n"


@installed
def test_a_neuroevolution_potential(nep_file: NepFile) -> None:
    assert chosen(**COPPER, nep=nep_file()).engine == "nep"


def test_a_neuroevolution_potential_needs_calorine(nep_file: NepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="calorine"):
        chosen(**COPPER, nep=nep_file())


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, "no potential was named"),
        (COPPER, "no potential was named"),
        (EAM, "no potential was named"),
        ({"element": "Cu", **EAM}, "--structure missing"),
        ({"structure": "fcc", "calculator": EMT}, "--element missing"),
        ({"potential": "x", **COPPER, "nep": Path("nep.txt")}, "--potential was given together with --element"),
        ({"potential": "x", "pair_coeff": ["a"]}, "together with --pair-coeff"),
        ({**COPPER, **EAM, "calculator": EMT}, "--pair-style, --calculator were given together"),
        ({**COPPER, "nep": Path("nep.txt"), "pair_coeff": ["a"]}, "--nep, --pair-coeff were given together"),
        ({**COPPER, "nep": Path("nep.txt"), "cutoff": 5.0}, "--nep, --cutoff were given together"),
        ({**COPPER, **EAM, "argument": ["a=1"]}, "--pair-style, --argument were given together"),
        ({**COPPER, "pair_style": "eam"}, "no pair_coeff"),
        ({**COPPER, "pair_coeff": ["* * Cu_u3.eam"]}, "the pair style ''"),
        ({"element": "Cu", "structure": "sc", **EAM}, "the structure 'sc'"),
        ({**COPPER, "calculator": EMT, "argument": ["layers"]}, "--argument 'layers'"),
        ({**COPPER, "calculator": EMT, "argument": ["layers=[1, 2]"]}, "--argument 'layers="),
        ({**COPPER, "calculator": EMT, "argument": ["=1"]}, "the argument ''"),
        ({**COPPER, "calculator": EMT, "cutoff": -1.0}, "a cutoff of -1"),
        ({**COPPER, "calculator": "nowhere:make"}, "no module 'nowhere'"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(GlideflowError) as caught:
        chosen(**choice)
    assert message in str(caught.value)
    assert caught.value.expected
    assert caught.value.next_step


def test_groups_of_options_become_options_and_come_back_as_groups() -> None:
    seen: dict[str, Any] = {}

    @with_options
    def command(choice: PotentialChoice, run: RunChoice, depth: int = 3) -> None:
        seen.update(choice=choice, run=run, depth=depth)

    import typer

    single = typer.Typer()
    single.command()(command)
    arguments = ["--element", "W", "--pair-coeff", "a", "--pair-coeff", "b", "--json", "--set", "x=1", "--depth", "5"]
    result = CliRunner().invoke(single, arguments)
    assert result.exit_code == 0, result.output
    assert seen["choice"] == PotentialChoice(element="W", pair_coeff=["a", "b"])
    assert seen["run"] == RunChoice(as_json=True, overrides=["x=1"])
    assert seen["depth"] == 5


@pytest.mark.parametrize("command", ["lattice", "elastic", "gamma", "peierls"])
def test_every_command_on_a_potential_takes_every_way_to_name_one(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    for option in ("--potential", "--element", "--pair-style", "--nep", "--calculator", "--argument", "--cutoff"):
        assert option in result.output


def glideflow(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "glideflow", *arguments], capture_output=True, text=True, check=False)


def test_json_of_a_calculator_is_on_standard_output_and_progress_is_not() -> None:
    arguments = ["--calculator", EMT, "--argument", "asap_cutoff=true", "--set", "lattice.compare_structures=false"]
    run = glideflow("lattice", "--element", "Cu", "--structure", "fcc", *arguments, "--json")
    found = json.loads(run.stdout)
    assert found["status"] == "ok"
    assert found["a_angstrom"] == pytest.approx(3.593, abs=2e-3)  # EMT with this cutoff
    assert "lattice" in run.stderr


@installed
def test_a_general_neuroevolution_potential_from_the_command_line(shared_potentials: Path) -> None:
    model = shared_potentials / "MLFF" / "UNEP-v1" / "nep.txt"
    run = glideflow("lattice", "--element", "Mg", "--structure", "hcp", "--nep", str(model), "--json")
    found = json.loads(run.stdout)
    assert (found["status"], found["ground_state"]) == ("ok", "hcp")
    assert found["a_angstrom"] == pytest.approx(3.19, abs=0.03)  # PBE
    assert found["provenance"]["engine"] == "nep"
    other = glideflow("lattice", "--element", "Fe", "--structure", "bcc", "--nep", str(model), "--json")
    assert (other.returncode, other.stdout) == (2, "")
    assert "describes Ag, Al" in other.stderr
