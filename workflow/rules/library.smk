"""Library branch: potential -> lattice -> elastic constants, γ surface, Peierls stress -> one library."""

from glideflow.plan import job_threads

ENGINE = SETTINGS.engine


rule lattice:
    """Lattice constants, cohesive energy and ground state of one potential."""
    output:
        f"{RESULTS}/{RESULT_FILES['lattice']}",
    log:
        f"{RESULTS}/logs/lattice/{{potential}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/lattice/{{potential}}.tsv"
    conda:
        "../../envs/library.yaml"
    threads: job_threads(ENGINE)
    resources:
        **LAUNCH,
        mem_mb=memory_mb("lattice"),
        runtime=runtime_min("lattice"),
    params:
        code=property_code("lattice"),
        settings=deciding("lattice"),
        potential=content,
        config=configuration_in_force,
        work=partial_results,
    shell:
        "glideflow lattice --potential {wildcards.potential:q} --config {params.config:q}"
        " --output {output:q} --work {params.work:q} 2> {log:q}"


rule elastic:
    """Elastic constants of one potential."""
    input:
        lattice=rules.lattice.output,
    output:
        f"{RESULTS}/{RESULT_FILES['elastic']}",
    log:
        f"{RESULTS}/logs/elastic/{{potential}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/elastic/{{potential}}.tsv"
    conda:
        "../../envs/library.yaml"
    threads: job_threads(ENGINE)
    resources:
        **LAUNCH,
        mem_mb=memory_mb("elastic"),
        runtime=runtime_min("elastic"),
    params:
        code=property_code("elastic"),
        settings=deciding("elastic"),
        potential=content,
        config=configuration_in_force,
        work=partial_results,
    shell:
        "glideflow elastic --potential {wildcards.potential:q} --config {params.config:q} --lattice {input.lattice:q}"
        " --output {output:q} --work {params.work:q} 2> {log:q}"


rule gamma_surface:
    """γ surface of one slip system of one potential; its points are batched in one engine process."""
    input:
        lattice=rules.lattice.output,
    output:
        f"{RESULTS}/{RESULT_FILES['gamma_surface']}",
    log:
        f"{RESULTS}/logs/gamma_surface/{{potential}}/{{slip_system}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gamma_surface/{{potential}}/{{slip_system}}.tsv"
    conda:
        "../../envs/library.yaml"
    threads: job_threads(ENGINE)
    resources:
        **LAUNCH,
        mem_mb=memory_mb("gamma_surface"),
        runtime=runtime_min("gamma_surface"),
    params:
        code=property_code("gamma_surface"),
        settings=deciding("gamma_surface"),
        potential=content,
        config=configuration_in_force,
        work=partial_results,
    shell:
        "glideflow gamma --potential {wildcards.potential:q} --config {params.config:q} --lattice {input.lattice:q}"
        " --slip-system {wildcards.slip_system:q} --output {output:q} --work {params.work:q} 2> {log:q}"


rule peierls_stress:
    """Peierls stress of one straight dislocation in one slip system of one potential."""
    input:
        lattice=rules.lattice.output,
    output:
        f"{RESULTS}/{RESULT_FILES['peierls_stress']}",
    log:
        f"{RESULTS}/logs/peierls_stress/{{potential}}/{{slip_system}}/{{character}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/peierls_stress/{{potential}}/{{slip_system}}/{{character}}.tsv"
    conda:
        "../../envs/library.yaml"
    threads: job_threads(ENGINE)
    resources:
        **LAUNCH,
        mem_mb=memory_mb("peierls_stress"),
        runtime=runtime_min("peierls_stress"),
    params:
        code=property_code("peierls_stress"),
        settings=deciding("peierls_stress"),
        potential=content,
        config=configuration_in_force,
        work=partial_results,
    shell:
        "glideflow peierls --potential {wildcards.potential:q} --config {params.config:q} --lattice {input.lattice:q}"
        " --slip-system {wildcards.slip_system:q} --character {wildcards.character:q}"
        " --output {output:q} --work {params.work:q} 2> {log:q}"


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
