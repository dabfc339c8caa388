"""The script that brings a test Slurm up and down, without one: where it refuses, and that it always clears up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import psutil
import pytest

LONG_S = 600.0
"""After so long a wait is a hang, whatever else the machine has to do."""


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, on a machine that belongs to no site."""
    module = load_script("scripts/slurm_cluster.py")
    monkeypatch.setattr(module, "SITE_FOLDER", tmp_path / "etc")
    monkeypatch.setattr(module, "CONFIGLESS", tmp_path / "configless")
    monkeypatch.setattr(module, "DEFAULT_FOLDER", tmp_path / "cluster")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return module


def no_programs(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)


def not_root(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def a_site(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    script.SITE_FOLDER.mkdir()
    (script.SITE_FOLDER / "slurm.conf").write_text("ClusterName=real\n")


@pytest.mark.parametrize("words", [["prepare", "--install"], ["up", "--install"], ["run", "--install", "--", "true"]])
@pytest.mark.parametrize(
    ("obstacle", "said"),
    [(no_programs, "apt-get install slurm-wlm munge"), (not_root, "not root"), (a_site, "belongs to a Slurm site")],
)
def test_where_no_cluster_may_be_it_says_why_and_what_it_needs(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    obstacle: Callable[[ModuleType, pytest.MonkeyPatch], None],
    said: str,
    words: list[str],
) -> None:
    obstacle(script, monkeypatch)
    assert script.main(words) == script.REFUSED
    message = capsys.readouterr().err
    assert said in message
    assert "expected: " in message
    assert "next step: " in message
    assert not script.DEFAULT_FOLDER.exists()


@pytest.mark.parametrize("words", [["run"], ["run", "--"], ["up", "--", "true"], ["unknown"]])
def test_commands_that_are_none_are_refused(script: ModuleType, words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        script.main(words)
    assert caught.value.code == 2


DRIVER = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("slurm_cluster", sys.argv[1])
script = sys.modules["slurm_cluster"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
here = pathlib.Path(sys.argv[2])
running = lambda cluster: {"slurmctld": 1 if (here / "up").exists() and not (here / "down").exists() else None}
script.Cluster.running = running
script.up = lambda cluster, install: (here / "up").touch()
script.down = lambda cluster: (here / "down").touch()
if "was up" in sys.argv:
    (here / "up").touch()
sys.exit(script.main(["run", "--", *sys.argv[4:]]))
"""


def start(repository: Path, folder: Path, state: str, *command: str) -> subprocess.Popen[bytes]:
    """`run` in a process of its own, with stand-ins for bringing the cluster up and down."""
    words = [sys.executable, "-c", DRIVER, str(repository / "scripts/slurm_cluster.py"), str(folder), state, *command]
    return subprocess.Popen(words)


@pytest.mark.parametrize("status", [0, 7])
def test_run_ends_with_the_status_of_the_command_and_takes_the_cluster_down(
    repository: Path, tmp_path: Path, status: int
) -> None:
    process = start(repository, tmp_path, "fresh", "sh", "-c", f"test -e {tmp_path / 'up'} && exit {status}")
    assert process.wait(LONG_S) == status
    assert (tmp_path / "down").exists()


def test_a_cluster_that_was_there_before_stays(repository: Path, tmp_path: Path) -> None:
    assert start(repository, tmp_path, "was up", "true").wait(LONG_S) == 0
    assert not (tmp_path / "down").exists()


def test_a_command_that_cannot_be_started_leaves_no_cluster(repository: Path, tmp_path: Path) -> None:
    assert start(repository, tmp_path, "fresh", "no-such-command").wait(LONG_S) != 0
    assert (tmp_path / "down").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_and_then_the_cluster(repository: Path, tmp_path: Path, number: int) -> None:
    # The command clears up when it is interrupted, while the cluster is still there.
    clears_up = f"test -e {tmp_path / 'down'} || touch {tmp_path / 'cleared'}"
    command = f"trap '{clears_up}; exit 1' INT; touch {tmp_path / 'started'}; while :; do sleep 0.1; done"
    process = start(repository, tmp_path, "fresh", "sh", "-c", command)
    end_s = time.monotonic() + LONG_S
    # Its process has returned from starting the command, and waits for it.
    while not (tmp_path / "started").exists() or psutil.Process(process.pid).status() != psutil.STATUS_SLEEPING:
        assert time.monotonic() < end_s
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(LONG_S) != 0
    assert (tmp_path / "cleared").exists()
    assert (tmp_path / "down").exists()
