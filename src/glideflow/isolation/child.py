"""The child's side: make one function call and leave its value, or the reason why there is none, in a folder.

Standard input is a lifeline: when it closes, the parent is gone and this process ends. Standard output carries
progress lines only; whatever libraries print there goes to standard error, which the parent keeps as a log.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TextIO

from glideflow.errors import GlideflowError
from glideflow.isolation.ranks import communicator, dismiss, follow, launched_rank, resolve

TASK_FILE = "task"
RESULT_FILE = "result"
FAILURE_FILE = "failure.json"
PROGRESS_PREFIX = b"@glideflow "
PRIVATE_PREFIX = "glideflow-"
"""Beginning of the names of the folders that the parent makes for a child."""
_ORPHANED = 75
_PROGRESS_INTERVAL_S = 0.1


def main(folder: Path) -> int:
    """Run the task described in ``folder``, or follow the rank that does; return the exit status."""
    faulthandler.enable()
    progress_stream = _reserve_standard_output()
    ranks = communicator()
    if launched_rank() > 0:
        follow(ranks)
        return 0
    # Launchers connect standard input to the first rank and end the others with it.
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    status = _run_task(folder, progress_stream)
    if ranks is not None:
        dismiss(ranks) if status == 0 else ranks.Abort(1)
    return status


def _run_task(folder: Path, progress_stream: TextIO) -> int:
    # Written by our own parent a moment ago in a private folder: not foreign data.
    function, arguments, wants_progress = pickle.loads((folder / TASK_FILE).read_bytes())
    if wants_progress:
        arguments["progress"] = _Reporter(progress_stream)
    try:
        value = resolve(function)(**arguments)
        _write(folder / RESULT_FILE, pickle.dumps((value, time.process_time())))
    except Exception as error:
        traceback.print_exc()
        _write(folder / FAILURE_FILE, json.dumps(_failure_fields(error)).encode())
        return 1
    return 0


class _Reporter:
    """Progress callback that writes to the parent, at most every tenth of a second and always at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_s = 0.0

    def __call__(self, stage: str, done: float, total: float, /) -> None:
        now = time.monotonic()
        if now - self._last_s < _PROGRESS_INTERVAL_S and not 0 < total <= done:
            return
        self._last_s = now
        self._stream.write(PROGRESS_PREFIX.decode() + json.dumps([stage, done, total]) + "\n")
        self._stream.flush()


def _reserve_standard_output() -> TextIO:
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def _end_with_parent(folder: Path) -> None:
    while os.read(0, 4096):
        continue
    # Nobody else is left to remove what the parent made for this process.
    for private in (folder, Path(os.environ.get("TMPDIR", ""))):
        if private.name.startswith(PRIVATE_PREFIX):
            shutil.rmtree(private, ignore_errors=True)
    os._exit(_ORPHANED)


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
