"""What hostile files are made of."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.errors import GlideflowError
from glideflow.potentials.bundled import wheel_folder

COPPER = "Cu_mishin1.eam.alloy"


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.canary),))


@dataclass(frozen=True)
class Place:
    """A folder in which commands are given, and the canary that must stay away."""

    folder: Path

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    def run(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``glideflow``; nothing of it may bring the canary."""
        run = subprocess.run(
            [sys.executable, "-m", "glideflow", *map(str, words)],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=600,
        )
        assert not list(self.folder.rglob("canary*")), run.stdout + run.stderr
        assert "Traceback" not in run.stderr, run.stderr
        return run

    def refused(self, *words: str | Path) -> str:
        """What ``glideflow`` says when it refuses a command, given in this process."""
        with contextlib.chdir(self.folder):
            result = CliRunner().invoke(app, [*map(str, words)])
        assert not list(self.folder.rglob("canary*")), result.output
        assert isinstance(result.exception, GlideflowError | SystemExit), result.exception
        assert result.exit_code != 0, result.output
        said = str(result.exception)
        assert "\x1b" not in said
        return said

    def manifest(self, **changes: Any) -> None:
        """Write a manifest with one entry for copper, its file beside it."""
        entry = {
            "id": "mine",
            "element": "Cu",
            "structure": "fcc",
            "pair_style": "eam/alloy",
            "pair_coeff": ["* * {dir}/cu.alloy Cu"],
            "files": ["cu.alloy"],
        } | changes
        document = {"schema": "potential-library/1", "potentials": [entry]}
        (self.folder / "manifest.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        (self.folder / "run.yaml").write_text("potentials: {sources: [{kind: folder, path: .}]}\n")

    def put_copper(self, name: str = "cu.alloy") -> Path:
        """Put a sound parameter file of copper."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((wheel_folder() / COPPER).read_bytes())
        return file


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder."""
    (tmp_path / "place").mkdir()
    return Place(tmp_path / "place")


@pytest.fixture
def trap(place: Place) -> bytes:
    """A pickle that makes the canary when it is loaded."""
    content = pickle.dumps(_Trap(place.canary))
    pickle.loads(content)
    assert place.canary.is_dir(), "the trap works"
    place.canary.rmdir()
    return content


@pytest.fixture
def make_place(tmp_path: Path) -> Callable[[str], Place]:
    """Function that makes a folder of any name."""

    def make(name: str) -> Place:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        return Place(folder)

    return make
