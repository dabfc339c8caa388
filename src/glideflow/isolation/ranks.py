"""Several MPI ranks behind one task: the first runs it, the others do what it asks them to.

Only the first rank runs the task's code. Whatever must happen on all ranks (every call into an MPI-parallel library)
goes through `on_all_ranks`; the other ranks wait in `follow`. So the code of properties knows nothing of ranks, files
are written once, and ranks cannot drift apart by rounding.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from typing import Any

_LAUNCHED = "GLIDEFLOW_RANKS"
"""Environment variable that the parent sets when it starts the child under an MPI launcher."""


def launch_environment() -> dict[str, str]:
    """Variables that tell a child that it was started under an MPI launcher.

    Slurm's srun leaves the other ranks waiting for one that crashed unless it is told to end them.
    """
    return {_LAUNCHED: "1", "SLURM_KILL_BAD_EXIT": "1"}


def communicator() -> Any:  # noqa: ANN401 - mpi4py ships no types
    """The communicator of all ranks, or None in a process that was not started under an MPI launcher."""
    if _LAUNCHED not in os.environ:
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD


def launched_rank() -> int:
    """Rank that the MPI launcher gave this process, known before MPI starts; 0 without a launcher."""
    for variable in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"):
        if _LAUNCHED in os.environ and variable in os.environ:
            return int(os.environ[variable])
    return 0


def on_all_ranks(function: str, *arguments: Any) -> Any:  # noqa: ANN401 - any importable function
    """Call ``module:name`` with the arguments on every rank; return what it returns here.

    An exception here is raised here; on the other ranks it is dropped, since the same call failed on all of them.
    """
    ranks = communicator()
    if ranks is not None:
        ranks.bcast((function, arguments), root=0)
    return resolve(function)(*arguments)


def follow(ranks: Any) -> None:  # noqa: ANN401 - mpi4py ships no types
    """Do what the first rank asks for until it calls `dismiss`."""
    while (message := ranks.bcast(None, root=0)) is not None:
        function, arguments = message
        with suppress(Exception):
            resolve(function)(*arguments)


def dismiss(ranks: Any) -> None:  # noqa: ANN401 - mpi4py ships no types
    """End `follow` on the other ranks."""
    ranks.bcast(None, root=0)


def resolve(function: str) -> Any:  # noqa: ANN401 - any importable function
    """The function that ``module:name`` names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)
