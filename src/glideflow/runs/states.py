"""The state of every task of a run, from its results alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from glideflow.errors import GlideflowError, StorageError
from glideflow.potentials.record import Potential
from glideflow.property_specs import Property
from glideflow.records import FAILED, OK, SKIPPED, StageRecord
from glideflow.run import ResolvedRun, Task
from glideflow.runs.jobs import StartedJob, WorkflowActivity, workflow_activity
from glideflow.storage import peek, read_record

State = Literal["ok", "failed", "skipped", "partial", "missing", "unreadable"]
STATES: tuple[State, ...] = get_args(State)
RECORDED: Mapping[str, State] = {OK: "ok", FAILED: "failed", SKIPPED: "skipped"}


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """What became of one property of one potential.

    Attributes:
        task: the property, potential, slip system and character.
        potential: the potential.
        state: ``ok``; ``failed`` (a recorded failure); ``skipped`` (what it needs has failed); ``partial`` (no result,
            but partial results from which its job resumes); ``missing`` (neither); ``unreadable`` (a damaged file).
        error_class: kind of a recorded failure, e.g. ``Crashed``; empty otherwise.
        reason: why a file is unreadable, or the reason of a recorded failure.
        partial_bytes: size of the partial results.
        job: its job, if Snakemake has started one that has not ended in order.
    """

    task: Task
    potential: Potential
    state: State
    error_class: str = ""
    reason: str = ""
    partial_bytes: int = 0
    job: StartedJob | None = None


@dataclass(frozen=True, kw_only=True)
class RunStates:
    """The state of a run.

    Attributes:
        name: name of the run.
        tasks: one state per property of every potential.
        activity: what Snakemake has under way.
    """

    name: str
    tasks: tuple[TaskState, ...]
    activity: WorkflowActivity

    @property
    def running(self) -> tuple[TaskState, ...]:
        """Tasks whose jobs are under way, if the lock is that of a living run."""
        return tuple(state for state in self.tasks if self.activity.locked and state.job is not None)

    @property
    def interrupted(self) -> tuple[TaskState, ...]:
        """Tasks whose jobs were killed together with their run."""
        return tuple(state for state in self.tasks if not self.activity.locked and state.job is not None)


def run_states(run: ResolvedRun) -> RunStates:
    """Look at every result of a run; a record is opened for its status alone, which takes 0.3 ms.

    What a changed configuration would compute again counts as done: that is Snakemake's to know (``snakemake -n``).
    """
    activity = workflow_activity(run.base, run.results)
    jobs = {job.output: job for job in activity.started}
    potentials = {potential.id: potential for potential in run.potentials}
    found = (
        _state(run, task, potentials[task.potential], jobs.get(f"{run.results}/{task.output}"))
        for task in run.property_tasks()
    )
    return RunStates(name=run.settings.name, tasks=tuple(_with_partial_results(run, found)), activity=activity)


def _state(run: ResolvedRun, task: Task, potential: Potential, job: StartedJob | None) -> TaskState:
    file = run.base / run.results / task.output
    try:
        status, error_class, reason = peek(file, StageRecord, "status", "failure/error_class", "failure/reason")
        state = RECORDED.get(status, "unreadable")
    except StorageError as error:
        state = "unreadable" if file.exists() else "missing"
        error_class, reason = "", error.found if state == "unreadable" else ""
    return TaskState(task=task, potential=potential, state=state, error_class=error_class, reason=reason, job=job)


def _with_partial_results(run: ResolvedRun, states: Iterable[TaskState]) -> Iterator[TaskState]:
    """The states, with those of missing results corrected that have partial ones."""
    kept: dict[str, dict[Path, int]] = {}
    for state in states:
        identifier = state.potential.id
        if state.state == "missing" and identifier not in kept:
            kept[identifier] = _partial_files(run.base / run.work / identifier)
        size = _partial_bytes(run, state, kept[identifier]) if state.state == "missing" else 0
        yield replace(state, state="partial", partial_bytes=size) if size else state


def _partial_files(folder: Path) -> dict[Path, int]:
    try:
        return {file: file.stat().st_size for file in folder.glob("*.partial")}
    except OSError:
        return {}


def _partial_bytes(run: ResolvedRun, state: TaskState, files: dict[Path, int]) -> int:
    """Size of the partial results of a task; those of other settings or of other code do not count."""
    systems = {system.name: system for system in run.settings.slip_systems}
    if not files or state.task.slip_system not in systems:
        return 0
    from glideflow.stages import StageRequest, partial_results_file

    request = StageRequest(
        name=cast("Property", state.task.rule),
        potential=state.potential,
        settings=run.settings,
        upstream=tuple(_readable(run.base / run.results / file for file in state.task.inputs)),
        slip_system=systems[state.task.slip_system],
        character=state.task.character,
        work=run.base / run.work / state.potential.id,
    )
    file = partial_results_file(request)
    return files.get(file, 0) if file is not None else 0


def _readable(files: Iterable[Path]) -> Iterator[StageRecord]:
    """Those of the records that are there."""
    for file in files:
        try:
            yield read_record(file, StageRecord)
        except GlideflowError:
            continue
