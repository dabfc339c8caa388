"""Cores, memory and folders of this machine."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from glideflow.config.engine import EngineSettings
from glideflow.errors import GlideflowError
from glideflow.plan import RunPlan, job_threads, plan_run
from glideflow.run import ResolvedRun
from glideflow.site.check import Check, Status, check_of_error, plain
from glideflow.units import GIB

AREA = "Machine"
FOLDER_AREA = "Folders"
POTENTIAL_AREA = "Potentials"
CGROUP = Path("/sys/fs/cgroup")
SCRATCH_GIB = 1.0
"""Room that temporary files may take: an engine's files are small, but a full folder ends every job."""


def machine_checks(engine: EngineSettings, *, cluster: bool) -> Iterator[Check]:
    """Cores and memory beside what one job takes.

    Args:
        engine: settings of the configuration.
        cluster: whether jobs run on the nodes of a cluster and not here.
    """
    cores, memory_gib = available_cores(), available_memory_gib()
    elsewhere = "; jobs run on other nodes" if cluster else ""
    wide = job_threads(engine) > cores and not cluster
    yield Check(
        area=AREA,
        name="cores",
        status="warning" if wide else "ok",
        found=f"{cores:g} available, a job takes {job_threads(engine)}{elsewhere}",
        expected=f"{job_threads(engine)} (engine.mpi_ranks × engine.threads)" if wide else "",
        next_step="lower engine.mpi_ranks or engine.threads" if wide else "",
    )
    yield _shell_tools()
    small = memory_gib < engine.memory_limit_gib and not cluster
    yield Check(
        area=AREA,
        name="memory",
        status="warning" if small else "ok",
        found=f"{memory_gib:.1f} GiB, a job is ended at {engine.memory_limit_gib:g} GiB{elsewhere}",
        expected=f"{engine.memory_limit_gib:g} GiB (engine.memory_limit_gib)" if small else "",
        next_step="lower engine.memory_limit_gib, so that a job ends with a reason before the machine is full"
        if small
        else "",
    )


def _shell_tools() -> Check:
    """The Slurm executor, which Snakemake loads whatever the executor, cannot be imported without ``which``."""
    absent = [program for program in ("bash", "which") if shutil.which(program) is None]
    return Check(
        area=AREA,
        name="shell",
        status="missing" if absent else "ok",
        found=f"not on the PATH: {', '.join(absent)}" if absent else "bash and which are there",
        expected="bash, in which jobs run, and which, without which Snakemake's Slurm executor does not load"
        if absent
        else "",
        next_step=f"install {' and '.join(absent)}" if absent else "",
        required=True,
    )


def available_cores() -> float:
    """Cores that this process may use: those of its affinity, or the quota of its control group if that is less."""
    affinity = float(len(os.sched_getaffinity(0)))
    quota, _, period = _control_group("cpu.max").partition(" ")
    return min(affinity, int(quota) / int(period)) if quota.isdigit() and period.isdigit() else affinity


def available_memory_gib() -> float:
    """Memory of this machine in GiB, or the limit of the control group of this process if that is less."""
    limits = [_control_group(name) for name in ("memory.max", "memory/memory.limit_in_bytes")]
    return min([psutil.virtual_memory().total, *(int(limit) for limit in limits if limit.isdigit())]) / GIB


def _control_group(name: str) -> str:
    """A file of this process's control group, from its own up to the root, as containers show it; empty if absent."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::")[2]
    except (OSError, UnicodeDecodeError):
        own = ""
    for folder in (CGROUP / own.lstrip("/"), CGROUP):
        with suppress(OSError, UnicodeDecodeError):
            return (folder / name).read_text(encoding="ascii").strip()
    return ""


def potential_check(run: ResolvedRun | GlideflowError) -> Check:
    """Whether the potentials that the configuration selects are there."""
    if isinstance(run, GlideflowError):
        return check_of_error(run, area=POTENTIAL_AREA, name="selection", required=True)
    elements = ", ".join(sorted({potential.element for potential in run.potentials}))
    return Check(
        area=POTENTIAL_AREA,
        name="selection",
        status="ok",
        found=f"{len(run.potentials)} potentials of {elements}, files as their sources state",
        required=True,
    )


def folder_checks(run: ResolvedRun | None, results: Path, work: Path) -> Iterator[Check]:
    """Whether results, partial results and temporary files can be written, and whether there is room.

    Args:
        run: the run, for the size of its results; None if it could not be resolved.
        results: folder of its results.
        work: folder of its partial results.
    """
    plan = plan_run(run, cores=1) if run is not None else None
    for name, folder, need in _folders(results, work, plan):
        yield _writable(name, folder, need)
    yield _locks(work)


def _folders(results: Path, work: Path, plan: RunPlan | None) -> Iterator[tuple[str, Path, float]]:
    yield "results", results, plan.result_bytes if plan else 0.0
    yield "partial results", work, plan.partial_bytes if plan else 0.0
    yield "temporary files", Path(tempfile.gettempdir()), SCRATCH_GIB * GIB


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _writable(name: str, folder: Path, need_bytes: float) -> Check:
    existing = _existing(folder)
    try:
        _write_once(existing)
    except OSError as error:
        return Check(
            area=FOLDER_AREA,
            name=name,
            status="missing",
            found=f"{plain(str(folder))} cannot be written: {error.strerror}",
            expected="a folder that can be written",
            next_step="mend the permissions, free some space, or name another folder in the configuration",
            required=True,
        )
    free = shutil.disk_usage(existing).free
    status: Status = "ok" if free >= need_bytes else "warning"
    return Check(
        area=FOLDER_AREA,
        name=name,
        status=status,
        found=f"{plain(str(folder))}: writable, {free / GIB:.1f} GiB free",
        expected="" if status == "ok" else f"about {math.ceil(need_bytes / GIB * 10) / 10:g} GiB",
        next_step="" if status == "ok" else "free some space, or name another folder in the configuration",
        required=True,
    )


def _write_once(folder: Path) -> None:
    """Write, synchronise and rename a small file, as results are written, and take it away again."""
    draft = folder / f".glideflow-{uuid.uuid4().hex}.tmp"
    final = draft.with_suffix(".done")
    try:
        with draft.open("xb") as stream:
            stream.write(b"glideflow doctor\n" * 256)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(final)
    finally:
        for file in (draft, final):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _locks(work: Path) -> Check:
    """Whether the file system of the partial results has locks, which keep two jobs from writing one file."""
    try:
        with tempfile.TemporaryFile(dir=_existing(work)) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Check(
            area=FOLDER_AREA,
            name="file locks",
            status="warning",
            found=f"not on the file system of {plain(str(work))}: {error.strerror}",
            expected="flock, which keeps two jobs from writing the same partial results",
            next_step="never start the same run twice, or set `work` to another file system",
        )
    return Check(area=FOLDER_AREA, name="file locks", status="ok", found="the file system of partial results has them")
