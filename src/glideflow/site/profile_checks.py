"""Whether a Slurm profile names what there is, and whether the jobs of a configuration fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from glideflow.config.engine import EngineSettings
from glideflow.plan import GIB_IN_MB, JOINING_RULES, MEMORY_MARGIN_MB, RUNTIME_MARGIN_MIN
from glideflow.property_specs import ALL_PROPERTIES
from glideflow.site.check import Check, Status, plain
from glideflow.site.profile import Profile
from glideflow.site.slurm import Partition, SlurmSite
from glideflow.site.slurm_checks import MOST_PARTITIONS, described

AREA = "Slurm profile"

MEMORY_FLOOR_MB = 500
"""A job runs Snakemake once more before its command; with less memory it is killed."""
DEFAULT_WAIT_S = 40
"""The executor's wait before it first asks for the state of jobs, where the profile names none."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What the jobs of a configuration ask of a node.

    Attributes:
        cpus: ranks times threads.
        ranks: MPI ranks of one job.
        memory_mb: memory of a job that is tried a second time.
        runtime_min: wall time of a job that is tried a second time.
        gpus: GPUs of one job.
        launcher: command that starts MPI ranks.
    """

    cpus: int
    ranks: int
    memory_mb: int
    runtime_min: int
    gpus: int
    launcher: tuple[str, ...]

    @classmethod
    def of(cls, engine: EngineSettings) -> Demand:
        """What the jobs of these settings ask for."""
        return cls(
            cpus=engine.mpi_ranks * engine.threads,
            ranks=engine.mpi_ranks,
            memory_mb=math.ceil(engine.memory_limit_gib * GIB_IN_MB) + MEMORY_MARGIN_MB,
            runtime_min=math.ceil(engine.time_limit_s / 60) + RUNTIME_MARGIN_MIN,
            gpus=engine.gpus,
            launcher=engine.mpi_launcher,
        )

    @classmethod
    def of_joining(cls) -> Demand:
        """What a step that joins results asks for, at least."""
        return cls(cpus=1, ranks=1, memory_mb=MEMORY_FLOOR_MB, runtime_min=RUNTIME_MARGIN_MIN, gpus=0, launcher=())


def profile_checks(site: SlurmSite, profile: Profile, demand: Demand, *, required: bool) -> Iterator[Check]:
    """Whether a profile names what there is, and whether the jobs of a configuration fit.

    Args:
        site: what Slurm says of itself.
        profile: the profile.
        demand: what the jobs ask for.
        required: whether the profile is to be used.
    """
    judge = _Judge(required=required)
    executor = profile.text("executor", "local")
    if executor != "slurm":
        yield judge("executor", "warning", f"executor: {plain(executor, 40)} in {profile.file}", "executor: slurm")
        return
    yield judge("file", "ok", str(profile.file))
    yield from _profile_partitions(site, profile, demand, judge)
    yield from _profile_accounts(site, profile, judge)
    yield _profile_status(site, profile, judge)
    yield _profile_memory(profile, judge)
    yield _profile_width(site, profile, demand, judge)
    yield _profile_queue(site, profile, judge)
    yield from _profile_launcher(site, demand, judge)
    if profile.text("slurm-array-jobs"):
        yield judge(
            "array jobs",
            "missing",
            "slurm-array-jobs is set",
            "no array jobs: in version 2.8.0 of the executor their tasks take each other's state",
            "remove the key",
        )


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Makes the checks of a profile."""

    required: bool

    def __call__(self, name: str, status: Status, found: str, expected: str = "", next_step: str = "") -> Check:
        good = status in ("ok", "not applicable")
        return Check(
            area=AREA,
            name=name,
            status=status,
            found=found,
            expected="" if good else expected,
            next_step="" if good else next_step or "correct the profile",
            required=self.required,
        )


def _profile_partitions(site: SlurmSite, profile: Profile, demand: Demand, judge: _Judge) -> Iterator[Check]:
    if not site.partitions:
        yield judge("partition", "warning", "sinfo lists none to compare with", "a list of partitions")
        return
    engine, joining = profile.partitions(ALL_PROPERTIES), profile.partitions(JOINING_RULES)
    if not engine:
        yield _default_partition(site, demand, judge)
    for name in dict.fromkeys((*engine, *joining)):
        partition = site.partition(name)
        if partition is None:
            found = f"there is no partition {plain(name, 60)}"
            yield judge("partition", "missing", found, f"slurm_partition: one of {_names(site)}")
        else:
            yield _fit(partition, demand if name in engine else Demand.of_joining(), judge)


def _default_partition(site: SlurmSite, demand: Demand, judge: _Judge) -> Check:
    default = next((partition for partition in site.partitions if partition.default), None)
    if default is None:
        found = "the profile names none, and Slurm has no default"
        return judge("partition", "missing", found, f"slurm_partition: one of {_names(site)}")
    return _fit(default, demand, judge)


def _names(site: SlurmSite) -> str:
    return plain(", ".join(partition.name for partition in site.partitions[:MOST_PARTITIONS]))


def _fit(partition: Partition, demand: Demand, judge: _Judge) -> Check:
    """Whether jobs that are tried a second time, with all that the limits allow, can start in a partition."""
    name = plain(f"partition {partition.name}", 60)
    if not partition.node_count:
        expected = "nodes on which jobs can start"
        return judge(name, "missing", described(partition), expected, "name another partition, or wait")
    longest = partition.time_limit_min
    problems = [
        (demand.memory_mb > partition.largest_memory_mb, f"{demand.memory_mb} MB of memory (engine.memory_limit_gib)"),
        (longest is not None and demand.runtime_min > longest, f"{demand.runtime_min} minutes (engine.time_limit_s)"),
        (demand.gpus > partition.gpus, f"{demand.gpus} GPUs (engine.gpus)"),
    ]
    asked = [text for wrong, text in problems if wrong]
    if asked:
        expected = f"a partition that gives a job {' and '.join(asked)}"
        return judge(name, "missing", described(partition), expected, "name another partition, or lower the limits")
    return judge(name, "ok", f"jobs fit: {demand.memory_mb} MB, {demand.runtime_min} min at most")


