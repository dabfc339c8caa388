"""Work of an engine in a child process, with the ranks, threads and limits of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glideflow.config.engine import EngineSettings
from glideflow.isolation import KILLED, Failure, Limits, Outcome, Task, run_isolated
from glideflow.job_log import KILLED_ONCE
from glideflow.progress import Progress, silent


def run_engine(
    function: str,
    arguments: Mapping[str, Any],
    engine: EngineSettings,
    *,
    time_limit_s: float,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> Outcome[Any]:
    """Call a function that takes a ``progress`` in a child process, and once more if something kills that.

    When memory runs out the kernel kills one process, often one that others have brought there: the second attempt goes
    on from the partial results, and what is killed twice is a failure.

    Args:
        function: ``package.module:name``.
        arguments: its keyword arguments.
        engine: ranks, launcher, threads and memory.
        time_limit_s: wall time after which it is ended.
        scratch: folder of its files while it runs; None takes the system's temporary folder.
        progress: progress callback.
    """
    launcher = tuple(part.replace("{ranks}", str(engine.mpi_ranks)) for part in engine.mpi_launcher)
    task = Task(
        function=function,
        arguments=dict(arguments),
        wants_progress=True,
        launcher=launcher if engine.mpi_ranks > 1 else (),
        threads=engine.threads,
        scratch=scratch,
    )
    limits = Limits(wall_time_s=time_limit_s, memory_gib=engine.memory_limit_gib)
    outcome: Outcome[Any] = run_isolated(task, limits, progress)
    if isinstance(outcome, Failure) and outcome.error_class == KILLED:
        progress(KILLED_ONCE, 0.0, 0.0)
        outcome = run_isolated(task, limits, progress)
    return outcome
