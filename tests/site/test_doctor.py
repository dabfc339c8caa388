"""The whole examination, as the command makes it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from glideflow.cli.app import app
from glideflow.config.load import settings_from_mapping
from glideflow.errors import ConfigurationError, StorageError
from glideflow.site import doctor
from glideflow.site.check import Check
from glideflow.site.doctor import Visit, examine, in_force, look_at
from glideflow.site.profile import Profile

if TYPE_CHECKING:
    from conftest import MakeProgram

SMALL = "name: test\npotentials:\n  select:\n    ids: [Cu_2001Mishin_Cu_eam-alloy_v2]\n"


@pytest.fixture
def site(cluster: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeProgram:
    """A healthy cluster with bash and mpiexec, in whose folder a run is to be started."""
    for program, place in {"bash": "/bin/bash", "which": "/bin/which"}.items():
        cluster(program, f'exec {place} "$@"')
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(SMALL)
    return cluster


@pytest.fixture
def _without_lammps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave LAMMPS out, whose checks have tests of their own."""
    monkeypatch.setattr(doctor, "engine_checks", lambda *_, **__: iter(()))


def invoke(*arguments: str) -> Result:
    path = os.environ["PATH"]
    try:
        return CliRunner().invoke(app, ["doctor", "--config", "run.yaml", "--time-limit", "600", *arguments])
    finally:
        os.environ["PATH"] = path


def document(*arguments: str) -> dict[str, Any]:
    return json.loads(invoke("--json", *arguments).stdout)


def of_area(document: dict[str, Any], area: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in document["checks"] if check["area"] == area}


def test_a_healthy_site_is_ready_and_its_profile_fits(site: MakeProgram, tmp_path: Path) -> None:
    written = invoke("--write-profile", "slurm")
    assert written.exit_code == 0, written.output
    assert (tmp_path / "slurm/config.yaml").is_file()
    found = document("--profile", "slurm")
    assert [check for check in found["checks"] if check["status"] == "missing"] == []
    assert found["ready"]
    assert {check["area"] for check in found["checks"]} == {
        "Python",
        "Machine",
        "Potentials",
        "Folders",
        "LAMMPS",
        "Slurm",
        "Slurm profile",
        "Other codes",
    }
    assert of_area(found, "LAMMPS")["energy"]["status"] == "ok"
    assert of_area(found, "LAMMPS")["MPI launcher"]["status"] == "ok"  # mpiexec is found beside Python
    again = invoke("--write-profile", "slurm")
    assert again.exit_code != 0
    assert "there is a profile already" in str(again.exception)
    assert invoke("--write-profile", "slurm", "--force").exit_code == 0


@pytest.mark.usefixtures("_without_lammps")
def test_what_the_named_profile_lacks_decides_the_exit_status(site: MakeProgram, tmp_path: Path) -> None:
    (tmp_path / "slurm").mkdir()
    profile = tmp_path / "slurm/config.yaml"
    profile.write_text("executor: slurm\ncores: 64\njobs: 10\ndefault-resources:\n  slurm_partition: cups\n")
    unnamed = invoke()
    assert unnamed.exit_code == 0, unnamed.output
    assert "there is no partition cups" in " ".join(unnamed.output.split())
    assert "not needed" in unnamed.output
    named = invoke("--profile", "slurm")
    assert named.exit_code == 1
    assert "not ready: the configuration needs Slurm profile, partition" in named.output
    profile.write_text("- not a mapping\n")
    assert invoke("--profile", "slurm").exit_code == 1
    assert invoke("--profile", "no-such-profile").exit_code == 1


def test_what_the_profile_sets_is_part_of_the_configuration(tmp_path: Path) -> None:
    settings = settings_from_mapping({"engine": {"mpi_ranks": 4, "threads": 1}}, "test")
    launcher = "{mpi_launcher: [srun, --mpi=pmi2, -n, '{ranks}']}"
    for config in ({"engine": launcher, "seed": 7}, [f"engine={launcher}", "seed=7"]):
        found = in_force(settings, Profile(file=tmp_path / "config.yaml", keys={"config": config}))
        assert found.engine.mpi_launcher == ("srun", "--mpi=pmi2", "-n", "{ranks}")
        assert (found.engine.mpi_ranks, found.seed) == (4, 7)
    broken = Profile(file=tmp_path / "config.yaml", keys={"config": {"engine": "{mpi_launcher: [unclosed"}})
    assert in_force(settings, broken) == settings
    wrong = Profile(file=tmp_path / "config.yaml", keys={"config": {"engine": "{mpi_lancher: [srun]}"}})
    with pytest.raises(ConfigurationError, match="did you mean 'mpi_launcher'"):
        in_force(settings, wrong)


