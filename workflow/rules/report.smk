"""What a person looks at in the end."""


rule report:
    """Tables, figures, failures and provenance in one page that opens without a network."""
    input:
        library=rules.library.output.library,
    output:
        report(
            f"{RESULTS}/{REPORT_FILE}",
            caption="../report/page.rst",
            category="Strength library",
            labels={"content": "report"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/library.yaml"
    resources:
        mem_mb=memory_mb("report"),
        runtime=runtime_min("report"),
    params:
        code=rule_code("report"),
        settings=settings_digest(SETTINGS, "report"),
        config=configuration_in_force,
        site=SITE_FILE,
        mobility=report_mobility_link(),
    shell:
        "glideflow report --config {params.config:q} --library {input.library:q} --site {params.site:q}"
        " {params.mobility:q} --output {output:q} 2> {log:q}"


rule site:
    """The same library to look things up in: a page per potential, metal and structure.

    The folder holds a page for each potential: its first page stands for all of them.
    """
    input:
        library=rules.library.output.library,
    output:
        f"{RESULTS}/{SITE_FILE}",
    log:
        f"{RESULTS}/logs/site.log",
    benchmark:
        f"{RESULTS}/benchmarks/site.tsv"
    conda:
        "../../envs/library.yaml"
    resources:
        mem_mb=memory_mb("site"),
        runtime=runtime_min("site"),
    params:
        code=rule_code("site"),
        settings=settings_digest(SETTINGS, "site"),
        config=configuration_in_force,
        folder=site_folder,
    shell:
        "glideflow library site --config {params.config:q} --library {input.library:q} --output {params.folder:q}"
        " > {log:q} 2>&1"
