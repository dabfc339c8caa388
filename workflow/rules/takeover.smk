"""One run at a time, and a run that goes on where another one was killed."""

import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence
from snakemake_interface_common.exceptions import WorkflowError

from glideflow.errors import GlideflowError
from glideflow.runs.takeover import cancel_jobs_left, cancel_own_jobs, hold, was_killed


def forget_killed_run():
    """Undo what a killed run left in Snakemake's records, so that the same command simply goes on.

    Its lock goes. Results that its jobs finished after its death have no record of the parameters that they were
    computed with: they are marked as incomplete, so that they are done again, mostly from partial results.
    """
    records = FilePersistence()
    records.cleanup_locks()
    files = (IOFile(f"{RESULTS}/{task.output}") for task in RUN.tasks())
    unrecorded = [file for file in files if Path(file).exists() and records.metadata(file) is None]
    records.started(SimpleNamespace(output=unrecorded))


def take_over():
    """Keep other runs away, and cancel the jobs of a killed one; before the first job of this run."""
    executor = workflow.scheduler._executor
    try:
        hold(Path(RUN.work))
        # Slurm's executor names all jobs of a run alike.
        cancel_jobs_left(Path(RUN.work), getattr(executor, "run_uuid", ""), tell)
    except GlideflowError as error:
        raise WorkflowError(str(error)) from None


def tell(line):
    """A line for the user, beside Snakemake's own."""
    print(line, file=sys.stderr)


# Job steps read this file again; they are part of the run.
if workflow.is_main_process and was_killed(Path(RUN.work)):
    forget_killed_run()