@pytest.mark.usefixtures("_without_lammps")
def test_a_cluster_that_hangs_does_not_hang_the_doctor(site: MakeProgram) -> None:
    for name in ("sinfo", "squeue", "sacct", "sacctmgr", "scontrol", "srun", "gpumd", "vasp_std"):
        site(name, "sleep 1000 & wait")
    run = CliRunner().invoke(app, ["doctor", "--config", "run.yaml", "--time-limit", "3", "--json"])
    found = json.loads(run.stdout)
    assert "did not answer within 3 s" in of_area(found, "Slurm")["sinfo"]["found"]
    assert of_area(found, "Slurm")["sinfo"]["status"] == "missing"


@pytest.mark.usefixtures("_without_lammps")
def test_a_site_that_talks_nonsense_is_shown_as_text(site: MakeProgram, tmp_path: Path) -> None:
    for name in ("sinfo", "squeue", "sacct", "sacctmgr", "scontrol", "srun", "gpumd"):
        site(name, "printf '[red]\\033[2J\\377[/]\\n'; printf '[bold]\\033]0;x\\007\\n' >&2; exit 1")
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/config.yaml").write_text("executor: slurm\ndefault-resources: 7\nset-resources: [1, {a: 2}]\n")
    run = invoke("--time-limit", "30")
    assert run.exit_code == 0, run.output
    assert "\x1b[2J" not in run.output
    assert "[bold]" in run.output


@pytest.mark.usefixtures("_without_lammps")
def test_a_machine_without_slurm_is_ready_for_a_run_of_its_own(make_program: MakeProgram, tmp_path: Path) -> None:
    make_program("bash", "")
    make_program("which", "")
    settings = settings_from_mapping({"potentials": {"select": {"elements": ["Cu"], "limit_per_element": 1}}}, "test")
    visit = Visit(settings=settings, base=tmp_path)
    checks = examine(visit, look_at(visit))
    assert not any(check.blocking for check in checks)
    statuses = {check.status for check in checks if check.area.startswith("Slurm")}
    assert statuses == {"not applicable"}


def test_ranks_started_by_srun_need_a_slurm(make_program: MakeProgram, tmp_path: Path) -> None:
    make_program("bash", "")
    make_program("which", "")
    settings = settings_from_mapping({"potentials": {"select": {"elements": ["Cu"], "limit_per_element": 1}}}, "test")
    through_slurm = settings.model_copy(
        update={"engine": settings.engine.model_copy(update={"mpi_ranks": 2, "mpi_launcher": ("srun", "-n", "2")})}
    )
    visit = Visit(settings=through_slurm, base=tmp_path)
    blocked = {(check.area, check.name) for check in examine(visit, look_at(visit)) if check.blocking}
    assert blocked == {("Slurm", "commands"), ("LAMMPS", "MPI launcher")}


@pytest.mark.usefixtures("_without_lammps")
def test_a_potential_that_is_not_there_blocks(site: MakeProgram, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("potentials:\n  select:\n    ids: [no_such_potential]\n")
    run = invoke()
    assert run.exit_code == 1
    assert "no_such_potential" in run.output


@pytest.mark.parametrize("error", [RuntimeError("[bold]\x1b[2J"), StorageError("full", next_step="free some space")])
def test_a_check_that_breaks_is_a_finding_and_the_others_are_made(
    error: Exception, site: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Iterator[Check]:
        raise error

    monkeypatch.setattr(doctor, "engine_checks", broken)
    visit = Visit(settings=settings_from_mapping({}, "test"), base=tmp_path)
    checks = examine(visit, look_at(visit))
    lammps = [check for check in checks if check.area == "LAMMPS"]
    assert [check.status for check in lammps] == ["missing" if isinstance(error, StorageError) else "warning"]
    assert lammps[0].found.isprintable()
    assert {check.area for check in checks} >= {"Python", "Slurm", "Other codes"}


@pytest.mark.usefixtures("_without_lammps")
def test_progress_is_told(site: MakeProgram, tmp_path: Path) -> None:
    told: list[str] = []
    visit = Visit(settings=settings_from_mapping({}, "test"), base=tmp_path)
    examine(visit, look_at(visit), lambda stage, done, total: told.append(stage))
    assert told[0] == "Python"
    assert told[-1] == "Other codes"
