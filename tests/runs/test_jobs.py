"""What Snakemake has under way, as Snakemake itself leaves it and as nobody should."""

from __future__ import annotations

import base64
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glideflow.runs.jobs import WorkflowActivity, workflow_activity

LONG = "Cu_" + "long" * 60  # its base64 is longer than a file name may be
SNAKEFILE = f"""
rule all:
    input: "results/test/{LONG}/a.h5", "results/test/b.h5", "results/other/c.h5"
rule slow:
    output: "results/{{name}}.h5"
    shell: "touch started_$$; sleep 1000; touch {{output:q}}"
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real Snakemake whose three jobs have started and do not end."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "3", "--quiet"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 600
            while len(list(tmp_path.glob("started_*"))) < 3:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, "the jobs never started"
                time.sleep(0.1)
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def outputs(activity: WorkflowActivity) -> set[str]:
    return {job.output for job in activity.started}


def test_a_living_run_its_kill_and_its_unlocking_are_told_apart(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    mine = {f"results/test/{LONG}/a.h5", "results/test/b.h5"}
    alive = workflow_activity(tmp_path, "results/test")
    assert alive.locked
    assert running.pid in alive.processes
    assert outputs(alive) == mine
    assert all(0 < time.time() - job.since_s < 600 for job in alive.started)
    assert outputs(workflow_activity(tmp_path, "results/other/")) == {"results/other/c.h5"}
    elsewhere = workflow_activity(tmp_path, "results/nothing")
    assert not elsewhere.locked
    assert elsewhere.started == ()

    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    killed = workflow_activity(tmp_path, "results/test")
    assert killed.locked
    assert killed.processes == ()
    assert outputs(killed) == mine

    subprocess.run([sys.executable, "-m", "snakemake", "--unlock"], cwd=tmp_path, check=True, capture_output=True)
    unlocked = workflow_activity(tmp_path, "results/test")
    assert not unlocked.locked
    assert outputs(unlocked) == mine


def test_a_folder_without_snakemake_has_nothing_under_way(tmp_path: Path) -> None:
    assert workflow_activity(tmp_path, "results/test") == WorkflowActivity(
        locked=False, since_s=0.0, processes=(), started=()
    )


def test_numbers_of_the_batch_system_are_read_and_damaged_marks_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / ".snakemake/incomplete"
    folder.mkdir(parents=True)
    contents = {"a": b'{"external_jobid": "4711"}', "b": b"{torn", "c": b"[1]", "d": b'{"external_jobid": null}'}
    for name, content in contents.items():
        mark = base64.urlsafe_b64encode(f"results/test/{name}.h5".encode()).decode()
        (folder / mark).write_bytes(content)
    (folder / "no base64!").write_text("")
    (folder / base64.urlsafe_b64encode(b"\xff\xfe").decode()).write_text("")
    activity = workflow_activity(tmp_path, "results/test")
    assert {job.output[-4]: job.scheduler_id for job in activity.started} == {"a": "4711", "b": "", "c": "", "d": ""}


def test_a_mark_whose_folder_vanishes_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".snakemake/incomplete"
    for name in ("results/test/a.h5", f"results/test/{LONG}/b.h5"):
        mark = base64.urlsafe_b64encode(name.encode()).decode()
        file = folder.joinpath(*(f"@{mark[k : k + 200]}" for k in range(0, len(mark) - 200, 200)), mark[-200:])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")

    def vanished(place: object, scandir: Callable[..., Any] = os.scandir) -> Any:
        if "@" in str(place):
            raise FileNotFoundError
        return scandir(place)

    monkeypatch.setattr(os, "scandir", vanished)
    assert outputs(workflow_activity(tmp_path, "results/test")) == {"results/test/a.h5"}


def test_a_lock_that_is_no_text_is_that_of_no_run(tmp_path: Path) -> None:
    (tmp_path / ".snakemake/locks").mkdir(parents=True)
    (tmp_path / ".snakemake/locks/0.output.lock").write_bytes(random.Random(1).randbytes(4096))
    assert not workflow_activity(tmp_path, "results/test").locked
