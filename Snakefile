"""glideflow: from interatomic potentials to a library of strengths and a report.

snakemake --cores 2                                     # quick tier: config/config.yaml
snakemake --cores 16 --configfile config/medium.yaml    # another tier
snakemake --profile slurm --configfile config/paper.yaml
"""

from snakemake.utils import min_version

min_version("9.27")

# Another tier replaces the default one instead of being merged into it, so that a tier is what its file says.
if not workflow.configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/takeover.smk"
include: "workflow/rules/library.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/transfer.smk"
include: "workflow/rules/mobility_common.smk"
include: "workflow/rules/mobility.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    potential=r"[A-Za-z0-9][A-Za-z0-9._+:-]*",
    slip_system=r"[a-z0-9_]+",
    character=r"[a-z]+",
    group=r"fcc|bcc|hcp|joint",


rule all:
    default_target: True
    input:
        library=f"{RESULTS}/{LIBRARY_FILE}",
        table=f"{RESULTS}/{TABLE_FILE}",
        report=f"{RESULTS}/{REPORT_FILE}",
        site=f"{RESULTS}/{SITE_FILE}",
        mobility=shipped_mobility_page(),


onstart:
    take_over()
    write_configuration()


onsuccess:
    print(success_message())


onerror:
    cancel_own_jobs(Path(RUN.work), tell)
    print(error_message(log))
