"""Work for several ranks, and a script that has it done by srun in a job."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from glideflow.isolation import Failure, Limits, Task, run_isolated
from glideflow.isolation.ranks import on_all_ranks


def meet() -> int:
    """Number of ranks; all of them must come."""
    from mpi4py import MPI

    return int(MPI.COMM_WORLD.allreduce(1))


def crash_on_the_second() -> int:
    """As `meet`, but the second rank does not live to see it."""
    from mpi4py import MPI

    if MPI.COMM_WORLD.rank == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    return meet()


def together(function: str) -> int:
    """Call a function of this module on all ranks."""
    result: int = on_all_ranks(f"rank_tasks:{function}")
    return result


def main(function: str) -> None:
    """Have two ranks do it, and print what became of it."""
    started_s = time.monotonic()
    task = Task(
        function="rank_tasks:together",
        arguments={"function": function},
        launcher=("srun", "--mpi=pmi2", "-n", "2"),
    )
    outcome = run_isolated(task, Limits(wall_time_s=300))
    failed = isinstance(outcome, Failure)
    said = {"error_class": outcome.error_class, "reason": outcome.reason} if failed else {"value": outcome.value}
    print(json.dumps(said | {"seconds": time.monotonic() - started_s}))


if __name__ == "__main__":
    main(sys.argv[1])
