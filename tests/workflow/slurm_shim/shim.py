#!/usr/bin/env python3
"""Stand-in for the commands of Slurm, for tests: records how it is called, and runs jobs as processes of this machine.

It is called by the name of the command (links to this file). The folder $SHIM_FOLDER holds ``calls``, one JSON list of
words per call, and ``jobs``, one JSON object per job. $SHIM_STATES is a JSON object: jobs whose comment contains
a key take its state at once, without being run; the others are run. sacct answers after $SHIM_SACCT_S seconds. What the
stand-in does not know it refuses, so that a test notices. The executor takes variables whose names begin with SLURM_
away from its jobs: ours are named otherwise.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["SHIM_FOLDER"])
STATES: dict[str, str] = json.loads(os.environ.get("SHIM_STATES", "{}"))
ACTIVE = ("PENDING", "RUNNING")
Job = dict[str, Any]


def sbatch(words: list[str]) -> int:
    """Take a job; run it in the background."""
    job_id = _new_id()
    comment = _option(words, "--comment")
    pretended = (state for key, state in STATES.items() if key in comment)
    job = {"id": job_id, "words": words, "name": _option(words, "--job-name"), "state": next(pretended, "RUNNING")}
    if job["state"] == "RUNNING":
        job["pid"] = _run(job_id, words)
    _write(job)
    print(job_id)
    return 0


def _new_id() -> str:
    for number in range(1, 100_000):
        try:
            (FOLDER / "jobs" / f"{number}.json").touch(exist_ok=False)
        except FileExistsError:
            continue
        return str(number)
    raise AssertionError("too many jobs")


def _run(job_id: str, words: list[str]) -> int:
    """Start the wrapped command in a session of its own; a shell writes its exit status when it ends."""
    log = Path(_option(words, "--output").replace("%j", job_id))
    wrap = next(word.removeprefix("--wrap=") for word in words if word.startswith("--wrap="))
    status = FOLDER / "jobs" / f"{job_id}.status"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"({wrap}); echo $? > '{status}.new'; mv '{status}.new' '{status}'"],
            cwd=_option(words, "-D"),
            env=os.environ | {"SLURM_JOB_ID": job_id},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return process.pid


def srun(words: list[str]) -> int:
    """Run a step: the rest of the line, after the options, as this process."""
    command = list(words)
    while command and command[0].startswith("-"):
        command.pop(0)
    os.execvp(command[0], command)


def squeue(words: list[str]) -> int:
    """List jobs by name, those that have ended only when all states are asked for."""
    names = _option(words, "--name").split(",")
    every = _option(words, "--states") == "all"
    for job in _jobs():
        if job["name"] in names and (every or job["state"] in ACTIVE):
            print(_option(words, "--format").replace("%i", job["id"]).replace("%T", job["state"]))
    return 0


def sacct(words: list[str]) -> int:
    """List jobs by name, tell the account of earlier ones, or say nothing of the reason why a step failed."""
    if "Account" in " ".join(words):
        print("default")
    elif "-X" in words:
        time.sleep(float(os.environ.get("SHIM_SACCT_S", "0")))
        for job in _jobs():
            if job["name"] == _option(words, "--name"):
                print(f"{job['id']}|{job['state']}")
    elif "--format=Reason" not in words:
        return _refuse("sacct", words)
    return 0


def scancel(words: list[str]) -> int:
    """End jobs and what they have started."""
    for job in _jobs():
        if job["id"] in words and job["state"] in ACTIVE:
            if "pid" in job:
                with suppress(ProcessLookupError):  # it has just ended
                    os.killpg(job["pid"], signal.SIGTERM)
            _write(job | {"state": "CANCELLED"})
    return 0


def sacctmgr(words: list[str]) -> int:
    """The accounts of the user."""
    print("default")
    return 0


def sinfo(words: list[str]) -> int:
    """The partitions."""
    print("cpu*\ngpu")
    return 0


def scontrol(words: list[str]) -> int:
    """The configuration, as far as the executor looks at it."""
    if words == ["show", "config"]:
        print("MinJobAge               = 300 sec\nMaxArraySize            = 1001")
        return 0
    return _refuse("scontrol", words)


def _option(words: list[str], name: str) -> str:
    """Value of ``--name value`` or ``--name=value``; empty without one."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""


def _jobs() -> list[Job]:
    files = sorted((FOLDER / "jobs").glob("*.json"), key=lambda file: int(file.stem))
    return [_current(json.loads(file.read_text())) for file in files if file.stat().st_size]


def _current(job: Job) -> Job:
    status = FOLDER / "jobs" / f"{job['id']}.status"
    if job["state"] == "RUNNING" and status.exists():
        return job | {"state": "COMPLETED" if status.read_text().strip() == "0" else "FAILED"}
    return job


def _write(job: Job) -> None:
    file = FOLDER / "jobs" / f"{job['id']}.json"
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(job))
    draft.replace(file)


def _refuse(command: str, words: list[str]) -> int:
    print(f"{command}: the stand-in does not know {words}", file=sys.stderr)
    return 1


def main() -> int:
    """Do what the command of this name does."""
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    with (FOLDER / "calls").open("a") as calls:
        calls.write(json.dumps([name, *(re.sub(r"(?s)^--wrap=.*", "--wrap=…", word) for word in words)]) + "\n")
    commands = {f.__name__: f for f in (sbatch, srun, squeue, sacct, scancel, sacctmgr, sinfo, scontrol)}
    return commands[name](words)


if __name__ == "__main__":
    sys.exit(main())
