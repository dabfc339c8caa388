"""Transfer branch: data sets from a strength library, and what models make of samples that they have not seen.

A target of its own, `snakemake transfer`: a run of the library branch need not wait for it.
"""

from glideflow.code_digest import code_digest

TRANSFER = f"{RESULTS}/transfer"
TRANSFER_SETTINGS = SETTINGS.transfer
SCORED = "best" in TRANSFER_SETTINGS.validation.models


STRUCTURE_GROUPS = [name for name in TRANSFER_SETTINGS.groups if name != "joint"]

# Further sections of the page. A comparison of structures needs all of them, a curve of shots machine-learned potentials
# with a stress, which the shipped library has.
EXTRA_SECTIONS = {"cost": f"{TRANSFER}/cost.h5"}
if "joint" in TRANSFER_SETTINGS.groups:
    EXTRA_SECTIONS["training"] = f"{TRANSFER}/training.h5"
if TRANSFER_SETTINGS.library == "shipped":
    EXTRA_SECTIONS["shots"] = f"{TRANSFER}/shots.h5"

# A library that comes with the package is no input: the digest of the code covers it.
TRANSFER_LIBRARY = {"shipped": [], "run": f"{RESULTS}/{LIBRARY_FILE}"}.get(
    TRANSFER_SETTINGS.library, TRANSFER_SETTINGS.library
)
# The command reads a configured file from the configuration by itself.
LIBRARY_OPTION = "--library {input.library:q} " if TRANSFER_SETTINGS.library == "run" else ""


rule transfer_dataset:
    """Samples of one structure, or of all."""
    input:
        library=TRANSFER_LIBRARY,
    output:
        f"{TRANSFER}/data/{{group}}.h5",
    log:
        f"{RESULTS}/logs/transfer_dataset/{{group}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_dataset/{{group}}.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("glideflow.transfer.assembly"),
        settings=TRANSFER_SETTINGS.data.model_dump_json(),
        config=configuration_in_force,
        folder=subpath(output[0], parent=True),
    shell:
        "glideflow transfer dataset --group {wildcards.group:q} --config {params.config:q} "
        + LIBRARY_OPTION
        + "--output {params.folder:q} > {log:q} 2>&1"


rule transfer_validation:
    """Every configured model on one data set, its control with permuted stresses, and learning curves."""
    input:
        f"{TRANSFER}/data/{{group}}.h5",
    output:
        validation=f"{TRANSFER}/{{group}}.validation.h5",
        control=f"{TRANSFER}/{{group}}.control.h5",
        curves=f"{TRANSFER}/{{group}}.curves.h5",
    log:
        f"{RESULTS}/logs/transfer_validation/{{group}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_validation/{{group}}.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        code=code_digest("glideflow.transfer.validation", "glideflow.transfer.regressors"),
        settings=TRANSFER_SETTINGS.model_dump_json(exclude={"library", "groups", "data", "shots", "shot_draws"}),
        config=configuration_in_force,
        work=lambda wildcards, output: f"{RUN.work}/transfer",
    shell:
        "{{"
        " glideflow transfer validate --dataset {input:q} --config {params.config:q} --work {params.work:q}"
        " --output {output.validation:q} &&"
        " glideflow transfer validate --dataset {input:q} --config {params.config:q} --work {params.work:q}"
        " --permuted --split family --output {output.control:q} &&"
        " glideflow transfer curve --dataset {input:q} --config {params.config:q} --output {output.curves:q};"
        " }} > {log:q} 2>&1"


rule transfer_table:
    """Every validation side by side."""
    input:
        validations=expand(f"{TRANSFER}/{{group}}.validation.h5", group=TRANSFER_SETTINGS.groups),
        controls=expand(f"{TRANSFER}/{{group}}.control.h5", group=TRANSFER_SETTINGS.groups),
    output:
        report(
            f"{TRANSFER}/validation.md",
            caption="../report/transfer.rst",
            category="Physics transfer",
            labels={"content": "scores of every model"},
        ),
    log:
        f"{RESULTS}/logs/transfer_table.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_table.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("glideflow.transfer.summary"),
    shell:
        "glideflow transfer table {input.validations:q} {input.controls:q} --markdown > {output:q} 2> {log:q}"


