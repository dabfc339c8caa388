"""One run at a time, and a run that goes on where another one was killed."""

import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.io import IOFile
from snakemake.persistence.file import FilePersistence
from snakemake_interface_common.exceptions import WorkflowError

from glideflow.errors import GlideflowError
from glideflow.runs.takeover import cancel_jobs_left, cancel_own_jobs, hold, killed_since
from glideflow.runs.unpacked import outdated


def forget_killed_run(began):
    """Undo what a killed run left in Snakemake's records, so that the same command simply goes on.

    Its lock goes. Results that its jobs finished after its death have no record of the parameters that they were
    computed with: they are marked as incomplete, so that they are done again, mostly from partial results. Results
    without a record that are older than the run, in seconds since the epoch, were put there for it to use.
    """
    records = FilePersistence()
    records.cleanup_locks()
    files = (IOFile(f"{RESULTS}/{task.output}") for task in RUN.tasks())
    later = (file for file in files if Path(file).exists() and Path(file).stat().st_mtime >= began)
    records.started(SimpleNamespace(output=[file for file in later if records.metadata(file) is None]))


def forget_outdated_unpacked():
    """Have results done again that were taken from a library and that this run would compute otherwise.

    Snakemake knows nothing of what they were computed with, until it has computed them itself.
    """
    records = FilePersistence()
    try:
        files = [IOFile(f"{RESULTS}/{name}") for name in outdated(Path(RESULTS), RUN)]
    except GlideflowError as error:
        raise WorkflowError(str(error)) from None
    there = (file for file in files if Path(file).exists())
    records.started(SimpleNamespace(output=[file for file in there if records.metadata(file) is None]))


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
if workflow.is_main_process and (KILLED_RUN_BEGAN := killed_since(Path(RUN.work))) is not None:
    forget_killed_run(KILLED_RUN_BEGAN)
if workflow.is_main_process:
    forget_outdated_unpacked()
