"""Real LAMMPS on one and two ranks, and launchers and libraries that do not work."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from glideflow.config.engine import EngineSettings
from glideflow.isolation import Success, parent
from glideflow.site.check import Check
from glideflow.site.engine_checks import (
    COHESIVE_EV_PER_ATOM,
    Bench,
    accelerator_checks,
    engine_checks,
    gpu_check,
    launcher_check,
    probe_potential,
)
from glideflow.site.probe import EnergyProbe, LammpsFacts

if TYPE_CHECKING:
    from conftest import MakeProgram


LONG_S = 600.0
"""Time limit of what works, however busy the machine is."""


def checks_of(limit_s: float = LONG_S, required: bool = True, **parts: Any) -> dict[str, Check]:
    found = engine_checks(EngineSettings(**parts), required=required, limit_s=limit_s)
    return {check.name: check for check in found}


@pytest.fixture(autouse=True)
def _environment_of_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def healthy() -> dict[str, Check]:
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    try:
        return checks_of(mpi_ranks=2)
    finally:
        os.environ["PATH"] = path


def test_the_installed_lammps_works(healthy: dict[str, Check]) -> None:
    statuses = {name: check.status for name, check in healthy.items()}
    assert statuses == {
        "library": "ok",
        "energy": "ok",
        "accelerator opt": "ok",
        "accelerator omp": "ok",
        "accelerator kokkos": "not applicable",
        "MPI launcher": "ok",
        "GPU": "not applicable",
    }


def test_the_energy_is_that_of_the_publication(healthy: dict[str, Check]) -> None:
    energy = float(healthy["energy"].found.split()[0])
    assert energy == pytest.approx(COHESIVE_EV_PER_ATOM, abs=1e-3)


def test_two_ranks_compute_what_one_does(healthy: dict[str, Check]) -> None:
    assert healthy["MPI launcher"].found.startswith("mpiexec -n 2: 2 ranks, energy and forces within ")


@pytest.fixture(scope="module")
def reference() -> EnergyProbe:
    """The test crystal on one rank, computed once."""
    outcome = bench().probe("none")
    assert isinstance(outcome, Success)
    return outcome.value


def bench(limit_s: float = LONG_S, required: bool = True, **parts: Any) -> Bench:
    return Bench(engine=EngineSettings(**parts), potential=probe_potential(), limit_s=limit_s, required=required)


FACTS = LammpsFacts(version=20250722, packages=("MANYBODY",), gpu_interfaces=())


def test_an_accelerator_that_is_not_built_in_blocks_only_if_it_is_configured(reference: EnergyProbe) -> None:
    for accelerator, required, blocking in (("kokkos", True, True), ("kokkos", False, False), ("opt", True, False)):
        found = accelerator_checks(bench(accelerator=accelerator, required=required), FACTS, reference)
        check = {check.name: check for check in found}["accelerator kokkos"]
        assert check.blocking is blocking
        assert ("since engine.accelerator is kokkos" in check.expected) is (accelerator == "kokkos")


def test_an_accelerator_that_computes_something_else_is_found_out(reference: EnergyProbe) -> None:
    wrong = replace(reference, displaced_ev=reference.displaced_ev + 1e-5)
    facts = replace(FACTS, packages=("OPT",))
    check = next(accelerator_checks(bench(accelerator="opt"), facts, wrong))
    assert check.blocking
    assert "1.0e-05 eV" in check.found


def test_gpus_without_a_lammps_for_gpus_block() -> None:
    check = gpu_check(bench(accelerator="kokkos", gpus=1), FACTS)
    assert check.blocking
    assert "engine.gpus: 0" in check.next_step


def test_gpus_that_are_elsewhere_are_a_warning(make_program_first: MakeProgram) -> None:
    facts = replace(FACTS, gpu_interfaces=("cuda",))
    make_program_first("nvidia-smi", "echo 'NVIDIA A100-SXM4-40GB, 40960 MiB'")
    check = gpu_check(bench(accelerator="kokkos", gpus=2), facts)
    assert check.status == "warning"
    assert check.found == "1 on this machine (NVIDIA A100-SXM4-40GB, 40960 MiB)"
    make_program_first("nvidia-smi", "echo 'NVIDIA-SMI has failed' ; exit 9")
    assert gpu_check(bench(accelerator="kokkos", gpus=1), facts).found == "none on this machine"


def test_a_launcher_that_is_not_there_is_found_out_before_it_is_started(reference: EnergyProbe) -> None:
    launcher = ("no-such-mpiexec", "-n", "{ranks}")
    needed = launcher_check(bench(mpi_ranks=2, mpi_launcher=launcher), reference, {})
    assert needed.blocking
    assert "no-such-mpiexec is not on the PATH" in needed.found
    assert launcher_check(bench(mpi_launcher=launcher), reference, {}).status == "warning"


def launched(reference: EnergyProbe, *launcher: str, limit_s: float = LONG_S, **queue: str) -> Check:
    return launcher_check(bench(limit_s=limit_s, mpi_ranks=2, mpi_launcher=launcher), reference, queue)


def test_ranks_that_do_not_see_each_other_are_told(reference: EnergyProbe, make_program_first: MakeProgram) -> None:
    # What the mpiexec of another MPI does to a library linked to this one: every process believes to be alone.
    make_program_first("srun", '"$@"')
    check = launched(reference, "srun")
    assert check.blocking
    assert "do not see each other (ranks: 1)" in check.found
    assert "MPICH" in check.expected


def test_a_launcher_that_fails_is_quoted(reference: EnergyProbe, make_program_first: MakeProgram) -> None:
    make_program_first("srun", "printf 'srun: error: \\033[2Jno such MPI plugin\\n' >&2; exit 4")
    check = launched(reference, "srun", "--mpi=none", "-n", "{ranks}")
    assert check.blocking
    assert "no such MPI plugin" in check.found
    assert check.found.isprintable()


def test_a_launcher_that_hangs_costs_its_time_limit(reference: EnergyProbe, make_program_first: MakeProgram) -> None:
    make_program_first("srun", "sleep 1000")
    check = launched(reference, "srun", limit_s=2.0)
    assert check.blocking
    assert "the limit being 2 s" in check.found


@pytest.mark.parametrize(
    ("script", "blocking"),
    [
        ("echo 'srun: error: Unable to allocate resources: Requested nodes are busy' >&2; exit 1", False),
        ("echo 'srun: job 12 queued and waiting for resources' >&2", False),
        ("echo 'job 12 queued and waiting for resources, job 12 has been allocated' >&2", True),
    ],
)
def test_a_full_cluster_is_no_fault_of_the_launcher(
    reference: EnergyProbe,
    make_program_first: MakeProgram,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    blocking: bool,
) -> None:
    said = tmp_path / "said"
    make_program_first("srun", f"{script}; touch {said}; exec sleep 1000")
    # The time is up when srun has said what it waits for.
    monkeypatch.setattr(parent._Watch, "_broken_limit", lambda _: "TimeLimit" if said.exists() else "")
    check = launched(reference, "srun")
    assert check.blocking == blocking
    assert ("no node was free" in check.next_step) != blocking


def test_srun_is_asked_in_the_partition_of_the_profile_and_for_a_moment_only(
    reference: EnergyProbe, make_program_first: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ACCOUNT", "mine")
    mpiexec = Path(sys.executable).with_name("mpiexec")
    make_program_first("srun", f'env | grep ^SLURM_ > {tmp_path}/asked; shift 2; exec {mpiexec} -n 2 "$@"')
    check = launched(reference, "srun", "-n", "{ranks}", SLURM_PARTITION="gpu", SLURM_ACCOUNT="profile")
    assert check.status == "ok", check.found
    asked = dict(line.split("=", 1) for line in (tmp_path / "asked").read_text().splitlines())
    assert asked["SLURM_PARTITION"] == "gpu"
    assert asked["SLURM_ACCOUNT"] == "mine"
    assert float(asked["SLURM_IMMEDIATE"]) <= 60
    assert float(asked["SLURM_TIMELIMIT"]) <= 5
    assert [name for name in os.environ if name.startswith("SLURM_")] == ["SLURM_ACCOUNT"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ImportError('libmpi.so.12: cannot open shared object file')", "libmpi.so.12"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import os; os.abort()", "SIGABRT"),
        ("lammps = lambda **options: 1 / 0", "division by zero"),
        ("import time; time.sleep(1000)", "the limit being 5 s"),
    ],
)
def test_a_lammps_that_is_broken_in_any_way_is_a_finding(
    body: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lammps.py").write_text(body + "\n")  # a test double that children import first
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = checks_of(limit_s=5.0 if "sleep" in body else LONG_S)
    assert list(found) == ["library"]
    assert found["library"].blocking
    assert words in found["library"].found
