"""The checked configuration, the folders, and the parameters that decide which jobs are done again."""

import csv
import functools
import os
import sys
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from glideflow.atomic import write_text
from glideflow.config.load import settings_from_files
from glideflow.config.yaml_text import settings_yaml
from glideflow.errors import GlideflowError
from glideflow.plan import job_memory_mb, job_runtime_min
from glideflow.property_specs import PROPERTIES
from glideflow.run import (
    CONFIGURATION_FILE,
    LIBRARY_FILE,
    REPORT_FILE,
    SITE_FILE,
    TABLE_FILE,
    rule_code,
    settings_digest,
    validate_run,
)

# `glideflow` is found beside the Python that runs the workflow, whether or not its environment is activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


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


# Snakemake asks for the parameters of every job, of which there may be a hundred thousand: what is the same for many
# of them is digested once.
@functools.cache
def content_of(potential):
    """Digest of a potential's style, coefficients and files."""
    return RUN.potential(potential).content_sha256


def content(wildcards):
    """The same as a function of the wildcards."""
    return content_of(wildcards.potential)


def property_code(rule):
    """Function of the wildcards: digest of the code that computes a property with the potential's engine."""
    return lambda wildcards: rule_code(rule, RUN.potential(wildcards.potential))


def deciding(rule):
    """Function of the wildcards: digest of the settings that decide the results of a rule."""
    on_system = functools.cache(functools.partial(settings_digest, SETTINGS, rule))
    return lambda wildcards: on_system(slip_system=wildcards.get("slip_system", ""))


# Snakemake does not record parameters whose function names `output`: moving the work folder reruns nothing, and what
# of the configuration decides a result is recorded by `deciding`.
def configuration_in_force(wildcards, output):
    """File that the jobs read the settings from, every default and override included.

    It is no input: when a rule wrote it, Snakemake would no longer look at the changed parameters of the jobs that
    have it as an `ancient` input.
    """
    return f"{RESULTS}/{CONFIGURATION_FILE}"


def report_mobility_link():
    """Option of the report for the page on moving dislocations, where the configuration asks for one."""
    return ["--mobility=mobility/shipped/mobility.html"] if SETTINGS.mobility.shipped_page else []


def site_folder(wildcards, output):
    """Folder of the site."""
    return str(Path(RESULTS, SITE_FILE).parent)


def partial_results(wildcards, output):
    """Folder of partial results, from which an interrupted job resumes. Declared outputs are deleted on failure."""
    return f"{RUN.work}/{wildcards.potential}"


def results_to_gather(wildcards):
    """Every result; only those that are there now where the configuration does not wait for the missing ones."""
    every = [f"{RESULTS}/{task.output}" for task in RUN.property_tasks()]
    return every if SETTINGS.library.wait_for_missing else [file for file in every if Path(file).exists()]


def write_configuration():
    """Write the settings for the jobs, all at once: a job of an earlier run may be reading them."""
    try:
        write_text(Path(RESULTS, CONFIGURATION_FILE), settings_yaml(SETTINGS))
    except GlideflowError as error:
        raise WorkflowError(str(error)) from None


def property_command(spec):
    """Command of the rule of a property; Snakemake quotes every name and value in it."""
    options = [f"--{PROPERTIES[name].argument} {{input.{name}:q}}" for name in spec.needs]
    options += [f"--{label.replace('_', '-')} {{wildcards.{label}:q}}" for label in spec.labels]
    return " ".join(
        [
            f"glideflow {spec.command} --potential {{wildcards.potential:q}} --config {{params.config:q}}",
            *options,
            "--output {output:q} --work {params.work:q} 2> {log:q}",
        ]
    )


def memory_mb(rule):
    """Function of wildcards and attempt: memory that a scheduler is asked for."""
    return lambda wildcards, attempt: job_memory_mb(RUN, rule, wildcards.get("potential", ""), attempt)


def runtime_min(rule):
    """Function of wildcards and attempt: wall time that a scheduler is asked for."""
    return lambda wildcards, attempt: job_runtime_min(RUN, rule, wildcards.get("potential", ""), attempt)


def launch_resources(engine):
    """Resources of an engine that runs on several ranks or GPUs; an ordinary job names none of them.

    With `mpi` the Slurm executor leaves the start of the ranks to the job, which uses the configured launcher. All
    ranks share the GPUs of the job: without `tasks_per_gpu` the executor would ask for as many tasks on each of them.
    """
    ranks = {"mpi": engine.mpi_launcher[0], "tasks": engine.mpi_ranks, "cpus_per_task": engine.threads}
    gpus = {"gpu": engine.gpus, "tasks_per_gpu": 0}
    return (ranks if engine.mpi_ranks > 1 else {}) | (gpus if engine.gpus else {})


LAUNCH = launch_resources(SETTINGS.engine)


def success_message():
    """What to look at; potentials that failed physically are a result, and are counted here."""
    table, page, site = (Path(RESULTS, name) for name in (TABLE_FILE, REPORT_FILE, SITE_FILE))
    if not (table.exists() and page.exists()):
        return f"Done. `snakemake --cores 2` goes on to {page}"
    with table.open(encoding="utf-8", newline="") as stream:
        statuses = [row["status"] for row in csv.DictReader(stream)]
    lacking = sum(status != "ok" for status in statuses)
    failures = f", {lacking} of them with failures (reasons in the report)" if lacking else ""
    also = f"\n  one page per potential: {site.resolve()}" if site.exists() else ""
    return f"Done: {len(statuses)} rows in {table}{failures}.\n  next step: open {page.resolve()} in a browser{also}"


def error_message(log):
    """What to do after jobs failed; results that failed physically are no such failures, they are in the report."""
    return (
        f"Some jobs did not run to their end; what the others computed is kept in {RESULTS}.\n"
        f"  their logs: {RESULTS}/logs/<rule>/<potential>…, Snakemake's: {log[0]}\n"
        f"  what failed and why: glideflow failures --config {RESULTS}/{CONFIGURATION_FILE}\n"
        "  next step: correct the cause and run the same command again; only unfinished work is done,\n"
        "  and interrupted steps go on from their partial results. To go on without what is missing, up to 1 %, add\n"
        "  --config 'library={accept_missing_percent: 1, wait_for_missing: false}'"
    )
