"""What a run will take before it starts: jobs, core-hours, wall time, memory and bytes.

Where earlier runs left measurements (Snakemake's benchmark files below ``<results>/<run>/benchmarks``, of jobs that did
their whole work), the cost model is scaled by the median ratio of measured to modelled time of the same rule and pair
style, else of the same rule; where there are none, the model stands as it is. The plan says which.
"""

from __future__ import annotations

import csv
import heapq
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from glideflow.config.engine import EngineSettings
from glideflow.config.load import load_settings
from glideflow.cost import Cost, joining_cost, property_cost
from glideflow.errors import GlideflowError
from glideflow.job_log import did_the_whole_work
from glideflow.potentials.record import Potential
from glideflow.run import CONFIGURATION_FILE, ResolvedRun, Rule, Task, validate_run

FIRST_ATTEMPT_SAFETY = 4.0
"""A job first asks a scheduler for so many times its modelled time and memory; a retry for the configured limit."""

RUNTIME_MARGIN_MIN = 10
MEMORY_MARGIN_MB = 500
GIB_IN_MB = 1024
JOINING_RULES = ("library", "report", "site")


@dataclass(frozen=True, kw_only=True)
class RuleEstimate:
    """What all jobs of one rule take.

    Attributes:
        rule: name of the rule.
        jobs: number of jobs.
        done: how many of them have a result already.
        jobs_over_limit: how many of them are expected to be ended by ``engine.time_limit_s``.
        core_hours: CPU time of all jobs.
        longest_job_s: wall time of the longest of them.
        memory_gib: largest memory of one job.
        result_bytes: size of all results.
        partial_bytes: size of the partial results of all jobs.
        measurements: benchmarks of earlier runs behind the times; 0 means the cost model alone.
    """

    rule: str
    jobs: int
    done: int
    jobs_over_limit: int
    core_hours: float
    longest_job_s: float
    memory_gib: float
    result_bytes: float
    partial_bytes: float
    measurements: int


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a whole run takes.

    Attributes:
        name: name of the run.
        cores: cores that the wall time assumes.
        potentials: number of potentials.
        rules: estimate of each rule.
        core_hours: CPU time of all jobs.
        gpu_hours: GPU time of all jobs.
        wall_hours: time until the last job ends on ``cores`` cores.
        result_bytes: size of all results.
        partial_bytes: size of all partial results, which may be deleted afterwards.
        calibration: names of the earlier runs whose benchmarks were used.
        can_be_calibrated: whether benchmarks of earlier runs would be used if there were any.
    """

    name: str
    cores: int
    potentials: int
    rules: tuple[RuleEstimate, ...]
    core_hours: float
    gpu_hours: float
    wall_hours: float
    result_bytes: float
    partial_bytes: float
    calibration: tuple[str, ...]
    can_be_calibrated: bool = True

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(rule.jobs for rule in self.rules)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One benchmark of an earlier run beside what the model says of the same task.

    Attributes:
        run: name of the earlier run.
        rule: rule of the workflow.
        pair_style: pair style of the potential; empty for steps that join results.
        seconds: measured wall time times the threads of the job.
        modelled_seconds: what the model says.
    """

    run: str
    rule: Rule
    pair_style: str
    seconds: float
    modelled_seconds: float


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A task with its price, for the schedule; a job that would take longer than its limit takes its limit."""

    task: Task
    cost: Cost
    seconds: float
    over_limit: bool
    measurements: int


def plan_run(run: ResolvedRun, *, cores: int, measurements: Iterable[Measurement] = ()) -> RunPlan:
    """Estimate what a run takes.

    Args:
        run: checked configuration with its potentials.
        cores: cores that the run may use at a time.
        measurements: benchmarks of earlier runs, e.g. from `earlier_measurements`.
    """
    known = tuple(measurements)
    scale = _Scale(known)
    jobs = [_job(run, task, scale) for task in run.tasks()]
    grouped: dict[Rule, list[_Job]] = defaultdict(list)
    for job in jobs:
        grouped[job.task.rule].append(job)
    core_seconds = sum(job.seconds for job in jobs)
    return RunPlan(
        name=run.settings.name,
        cores=cores,
        potentials=len(run.potentials),
        rules=tuple(_rule_estimate(run, rule, members) for rule, members in grouped.items()),
        core_hours=core_seconds / 3600,
        gpu_hours=sum(_gpus(run, job.task.rule) * _wall_seconds(run, job) for job in jobs) / 3600,
        wall_hours=_makespan(run, jobs, cores) / 3600,
        result_bytes=sum(job.cost.result_bytes for job in jobs),
        partial_bytes=sum(job.cost.partial_bytes for job in jobs),
        calibration=tuple(sorted({measurement.run for measurement in known})),
    )


def job_threads(engine: EngineSettings) -> int:
    """Cores that one engine job uses: ranks times threads."""
    return engine.mpi_ranks * engine.threads


def job_memory_mb(run: ResolvedRun, rule: Rule, potential: str, attempt: int) -> int:
    """Memory in MB that a scheduler is asked for; after a first failure the configured limit.

    The limit itself is enforced inside the job, where it becomes a recorded failure instead of a lost job.

    Args:
        run: checked configuration with its potentials.
        rule: rule of the workflow.
        potential: id of the potential; empty for steps that join results.
        attempt: 1 for the first submission of the job.
    """
    limit = run.settings.engine.memory_limit_gib * GIB_IN_MB
    modelled = FIRST_ATTEMPT_SAFETY * task_cost(run, rule, potential).memory_mb
    return math.ceil(min(modelled, limit) if attempt == 1 else limit) + MEMORY_MARGIN_MB


def job_runtime_min(run: ResolvedRun, rule: Rule, potential: str, attempt: int) -> int:
    """Wall time in minutes that a scheduler is asked for; arguments as in `job_memory_mb`."""
    limit = run.settings.engine.time_limit_s
    modelled = FIRST_ATTEMPT_SAFETY * task_cost(run, rule, potential).core_seconds / _threads(run, rule)
    return math.ceil((min(modelled, limit) if attempt == 1 else limit) / 60) + RUNTIME_MARGIN_MIN


def task_cost(run: ResolvedRun, rule: Rule, potential: str = "") -> Cost:
    """What the cost model says of one task."""
    if potential:
        return property_cost(run.settings, rule, run.potential(potential))
    return joining_cost(rule, len(run.property_tasks()))


def earlier_measurements(run: ResolvedRun) -> tuple[Measurement, ...]:
    """Benchmarks of the runs whose results lie beside those of this run, itself included.

    Only jobs that ended with a result, and that nothing interrupted, say what their task takes. A
    run whose written configuration or potentials can no longer be read is passed over.
    """
    folder = run.base / run.settings.results
    found = sorted(folder.glob(f"*/{CONFIGURATION_FILE}")) if folder.is_dir() else []
    return tuple(measurement for file in found for measurement in _measurements_of(file, run.base))


def _measurements_of(configuration: Path, base: Path) -> Iterator[Measurement]:
    try:
        earlier = validate_run(load_settings(configuration), base, verify=False)
    except GlideflowError:
        return
    folder = configuration.parent
    for task in earlier.tasks():
        seconds = _benchmark_seconds(folder / task.benchmark)
        if seconds is not None and _is_whole(task, folder):
            yield Measurement(
                run=earlier.settings.name,
                rule=task.rule,
                pair_style=_pair_style(earlier, task),
                seconds=seconds * _threads(earlier, task.rule),
                modelled_seconds=task_cost(earlier, task.rule, task.potential).core_seconds,
            )


def _is_whole(task: Task, folder: Path) -> bool:
    """Whether the job that a benchmark measured has done the whole task: steps that join do it or leave no benchmark.

    Its log says so, and not its result, which may have been computed again by hand since then.
    """
    try:
        return task.rule in JOINING_RULES or did_the_whole_work((folder / task.log).read_text("utf-8", "replace"))
    except OSError:
        return False


def _benchmark_seconds(file: Path) -> float | None:
    """Wall time in a benchmark file of Snakemake; None if there is none, or it is cut off."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [float(row["s"]) for row in csv.DictReader(stream, delimiter="\t")]
    except (OSError, KeyError, ValueError, TypeError):
        return None
    return statistics.median(rows) if rows else None


