"""Mobility branch: trajectories of dislocations, their velocities, and networks that ask for further trajectories.

A target of its own, `snakemake mobility`: a run of the library branch need not wait for it. With `mobility.learning`
the number of iterations is not known before: a checkpoint after each training says what is simulated next.
"""

import importlib.util

from glideflow.code_digest import code_digest
from glideflow.mobility_plan import trajectory_memory_mb, trajectory_runtime_min
from glideflow.plan import job_threads


rule mobility_crystal:
    """Lattice and elastic constants of the potential; dipoles whose lines would stop each other are refused here."""
    output:
        lattice=f"{MOBILITY}/lattice.h5",
        elastic=f"{MOBILITY}/elastic.h5",
    log:
        f"{RESULTS}/logs/mobility_crystal.log",
    benchmark:
        f"{RESULTS}/benchmarks/mobility_crystal.tsv"
    conda:
        "../../envs/mobility.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("glideflow.properties.lattice", "glideflow.properties.elastic"),
        # Not the grid that is checked: every trajectory would be repeated when an angle or a stress is added. A dipole
        # that is added is refused by its own job.
        settings=[SETTINGS.lattice.model_dump_json(), SETTINGS.elastic.model_dump_json()],
        potential=lambda wildcards: mobility_potential().content_sha256,
        config=configuration_in_force,
        name=MOBILITY_SETTINGS.potential,
    shell:
        "{{"
        " glideflow lattice --potential {params.name:q} --config {params.config:q} --output {output.lattice:q} &&"
        " glideflow elastic --potential {params.name:q} --config {params.config:q} --lattice {output.lattice:q}"
        " --output {output.elastic:q} &&"
        " glideflow mobility scenarios --check --config {params.config:q} --lattice {output.lattice:q}"
        " --elastic {output.elastic:q};"
        " }} > {log:q} 2>&1"


rule mobility_trajectory:
    """One trajectory. A job that is killed, or reaches its wall time, goes on from its checkpoint when it is retried."""
    input:
        lattice=rules.mobility_crystal.output.lattice,
        elastic=rules.mobility_crystal.output.elastic,
    output:
        f"{RESULTS}/{trajectory_file('{scenario}')}",
    log:
        f"{RESULTS}/logs/mobility_trajectory/{{scenario}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/mobility_trajectory/{{scenario}}.tsv"
    conda:
        "../../envs/mobility.yaml"
    threads: job_threads(ENGINE)
    resources:
        **LAUNCH,
        mem_mb=lambda wildcards, attempt: trajectory_memory_mb(
            SETTINGS, scenario_from_id(wildcards.scenario), mobility_potential(), attempt
        ),
        runtime=lambda wildcards, attempt: trajectory_runtime_min(
            SETTINGS, scenario_from_id(wildcards.scenario), mobility_potential(), attempt
        ),
    params:
        code=code_digest("glideflow.mobility.dynamics", "glideflow.mobility.building"),
        # Which trajectories there are decides none of them, nor does how long one may take.
        settings=[
            MOBILITY_SETTINGS.cells.model_dump_json(exclude={"angles_deg"}),
            DYNAMICS.model_dump_json(exclude={"time_limit_s", "keep_atoms"}),
            ENGINE.accelerator,
        ],
        potential=lambda wildcards: mobility_potential().content_sha256,
        config=configuration_in_force,
        options=scenario_options,
        work=lambda wildcards, output: f"{RUN.work}/mobility/{wildcards.scenario}",
    shell:
        "glideflow mobility run {params.options:q} --config {params.config:q} --lattice {input.lattice:q}"
        " --elastic {input.elastic:q} --work {params.work:q} --output {output:q} > {log:q} 2>&1"


rule mobility_training:
    """An ensemble of networks, from the weights of the one before."""
    input:
        trajectories=trajectories_of,
        before=before("model.safetensors"),
    output:
        model=f"{MOBILITY}/iterations/{{iteration}}/model.safetensors",
        card=f"{MOBILITY}/iterations/{{iteration}}/model.json",
    log:
        f"{RESULTS}/logs/mobility_training/{{iteration}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/mobility_training/{{iteration}}.tsv"
    conda:
        "../../envs/mobility.yaml"
    threads: MOBILITY_SETTINGS.network.training.threads
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        code=code_digest("glideflow.mobility.training", "glideflow.mobility.artifacts"),
        settings=MOBILITY_SETTINGS.network.model_dump_json(exclude={"training": {"device", "threads", "batched"}}),
        config=configuration_in_force,
        folder=lambda wildcards, output: Path(output.model).parent,
        seed=SETTINGS.seed,
        start=lambda wildcards, input: [f"--start={file}" for file in input.before],
        work=lambda wildcards, output: f"{RUN.work}/mobility/training-{wildcards.iteration}",
    shell:
        "glideflow mobility train {input.trajectories:q} {params.start:q} --leave-out --seed {params.seed:q}"
        " --config {params.config:q} --work {params.work:q} --output {params.folder:q} > {log:q} 2>&1"


