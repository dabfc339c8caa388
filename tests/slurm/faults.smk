"""Jobs that go wrong in known ways, and one that does not."""


rule all:
    input:
        "out/good",
        "out/gpu",
        "out/after_failing",
        "out/after_cancelled",


rule good:
    output:
        "out/good",
    shell:
        "sleep 1; touch {output}"


rule failing:
    output:
        "out/failing",
    log:
        "out/failing.log",
    shell:
        "echo half > {output}; echo 'no such potential' > {log}; exit 3"


rule after_failing:
    input:
        rules.failing.output,
    output:
        "out/after_failing",
    shell:
        "touch {output}"


rule cancelled:
    output:
        "out/cancelled",
    shell:
        "sleep 300; touch {output}"


rule after_cancelled:
    input:
        rules.cancelled.output,
    output:
        "out/after_cancelled",
    shell:
        "touch {output}"


rule gpu:
    output:
        "out/gpu",
    resources:
        gpu=1,
        slurm_partition="gpu",
    shell:
        "echo $CUDA_VISIBLE_DEVICES > {output}"
