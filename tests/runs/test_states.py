"""States of tasks from their results; partial results of a computation that was really killed."""

from __future__ import annotations

import base64
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.load import load_settings, settings_from_mapping
from glideflow.potentials.record import Potential
from glideflow.records import StageFailure, StageRecord, provenance_of, summary_of
from glideflow.run import ResolvedRun, Task, validate_run
from glideflow.runs.failures import FailedTask, failed_tasks
from glideflow.runs.states import run_states
from glideflow.storage import write_record

if TYPE_CHECKING:
    from conftest import Hold

COPPER = Potential(id="Cu_a", element="Cu", structure="fcc", pair_style="eam/alloy")
IRON = Potential(id="Fe_a", element="Fe", structure="bcc", pair_style="eam/fs")
MISHIN = "Cu_2001Mishin_Cu_eam-alloy_v2"


@pytest.fixture
def run(tmp_path: Path) -> ResolvedRun:
    settings = settings_from_mapping({"name": "test"}, "test")
    return ResolvedRun(settings=settings, base=tmp_path, potentials=(COPPER, IRON))


def task(run: ResolvedRun, rule: str, potential: str = "Cu_a") -> Task:
    return next(each for each in run.property_tasks() if (each.rule, each.potential) == (rule, potential))


def record(run: ResolvedRun, of: Task, status: str, failure: StageFailure | None = None) -> Path:
    file = run.base / run.results / of.output
    stage = StageRecord(
        property=of.rule,
        slip_system=of.slip_system,
        character=of.character,
        status=status,
        potential=summary_of(run.potential(of.potential)),
        provenance=provenance_of(run.settings.lattice, "lammps", "1", 0),
        failure=failure,
    )
    write_record(file, stage)
    return file


def log(run: ResolvedRun, name: str, text: str) -> Path:
    file = run.base / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def mark_started(run: ResolvedRun, of: Task, number: str | None = None) -> None:
    """Leave the marks that Snakemake leaves of a started job and of its run (compared with real ones in test_jobs)."""
    output = f"{run.results}/{of.output}"
    folder = run.base / ".snakemake"
    (folder / "incomplete").mkdir(parents=True, exist_ok=True)
    (folder / "locks").mkdir(exist_ok=True)
    mark = base64.urlsafe_b64encode(output.encode()).decode()
    (folder / "incomplete" / mark).write_text(json.dumps({"external_jobid": number}))
    with (folder / "locks/0.output.lock").open("a") as lock:
        lock.write(output + "\n")


def states_of(run: ResolvedRun) -> dict[str, str]:
    return {f"{each.task.potential} {each.task.rule}": each.state for each in run_states(run).tasks}


def failures_of(run: ResolvedRun, **choice: str) -> dict[str, FailedTask]:
    found = failed_tasks(run, run_states(run), Path("my run.yaml"), **choice)
    return {f"{each.state.task.potential} {each.state.task.rule}": each for each in found}


def test_each_state_is_told_from_the_file_alone(run: ResolvedRun) -> None:
    record(run, task(run, "lattice"), "ok")
    record(run, task(run, "elastic"), "failed", StageFailure(error_class="Crashed", reason="signal SIGSEGV"))
    record(run, task(run, "gamma_surface"), "skipped", StageFailure(error_class="Upstream", reason="the lattice"))
    record(run, task(run, "lattice", "Fe_a"), "ok").write_bytes(b"\x89HDF\r\n\x1a\n")
    record(run, task(run, "elastic", "Fe_a"), "nonsense")
    assert states_of(run) == {
        "Cu_a lattice": "ok",
        "Cu_a elastic": "failed",
        "Cu_a gamma_surface": "skipped",
        "Cu_a peierls_stress": "missing",
        "Fe_a lattice": "unreadable",
        "Fe_a elastic": "unreadable",
        "Fe_a gamma_surface": "missing",
        "Fe_a peierls_stress": "missing",
    }
    elastic = run_states(run).tasks[1]
    assert (elastic.error_class, elastic.reason) == ("Crashed", "signal SIGSEGV")


def test_running_and_interrupted_jobs_differ_by_the_lock(run: ResolvedRun) -> None:
    mark_started(run, task(run, "elastic"), "4711")
    locked = run_states(run)
    assert [(each.task.rule, each.job and each.job.scheduler_id) for each in locked.running] == [("elastic", "4711")]
    assert locked.interrupted == ()
    (run.base / ".snakemake/locks/0.output.lock").unlink()
    unlocked = run_states(run)
    assert unlocked.running == ()
    assert [each.task.rule for each in unlocked.interrupted] == ["elastic"]


