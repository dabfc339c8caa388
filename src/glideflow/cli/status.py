"""``glideflow status`` and ``glideflow failures``: what became of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glideflow.cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from glideflow.run import ResolvedRun
    from glideflow.runs.failures import FailedTask
    from glideflow.runs.states import RunStates, TaskState

MOST_LISTED = 20
"""Jobs under way that the table lists; JSON has all of them."""

RunConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration of the run (YAML). Default: config/config.yaml where it exists, else built-in defaults.",
    ),
]


def status(config: RunConfigOption = None, as_json: JsonOption = False) -> None:
    """What is done, failed, missing or under way in a run: by property and by metal.

    Reads the results alone, and what Snakemake says it has started; a failure is a recorded result, not an error.
    """
    from glideflow.runs.states import run_states

    run, _ = _run(config)
    states = run_states(run)
    if as_json:
        _print_json(status_json(run, states))
    else:
        _print_status(run, states)


def failures(
    config: RunConfigOption = None,
    error_class: Annotated[str, typer.Option("--class", help="Only failures of this class, e.g. TimeLimit.")] = "",
    potential: Annotated[str, typer.Option("--potential", "-p", help="Only failures of this potential.")] = "",
    lines: Annotated[int, typer.Option(min=0, help="Last lines of output shown of each failure.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """What failed in a run by class of error: reason, last lines, and the command that computes it again.

    Properties that were skipped because another one of the same potential failed (class Upstream) are counted, and
    listed with --class Upstream.
    """
    from glideflow.runs.failures import failed_tasks
    from glideflow.runs.states import run_states

    run, file = _run(config)
    found = failed_tasks(run, run_states(run), file, error_class=error_class, potential=potential)
    if as_json:
        _print_json([failure_json(failed) for failed in found])
    else:
        _print_failures(run, found, file, lines, listed=error_class)


def _run(config: Path | None) -> tuple[ResolvedRun, Path | None]:
    """The run of a configuration, and the file that it was read from."""
    from glideflow.config.load import load_settings
    from glideflow.run import validate_run
    from glideflow.runs.commands import run_configuration

    file = run_configuration(config)
    return validate_run(load_settings(file), Path.cwd(), verify=False), file


def status_json(run: ResolvedRun, states: RunStates) -> dict[str, Any]:
    """The state of a run as plain JSON; tasks that are done are only counted."""
    from glideflow.run import LIBRARY_FILE, REPORT_FILE, SITE_FILE, TABLE_FILE

    activity = states.activity
    return {
        "run": states.name,
        "results": str(run.base / run.results),
        "tasks": len(states.tasks),
        "counts": dict(Counter(state.state for state in states.tasks)),
        "properties": _counts(states.tasks),
        "metals": {metal: _counts(members) for metal, members in _by_metal(states.tasks).items()},
        "workflow": {
            "locked": activity.locked,
            "locked_since": _moment(activity.since_s) if activity.locked else None,
            "processes_on_this_machine": list(activity.processes),
        },
        "running": [_task_json(state) for state in states.running],
        "interrupted": [_task_json(state) for state in states.interrupted],
        "not_ok": [_task_json(state) for state in states.tasks if state.state != "ok"],
        "files": {
            name: (run.base / run.results / name).exists()
            for name in (LIBRARY_FILE, TABLE_FILE, REPORT_FILE, SITE_FILE)
        },
    }


def failure_json(failed: FailedTask) -> dict[str, Any]:
    """A failure as plain JSON."""
    import dataclasses

    task = _task_json(failed.state)
    names = ("potential", "element", "structure", "property", "slip_system", "character", "state")
    return {
        **{name: task[name] for name in names},
        **dataclasses.asdict(failed.failure),
        "log": failed.log,
        "command": failed.command,
        "workflow_command": failed.workflow_command,
    }


def _task_json(state: TaskState) -> dict[str, Any]:
    job = state.job
    return {
        "potential": state.potential.id,
        "element": state.potential.element,
        "structure": state.potential.structure,
        "property": state.task.rule,
        "slip_system": state.task.slip_system,
        "character": state.task.character,
        "state": state.state,
        "error_class": state.error_class,
        "reason": state.reason,
        "partial_bytes": state.partial_bytes,
        "started": _moment(job.since_s) if job else None,
        "scheduler_id": job.scheduler_id if job else "",
    }


def _print_json(document: object) -> None:
    import json

    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _by_metal(states: Iterable[TaskState]) -> dict[str, list[TaskState]]:
    """Tasks by element and structure, in the order of structures and then of elements."""
    order = ("fcc", "bcc", "hcp")
    groups: dict[str, list[TaskState]] = {}
    for state in sorted(states, key=lambda each: (order.index(each.potential.structure), each.potential.element)):
        groups.setdefault(f"{state.potential.element} ({state.potential.structure})", []).append(state)
    return groups


def _counts(states: Iterable[TaskState]) -> dict[str, dict[str, int]]:
    """Number of tasks by property and state."""
    counts: dict[str, Counter[str]] = {}
    for state in states:
        counts.setdefault(state.task.rule, Counter())[state.state] += 1
    return {name: dict(count) for name, count in counts.items()}


def _print_status(run: ResolvedRun, states: RunStates) -> None:
    from rich.console import Console

    console = Console()
    done = sum(state.state in ("ok", "failed", "skipped") for state in states.tasks)
    console.print(f"run {states.name!r}: {done} of {len(states.tasks)} results in {run.results}", markup=False)
    console.print(_property_table(states))
    console.print(_metal_table(states))
    for line in _activity_lines(states):
        console.print(line, markup=False, highlight=False)
    for line in _hints(states):
        console.print(line, markup=False, highlight=False)


def _property_table(states: RunStates) -> Any:  # noqa: ANN401 - a table of rich
    from rich.table import Table

    from glideflow.runs.states import STATES

    present = {state.state for state in states.tasks}
    columns = [name for name in STATES if name in ("ok", "failed", "missing") or name in present]
    table = Table(title="By property", title_justify="left")
    table.add_column("property", no_wrap=True)
    for heading in (*columns, "running"):
        table.add_column(heading, justify="right", no_wrap=True)
    running = Counter(str(state.task.rule) for state in states.running)
    for rule, counts in _counts(states.tasks).items():
        numbers = [*(counts.get(name, 0) for name in columns), running[rule]]
        table.add_row(rule.replace("_", " "), *(str(number or "·") for number in numbers))
    return table


def _metal_table(states: RunStates) -> Any:  # noqa: ANN401 - a table of rich
    from rich.table import Table

    rules = list(dict.fromkeys(state.task.rule for state in states.tasks))
    table = Table(title="By metal: ok of all, then the others", title_justify="left")
    for heading in ("metal", "potentials", *(rule.replace("_", " ") for rule in rules)):
        table.add_column(heading, justify="left" if heading == "metal" else "right")
    for metal, members in _by_metal(states.tasks).items():
        counts = _counts(members)
        potentials = len({state.potential.id for state in members})
        table.add_row(metal, str(potentials), *(_metal_cell(counts.get(rule, {})) for rule in rules))
    return table


def _metal_cell(counts: dict[str, int]) -> str:
    others = [f"{number} {state}" for state, number in counts.items() if state != "ok"]
    return "\n".join([f"{counts.get('ok', 0)}/{sum(counts.values())}", *others])


def _activity_lines(states: RunStates) -> Iterator[str]:
    activity = states.activity
    if activity.locked:
        yield f"Snakemake has locked this run since {_moment(activity.since_s)}; {_processes(activity.processes)}"
        yield from _job_lines("running", states.running)
    else:
        yield "Snakemake is not running here (no lock)"
        yield from _job_lines("started and killed together with their run", states.interrupted)


def _processes(processes: Sequence[int]) -> str:
    if processes:
        return f"process {', '.join(map(str, processes))} on this machine"
    return "none of its processes is on this machine: it runs elsewhere, or was killed (then: snakemake --unlock)"


def _job_lines(what: str, jobs: Sequence[TaskState]) -> Iterator[str]:
    if jobs:
        yield f"{what}: {len(jobs)}"
    for state in jobs[:MOST_LISTED]:
        yield f"  {_title(state)}{_started(state)}"
    if len(jobs) > MOST_LISTED:
        yield f"  and {len(jobs) - MOST_LISTED} more (all of them with --json)"


def _started(state: TaskState) -> str:
    """When a job was started; one in a queue has a number, which its mark loses when it starts on its node."""
    if state.job is None:
        return ""
    what = f"submitted as batch job {state.job.scheduler_id}" if state.job.scheduler_id else "started"
    return f", {what} at {_moment(state.job.since_s)}"


def _hints(states: RunStates) -> Iterator[str]:
    counts = Counter(state.state for state in states.tasks)
    if counts["partial"]:
        size = sum(state.partial_bytes for state in states.tasks)
        yield f"partial: {counts['partial']} to resume from {size / 1e6:.1f} MB of partial results"
    if counts["failed"] or counts["unreadable"]:
        yield "failed or unreadable: `glideflow failures` says why, and how to compute them again"


def _print_failures(
    run: ResolvedRun, found: Sequence[FailedTask], config: Path | None, lines: int, *, listed: str
) -> None:
    from rich.console import Console

    from glideflow.runs.commands import workflow_command

    console = Console(soft_wrap=True, highlight=False)
    if not found:
        console.print(f"run {run.settings.name!r}: nothing failed (of what was asked for)", markup=False)
        return
    console.print(_class_table(found))
    shown = [failed for failed in found if listed or failed.failure.error_class != "Upstream"]
    for failed in shown:
        _print_failure(console, failed, lines)
    targets = [f"{run.results}/{failed.state.task.output}" for failed in shown]
    if len(targets) > 1:
        console.print("\nall of these, and what builds on them, again:", markup=False)
        console.print(f"  {workflow_command(config, targets)}", markup=False)


def _class_table(found: Sequence[FailedTask]) -> Any:  # noqa: ANN401 - a table of rich
    from rich.table import Table
    from rich.text import Text

    groups: dict[str, list[FailedTask]] = {}
    for failed in found:
        groups.setdefault(failed.failure.error_class, []).append(failed)
    table = Table("class", "count", "the most frequent reason", title="Failures by class", title_justify="left")
    for name, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        reason, count = Counter(_one_line(failed.failure.reason) for failed in members).most_common(1)[0]
        table.add_row(Text(_plain(name)), str(len(members)), Text(reason + (f" ({count} times)" if count > 1 else "")))
    return table


def _print_failure(console: Console, failed: FailedTask, lines: int) -> None:
    failure = failed.failure
    console.print(f"\n{_title(failed.state)}: {_plain(failure.error_class)}", markup=False)
    details = (
        ("reason", _one_line(failure.reason)),
        ("expected", _one_line(failure.expected)),
        ("next step", _one_line(failure.next_step)),
        ("log", failed.log),
    )
    for label, text in details:
        if text:
            console.print(f"  {label}: {text}", markup=False)
    for line in failure.evidence.splitlines()[-lines:] if lines else ():
        console.print(f"  | {_plain(line)}", markup=False)
    console.print(f"  again: {failed.command}", markup=False)
    console.print(f"  with all that builds on it: {failed.workflow_command}", markup=False)


def _title(state: TaskState) -> str:
    parts = (state.task.rule.replace("_", " "), state.task.slip_system, state.task.character)
    return f"{state.potential.id}, {' '.join(filter(None, parts))}"


def _one_line(text: str) -> str:
    return _plain(" ".join(text.split()))


def _plain(line: str) -> str:
    """A line of foreign output without what a terminal would interpret."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
