"""The child's side: make one function call and leave its value, or the reason why there is none, in a folder.

Standard input is a lifeline: when it closes, the parent is gone and this process ends. Standard output carries
progress lines only; whatever libraries print there goes to standard error, which the parent keeps as a log.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import pickle
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from glideflow.errors import GlideflowError

TASK_FILE = "task"
RESULT_FILE = "result"
FAILURE_FILE = "failure.json"
PROGRESS_PREFIX = b"@glideflow "
_ORPHANED = 75
_PROGRESS_INTERVAL_S = 0.1


def main(folder: Path) -> int:
    """Run the task described in ``folder``; return the exit status."""
    faulthandler.enable()
    progress_stream = _reserve_standard_output()
    if _launched_rank() == 0:  # launchers connect standard input to the first rank and end the others with it
        threading.Thread(target=_end_with_parent, daemon=True).start()
    # Written by our own parent a moment ago in a private folder: not foreign data.
    function, arguments, wants_progress, parallel = pickle.loads((folder / TASK_FILE).read_bytes())
    communicator = _communicator() if parallel else None
    first = communicator is None or communicator.rank == 0
    if wants_progress:
        arguments["progress"] = _Reporter(progress_stream if first else None)
    try:
        value = _resolve(function)(**arguments)
    except Exception as error:
        traceback.print_exc()
        _write(folder / FAILURE_FILE, json.dumps(_failure_fields(error)).encode())
        if communicator is not None:
            communicator.Abort(1)
        return 1
    if first:
        _write(folder / RESULT_FILE, pickle.dumps((value, time.process_time())))
    return 0


class _Reporter:
    """Progress callback that writes to the parent, at most every tenth of a second and always at the end."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._last_s = 0.0

    def __call__(self, stage: str, done: float, total: float, /) -> None:
        now = time.monotonic()
        if self._stream is None or (now - self._last_s < _PROGRESS_INTERVAL_S and done < total):
            return
        self._last_s = now
        self._stream.write(PROGRESS_PREFIX.decode() + json.dumps([stage, done, total]) + "\n")
        self._stream.flush()


def _reserve_standard_output() -> TextIO:
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def _end_with_parent() -> None:
    while os.read(0, 4096):
        continue
    os._exit(_ORPHANED)


def _launched_rank() -> int:
    """Rank that the MPI launcher gave this process, known before MPI starts; 0 without a launcher."""
    for variable in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"):
        if variable in os.environ:
            return int(os.environ[variable])
    return 0


def _communicator() -> Any:  # noqa: ANN401 - mpi4py ships no types
    from mpi4py import MPI

    return MPI.COMM_WORLD


def _resolve(function: str) -> Any:  # noqa: ANN401 - any importable function
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def _failure_fields(error: Exception) -> dict[str, str]:
    if isinstance(error, GlideflowError):
        fields = {"reason": error.found, "expected": error.expected, "next_step": error.next_step}
    else:
        text = str(error).strip()
        fields = {"reason": text.splitlines()[-1] if text else type(error).__name__}
    return {"error_class": type(error).__name__, **fields}


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