def _profile_accounts(site: SlurmSite, profile: Profile, judge: _Judge) -> Iterator[Check]:
    known = {account.lower() for account in site.accounts}
    for account in profile.accounts:
        name, shown = "account", plain(account, 60)
        if not known:
            expected = "no slurm_account where sacctmgr knows none"
            yield judge(name, "warning", f"{shown} cannot be compared with anything", expected, "remove slurm_account")
        elif account.lower() in known:
            yield judge(name, "ok", f"{shown} is yours")
        else:
            expected = f"slurm_account: one of {plain(', '.join(site.accounts))}"
            yield judge(name, "missing", f"{shown} is none of yours", expected)
    if not profile.accounts:
        enforced = "associations" in site.settings.get("AccountingStorageEnforce", "")
        lacking = enforced and not site.default_account
        found = "none named" + (f"; jobs go to {plain(site.default_account, 60)}" if site.default_account else "")
        yield judge("account", "missing" if lacking else "ok", found, "slurm_account, which this site insists on")


def _profile_status(site: SlurmSite, profile: Profile, judge: _Judge) -> Check:
    """Whether the state of jobs can be asked for in the way that the profile says."""
    name, command = "status command", profile.text("slurm-status-command", site.status_command)
    if command not in ("sacct", "squeue"):
        return judge(name, "missing", plain(command, 40), "slurm-status-command: sacct or squeue")
    if not site.answers[command].good:
        expected = f"slurm-status-command: {site.status_command}; a run whose question is not answered waits for ever"
        return judge(name, "missing", site.answers[command].described, expected)
    age_s, wait_s = site.min_job_age_s, profile.number("slurm-init-seconds-before-status-checks") or DEFAULT_WAIT_S
    if command == "squeue" and age_s is not None and age_s < 3 * wait_s:
        # The executor then asks sacct in spite of the profile, if there is one.
        status: Status = "warning" if site.has_accounting else "missing"
        found = f"squeue forgets ended jobs after {age_s} s (MinJobAge)"
        expected = f"slurm-init-seconds-before-status-checks of at most {age_s // 3} (a third of it), or sacct"
        return judge(name, status, found, expected)
    return judge(name, "ok", f"{command} answers")


def _profile_memory(profile: Profile, judge: _Judge) -> Check:
    text = profile.default_resources.get("mem_mb", "")
    if not text.isdigit():
        found = "mem_mb is not set" if not text else f"mem_mb: {plain(text, 40)}"
        return judge("memory floor", "ok" if text else "warning", found, f"mem_mb of at least {MEMORY_FLOOR_MB}")
    status: Status = "ok" if int(text) >= MEMORY_FLOOR_MB else "missing"
    expected = f"at least {MEMORY_FLOOR_MB} MB: each job runs Snakemake once more before its command"
    return judge("memory floor", status, f"mem_mb: {text}", expected)


def _profile_width(site: SlurmSite, profile: Profile, demand: Demand, judge: _Judge) -> Check:
    cores = profile.number("cores")
    if cores is None:
        return judge("cores", "missing", "cores is not set", "cores: the CPUs of one node")
    if cores < demand.cpus:
        expected = f"at least {demand.cpus} (engine.mpi_ranks × engine.threads): wider jobs are cut to cores"
        return judge("cores", "missing", f"cores: {cores}", expected)
    named = [site.partition(name) for name in profile.partitions(ALL_PROPERTIES)]
    widest = max((partition.widest for partition in named if partition), default=0)
    if widest and cores > widest and demand.ranks == 1:
        return judge("cores", "warning", f"cores: {cores}", f"at most {widest}, the CPUs of the widest node")
    return judge("cores", "ok", f"cores: {cores}")


def _profile_queue(site: SlurmSite, profile: Profile, judge: _Judge) -> Check:
    jobs, limit = profile.number("jobs"), site.submit_limit
    if jobs is None:
        return judge("jobs", "warning", "jobs is not a number", "jobs: how many may be in the queue at a time")
    if limit is not None and jobs > limit:
        expected = f"at most {limit}, the smallest limit of a quality of service (sacctmgr show qos)"
        return judge("jobs", "warning", f"jobs: {jobs}", expected)
    return judge("jobs", "ok", f"jobs: {jobs}")


def _profile_launcher(site: SlurmSite, demand: Demand, judge: _Judge) -> Iterator[Check]:
    if demand.ranks == 1:
        return
    program = demand.launcher[0]
    types = [word.removeprefix("--mpi=") for word in demand.launcher if word.startswith("--mpi=")]
    if not program.endswith("srun"):
        expected = "engine.mpi_launcher: [srun, --mpi=pmi2, -n, '{ranks}'], which starts ranks on every node of a job"
        yield judge("MPI launcher", "warning", f"{program} starts the {demand.ranks} ranks", expected)
    elif types and site.mpi_types and types[0] not in site.mpi_types:
        expected = f"one of {', '.join(dict.fromkeys(site.mpi_types))}"
        yield judge("MPI launcher", "missing", f"srun knows no --mpi={plain(types[0], 40)}", expected)
    else:
        yield judge("MPI launcher", "ok", " ".join(demand.launcher))
