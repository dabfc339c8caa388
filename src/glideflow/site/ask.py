"""Questions to programs of the site, which may be absent, refuse, hang, or not stop talking."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from glideflow.site.check import plain

MOST_BYTES = 4 * 2**20
"""No answer is longer; a program that writes more is ended."""

_POLL_INTERVAL_S = 0.02

Outcome = Literal["answered", "refused", "hung", "flooded", "absent"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program said.

    Attributes:
        command: the question.
        outcome: ``answered`` (exit status 0), ``refused`` (another one, or it cannot be started), ``hung`` (ended at
            the time limit), ``flooded`` (ended for the amount of its output), ``absent`` (not on the PATH).
        text: its standard output, at most `MOST_BYTES` of it.
        complaint: its standard error on one line, cut.
        limit_s: the time limit.
    """

    command: tuple[str, ...]
    outcome: Outcome
    text: str = ""
    complaint: str = ""
    limit_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether there is an answer."""
        return self.outcome == "answered"

    @property
    def described(self) -> str:
        """In words, e.g. ``sacct refused: Slurm accounting storage is disabled``."""
        program = self.command[0]
        if self.outcome == "refused":
            return f"{program} refused: {self.complaint or plain(self.text) or 'it did not say why'}"
        return {
            "answered": f"{program} answers",
            "hung": f"{program} did not answer within {self.limit_s:g} s",
            "flooded": f"{program} wrote more than {MOST_BYTES // 2**20} MiB, which is no answer",
            "absent": f"{program} is not on the PATH",
        }[self.outcome]


def ask(*command: str, limit_s: float, folder: Path | None = None) -> Answer:
    """Ask a program, and end it and all that it started when it takes too long or says too much.

    The answer is in English whatever the user's language. Nothing is read from standard input.

    Args:
        command: program and arguments; no shell is involved.
        limit_s: time after which it is ended.
        folder: where it is started; None for the current one.
    """
    program = shutil.which(command[0])
    if program is None:
        return Answer(command=command, outcome="absent")
    try:
        # Files and not pipes: a grandchild that keeps a pipe open could block the reader for ever.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                [str(Path(program).absolute()), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                env=os.environ | {"LC_ALL": "C"},
                cwd=folder,
                start_new_session=True,
            )
            outcome = _wait(process, (output, complaints), limit_s)
            text, complaint = _text(output), plain(_text(complaints))
    except (OSError, ValueError) as error:  # no interpreter, no room for its output, a NUL in an argument
        return Answer(command=command, outcome="refused", complaint=f"cannot be started: {plain(str(error))}")
    return Answer(command=command, outcome=outcome, text=text, complaint=complaint, limit_s=limit_s)


def _wait(process: subprocess.Popen[bytes], streams: tuple[IO[bytes], ...], limit_s: float) -> Outcome:
    deadline = time.monotonic() + limit_s
    try:
        while process.poll() is None:
            if any(os.fstat(stream.fileno()).st_size > MOST_BYTES for stream in streams):
                return "flooded"
            if time.monotonic() > deadline:
                return "hung"
            time.sleep(_POLL_INTERVAL_S)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    flooded = any(os.fstat(stream.fileno()).st_size > MOST_BYTES for stream in streams)
    return "flooded" if flooded else "answered" if process.returncode == 0 else "refused"


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(MOST_BYTES).decode("utf-8", errors="replace")
