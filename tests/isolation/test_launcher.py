"""Launchers that cannot be started are a fault of the configuration, not of a potential."""

from __future__ import annotations

from pathlib import Path

import pytest

from glideflow.errors import DependencyError
from glideflow.isolation import Task, run_isolated


@pytest.mark.parametrize("kind", ["absent", "no program", "noise"])
def test_a_launcher_that_cannot_be_started_is_named(kind: str, tmp_path: Path) -> None:
    launcher = tmp_path / "launcher"
    if kind != "absent":
        launcher.write_bytes(b"\x7fELF nonsense")
        launcher.chmod(0o755 if kind == "noise" else 0o644)
    task = Task(function="os:getpid", arguments={}, launcher=(str(launcher), "-n", "2"), scratch=tmp_path / "scratch")
    with pytest.raises(DependencyError, match="launcher cannot be started") as caught:
        run_isolated(task)
    assert "engine.mpi_launcher" in caught.value.next_step
    assert list((tmp_path / "scratch").iterdir()) == []
