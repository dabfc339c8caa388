"""What Slurm says of itself: partitions, nodes, accounts, accounting. Slurm 20.11 and later."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from glideflow.site.ask import Answer, ask

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "version": ("sinfo", "--version"),
    "sinfo": ("sinfo", "--noheader", "--exact", "--format=%P|%a|%l|%D|%c|%m|%G|%T"),
    "squeue": ("squeue", "--noheader", "--user={user}", "--format=%i|%T"),
    # As the Slurm executor of Snakemake asks, for a shorter time.
    "sacct": ("sacct", "-X", "--noheader", "--parsable2", "--format=JobIdRaw,State", "--starttime=now-1hour"),
    "scontrol": ("scontrol", "show", "config"),
    "associations": ("sacctmgr", "-nP", "show", "associations", "where", "user={user}", "format=account,partition"),
    "user": ("sacctmgr", "-nP", "show", "user", "{user}", "format=defaultaccount"),
    "qos": ("sacctmgr", "-nP", "show", "qos", "format=name,maxsubmitjobsperuser"),
    "mpi": ("srun", "--mpi=list"),
}
"""What Slurm is asked, each as a command."""

UNUSABLE_STATES = ("down", "drain", "fail", "unknown", "future", "inval", "no_respond")
"""Beginnings of node states in which no job starts. Nodes that are powered down start when they are needed."""

_FIELDS = 8
_GPUS = re.compile(r"gpu(?::[^,:()]+)?:(\d+)")
_DURATION = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_SECONDS = re.compile(r"(\d+)\s*(\w*)")


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """Nodes of one size and state within a partition.

    Attributes:
        count: number of nodes.
        cpus: CPUs of one node as Slurm counts them (hardware threads, where these are enabled).
        memory_mb: memory of one node in MB.
        gpus: GPUs of one node.
        state: e.g. ``idle``, ``mixed``, ``down``.
    """

    count: int
    cpus: int
    memory_mb: int
    gpus: int
    state: str

    @property
    def usable(self) -> bool:
        """Whether jobs can start there, sooner or later."""
        return not self.state.lower().startswith(UNUSABLE_STATES)


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition.

    Attributes:
        name: its name.
        default: whether jobs go there by themselves.
        up: whether it takes jobs.
        time_limit_min: longest job in minutes; None for no limit.
        nodes: its nodes by size and state.
    """

    name: str
    default: bool
    up: bool
    time_limit_min: int | None
    nodes: tuple[NodeGroup, ...]

    @property
    def usable(self) -> tuple[NodeGroup, ...]:
        """Nodes on which jobs can start; none while the partition is down."""
        return tuple(group for group in self.nodes if group.usable and self.up)

    @property
    def node_count(self) -> int:
        """Number of nodes on which jobs can start."""
        return sum(group.count for group in self.usable)

    @property
    def widest(self) -> int:
        """CPUs of the widest node on which jobs can start; 0 if there is none."""
        return max((group.cpus for group in self.usable), default=0)

    @property
    def common_cpus(self) -> int:
        """CPUs of the most frequent size of node on which jobs can start; 0 if there is none."""
        counts: dict[int, int] = {}
        for group in self.usable:
            counts[group.cpus] = counts.get(group.cpus, 0) + group.count
        return max(counts, key=lambda cpus: (counts[cpus], cpus), default=0)

    @property
    def largest_memory_mb(self) -> int:
        """Memory in MB of the largest node on which jobs can start; 0 if there is none."""
        return max((group.memory_mb for group in self.usable), default=0)

    @property
    def gpus(self) -> int:
        """GPUs of the node with most of them; 0 if there is none."""
        return max((group.gpus for group in self.usable), default=0)


@dataclass(frozen=True, kw_only=True)
class SlurmSite:
    """What Slurm says of itself.

    Attributes:
        answers: answer to each of `QUESTIONS`.
        partitions: partitions, in Slurm's order.
        settings: ``scontrol show config``.
        accounts: accounts of this user; empty if unknown.
        default_account: account that jobs go to by themselves; empty if unknown.
        submit_limit: smallest limit of a quality of service on a user's jobs in the queue; None if there is none.
        mpi_types: ways in which ``srun`` starts MPI.
    """

    answers: Mapping[str, Answer]
    partitions: tuple[Partition, ...]
    settings: Mapping[str, str]
    accounts: tuple[str, ...]
    default_account: str
    submit_limit: int | None
    mpi_types: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether any of Slurm's commands is on the PATH."""
        return any(answer.outcome != "absent" for answer in self.answers.values())

    @property
    def has_accounting(self) -> bool:
        """Whether ``sacct`` knows the state of jobs."""
        return self.answers["sacct"].good

    @property
    def status_command(self) -> str:
        """Command that can tell the state of jobs: ``sacct`` if it answers, else ``squeue``."""
        return "sacct" if self.has_accounting else "squeue"

    @property
    def version(self) -> str:
        """E.g. ``slurm 23.11.4``; empty if unknown."""
        return self.answers["version"].text.strip() if self.answers["version"].good else ""

    @property
    def min_job_age_s(self) -> int | None:
        """How long ``squeue`` remembers an ended job in seconds; None if unknown."""
        found = _SECONDS.match(self.settings.get("MinJobAge", ""))
        return int(found.group(1)) * (3600 if found.group(2).startswith("h") else 1) if found else None

    def partition(self, name: str) -> Partition | None:
        """The partition of this name, or None."""
        return next((partition for partition in self.partitions if partition.name == name), None)


