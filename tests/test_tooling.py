"""Package metadata, lock files, environments and set-up scripts fit each other."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import glideflow

LOCKED_EXTRAS = {
    "default.txt": ("workflow", "nist", "dev", "bench"),
    "nep.txt": ("nep",),
    "torch-cpu.txt": ("mlff", "transfer", "mobility", "genome"),
    "transfer.txt": ("transfer", "mobility"),
    "torch-cuda.txt": ("mlff", "transfer", "mobility", "genome"),
}
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


@pytest.fixture(scope="session")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def locked(repository: Path, name: str) -> dict[str, Version]:
    text = (repository / "envs/lock" / name).read_text(encoding="utf-8")
    return {canonical(package): Version(version) for package, version in PINNED.findall(text)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(project: dict[str, Any], extras: tuple[str, ...]) -> Iterator[Requirement]:
    for text in (*project["dependencies"], *(t for extra in extras for t in project["optional-dependencies"][extra])):
        yield Requirement(text)


def script(repository: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, repository / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", LOCKED_EXTRAS)
def test_locks_satisfy_what_the_package_asks_for(repository: Path, project: dict[str, Any], name: str) -> None:
    versions = locked(repository, name)
    for requirement in requirements(project, LOCKED_EXTRAS[name]):
        version = versions.get(canonical(requirement.name))
        assert version is not None, f"{requirement} is not locked; run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version} is locked"


@pytest.mark.parametrize("name", LOCKED_EXTRAS)
def test_locks_name_hashes_but_no_index_and_no_folder(repository: Path, name: str) -> None:
    text = (repository / "envs/lock" / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "file:" not in text
    assert not re.search(r"^\s*(-|#)", text.replace("--hash=", ""), re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", ["nep.txt", "torch-cpu.txt", "transfer.txt", "torch-cuda.txt"])
def test_other_locks_repeat_the_versions_of_the_default_lock(repository: Path, name: str) -> None:
    default = locked(repository, "default.txt")
    shared = {package: version for package, version in locked(repository, name).items() if package in default}
    assert len(shared) > 20
    assert shared == {package: default[package] for package in shared}


def test_the_two_torch_locks_differ_in_the_build(repository: Path) -> None:
    cpu, cuda = locked(repository, "torch-cpu.txt"), locked(repository, "torch-cuda.txt")
    assert str(cpu["torch"]) == f"{cuda['torch']}+cpu"
    assert not any(package.startswith("nvidia-") for package in cpu)
    assert any(package.startswith("nvidia-") for package in cuda)


def test_the_lock_of_some_branches_repeats_that_of_all(repository: Path) -> None:
    every, one = locked(repository, "torch-cpu.txt"), locked(repository, "transfer.txt")
    assert one == {package: every[package] for package in one}


@pytest.mark.parametrize("extra", ["workflow", "dev", "transfer", "mobility"])
def test_installed_packages_satisfy_what_the_package_asks_for(project: dict[str, Any], extra: str) -> None:
    if extra in ("transfer", "mobility") and not os.environ.get("CI"):
        pytest.importorskip("torch")
    for requirement in requirements(project, (extra,)):
        version = metadata.version(requirement.name)
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: {version} is installed"


def test_conda_environments_are_current(repository: Path) -> None:
    outdated = list(script(repository, "conda_environments").outdated(repository))
    assert not outdated, f"{outdated}: run `make environments`"


def test_every_rule_names_an_environment_that_exists(repository: Path) -> None:
    files = [repository / "Snakefile", *(repository / "workflow/rules").glob("*.smk")]
    named = {env for file in files for env in re.findall(r'"\.\./\.\./(envs/[\w.-]+)"', file.read_text("utf-8"))}
    assert named
    for name in named:
        assert yaml.safe_load((repository / name).read_text(encoding="utf-8"))["dependencies"]


def test_citation_states_the_version(repository: Path) -> None:
    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == glideflow.__version__


def test_pip_settings_are_handed_to_uv(repository: Path) -> None:
    listing = "global.find-links='/a /b'\n:env:.default-timeout='1'\nglobal.index-url='https://host/simple'\n"
    settings = dict(script(repository, "lock")._settings(listing))
    assert settings == {"UV_FIND_LINKS": "/a,/b", "UV_DEFAULT_INDEX": "https://host/simple"}


class TestSetUp:
    """What a fresh machine meets."""

    def test_an_old_python_is_refused_clearly(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        module = script(repository, "check_python")
        assert module.problem() == ""
        monkeypatch.setattr(sys, "version_info", (3, 9, 1))
        message = module.problem()
        assert "found Python 3.9.1" in message
        assert "expected: Python 3.11" in message
        assert "next step" in message

    @pytest.fixture
    def machine(self, tmp_path: Path) -> dict[str, str]:
        """An environment whose Python loads no library and whose apt-get only writes down what it is asked."""
        for name, line in (
            ("apt-get", f'echo "$@" >> {shlex.quote(str(tmp_path / "asked"))}'),
            ("id", "echo 0"),
            ("no-python", "exit 1"),
        ):
            program = tmp_path / name
            program.write_text(f"#!/bin/bash\n{line}\n")
            program.chmod(0o755)
        return os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": str(tmp_path / "no-python")}

    def test_missing_system_packages_are_installed_where_permitted(
        self, repository: Path, machine: dict[str, str], tmp_path: Path
    ) -> None:
        run = self.install(repository, machine)
        assert run.returncode == 0
        assert "install --yes --no-install-recommends libegl1 libgl1" in (tmp_path / "asked").read_text()
        assert "System packages are missing: libegl1 libgl1" in run.stderr  # the stand-in installed nothing
        assert "next step: sudo apt-get install libegl1 libgl1" in run.stderr

    def test_missing_system_packages_are_reported_where_not(
        self, repository: Path, machine: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "id").write_text("#!/bin/bash\necho 1000\n")
        (tmp_path / "sudo").write_text("#!/bin/bash\nexit 1\n")
        (tmp_path / "sudo").chmod(0o755)
        run = self.install(repository, machine)
        assert run.returncode == 0
        assert not (tmp_path / "asked").exists()
        assert "next step: sudo apt-get install libegl1 libgl1" in run.stderr

    def test_checking_installs_nothing(self, repository: Path, machine: dict[str, str], tmp_path: Path) -> None:
        run = self.install(repository, machine, "--check")
        assert run.returncode == 1
        assert not (tmp_path / "asked").exists()

    def test_nothing_is_done_where_the_libraries_load(
        self, repository: Path, machine: dict[str, str], tmp_path: Path
    ) -> None:
        (tmp_path / "no-python").write_text("#!/bin/bash\nexit 0\n")
        run = self.install(repository, machine)
        assert (run.returncode, run.stderr) == (0, "")
        assert not (tmp_path / "asked").exists()

    @staticmethod
    def install(repository: Path, machine: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [repository / "scripts/install_system_packages.sh", *arguments]
        return subprocess.run(command, env=machine, capture_output=True, text=True, check=False)

    def test_without_the_cpu_build_of_torch_set_up_goes_on(self, repository: Path, tmp_path: Path) -> None:
        python = tmp_path / "python"  # has nothing of the lock, and finds none of it
        python.write_text(
            "#!/bin/bash\necho 'ERROR: No matching distribution found for torch==2.13.0+cpu' >&2\nexit 1\n"
        )
        python.chmod(0o755)
        run = self.install_transfer(repository, python)
        assert run.returncode == 0
        assert "Going on without the branches `transfer` and `mobility`" in run.stderr
        assert "ERROR: No matching distribution found for torch" in run.stderr
        assert "next step" in run.stderr
        assert "make setup TORCH=cpu" in run.stderr

    def test_an_environment_that_has_everything_is_left_alone(self, repository: Path) -> None:
        if not os.environ.get("CI"):
            pytest.importorskip("torch")
        run = self.install_transfer(repository, Path(sys.executable))
        assert (run.returncode, run.stderr) == (0, "")

    @staticmethod
    def install_transfer(repository: Path, python: Path) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHON": str(python), "PIP_NO_INDEX": "1", "TORCH_INDEX": ""}
        command = [repository / "scripts/install_transfer.sh"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_help_lists_the_promised_targets(self, repository: Path) -> None:
        text = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True).stdout
        for target in ("setup", "system", "run", "test", "lint", "bench", "lock", "clean"):
            assert re.search(rf"^  {target} +\S", text, re.MULTILINE)

    def test_names_of_tiers_are_quoted(self, repository: Path) -> None:
        command = ["make", "-n", "run", "CONFIG=it's mine; $(HOME).yaml", "CORES=8"]
        text = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
        line = next(line for line in text.splitlines() if line.startswith("snakemake"))
        words = shlex.split(line)
        assert words[: words.index("--configfile")] == ["snakemake", "--cores", "8"]
        assert words[words.index("--configfile") + 1].startswith("it's mine; ")
