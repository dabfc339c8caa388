"""The workflow on a real Slurm: ranks, memory, wall time, failures, cancelling, GPUs, and a killed controller.

The runs go on side by side, since most of what they do is wait: for a wall time that ends, for a job that is killed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glideflow.job_log import RESUMED
from glideflow.records import Library, StageRecord
from glideflow.storage import read_record
from glideflow.workbench import _decode, _next_payload

if TYPE_CHECKING:
    from conftest import Hold, Job, Run, Slurm, SlurmProject

pytestmark = pytest.mark.slurm

SMALL = """
gamma_surface: {grid: [5, 5], layers: 8, path_points: 5, symmetry_check_points: 0}
peierls_stress: {burgers_vectors: 16, height_angstrom: 40, bracket: 0.2}
"""
SWEEP = (
    SMALL
    + """
name: sweep
potentials: {select: {ids: [Cu_2001Mishin_Cu_eam-alloy_v2, Fe_2003Mendelev_Fe_eam-fs]}}
engine:
  mpi_ranks: 2
  mpi_launcher: [srun, --mpi=pmi2, -n, "{ranks}"]
"""
)
SLOW = (
    SMALL
    + """
name: slow
properties: [lattice, gamma_surface]
potentials: {sources: [{kind: folder, path: slow}]}
"""
)
MANIFEST = """
schema: potential-library/1
potentials:
- {id: slow, element: Cu, structure: fcc, calculator: "slow_emt:SlowEMT", citation: ASE's effective medium theory}
"""
SURFACE = "potentials/slow/gamma_surface/fcc_111.h5"


def slow_project(make: Callable[[str], SlurmProject]) -> SlurmProject:
    """A project whose γ surface takes about a hundred evaluations, each as long as SLOW_EMT_S says."""
    project = make(SLOW)
    (project.root / "slow").mkdir()
    (project.root / "slow/manifest.yaml").write_text(MANIFEST)
    return project


@pytest.fixture(scope="session")
def first_attempt(make_hold: Callable[[Path], Hold], tmp_path_factory: pytest.TempPathFactory) -> Hold:
    """Holds the γ surface in the middle, so that its first wall time ends however fast or slow the machine is."""
    return make_hold(tmp_path_factory.mktemp("hold") / "first attempt")


@pytest.fixture(scope="session")
def background(
    make_slurm_project: Callable[[str], SlurmProject], slurm: Slurm, first_attempt: Hold
) -> Iterator[dict[str, Run]]:
    """Three runs that have been started and go on while the tests wait for them."""
    faulty = make_slurm_project("")
    shutil.copy(Path(__file__).with_name("faults.smk"), faulty.root / "faults.smk")
    runs = {
        # The first attempt gets two minutes, in which a busy machine gets to the first points.
        "slow": slow_project(make_slurm_project).start(
            f"results/slow/{SURFACE}",
            "--configfile=run.yaml",
            "--set-resources",
            "gamma_surface:runtime=2 if attempt == 1 else 60",
            **first_attempt.environment(calls=4),
        ),
        "faulty": faulty.start("--snakefile=faults.smk", "--show-failed-logs", cancelling="cancelled"),
        "sweep": make_slurm_project(SWEEP).start(
            "--configfile=run.yaml", "--set-resources", "elastic:mem_mb=250 if attempt == 1 else 2000"
        ),
    }
    yield runs
    for run in runs.values():
        run.process.kill()


def states(jobs: list[Job]) -> list[str]:
    return [job.state for job in jobs]


def test_after_a_kill_of_the_controller_jobs_are_replaced_and_nothing_is_lost(
    background: dict[str, Run], make_slurm_project: Callable[[str], SlurmProject], slurm: Slurm, hold: Hold
) -> None:
    project = slow_project(make_slurm_project)
    project.root.joinpath("run.yaml").write_text(SLOW.replace("[lattice, ", "[lattice, elastic, "))
    work = project.root / "work/slow/slow"
    # A job that waits in the queue, beside one that runs.
    waiting = ("--set-resources", "elastic:slurm_extra='--begin=now+1hour'")
    killed = project.start("--configfile=run.yaml", *waiting, **hold.environment(calls=4))
    slurm.wait_until(lambda: hold.held and project.jobs("elastic"))
    killed.kill()
    before = {job.id: job for job in project.jobs() if job.state in ("RUNNING", "PENDING")}
    assert sorted(states(list(before.values()))) == ["PENDING", "RUNNING"]
    kept = points(next(work.glob("*.partial")))

    # What joins the results is the sweep's to show.
    both = [f"results/slow/{name}" for name in (SURFACE, "potentials/slow/elastic.h5")]
    again = project.start(*both, "--configfile=run.yaml")
    status, said = again.finish()
    assert status == 0, said
    assert f"Cancelling 2 jobs that a killed run left in the queue: {' '.join(sorted(before, key=int))}" in said
    assert {job.state for job in project.jobs() if job.id in before} == {"CANCELLED"}
    (partial,) = work.glob("*.partial")
    assert points(partial)[: len(kept)] == kept
    assert len(points(partial)) == len(set(points(partial)))
    assert (project.root / "results/slow" / SURFACE).read_bytes() == uninterrupted(project)
    assert not (project.root / "work/slow/run.lock").exists()


class TestSweep:
    """A sweep whose engines run on two ranks, and whose elastic constants first get too little memory."""

    @pytest.fixture
    def swept(self, background: dict[str, Run]) -> Run:
        status, said = background["sweep"].finish()
        assert status == 0, said
        return background["sweep"]

    def test_ends_with_a_complete_library(self, swept: Run) -> None:
        results = swept.project.root / "results/sweep"
        library = read_record(results / "library.h5", Library)
        assert [entry.status for entry in library.entries] == ["ok", "ok"]
        assert (results / "report.html").stat().st_size > 100_000
        lattice = library.entries[0].stage("lattice")
        assert lattice is not None
        assert lattice.result.a_angstrom == pytest.approx(3.615, abs=1e-4)

    def test_runs_engines_on_two_ranks_and_the_rest_on_one(self, swept: Run) -> None:
        for rule in ("lattice", "elastic", "gamma_surface", "peierls_stress"):
            jobs = swept.project.jobs(rule)
            assert {job.fields["NumTasks"] for job in jobs} == {"2"}, rule
        assert {swept.steps.get(job.id) for job in swept.project.jobs("peierls_stress")} == {2}
        (library,) = swept.project.jobs("library")
        assert library.fields["NumTasks"] == "1"

    def test_gives_the_numbers_of_a_single_process(self, swept: Run, tmp_path: Path) -> None:
        from glideflow.config.load import load_settings
        from glideflow.run import validate_run
        from glideflow.stages import StageRequest, run_stage

        run = validate_run(load_settings(swept.project.root / "run.yaml"), swept.project.root)
        serial = run.settings.model_copy(update={"engine": run.settings.engine.model_copy(update={"mpi_ranks": 1})})
        (copper,) = [potential for potential in run.potentials if potential.element == "Cu"]
        folder = swept.project.root / "results/sweep/potentials" / copper.id
        lattice = read_record(folder / "lattice.h5", StageRecord)
        request = StageRequest(name="elastic", potential=copper, settings=serial, upstream=(lattice,))
        alone = run_stage(request).result
        together = read_record(folder / "elastic.h5", StageRecord).result
        assert together.tensor_gpa == pytest.approx(alone.tensor_gpa, abs=1e-4)

    def test_a_job_over_its_memory_is_killed_and_gets_more(self, swept: Run) -> None:
        for potential in ("Cu_2001Mishin_Cu_eam-alloy_v2", "Fe_2003Mendelev_Fe_eam-fs"):
            first, second = swept.project.jobs(f"elastic_wildcards_{potential}")
            assert first.state in ("FAILED", "OUT_OF_MEMORY")
            assert (first.memory_mb, second.memory_mb) == (250, 2000)
            assert second.state == "COMPLETED"
        logs = swept.project.root / "work/slurm-logs/rule_elastic"
        assert all("memory limit" in log.read_text() for log in logs.rglob("*.log"))
        assert len(list(logs.rglob("*.log"))) == 2, "logs of failed jobs are kept, and only these"


class TestWallTime:
    """A γ surface that takes longer than its first wall time."""

    @pytest.fixture
    def finished(self, background: dict[str, Run], first_attempt: Hold, slurm: Slurm) -> Run:
        project = background["slow"].project
        slurm.wait_until(lambda: states(project.jobs("gamma_surface"))[:1] == ["TIMEOUT"])
        first_attempt.lift()
        status, said = background["slow"].finish()
        assert status == 0, said
        return background["slow"]

    def test_is_submitted_again_with_more_time(self, finished: Run) -> None:
        first, second = finished.project.jobs("gamma_surface")
        assert (first.state, first.fields["TimeLimit"]) == ("TIMEOUT", "00:02:00")
        assert (second.state, second.fields["TimeLimit"]) == ("COMPLETED", "01:00:00")
        log = finished.project.root / "results/slow/logs/gamma_surface/slow/fcc_111.log"
        assert log.read_text(encoding="utf-8").startswith(RESUMED)

    def test_goes_on_from_its_partial_results_to_the_same_bits(self, finished: Run) -> None:
        work = finished.project.root / "work/slow/slow"
        (partial,) = work.glob("*.partial")
        assert len(points(partial)) == len(set(points(partial))) > 10
        assert list(work.iterdir()) == [partial], "neither locks nor temporary files are left"
        assert (finished.project.root / "results/slow" / SURFACE).read_bytes() == uninterrupted(finished.project)


class TestFaults:
    """Jobs that end badly stop only what needs them."""

    @pytest.fixture
    def ended(self, background: dict[str, Run]) -> tuple[SlurmProject, str]:
        status, said = background["faulty"].finish()
        assert status == 1, said
        return background["faulty"].project, said

    def test_a_failing_job_is_tried_twice_and_shown(self, ended: tuple[SlurmProject, str]) -> None:
        project, said = ended
        assert states(project.jobs("failing")) == ["FAILED", "FAILED"]
        assert "no such potential" in said
        assert not (project.root / "out/failing").exists(), "half an output is no output"

    def test_a_cancelled_job_is_submitted_once_more(self, ended: tuple[SlurmProject, str]) -> None:
        project, said = ended
        assert states(project.jobs("cancelled")) == ["CANCELLED", "CANCELLED"]
        assert "SLURM status is: 'CANCELLED'" in said

    def test_the_others_go_on(self, ended: tuple[SlurmProject, str]) -> None:
        project, _ = ended
        assert (project.root / "out/good").exists()
        assert states(project.jobs("good")) == ["COMPLETED"]
        assert project.jobs("after") == []

    def test_a_gpu_is_given_and_seen(self, ended: tuple[SlurmProject, str]) -> None:
        project, _ = ended
        (job,) = project.jobs("gpu")
        assert job.fields["Partition"] == "gpu"
        assert job.fields["TresPerJob"] == "gres:gpu:1"
        assert (project.root / "out/gpu").read_text().strip() in ("0", "1")


@pytest.mark.slow
def test_a_run_outlives_a_kill_of_slurms_own_controller(
    make_slurm_project: Callable[[str], SlurmProject], slurm: Slurm, hold: Hold
) -> None:
    project = slow_project(make_slurm_project)
    held = hold.environment(calls=8)
    run = project.start(f"results/slow/{SURFACE}", "--configfile=run.yaml", SLOW_EMT_S="0.3", **held)
    # A job that was submitted less than some seconds ago is not yet in the state that the controller has saved.
    slurm.wait_until(lambda: hold.held)
    pid_file = next(Path("/var/tmp").glob("glideflow-slurm*/slurmctld.pid"))
    slurm.command("kill", "-9", pid_file.read_text().strip())
    assert slurm.cluster("status").returncode == 3
    assert slurm.cluster("up").returncode == 0
    hold.lift()
    status, said = run.finish()
    assert status == 0, said
    assert (project.root / "results/slow" / SURFACE).read_bytes() == uninterrupted(project)


class TestRanks:
    """Ranks that srun starts inside a job."""

    def outcome(self, slurm: Slurm, folder: Path, function: str) -> dict[str, Any]:
        output = folder / "output"
        script = Path(__file__).with_name("rank_tasks.py")
        slurm.command(
            *("sbatch", "--wait", "--ntasks=2", "--mem=1000", f"--output={output}", f"--chdir={folder}"),
            f"--export=ALL,PYTHONPATH={script.parent}:{os.environ.get('PYTHONPATH', '')}",
            f"--wrap={shlex.join([sys.executable, str(script), function])}",
            timeout_s=600,
        )
        return dict(json.loads(output.read_text().splitlines()[-1]))

    def test_work_together(self, slurm: Slurm, tmp_path: Path) -> None:
        assert self.outcome(slurm, tmp_path, "meet")["value"] == 2

    def test_do_not_wait_for_one_that_crashed(self, slurm: Slurm, tmp_path: Path) -> None:
        outcome = self.outcome(slurm, tmp_path, "crash_on_the_second")
        assert outcome["error_class"] == "Crashed", "and not its time limit"


def points(partial: Path) -> list[str]:
    """Names of partial results in the order in which they were written, those that were written twice too."""
    with partial.open("rb") as stream:
        return [_decode(payload)[0] for payload in iter(lambda: _next_payload(stream), None)]


def uninterrupted(project: SlurmProject) -> bytes:
    """The γ surface of the slow potential, computed here and now in one go."""
    output = project.root / "alone.h5"
    folder = project.root / "results/slow"
    files = {"config": folder / "config.yaml", "lattice": folder / "potentials/slow/lattice.h5", "output": output}
    subprocess.run(
        [sys.executable, "-m", "glideflow", "gamma", "--potential=slow", *(f"--{k}={v}" for k, v in files.items())],
        cwd=project.root,
        env=os.environ | {"PYTHONPATH": f"{project.root / 'src'}:{Path(__file__).parent}"},
        check=True,
        capture_output=True,
        timeout=600,
    )
    return output.read_bytes()