checkpoint mobility_query:
    """What the ensemble asks for: the scenarios of a pool of which it is least sure."""
    input:
        model=rules.mobility_training.output.model,
        card=rules.mobility_training.output.card,
        before=before("query.json"),
        lattice=rules.mobility_crystal.output.lattice,
        elastic=rules.mobility_crystal.output.elastic,
    output:
        f"{MOBILITY}/iterations/{{iteration}}/query.json",
    log:
        f"{RESULTS}/logs/mobility_query/{{iteration}}.log",
    conda:
        "../../envs/mobility.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        code=code_digest("glideflow.mobility.active_learning"),
        settings=[
            MOBILITY_SETTINGS.learning.model_dump_json(),
            MOBILITY_SETTINGS.scenarios.model_dump_json(),
            MOBILITY_SETTINGS.stresses_mpa,
            MOBILITY_SETTINGS.temperatures_k,
            MOBILITY_SETTINGS.cells.angles_deg,
        ],
        config=configuration_in_force,
        after=lambda wildcards, input: [f"--after={file}" for file in input.before],
    shell:
        "glideflow mobility query {input.model:q} {params.after:q} --lattice {input.lattice:q}"
        " --elastic {input.elastic:q} --config {params.config:q} --output {output:q} > {log:q} 2>&1"


rule mobility_report:
    """Velocities as a table, and with figures as a page that opens without a network."""
    input:
        trajectories=every_trajectory,
        queries=every_query,
    output:
        table=report(
            f"{MOBILITY}/velocities.md",
            caption="../report/mobility.rst",
            category="Dislocation mobility",
            labels={"content": "velocities"},
        ),
        values=f"{MOBILITY}/velocities.csv",
        page=report(
            f"{MOBILITY}/mobility.html",
            caption="../report/mobility.rst",
            category="Dislocation mobility",
            labels={"content": "figures"},
        ),
    log:
        f"{RESULTS}/logs/mobility_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/mobility_report.tsv"
    conda:
        "../../envs/mobility.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_digest("glideflow.reporting.mobility"),
        config=configuration_in_force,
        queries=lambda wildcards, input: [f"--query={file}" for file in input.queries],
    shell:
        # The command knows from the configuration which trajectories there are: their names might fit on no line.
        "glideflow mobility report --config {params.config:q} {params.queries:q} --output {output.table:q}"
        " --output {output.values:q} --output {output.page:q} > {log:q} 2>&1"


rule mobility_validation:
    """What the last ensemble makes of trajectories that it has not seen: errors, velocities, roll-outs, straight lines."""
    input:
        model=last_model("model.safetensors"),
        card=last_model("model.json"),
        trajectories=every_trajectory,
    output:
        table=report(
            f"{MOBILITY}/validation.md",
            caption="../report/mobility_validation.rst",
            category="Dislocation mobility",
            labels={"content": "validation"},
        ),
        values=f"{MOBILITY}/validation.csv",
        page=report(
            f"{MOBILITY}/validation.html",
            caption="../report/mobility_validation.rst",
            category="Dislocation mobility",
            labels={"content": "validation, figures"},
        ),
    log:
        f"{RESULTS}/logs/mobility_validation.log",
    benchmark:
        f"{RESULTS}/benchmarks/mobility_validation.tsv"
    conda:
        "../../envs/mobility.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        code=code_digest("glideflow.reporting.mobility_validation", "glideflow.mobility.glide_terms"),
        settings=[
            MOBILITY_SETTINGS.network.training.stride_ps,
            MOBILITY_SETTINGS.cells.size_nm,
            DYNAMICS.node_spacing_angstrom,
        ],
        config=configuration_in_force,
    shell:
        "glideflow mobility validate {input.model:q} {input.trajectories:q} --config {params.config:q}"
        " --output {output.table:q} --output {output.values:q} --output {output.page:q} > {log:q} 2>&1"


rule mobility_shipped:
    """The trajectories that come with the package: velocities, and what the ensemble trained on them errs by.

    Without PyTorch the page has the velocities alone.
    """
    output:
        table=report(
            f"{SHIPPED_MOBILITY}/velocities.md",
            caption="../report/mobility.rst",
            category="Dislocation mobility",
            labels={"content": "velocities of the shipped trajectories"},
        ),
        values=f"{SHIPPED_MOBILITY}/velocities.csv",
        page=report(
            f"{SHIPPED_MOBILITY}/mobility.html",
            caption="../report/mobility.rst",
            category="Dislocation mobility",
            labels={"content": "figures of the shipped trajectories"},
        ),
    log:
        f"{RESULTS}/logs/mobility_shipped.log",
    benchmark:
        f"{RESULTS}/benchmarks/mobility_shipped.tsv"
    conda:
        "../../envs/mobility.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        # The digest covers the data that these modules name: trajectories and ensemble.
        code=code_digest("glideflow.reporting.mobility_errors", "glideflow.mobility.shipped"),
        config=configuration_in_force,
        model=["--model=shipped"] if importlib.util.find_spec("torch") else [],
    shell:
        "glideflow mobility report shipped {params.model:q} --config {params.config:q} --output {output.table:q}"
        " --output {output.values:q} --output {output.page:q} > {log:q} 2>&1"


rule mobility:
    """The whole branch."""
    input:
        rules.mobility_report.output,
        last_model("model.safetensors") if TRAINED else [],
        rules.mobility_validation.output if VALIDATED else [],