rule transfer_model:
    """The model that predicts, trained on every sample of a structure, with its held-out scores on the card."""
    input:
        dataset=f"{TRANSFER}/data/{{group}}.h5",
        validation=f"{TRANSFER}/{{group}}.validation.h5",
    output:
        model=f"{TRANSFER}/models/{{group}}/model.safetensors",
        card=f"{TRANSFER}/models/{{group}}/model.json",
        context=f"{TRANSFER}/models/{{group}}/context.h5",
    log:
        f"{RESULTS}/logs/transfer_model/{{group}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_model/{{group}}.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        code=code_digest("glideflow.transfer.strength_models"),
        settings=TRANSFER_SETTINGS.model_dump_json(include={"floor_mpa"}),
        config=configuration_in_force,
        folder=lambda wildcards, output: Path(output.model).parent.parent,
        # A validation of other models than the one that predicts has no scores for its card.
        scores=lambda wildcards, input: ["--validation", input.validation] if SCORED else [],
    shell:
        "glideflow transfer fit --dataset {input.dataset:q} {params.scores:q} --config {params.config:q}"
        " --output {params.folder:q} > {log:q} 2>&1"


rule transfer_strengths:
    """Every metal by every route: classical potentials, transfer, machine-learned potentials."""
    input:
        library=TRANSFER_LIBRARY,
    output:
        table=report(
            f"{TRANSFER}/strengths.md",
            caption="../report/transfer.rst",
            category="Physics transfer",
            labels={"content": "every metal by every route"},
        ),
        values=f"{TRANSFER}/strengths.csv",
        record=f"{TRANSFER}/strengths.h5",
    log:
        f"{RESULTS}/logs/transfer_strengths.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_strengths.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        code=code_digest(
            "glideflow.transfer.strengths", "glideflow.transfer.regressors", "glideflow.reporting.strengths"
        ),
        settings=TRANSFER_SETTINGS.model_dump_json(include={"floor_mpa", "data"}),
        config=configuration_in_force,
    shell:
        "glideflow transfer strengths --config {params.config:q} "
        + LIBRARY_OPTION
        + "--output {output.table:q} --output {output.values:q} --output {output.record:q} > {log:q} 2>&1"


rule transfer_errors:
    """What the stresses of each metal err by: physics of the potentials, cell and protocol, inference."""
    input:
        library=TRANSFER_LIBRARY,
        strengths=rules.transfer_strengths.output.record,
        validations=expand(f"{TRANSFER}/{{group}}.validation.h5", group=STRUCTURE_GROUPS),
    output:
        table=report(
            f"{TRANSFER}/errors.md",
            caption="../report/transfer.rst",
            category="Physics transfer",
            labels={"content": "errors by kind"},
        ),
        values=f"{TRANSFER}/errors.csv",
        record=f"{TRANSFER}/errors.h5",
    log:
        f"{RESULTS}/logs/transfer_errors.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_errors.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("glideflow.transfer.error_decomposition", "glideflow.reporting.transfer_errors"),
        settings=TRANSFER_SETTINGS.model_dump_json(include={"data"}),
        config=configuration_in_force,
        validations=lambda wildcards, input: [f"--validation={file}" for file in input.validations],
    shell:
        "glideflow transfer errors --config {params.config:q} --strengths {input.strengths:q} {params.validations:q} "
        + LIBRARY_OPTION
        + "--output {output.table:q} --output {output.values:q} --output {output.record:q} > {log:q} 2>&1"