class _Scale:
    """Median ratio of measured to modelled time by rule and pair style."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        ratios: dict[tuple[Rule, str | None], list[float]] = defaultdict(list)
        for item in measurements:
            ratio = item.seconds / item.modelled_seconds
            ratios[item.rule, item.pair_style].append(ratio)
            ratios[item.rule, None].append(ratio)
        self._ratios: Mapping[tuple[Rule, str | None], list[float]] = ratios

    def factor(self, rule: Rule, pair_style: str) -> tuple[float, int]:
        """Factor on the model and the number of measurements behind it."""
        ratios = self._ratios.get((rule, pair_style)) or self._ratios.get((rule, None)) or []
        return (statistics.median(ratios), len(ratios)) if ratios else (1.0, 0)


def _job(run: ResolvedRun, task: Task, scale: _Scale) -> _Job:
    cost = task_cost(run, task.rule, task.potential)
    factor, measurements = scale.factor(task.rule, _pair_style(run, task))
    seconds = cost.core_seconds * factor
    limit = math.inf if task.rule in JOINING_RULES else run.settings.engine.time_limit_s * _threads(run, task.rule)
    return _Job(
        task=task, cost=cost, seconds=min(seconds, limit), over_limit=seconds > limit, measurements=measurements
    )


def _pair_style(run: ResolvedRun, task: Task) -> str:
    if not task.potential:
        return ""
    potential: Potential = run.potential(task.potential)
    return (potential.pair_style or potential.engine).split()[0]


def _threads(run: ResolvedRun, rule: Rule) -> int:
    return 1 if rule in JOINING_RULES else job_threads(run.settings.engine)


def _gpus(run: ResolvedRun, rule: Rule) -> int:
    return 0 if rule in JOINING_RULES else run.settings.engine.gpus


def _wall_seconds(run: ResolvedRun, job: _Job) -> float:
    return job.seconds / _threads(run, job.task.rule)


def _rule_estimate(run: ResolvedRun, rule: Rule, jobs: list[_Job]) -> RuleEstimate:
    results = run.base / run.results
    return RuleEstimate(
        rule=rule,
        jobs=len(jobs),
        done=sum((results / job.task.output).exists() for job in jobs),
        jobs_over_limit=sum(job.over_limit for job in jobs),
        core_hours=sum(job.seconds for job in jobs) / 3600,
        longest_job_s=max(_wall_seconds(run, job) for job in jobs),
        memory_gib=max(job.cost.memory_mb for job in jobs) / GIB_IN_MB,
        result_bytes=sum(job.cost.result_bytes for job in jobs),
        partial_bytes=sum(job.cost.partial_bytes for job in jobs),
        measurements=max(job.measurements for job in jobs),
    )


def _makespan(run: ResolvedRun, jobs: list[_Job], cores: int) -> float:
    """Wall time in s of a greedy schedule: whenever cores are free, the longest job that is ready starts."""
    wall = {job.task.output: _wall_seconds(run, job) for job in jobs}
    width = {job.task.output: _threads(run, job.task.rule) for job in jobs}
    graph = TopologicalSorter({job.task.output: job.task.inputs for job in jobs})
    graph.prepare()
    queue: list[tuple[float, str]] = []  # longest first
    running: list[tuple[float, str]] = []  # by time of its end
    now, free = 0.0, cores
    while graph.is_active():
        for output in graph.get_ready():
            heapq.heappush(queue, (-wall[output], output))
        # A job wider than the machine runs alone.
        while queue and (not running or width[queue[0][1]] <= free):
            output = heapq.heappop(queue)[1]
            free -= width[output]
            heapq.heappush(running, (now + wall[output], output))
        now, output = heapq.heappop(running)
        free += width[output]
        graph.done(output)
    return now
