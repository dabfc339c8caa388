"""Folders that cannot be written, memory that a container limits, packages that differ, codes that are not there."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import glideflow.engines.nep as nep
from glideflow.config.engine import EngineSettings
from glideflow.config.load import settings_from_mapping
from glideflow.errors import PotentialError
from glideflow.plan import plan_run
from glideflow.potentials.record import Potential
from glideflow.run import ResolvedRun
from glideflow.site import code_checks, machine_checks, python_checks
from glideflow.site.check import Check
from glideflow.units import GIB

if TYPE_CHECKING:
    from conftest import MakeProgram

COPPER = Potential(id="Cu_a", element="Cu", structure="fcc", pair_style="eam/alloy")


def named(checks: object) -> dict[str, Check]:
    return {check.name: check for check in checks}  # type: ignore[attr-defined]


class TestFolders:
    """Folders are tried, not only looked at."""

    def test_that_do_not_exist_yet_are_judged_by_the_one_above(self, tmp_path: Path) -> None:
        found = named(machine_checks.folder_checks(None, tmp_path / "a/b/results", tmp_path / "c/work"))
        assert {check.status for check in found.values()} == {"ok"}
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("place", ["/proc/glideflow", "/sys/kernel"])
    def test_that_cannot_be_written_block(self, place: str, tmp_path: Path) -> None:
        found = named(machine_checks.folder_checks(None, Path(place), tmp_path))
        assert found["results"].blocking
        assert "cannot be written" in found["results"].found
        assert not found["partial results"].blocking

    def test_below_a_file_block(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert named(machine_checks.folder_checks(None, tmp_path / "file/results", tmp_path))["results"].blocking

    def test_without_room_for_the_results_are_a_warning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = settings_from_mapping({}, "test")
        run = ResolvedRun(settings=settings, base=tmp_path, potentials=(COPPER,))
        assert named(machine_checks.folder_checks(run, tmp_path, tmp_path))["results"].status == "ok"
        need = plan_run(run, cores=1).result_bytes
        usage = machine_checks.shutil.disk_usage(tmp_path)
        monkeypatch.setattr(machine_checks.shutil, "disk_usage", lambda _: usage._replace(free=need - 1))
        check = named(machine_checks.folder_checks(run, tmp_path, tmp_path))["results"]
        assert check.status == "warning"
        assert "GiB" in check.expected


class TestLimits:
    """Cores and memory as a container has them."""

    @pytest.fixture
    def control_group(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(machine_checks, "CGROUP", tmp_path)
        return tmp_path

    def test_without_control_groups_the_machine_counts(self, control_group: Path) -> None:
        assert control_group.is_dir()
        assert machine_checks.available_memory_gib() == psutil.virtual_memory().total / GIB
        assert machine_checks.available_cores() >= 1

    def test_of_a_control_group_count_if_they_are_lower(self, control_group: Path) -> None:
        (control_group / "memory.max").write_text(f"{GIB // 2}\n")
        (control_group / "cpu.max").write_text("50000 100000\n")
        assert machine_checks.available_memory_gib() == 0.5
        assert machine_checks.available_cores() == 0.5
        found = named(machine_checks.machine_checks(EngineSettings(memory_limit_gib=4), cluster=False))
        assert {found["memory"].status, found["cores"].status} == {"warning"}
        elsewhere = named(machine_checks.machine_checks(EngineSettings(memory_limit_gib=4), cluster=True))
        assert {elsewhere["memory"].status, elsewhere["cores"].status} == {"ok"}

    @pytest.mark.parametrize("text", ["max", "", "nonsense", "max 100000", "\xff"])
    def test_that_are_none_do_not_count(self, control_group: Path, text: str) -> None:
        for name in ("memory.max", "cpu.max"):
            (control_group / name).write_text(text, encoding="latin-1")
        assert machine_checks.available_memory_gib() == psutil.virtual_memory().total / GIB
        assert machine_checks.available_cores() >= 1


def test_a_path_without_which_blocks(make_program: MakeProgram) -> None:
    make_program("bash", "")
    check = named(machine_checks.machine_checks(EngineSettings(), cluster=False))["shell"]
    assert check.blocking
    assert "which" in check.found
    make_program("which", "")
    assert named(machine_checks.machine_checks(EngineSettings(), cluster=False))["shell"].status == "ok"


def test_potentials_that_cannot_be_resolved_block() -> None:
    check = machine_checks.potential_check(PotentialError("x", expected="y", next_step="z"))
    assert check.blocking
    assert (check.found, check.expected, check.next_step) == ("x", "y", "z")


class TestPackages:
    """Installed packages beside what is asked for."""

    def test_that_differ_are_named(self) -> None:
        found = list(
            python_checks.differences(
                [
                    "pytest>=1",
                    "pytest==0.1",
                    "no-such-package==1.0",
                    "pytest==0.1 ; python_version < '3'",
                    "not a requirement at all !!",
                    "PyTest",
                ]
            )
        )
        assert [(each.name, each.wanted, bool(each.found)) for each in found] == [
            ("pytest", "==0.1", True),
            ("no-such-package", "==1.0", False),
        ]
        assert found[1].described == "no-such-package absent (wanted ==1.0)"

    def test_of_a_lock_file_are_compared(self, tmp_path: Path) -> None:
        lock = tmp_path / "envs/lock/default.txt"
        lock.parent.mkdir(parents=True)
        lines = [f"absent-{number}==1.0 \\\n    --hash=sha256:00" for number in range(8)]
        lock.write_text("# comment\n" + "\n".join(lines) + "\n")
        check = named(python_checks.python_checks(tmp_path, 30))["lock file"]
        assert check.status == "warning"
        assert "8 of 8 packages are not as locked: absent-0 absent (wanted ==1.0)" in check.found
        assert check.found.endswith("and 2 more")
        lock.write_bytes(b"\xff\xfe\x00")
        assert named(python_checks.python_checks(tmp_path, 30))["lock file"].status == "ok"

    def test_of_this_environment_are_complete(self, repository: Path) -> None:
        found = named(python_checks.python_checks(repository, 60))
        assert found["interpreter"].status == "ok"
        assert found["packages"].status == "ok"


class TestOtherCodes:
    """VASP, its data sets and GPUMD; GPAW is a Python package."""

    @pytest.fixture(autouse=True)
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home").mkdir()
        return tmp_path / "home"

    def found(self, *elements: str) -> dict[str, Check]:
        return named(code_checks.code_checks(elements or ("Cu", "Fe"), limit_s=300))

    def test_that_nobody_configured_are_not_applicable(self, make_program: MakeProgram) -> None:
        found = self.found()
        for name in ("VASP", "POTCAR files", "GPUMD"):
            assert found[name].status == "not applicable"
            assert found[name].found.startswith("not configured")

    def test_vasp_is_found_in_its_variable_or_on_the_path(
        self, make_program: MakeProgram, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vasp = make_program("vasp_std", "exit 1")
        assert self.found()["VASP"].found == "vasp_std (the PATH); not started"
        make_program("srun", "exit 1")
        monkeypatch.setenv("VASP_COMMAND", f"srun -n 4 {vasp}")
        assert self.found()["VASP"].status == "ok"
        for command in (f"mpirun {vasp}", "srun -n 4 /opt/nowhere/vasp_std", "srun 'open quote"):
            monkeypatch.setenv("VASP_COMMAND", command)
            assert self.found()["VASP"].status == "missing"
            assert not self.found()["VASP"].blocking

    def test_data_sets_are_looked_for_in_the_usual_arrangements(
        self, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VASP_PP_PATH", str(tmp_path / "sets"))
        assert self.found()["POTCAR files"].status == "missing"
        (tmp_path / "sets/potpaw_PBE.54/Fe_pv").mkdir(parents=True)
        (tmp_path / "sets/potpaw_PBE.54/Fe_pv/POTCAR").write_text("PAW")
        partly = self.found()["POTCAR files"]
        assert partly.status == "warning"
        assert partly.expected == "data sets of Cu too"
        (tmp_path / "sets/POT_GGA_PAW_PBE").mkdir()
        (tmp_path / "sets/POT_GGA_PAW_PBE/POTCAR.Cu.gz").write_bytes(gzip.compress(b"PAW"))
        assert self.found()["POTCAR files"].status == "ok"
        monkeypatch.delenv("VASP_PP_PATH")
        (home / ".pmgrc.yaml").write_text(f"PMG_VASP_PSP_DIR: {tmp_path}/sets\n")
        assert self.found()["POTCAR files"].status == "ok"
        (home / ".pmgrc.yaml").write_text("PMG_VASP_PSP_DIR: [1\n")
        assert self.found()["POTCAR files"].status == "not applicable"

    def test_calorine_is_found_or_said_to_be_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nep, "calorine_is_installed", lambda: False)
        check = self.found()["calorine"]
        assert check.status == "not applicable"
        assert 'pip install "glideflow[nep]"' in check.found
        monkeypatch.setattr(nep, "calorine_is_installed", lambda: True)
        monkeypatch.setattr(nep.NepEngine, "version", "calorine 4.1")
        check = self.found()["calorine"]
        assert (check.status, check.found) == ("ok", "calorine 4.1: neuroevolution potentials")

    def test_gpumd_is_asked_for_its_version_in_an_empty_folder(
        self, make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        make_program("gpumd", "pwd; ls -A; touch output; echo 'Version 4.0 of GPUMD'; exit 1")
        check = self.found()["GPUMD"]
        assert check.status == "ok"
        assert "version 4.0" in check.found
        assert not (tmp_path / "output").exists()

    @pytest.mark.parametrize("script", ["sleep 1000", "printf '\\377\\033[2J'; exit 1", "yes"])
    def test_a_gpumd_that_misbehaves_is_a_warning(self, make_program: MakeProgram, script: str) -> None:
        make_program("gpumd", script)
        check = named(code_checks.code_checks((), limit_s=2))["GPUMD"]
        assert check.status == "warning"
        assert check.found.isprintable()
