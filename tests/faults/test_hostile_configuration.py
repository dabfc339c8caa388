"""Configurations and manifests that nobody writes by mistake: refused in one message, at once, in bounded memory."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.load import settings_from_files
from glideflow.errors import ConfigurationError, GlideflowError

if TYPE_CHECKING:
    from conftest import Desk

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)
"""Ten thousand million values."""
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}\n" for level in range(1, 10)
)

DOCUMENTS: dict[str, bytes] = {
    "bomb": BOMB.encode(),
    "bomb in a section": (BOMB + "elastic: *a9\n").encode(),
    "bomb in a list": (BOMB + "potentials: {select: {ids: *a9}}\n").encode(),
    "bomb of merges": MERGES.encode(),
    "itself": b"name: &a [*a]\n",
    "itself by merging": b"&a {<<: *a}\n",
    "deep": b"a: " + b"[" * 50_000,
    "deep mappings": b"{a: " * 20_000,
    "huge": b"# " + b"x" * (5 * 2**20),
    "a long key": b"? " + b"k" * 100_000 + b"\n: 1\n",
    "many keys": "".join(f"k{number}: 1\n" for number in range(20_000)).encode(),
    "duplicate keys": b"name: a\nname: b\n",
    "duplicate keys below": b"engine:\n  threads: 1\n  threads: 2\n",
    "python object": b"name: !!python/object/apply:os.system ['touch canary']\n",
    "python object by a prefix": b"%TAG ! tag:yaml.org,2002:python/\n--- !object/apply:os.system ['touch canary']\n",
    "python name": b"name: !!python/name:os.system\n",
    "templates": b"__use_yte__: true\n__definitions__:\n  - open('canary', 'w')\nname: x\n",
    "unknown tag": b"name: !secret x\n",
    "NUL": b"name: a\0b\n",
    "escape": b"name: a\x1b[2J\n",
    "control characters by escapes": b'name: "a\\u001b[2J\\u0007"\n',
    "UTF-16": "name: x\n".encode("utf-16"),
    "UTF-32": "name: x\n".encode("utf-32"),
    "Latin-1": "name: café\n".encode("latin-1"),
    "surrogates": b'name: "\\ud800"\n',
    "binary": bytes(range(256)) * 20,
    "a month 99": b"name: 2024-99-01\n",
    "no number": b"seed: !!int ''\n",
    "no truth": b"seed: !!bool perhaps\n",
    "no time": b"name: !!timestamp soon\n",
    "many digits": b"seed: " + b"9" * 5000 + b"\n",
    "many sixties": b"seed: " + b":".join([b"1"] * 3000) + b"\n",
    "many hexadecimal digits": b"seed: 0x" + b"f" * 20_000 + b"\n",
    "infinite": b"engine: {time_limit_s: .inf}\n",
    "not a number": b"engine: {memory_limit_gib: .nan}\n",
    "two documents": b"name: a\n---\nname: b\n",
    "a list": b"- name\n",
    "tabs": b"engine:\n\tthreads: 1\n",
}
LARGE = ("bomb", "deep", "huge", "itself", "many")
MEMORY_BYTES = 3 * 2**30
SECONDS = 40


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def refused(folder: Path, *words: str) -> str:
    """What ``glideflow`` says when it refuses a command, given in this process."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, list(words))
    assert isinstance(result.exception, GlideflowError), result.output
    return f"error: {result.exception}"


def refused_within_limits(folder: Path, *words: str) -> str:
    """The same in a process with little memory and time."""
    run = glideflow(folder, *words)
    assert run.returncode == 2, run.stdout + run.stderr[-2000:]
    return run.stderr


def glideflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "glideflow", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
    )


def is_one_message(said: str) -> bool:
    blocks = ("error: " in said, "expected: " in said, "next step: " in said, "Traceback" not in said)
    return all(blocks) and len(said) < 20_000 and "\x1b" not in said and "\0" not in said


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_hostile_configuration_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run.yaml").write_bytes(DOCUMENTS[kind])
    refusal = refused_within_limits if kind.startswith(LARGE) else refused
    said = refusal(tmp_path, "config", "check", "run.yaml")
    assert is_one_message(said), said[:3000]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", [kind for kind in DOCUMENTS if kind != "huge"])
def test_a_hostile_manifest_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "manifest.yaml").write_bytes(DOCUMENTS[kind])
    (tmp_path / "run.yaml").write_text("potentials: {sources: [{kind: folder, path: .}]}\n")
    refusal = refused_within_limits if kind.startswith(LARGE) else refused
    said = refusal(tmp_path, "config", "check", "run.yaml")
    assert is_one_message(said), said[:3000]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "name={"],
        ["--set", "seed=!!int ''"],
        ["--set", "name=!!python/object/apply:os.system ['touch canary']"],
        ["--set", "engine"],
        ["--set", "=1"],
        ["--set", "engine.threads.x=1"],
        ["-c", "."],
        ["-c", "/dev/zero"],
        ["-c", "x" * 5000],
    ],
)
def test_hostile_overrides_and_places_are_refused(desk: Desk, words: list[str]) -> None:
    said = refused(desk.folder, "lattice", "-p", desk.potential, *words)
    assert is_one_message(said), said[:3000]
    assert not (desk.folder / "canary").exists()


def test_aliases_that_repeat_little_are_allowed(desk: Desk) -> None:
    (desk.folder / "run.yaml").write_text(
        "potentials: {select: {ids: &ids [Cu_2001Mishin_Cu_eam-alloy_v2]}}\ngamma_surface: {grid: &g [7, 7]}\n"
    )
    assert "run 'quick'" in desk.run("config", "check", "run.yaml") or desk.run("config", "show", "run.yaml")


@pytest.mark.parametrize("kind", ["bomb in a section", "duplicate keys", "python object"])
def test_the_workflow_refuses_it_too(repository: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "run.yaml").write_bytes(DOCUMENTS[kind])
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-s", str(repository / "Snakefile"), "--configfile", "run.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
    )
    assert run.returncode != 0
    assert not (tmp_path / "canary").exists()


def test_the_workflow_refuses_a_template(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"__use_yte__: true\nname: x\n")
    document = tmp_path / "run.yaml"
    with pytest.raises(ConfigurationError, match="is a template"):
        settings_from_files({"name": "x"}, [document])