def test_failures_carry_what_was_recorded(run: ResolvedRun) -> None:
    failure = StageFailure(
        error_class="TimeLimit", reason="ended after 60 s", expected="less", next_step="raise it", evidence="a\nb"
    )
    record(run, task(run, "peierls_stress", "Fe_a"), "failed", failure)
    found = failures_of(run)
    assert list(found) == ["Fe_a peierls_stress"]
    assert found["Fe_a peierls_stress"].failure == failure


def test_commands_are_quoted_and_name_every_input(run: ResolvedRun) -> None:
    record(run, task(run, "peierls_stress"), "failed", StageFailure(error_class="Crashed", reason="x"))
    failed = failures_of(run)["Cu_a peierls_stress"]
    result = "results/test/potentials/Cu_a/peierls_stress/fcc_111/edge.h5"
    assert shlex.split(failed.command) == [
        "glideflow",
        "peierls",
        *("--potential", "Cu_a"),
        *("--config", "my run.yaml"),
        *("--lattice", "results/test/potentials/Cu_a/lattice.h5"),
        *("--slip-system", "fcc_111"),
        *("--character", "edge"),
        *("--output", result),
        *("--work", "work/test/Cu_a"),
    ]
    assert shlex.split(failed.workflow_command) == ["snakemake", "--configfile", "my run.yaml", "--forcerun", result]


def test_failures_are_chosen_by_class_and_potential(run: ResolvedRun) -> None:
    for potential in ("Cu_a", "Fe_a"):
        record(run, task(run, "lattice", potential), "failed", StageFailure(error_class="Crashed", reason="x"))
        record(run, task(run, "elastic", potential), "skipped", StageFailure(error_class="Upstream", reason="y"))
    assert len(failures_of(run)) == 4
    assert list(failures_of(run, error_class="Upstream")) == ["Cu_a elastic", "Fe_a elastic"]
    assert list(failures_of(run, potential="Fe_a", error_class="Crashed")) == ["Fe_a lattice"]
    assert failures_of(run, error_class="Nothing") == {}


def test_a_job_that_died_is_a_failure_with_the_end_of_its_logs(run: ResolvedRun) -> None:
    log(run, "results/test/logs/elastic/Cu_a.log", "elastic: 3/12\n")
    log(run, "work/slurm-logs/rule_elastic/Cu_a/17.log", "old\n")
    os.utime(run.base / "work/slurm-logs/rule_elastic/Cu_a/17.log", (1, 1))
    log(run, "work/slurm-logs/rule_elastic/Cu_a/18.log", "slurmstepd: error: Detected 1 oom_kill event\n")
    found = failures_of(run)
    assert list(found) == ["Cu_a elastic"]
    failed = found["Cu_a elastic"]
    assert failed.failure.error_class == "Lost"
    assert "elastic: 3/12" in failed.failure.evidence
    assert "oom_kill" in failed.failure.evidence
    assert "old" not in failed.failure.evidence
    assert failed.log == "results/test/logs/elastic/Cu_a.log"


def test_a_job_that_never_started_or_is_under_way_has_not_failed(run: ResolvedRun) -> None:
    assert failures_of(run) == {}
    mark_started(run, task(run, "elastic"))
    log(run, "results/test/logs/elastic/Cu_a.log", "elastic: 3/12\n")
    assert failures_of(run) == {}
    (run.base / ".snakemake/locks/0.output.lock").unlink()
    assert list(failures_of(run)) == ["Cu_a elastic"]


def test_a_damaged_record_is_a_failure(run: ResolvedRun) -> None:
    record(run, task(run, "lattice"), "ok").write_bytes(b"garbage")
    failed = failures_of(run)["Cu_a lattice"]
    assert failed.failure.error_class == "Unreadable"
    assert "cannot be opened as HDF5" in failed.failure.reason


def test_a_log_of_garbage_is_shown_as_far_as_it_can_be(run: ResolvedRun) -> None:
    file = log(run, "results/test/logs/elastic/Cu_a.log", "")
    file.write_bytes(random.Random(1).randbytes(200_000) + b"\nlast words\n")
    evidence = failures_of(run)["Cu_a elastic"].failure.evidence
    assert evidence.rstrip().endswith("last words")
    assert len(evidence) < 20_000


def test_results_outside_the_folder_of_the_workflow_are_found(tmp_path: Path) -> None:
    settings = settings_from_mapping(
        {"name": "test", "results": str(tmp_path / "far/results"), "work": str(tmp_path / "far/work")}, "test"
    )
    (tmp_path / "here").mkdir()
    run = ResolvedRun(settings=settings, base=tmp_path / "here", potentials=(COPPER,))
    record(run, task(run, "lattice"), "failed", StageFailure(error_class="Crashed", reason="x"))
    log(run, f"{run.results}/logs/lattice/Cu_a.log", "words")
    assert failures_of(run)["Cu_a lattice"].log == str(tmp_path / "far/results/test/logs/lattice/Cu_a.log")


