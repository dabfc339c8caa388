"""Library branch: every property of every potential, and one library of all."""

from glideflow.plan import job_threads
from glideflow.property_specs import PROPERTIES

ENGINE = SETTINGS.engine


# One rule per property: lattice, elastic, gamma_surface, ...
for SPEC in PROPERTIES.values():

    rule:
        name:
            SPEC.name
        input:
            **{name: f"{RESULTS}/{PROPERTIES[name].result_file}" for name in SPEC.needs},
        output:
            f"{RESULTS}/{SPEC.result_file}",
        log:
            f"{RESULTS}/logs/{SPEC.job_name}.log",
        benchmark:
            f"{RESULTS}/benchmarks/{SPEC.job_name}.tsv"
        conda:
            "../../envs/library.yaml"
        threads: job_threads(ENGINE)
        resources:
            **LAUNCH,
            mem_mb=memory_mb(SPEC.name),
            runtime=runtime_min(SPEC.name),
        params:
            code=property_code(SPEC.name),
            settings=deciding(SPEC.name),
            potential=content,
            config=configuration_in_force,
            work=partial_results,
        shell:
            # Read again when a job runs: then SPEC is the last one of all, and `rule` is the name of the rule that runs.
            property_command(PROPERTIES[locals().get("rule", SPEC.name)])


rule library:
    """Join every result, failures included, into one file and one table.

    The command knows from the configuration which results there should be: their names fit on no command line of a
    large run, and those that may be missing are named in the library.
    """
    input:
        results=results_to_gather,
    output:
        library=f"{RESULTS}/{LIBRARY_FILE}",
        table=report(
            f"{RESULTS}/{TABLE_FILE}",
            caption="../report/table.rst",
            category="Strength library",
            labels={"content": "one row per potential"},
        ),
    log:
        f"{RESULTS}/logs/library.log",
    benchmark:
        f"{RESULTS}/benchmarks/library.tsv"
    conda:
        "../../envs/library.yaml"
    resources:
        mem_mb=memory_mb("library"),
        runtime=runtime_min("library"),
    params:
        code=rule_code("library"),
        settings=settings_digest(SETTINGS, "library"),
        config=configuration_in_force,
    shell:
        "glideflow library merge --config {params.config:q} --output {output.library:q} --csv {output.table:q}"
        " 2> {log:q}"
