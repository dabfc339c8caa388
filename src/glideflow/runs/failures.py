"""What failed in a run, why, what was last said, and how to compute it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glideflow.errors import StorageError
from glideflow.records import StageFailure, StageRecord
from glideflow.run import ResolvedRun, Task
from glideflow.runs.commands import task_command, workflow_command
from glideflow.runs.states import RunStates, TaskState
from glideflow.storage import read_record

LOST = "Lost"
UNREADABLE = "Unreadable"
_TAIL_BYTES = 16_384


@dataclass(frozen=True, kw_only=True)
class FailedTask:
    """A property of a potential that has no value though its job has run.

    Attributes:
        state: the task and what became of it.
        failure: the recorded failure. Where nothing was recorded, its class is ``Lost`` (the job died) or
            ``Unreadable`` (the record is damaged), and its evidence the end of the job's logs.
        log: log of the job, relative to the folder of the workflow; empty if there is none.
        command: command that computes this property again.
        workflow_command: command that computes it, and everything that builds on it, again.
    """

    state: TaskState
    failure: StageFailure
    log: str
    command: str
    workflow_command: str


def failed_tasks(
    run: ResolvedRun, states: RunStates, config: Path | None, *, error_class: str = "", potential: str = ""
) -> tuple[FailedTask, ...]:
    """Everything that failed in a run, in the order of its tasks.

    Args:
        run: configuration of the run with its potentials.
        states: the state of its tasks.
        config: file of that configuration, for the commands.
        error_class: only failures of this class; empty for all.
        potential: only failures of this potential; empty for all.
    """
    under_way = {state.task.output for state in states.running}
    chosen = (
        state for state in states.tasks if state.task.output not in under_way and potential in ("", state.potential.id)
    )
    failed = (_failed_task(run, state, config) for state in chosen if _has_failed(run, state))
    return tuple(task for task in failed if error_class in ("", task.failure.error_class))


def _has_failed(run: ResolvedRun, state: TaskState) -> bool:
    """Whether a job has run for a task and left no value; one that never started has not failed."""
    if state.state in ("missing", "partial"):
        return state.job is not None or any(_logs(run, state.task))
    return state.state in ("failed", "skipped", "unreadable")


def _failed_task(run: ResolvedRun, state: TaskState, config: Path | None) -> FailedTask:
    logs = list(_logs(run, state.task))
    return FailedTask(
        state=state,
        failure=_recorded(run, state) or _unrecorded(run, state, logs),
        log=str(_shown(logs[0], run.base)) if logs else "",
        command=task_command(run, state.task, config),
        workflow_command=workflow_command(config, [f"{run.results}/{state.task.output}"]),
    )


def _recorded(run: ResolvedRun, state: TaskState) -> StageFailure | None:
    if state.state not in ("failed", "skipped"):
        return None
    try:
        return read_record(run.base / run.results / state.task.output, StageRecord).failure
    except StorageError:  # it was replaced or damaged since its status was read
        return None


def _unrecorded(run: ResolvedRun, state: TaskState, logs: list[Path]) -> StageFailure:
    evidence = "\n".join(f"{_shown(file, run.base)}:\n{_tail(file)}" for file in logs)
    if state.state == "unreadable":
        return StageFailure(
            error_class=UNREADABLE,
            reason=state.reason or "the record cannot be read",
            next_step="delete the file and compute it again",
            evidence=evidence,
        )
    number = f" (number {state.job.scheduler_id} of the batch system)" if state.job and state.job.scheduler_id else ""
    return StageFailure(
        error_class=LOST,
        reason=f"its job{number} left no record: it was killed or stopped by an error, or the record was deleted since",
        expected="a record, which every job writes whatever its engine does",
        next_step="look at the logs for a limit of the batch system, a full disk or a message, then run it again"
        + ("; it resumes from its partial results" if state.state == "partial" else ""),
        evidence=evidence,
    )


def _logs(run: ResolvedRun, task: Task) -> Iterator[Path]:
    """Logs of the task's last job: its own, and what its batch script printed."""
    labels = [part for part in (task.potential, task.slip_system, task.character) if part]
    own = run.base / run.results / task.log
    if own.is_file():
        yield own
    # Where profiles/slurm, and without a profile the Slurm executor, has the output of batch scripts written.
    for folder in (run.base / run.settings.work / "slurm-logs", run.base / ".snakemake" / "slurm_logs"):
        batch = sorted((folder / f"rule_{task.rule}" / "_".join(labels)).glob("*.log"), key=_modified_s)
        yield from batch[-1:]


def _shown(file: Path, base: Path) -> Path:
    """The path as seen from the folder of the workflow, if it lies there."""
    return file.relative_to(base) if file.is_relative_to(base) else file


def _modified_s(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            return stream.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"(cannot be read: {error.strerror})"
