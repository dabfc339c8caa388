"""What every rule file uses: the checked configuration, the folders, and the parameters that decide reruns."""

import os
import sys
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from glideflow.code_digest import code_digest
from glideflow.config.load import settings_from_files
from glideflow.config.yaml_text import settings_yaml
from glideflow.errors import GlideflowError
from glideflow.plan import job_memory_mb, job_runtime_min
from glideflow.run import (
    CONFIGURATION_FILE,
    LIBRARY_FILE,
    REPORT_FILE,
    RESULT_FILES,
    TABLE_FILE,
    settings_digest,
    validate_run,
)

# `glideflow` is found beside the Python that runs the workflow, whether or not its environment is activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def checked_run():
    """The run that the configuration describes; everything that can be refused is refused here, before any job."""
    try:
        settings = settings_from_files(config, [Path(file) for file in workflow.configfiles])
        # Job steps read this file again: the process that started them has already compared the checksums.
        return validate_run(settings, Path.cwd(), verify=workflow.is_main_process)
    except GlideflowError as error:
        raise WorkflowError(str(error)) from None


RUN = checked_run()
SETTINGS = RUN.settings
RESULTS = RUN.results
WORK = RUN.work
CONFIGURATION = f"{RESULTS}/{CONFIGURATION_FILE}"


def content(wildcards):
    """Digest of the potential's style, coefficients and files."""
    return RUN.potential(wildcards.potential).content_sha256


def deciding(rule):
    """Function of the wildcards: digest of the settings that decide the results of a rule."""
    return lambda wildcards: settings_digest(SETTINGS, rule, slip_system=wildcards.get("slip_system", ""))


def partial_results(wildcards, output):
    """Folder of partial results. It names `output` because Snakemake does not record such a parameter: moving the
    work folder reruns nothing."""
    return f"{WORK}/{wildcards.potential}"


def memory_mb(rule):
    """Function of wildcards and attempt: memory that a scheduler is asked for."""
    return lambda wildcards, attempt: job_memory_mb(RUN, rule, wildcards.get("potential", ""), attempt)


def runtime_min(rule):
    """Function of wildcards and attempt: wall time that a scheduler is asked for."""
    return lambda wildcards, attempt: job_runtime_min(RUN, rule, wildcards.get("potential", ""), attempt)


def launch_resources(engine):
    """Resources of an engine that runs on several ranks or GPUs; an ordinary job names none of them.

    With `mpi` the Slurm executor leaves the start of the ranks to the job, which uses the configured launcher.
    """
    ranks = {"mpi": engine.mpi_launcher[0], "tasks": engine.mpi_ranks, "cpus_per_task": engine.threads}
    return (ranks if engine.mpi_ranks > 1 else {}) | ({"gpu": engine.gpus} if engine.gpus else {})


LAUNCH = launch_resources(SETTINGS.engine)


def success_message():
    """Where the results lie."""
    rows = (("report", REPORT_FILE), ("library", LIBRARY_FILE), ("table", TABLE_FILE))
    return "\n".join(f"{label:8s}{Path(RESULTS, name).resolve()}" for label, name in rows)


def error_message(log):
    """What to do after jobs failed; results that failed physically are no such failures, they are in the report."""
    return (
        f"Some jobs did not run to their end; what the others computed is kept in {RESULTS}.\n"
        f"  their logs: {RESULTS}/logs/<rule>/<potential>…, Snakemake's: {log}\n"
        "  next step: correct the cause and run the same command again; only unfinished work is done,\n"
        "  and interrupted steps go on from their partial results"
    )
