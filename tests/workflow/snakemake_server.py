"""Snakemake, imported once: each request is answered by a fork that runs the command line.

Most of what a dry run of a small workflow costs is the import of Snakemake. A request is a line of JSON on standard
input with the words after ``snakemake``, the folder, the environment and the files that take the output; the answer is
a line with the exit status. What runs in the fork is what ``python -m snakemake`` runs, on whatever package its
PYTHONPATH names: only Snakemake itself is shared.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

INHERITED_PATH = list(sys.path)


def main() -> None:
    """Answer requests until standard input ends."""
    import snakemake.cli

    snakemake.cli.get_argument_parser()  # with everything that its plugins import
    assert not any(name.partition(".")[0] == "glideflow" for name in sys.modules), "each fork imports its own"
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(**request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(words: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> NoReturn:
    """Do in this process what ``python -m snakemake`` does, and end it."""
    from snakemake.cli import main as snakemake

    for number, file in enumerate((os.devnull, out, err)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
    sys.path[:] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *INHERITED_PATH]
    sys.argv[:] = [str(Path(sys.executable).with_name("snakemake")), *words]
    status = 0
    try:
        snakemake()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()  # a run gives its locks back at its end
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