def look_at_slurm(limit_s: float) -> SlurmSite:
    """Ask Slurm everything at once, so that a controller that hangs costs one time limit.

    Args:
        limit_s: time after which a question is given up.
    """
    user = _user()
    commands = {name: tuple(part.format(user=user) for part in parts) for name, parts in QUESTIONS.items()}
    with ThreadPoolExecutor(max_workers=len(commands)) as pool:
        asked = {name: pool.submit(ask, *command, limit_s=limit_s) for name, command in commands.items()}
        answers = {name: future.result() for name, future in asked.items()}
    text = {name: answer.text if answer.good else "" for name, answer in answers.items()}
    # Some versions list the types of MPI on standard error.
    mpi = f"{text['mpi']} {answers['mpi'].complaint}" if answers["mpi"].good else ""
    return SlurmSite(
        answers=answers,
        partitions=parse_partitions(text["sinfo"]),
        settings=parse_settings(text["scontrol"]),
        accounts=tuple(dict.fromkeys(line.split("|")[0] for line in _lines(text["associations"]))),
        default_account=next(_lines(text["user"]), ""),
        submit_limit=parse_submit_limit(text["qos"]),
        mpi_types=tuple(re.findall(r"\b(pmi2|pmix(?:_v\d+)?|openmpi|cray_shasta|none)\b", mpi)),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in some containers
        return "nobody"


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


def parse_partitions(text: str) -> tuple[Partition, ...]:
    """Partitions from ``sinfo --noheader --exact --format=%P|%a|%l|%D|%c|%m|%G|%T``; other lines are passed over."""
    rows: dict[str, list[tuple[list[str], NodeGroup]]] = {}
    for line in _lines(text):
        fields = [field.strip() for field in line.split("|")]
        group = _node_group(fields) if len(fields) == _FIELDS and fields[0].strip("*") else None
        if group is not None:
            rows.setdefault(fields[0].rstrip("*"), []).append((fields, group))
    return tuple(
        Partition(
            name=name,
            default=any(fields[0].endswith("*") for fields, _ in members),
            up=members[0][0][1].lower() == "up",
            time_limit_min=parse_duration_min(members[0][0][2]),
            nodes=tuple(group for _, group in members),
        )
        for name, members in rows.items()
    )


def _node_group(fields: list[str]) -> NodeGroup | None:
    _, _, _, count, cpus, memory, resources, state = fields
    numbers = [value.rstrip("+") for value in (count, cpus, memory)]
    if not all(value.isascii() and value.isdigit() and len(value) < 12 for value in numbers):
        return None
    gpus = sum(int(found) for found in _GPUS.findall(resources))
    # A mark behind the state (``idle~``: powered down until it is needed) is not part of it.
    return NodeGroup(
        count=int(numbers[0]),
        cpus=int(numbers[1]),
        memory_mb=int(numbers[2]),
        gpus=gpus,
        state=state.rstrip("*~#!%$@^-+"),
    )


def parse_duration_min(text: str) -> int | None:
    """Minutes of a duration as Slurm writes it: ``2-00:00:00``, ``12:00:00``, ``30:00``, ``30``; None for no limit."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    days, *parts = found.groups()
    numbers = [int(part) for part in parts if part is not None]
    if days is not None:
        hours, minutes = [*numbers, 0][:2]
        return (int(days) * 24 + hours) * 60 + minutes
    if len(numbers) == 3:
        return numbers[0] * 60 + numbers[1]
    return numbers[0]


def parse_settings(text: str) -> dict[str, str]:
    """Settings from ``scontrol show config``."""
    pairs = (line.partition("=") for line in _lines(text))
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def parse_submit_limit(text: str) -> int | None:
    """Smallest limit from ``sacctmgr -nP show qos format=name,maxsubmitjobsperuser``; None if there is none."""
    values = (line.rpartition("|")[2] for line in _lines(text))
    limits = [int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 12]
    return min(limits, default=None)