rule transfer_shots:
    """Error on machine-learned potentials against the number of others that a model was tuned to."""
    input:
        library=TRANSFER_LIBRARY,
    output:
        table=f"{TRANSFER}/shots.md",
        record=f"{TRANSFER}/shots.h5",
    log:
        f"{RESULTS}/logs/transfer_shots.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_shots.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        code=code_digest(
            "glideflow.transfer.few_shot", "glideflow.transfer.regressors", "glideflow.reporting.transfer_shots"
        ),
        settings=TRANSFER_SETTINGS.model_dump_json(include={"floor_mpa", "data", "shots", "shot_draws"}),
        config=configuration_in_force,
    shell:
        "glideflow transfer shots --config {params.config:q} "
        + LIBRARY_OPTION
        + "--output {output.table:q} --output {output.record:q} > {log:q} 2>&1"


rule transfer_cost:
    """What routes cost: counted in the library, measured where this run computed it, predictions timed."""
    input:
        library=TRANSFER_LIBRARY,
    output:
        table=f"{TRANSFER}/cost.md",
        record=f"{TRANSFER}/cost.h5",
    log:
        f"{RESULTS}/logs/transfer_cost.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_cost.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("glideflow.transfer.cost_panel", "glideflow.reporting.transfer_cost"),
        settings=TRANSFER_SETTINGS.model_dump_json(include={"data", "groups"}),
        config=configuration_in_force,
        groups=[f"--group={name}" for name in STRUCTURE_GROUPS],
        run=[f"--run={RESULTS}"] if TRANSFER_SETTINGS.library == "run" else [],
    shell:
        "glideflow transfer cost --config {params.config:q} {params.groups:q} {params.run:q} "
        + LIBRARY_OPTION
        + "--output {output.table:q} --output {output.record:q} > {log:q} 2>&1"


rule transfer_training:
    """One model of all structures against one of each, in the same folds."""
    input:
        f"{TRANSFER}/data/joint.h5",
    output:
        f"{TRANSFER}/training.h5",
    log:
        f"{RESULTS}/logs/transfer_training.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_training.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        code=code_digest("glideflow.transfer.training_scope", "glideflow.transfer.regressors"),
        settings=TRANSFER_SETTINGS.model_dump_json(exclude={"library", "groups", "data", "shots", "shot_draws"}),
        config=configuration_in_force,
        work=lambda wildcards, output: f"{RUN.work}/transfer",
    shell:
        "glideflow transfer validate --dataset {input:q} --training both --split family --config {params.config:q}"
        " --work {params.work:q} --output {output:q} > {log:q} 2>&1"


rule transfer_report:
    """The same with figures, as a page that opens without a network."""
    input:
        **EXTRA_SECTIONS,
        library=TRANSFER_LIBRARY,
        validations=rules.transfer_table.input.validations,
        controls=rules.transfer_table.input.controls,
        curves=expand(f"{TRANSFER}/{{group}}.curves.h5", group=TRANSFER_SETTINGS.groups),
        errors=rules.transfer_errors.output.record,
    output:
        report(
            f"{TRANSFER}/validation.html",
            caption="../report/transfer.rst",
            category="Physics transfer",
            labels={"content": "figures"},
        ),
    log:
        f"{RESULTS}/logs/transfer_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/transfer_report.tsv"
    conda:
        "../../envs/transfer.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest(
            "glideflow.reporting.transfer",
            "glideflow.reporting.transfer_claims",
            "glideflow.reporting.transfer_cost",
            "glideflow.reporting.transfer_errors",
            "glideflow.reporting.transfer_shots",
            "glideflow.reporting.transfer_training",
        ),
        curves=lambda wildcards, input: [f"--curves={file}" for file in input.curves],
        sections=lambda wildcards, input: [f"--{name}={input[name]}" for name in ("errors", *EXTRA_SECTIONS)],
    shell:
        "glideflow transfer report {input.validations:q} {input.controls:q} {params.curves:q} {params.sections:q} "
        + LIBRARY_OPTION
        + "--output {output:q} > {log:q} 2>&1"


rule transfer:
    """The whole branch."""
    input:
        rules.transfer_table.output,
        rules.transfer_report.output,
        rules.transfer_strengths.output,
        rules.transfer_errors.output,
        expand(rules.transfer_model.output.model, group=STRUCTURE_GROUPS),