def test_the_configuration_of_the_workflow_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("config/config.yaml").write_text(f"name: mine\npotentials:\n  select:\n    ids: [{MISHIN}]\n")
    run = validate_run(load_settings(Path("config/config.yaml")), tmp_path)
    record(run, task(run, "lattice", MISHIN), "failed", StageFailure(error_class="Crashed", reason="x"))
    assert json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)["run"] == "mine"
    [failed] = json.loads(CliRunner().invoke(app, ["failures", "--json"]).stdout)
    assert failed["workflow_command"] == f"snakemake --forcerun results/mine/potentials/{MISHIN}/lattice.h5"
    assert "--config config/config.yaml" in failed["command"]
    Path("config/config.yaml").unlink()
    assert json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)["run"] == load_settings(None).name


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: Hold) -> ResolvedRun:
    """A γ surface that was killed after some of its points."""
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(f"name: test\npotentials:\n  select:\n    ids: [{MISHIN}]\n")
    run = validate_run(load_settings(Path("run.yaml")), tmp_path)
    glideflow = [sys.executable, "-m", "glideflow.cli.app"]
    lattice = f"{run.results}/{task(run, 'lattice', MISHIN).output}"
    common = ["--potential", MISHIN, "--config", "run.yaml"]
    subprocess.run([*glideflow, "lattice", *common, "--output", lattice], check=True, capture_output=True)
    gamma = [*glideflow, "gamma", *common, "--lattice", lattice, "--work", f"{run.work}/{MISHIN}"]
    process = subprocess.Popen(
        gamma,
        env=os.environ | hold.environment(calls=20),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not hold.held:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return run


def test_partial_results_of_the_same_request_count_and_others_do_not(killed: ResolvedRun) -> None:
    states = {each.task.rule: each for each in run_states(killed).tasks}
    assert states["lattice"].state == "ok"
    assert states["gamma_surface"].state == "partial"
    assert states["gamma_surface"].partial_bytes > 5000
    assert states["peierls_stress"].state == "missing"
    other = killed.settings.model_copy(
        update={"gamma_surface": killed.settings.gamma_surface.model_copy(update={"layers": 20})}
    )
    changed = run_states(ResolvedRun(settings=other, base=killed.base, potentials=killed.potentials))
    assert Counter(each.state for each in changed.tasks) == {"ok": 1, "missing": 3}


def test_commands_show_a_run_and_the_command_that_they_print_mends_it(killed: ResolvedRun) -> None:
    file = record(
        killed,
        task(killed, "elastic", MISHIN),
        "failed",
        StageFailure(error_class="TimeLimit", reason="ended [red]after\x1b[31m 1 s", evidence="one\ntwo\nthree"),
    )
    shown = CliRunner().invoke(app, ["status", "--config", "run.yaml"])
    assert shown.exit_code == 0, shown.output
    assert "2 of 4 results" in shown.output
    assert "Cu (fcc)" in shown.output
    assert "partial: 1 to resume from" in shown.output
    document = json.loads(CliRunner().invoke(app, ["status", "--config", "run.yaml", "--json"]).stdout)
    assert document["counts"] == {"ok": 1, "failed": 1, "partial": 1, "missing": 1}
    assert document["metals"] == {"Cu (fcc)": document["properties"]}
    assert [each["property"] for each in document["not_ok"]] == ["elastic", "gamma_surface", "peierls_stress"]
    text = CliRunner().invoke(app, ["failures", "--config", "run.yaml", "--lines", "2"]).output
    assert "TimeLimit" in text
    assert "[red]after" in text
    assert "\x1b[31m" not in text
    assert "| two" in text
    assert "| one" not in text
    failed = json.loads(CliRunner().invoke(app, ["failures", "--config", "run.yaml", "--json"]).stdout)
    assert [each["error_class"] for each in failed] == ["TimeLimit"]
    assert failed[0]["evidence"] == "one\ntwo\nthree"
    before = file.read_bytes()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(failed[0]["command"], shell=True, check=True, capture_output=True, env=environment)
    assert file.read_bytes() != before
    assert {each.task.rule: each.state for each in run_states(killed).tasks}["elastic"] == "ok"
    assert "nothing failed" in CliRunner().invoke(app, ["failures", "--config", "run.yaml"]).output
