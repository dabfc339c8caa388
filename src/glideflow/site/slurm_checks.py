"""Whether Slurm answers, and what it offers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from glideflow.site.check import Check, plain
from glideflow.site.slurm import Partition, SlurmSite

AREA = "Slurm"
MOST_PARTITIONS = 12
"""Partitions that are described one by one."""


def slurm_checks(site: SlurmSite, *, required: bool) -> Iterator[Check]:
    """Whether Slurm is there and answers, and what it offers."""
    if not site.installed:
        yield Check(
            area=AREA,
            name="commands",
            status="missing" if required else "not applicable",
            found="none of sinfo, squeue, sacct and srun is on the PATH",
            expected="Slurm's commands, since its profile is to be used" if required else "",
            next_step="run this on a login node of the cluster, or load its module for Slurm" if required else "",
            required=required,
        )
        return
    yield _submission(required)
    yield _controller(site, required)
    yield _queue(site, required)
    yield _accounting(site)
    yield from _partitions(site, required)
    yield _accounts(site)
    yield _mpi(site)


def _submission(required: bool) -> Check:
    there = shutil.which("sbatch") is not None
    return Check(
        area=AREA,
        name="sbatch",
        status="ok" if there else "missing",
        found="on the PATH" if there else "not on the PATH",
        expected="" if there else "sbatch, which submits the jobs",
        next_step="" if there else "run this on a node from which jobs may be submitted",
        required=required,
    )


def _controller(site: SlurmSite, required: bool) -> Check:
    answer = site.answers["sinfo"]
    if answer.good and site.partitions:
        cluster = site.settings.get("ClusterName", "")
        found = ", ".join(filter(None, (site.version, f"cluster {cluster}" if cluster else "", "sinfo answers")))
        return Check(area=AREA, name="sinfo", status="ok", found=plain(found), required=required)
    garbled = f"sinfo answers, but lists no partition: {plain(answer.text, 80) or '(nothing)'}"
    return Check(
        area=AREA,
        name="sinfo",
        status="missing",
        found=garbled if answer.good else answer.described,
        expected="a list of partitions",
        next_step="ask the site whether the controller is up: sinfo",
        required=required,
    )


def _queue(site: SlurmSite, required: bool) -> Check:
    answer = site.answers["squeue"]
    jobs = len(answer.text.split())
    return Check(
        area=AREA,
        name="squeue",
        status="ok" if answer.good else "missing",
        found=f"answers, {jobs} jobs of yours" if answer.good else answer.described,
        expected="" if answer.good else "a list of your jobs",
        next_step="" if answer.good else "ask the site whether the controller is up: squeue",
        required=required,
    )


def _accounting(site: SlurmSite) -> Check:
    answer = site.answers["sacct"]
    if answer.good:
        return Check(area=AREA, name="accounting", status="ok", found="on: sacct answers")
    storage = site.settings.get("AccountingStorageType", "")
    return Check(
        area=AREA,
        name="accounting",
        status="warning",
        found=f"{answer.described}{f' ({plain(storage)})' if storage else ''}",
        expected="sacct, which knows every job that has ended",
        next_step="write `slurm-status-command: squeue` in the profile",
    )


def _partitions(site: SlurmSite, required: bool) -> Iterator[Check]:
    for partition in site.partitions[:MOST_PARTITIONS]:
        usable = partition.node_count > 0
        yield Check(
            area=AREA,
            name=plain(f"partition {partition.name}", 60),
            status="ok" if usable else "warning",
            found=described(partition),
            expected="" if usable else "nodes on which jobs can start",
            next_step="" if usable else "use another partition, or wait until it is back",
        )
    if len(site.partitions) > MOST_PARTITIONS:
        others = ", ".join(partition.name for partition in site.partitions[MOST_PARTITIONS:])
        yield Check(area=AREA, name="more partitions", status="ok", found=plain(others))
    if site.partitions and not any(partition.node_count for partition in site.partitions):
        yield Check(
            area=AREA,
            name="nodes",
            status="missing",
            found="no node takes jobs",
            expected="at least one node that is up",
            next_step="ask the site: sinfo --list-reasons",
            required=required,
        )


def described(partition: Partition) -> str:
    """A partition in words: its state, its nodes by size, its limit of time."""
    sizes: dict[tuple[int, int, int], int] = {}
    for group in partition.usable or partition.nodes:
        size = (group.cpus, group.memory_mb, group.gpus)
        sizes[size] = sizes.get(size, 0) + group.count
    nodes = [
        f"{count} × {cpus} CPUs, {memory_mb / 1024:.0f} GiB{f', {gpus} GPUs' if gpus else ''}"
        for (cpus, memory_mb, gpus), count in sorted(sizes.items(), key=lambda item: -item[1])
    ]
    parts = ["default"] if partition.default else []
    parts += [] if partition.up else ["down"]
    parts += [] if partition.usable or not partition.up else ["no node takes jobs"]
    limit = "no limit of time" if partition.time_limit_min is None else f"up to {_hours(partition.time_limit_min)}"
    return plain("; ".join([*parts, *nodes[:4], *(["other sizes"] if len(nodes) > 4 else []), limit]))


def _hours(minutes: int) -> str:
    return (
        f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} d"
    )


def _accounts(site: SlurmSite) -> Check:
    if site.accounts:
        default = f"; default {site.default_account}" if site.default_account else ""
        return Check(area=AREA, name="accounts", status="ok", found=plain(", ".join(site.accounts) + default))
    answer = site.answers["associations"]
    found = "sacctmgr knows none of yours" if answer.good else answer.described
    return Check(area=AREA, name="accounts", status="not applicable", found=f"{found}; the profile should name none")


def _mpi(site: SlurmSite) -> Check:
    if site.mpi_types:
        return Check(area=AREA, name="MPI of srun", status="ok", found=", ".join(dict.fromkeys(site.mpi_types)))
    answer = site.answers["mpi"]
    found = "srun lists no type of MPI" if answer.good else answer.described
    return Check(area=AREA, name="MPI of srun", status="warning", found=found, expected="pmi2 among them")
