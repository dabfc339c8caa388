"""``glideflow config`` and ``glideflow plan`` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from glideflow.cli.plan import bytes_text, duration_text


def glideflow(*arguments: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("glideflow")), *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    return run


def test_shown_defaults_are_a_configuration_to_start_from(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(glideflow("config", "show", folder=tmp_path).stdout)
    assert "consistent" in glideflow("config", "check", "--settings-only", "mine.yaml", folder=tmp_path).stdout


def test_schema_accepts_what_is_shown(tmp_path: Path) -> None:
    schema = json.loads(glideflow("config", "schema", folder=tmp_path).stdout)
    shown = yaml.safe_load(glideflow("config", "show", folder=tmp_path).stdout)
    jsonschema.Draft202012Validator(schema).validate(shown)


def test_checking_counts_potentials_and_jobs(repository: Path) -> None:
    text = glideflow("config", "check", "config/config.yaml", folder=repository).stdout
    assert "run 'quick', 10 potentials of Al, Cu, Fe, Mg, W, 59 jobs" in text


@pytest.mark.parametrize("command", [["config", "check", "bad.yaml"], ["plan", "--config", "bad.yaml"]])
def test_a_wrong_configuration_is_the_users_error(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "bad.yaml").write_text("seed: -1\n")
    run = glideflow(*command, folder=tmp_path, code=2)
    assert "line 1, seed: found -1" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_results_say_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    (tmp_path / "results/mine").mkdir(parents=True)
    (tmp_path / "results/mine/library.csv").touch()
    lines = glideflow("config", "results", "mine.yaml", folder=tmp_path).stdout.splitlines()
    assert lines[0].endswith("results/mine/report.html  (not there yet)")
    assert lines[3].endswith("results/mine/library.csv")


def test_plan_as_json_and_as_a_table(repository: Path, tmp_path: Path) -> None:
    tier = str(repository / "config/config.yaml")
    plan = json.loads(glideflow("plan", "--config", tier, "--cores", "4", "--json", folder=tmp_path).stdout)
    assert (plan["name"], plan["cores"], plan["potentials"], plan["jobs"]) == ("quick", 4, 10, 59)
    assert plan["calibration"] == []
    assert 0.02 < plan["core_hours"] < 0.5
    table = glideflow("plan", "--config", tier, folder=tmp_path).stdout
    assert "peierls_stress" in table
    assert "cost model" in table
    assert all(len(line) <= 120 for line in table.splitlines())


def test_a_run_without_a_name_is_the_workflows_own(repository: Path, tmp_path: Path) -> None:
    assert json.loads(glideflow("plan", "--json", folder=repository).stdout)["name"] == "quick"
    assert "results/quick/" in glideflow("config", "results", folder=repository).stdout
    assert "results/library/" in glideflow("config", "results", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2.0 h"), (345600, "4.0 d")]
)
def test_durations_are_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3000.0 TB")])
def test_bytes_have_a_decimal_prefix(count: float, text: str) -> None:
    assert bytes_text(count) == text
