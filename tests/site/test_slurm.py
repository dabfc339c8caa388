"""What Slurm says, parsed, and what is made of what it should never say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.site.slurm import (
    QUESTIONS,
    SlurmSite,
    look_at_slurm,
    parse_duration_min,
    parse_partitions,
    parse_settings,
    parse_submit_limit,
)
from glideflow.site.slurm_checks import described, slurm_checks

if TYPE_CHECKING:
    from conftest import MakeProgram

LONG_S = 300.0
"""Time limit of stand-ins that answer at once, however busy the machine is."""


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("2-00:00:00", 2880),
        ("1-12", 2160),
        ("1-02:30", 1590),
        ("12:00:00", 720),
        ("30:00", 30),
        ("45", 45),
        ("infinite", None),
        ("UNLIMITED", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_durations_are_read_as_slurm_writes_them(text: str, minutes: int | None) -> None:
    assert parse_duration_min(text) == minutes


def test_partitions_have_their_usable_nodes(sinfo: str) -> None:
    partitions = {partition.name: partition for partition in parse_partitions(sinfo)}
    assert list(partitions) == ["cpu", "gpu", "long", "broken"]
    cpu = partitions["cpu"]
    assert (cpu.default, cpu.up, cpu.time_limit_min) == (True, True, 2880)
    assert (cpu.node_count, cpu.common_cpus, cpu.widest, cpu.largest_memory_mb) == (124, 64, 128, 1031000)
    assert (partitions["gpu"].gpus, partitions["gpu"].default) == (4, False)
    assert partitions["long"].time_limit_min is None
    assert (partitions["broken"].node_count, partitions["broken"].widest) == (0, 0)


def test_partitions_are_described_in_words(sinfo: str) -> None:
    cpu, gpu, long, broken = map(described, parse_partitions(sinfo))
    assert cpu == "default; 120 × 64 CPUs, 251 GiB; 4 × 128 CPUs, 1007 GiB; up to 2 d"
    assert gpu == "10 × 64 CPUs, 503 GiB, 4 GPUs; up to 24 h"
    assert long.endswith("no limit of time")
    assert broken.startswith("down; ")


def test_several_kinds_of_gpu_add_up_and_other_resources_do_not() -> None:
    line = "g|up|1:00|1|8|1000|gpu:a100:2(S:0),gpu:v100:1,shard:8,craynetwork:4|idle"
    assert parse_partitions(line)[0].gpus == 3
    assert parse_partitions("g|up|1:00|1|8|1000|gpu:2|idle")[0].gpus == 2


@pytest.mark.parametrize(
    "line",
    [
        "CLUSTER: atlas",
        "cpu|up|1:00|1|8|1000|(null)",
        "cpu|up|1:00|many|8|1000|(null)|idle",
        "cpu|up|1:00|1|-8|1000|(null)|idle",
        "cpu|up|1:00|1|8|9999999999999999999999|(null)|idle",
        "*|up|1:00|1|8|1000|(null)|idle",
        "cpu|up|1:00|1|²|1000|(null)|idle",
        "\x00\x1b[31m|||||||",
    ],
)
def test_lines_that_are_none_of_sinfo_are_passed_over(line: str) -> None:
    good = "good|up|1:00|1|8|1000|(null)|idle"
    assert [partition.name for partition in parse_partitions(f"{line}\n{good}\n{line}")] == ["good"]


@given(st.text(alphabet=st.sampled_from("cpu*|up:-0123456789 \n\t()nul\x00²٣é{}\"'#"), max_size=400))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for partition in parse_partitions(text):
        assert partition.name
        described(partition)
    parse_settings(text)
    parse_submit_limit(text)
    parse_duration_min(text)


def test_the_smallest_limit_counts() -> None:
    assert parse_submit_limit("normal|400\nlow|\nshort|150\n") == 150
    assert parse_submit_limit("normal|\n") is None


def test_a_healthy_cluster_is_understood(cluster: MakeProgram) -> None:
    site = look_at_slurm(LONG_S)
    assert site.installed
    assert site.has_accounting
    assert site.status_command == "sacct"
    assert (site.version, site.settings["ClusterName"], site.min_job_age_s) == ("slurm 23.11.4", "atlas", 300)
    assert (site.accounts, site.default_account, site.submit_limit) == (("materials", "teaching"), "materials", 150)
    assert site.mpi_types == ("none", "pmi2", "pmix")
    statuses = {check.name: check.status for check in slurm_checks(site, required=True)}
    assert statuses.pop("partition broken") == "warning"
    assert set(statuses.values()) == {"ok"}


def blocking(site: SlurmSite) -> set[str]:
    return {check.name for check in slurm_checks(site, required=True) if check.blocking}


def test_a_machine_without_slurm_is_no_fault_unless_slurm_is_needed(make_program: MakeProgram) -> None:
    site = look_at_slurm(LONG_S)
    assert not site.installed
    assert [check.status for check in slurm_checks(site, required=False)] == ["not applicable"]
    assert blocking(site) == {"commands"}


def test_a_cluster_is_asked_everything_at_once(cluster: MakeProgram, tmp_path: Path) -> None:
    """So that one that hangs costs one time limit: here no question is answered before all of them are asked."""
    asked = tmp_path / "asked"
    wait = f"echo >> {asked}; while test $(wc -l < {asked}) -lt {len(QUESTIONS)}; do sleep 0.05; done"
    for name in {command[0] for command in QUESTIONS.values()}:
        cluster(name, wait)
    site = look_at_slurm(LONG_S)
    assert {answer.outcome for answer in site.answers.values()} == {"answered"}


def test_a_cluster_that_hangs_is_given_up(cluster: MakeProgram) -> None:
    for name in {command[0] for command in QUESTIONS.values()}:
        cluster(name, "exec sleep 1000")
    site = look_at_slurm(2)
    assert {answer.outcome for answer in site.answers.values()} == {"hung"}
    assert blocking(site) == {"sinfo", "squeue"}


@pytest.mark.parametrize(
    "script",
    [
        "printf '\\377\\000garbage\\033[2J\\n'",
        "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1",
        "exit 0",
        "yes 'x|x|x|x|x|x|x|x'",
        "kill -9 $$",
    ],
)
def test_a_cluster_that_talks_nonsense_is_a_finding(cluster: MakeProgram, script: str) -> None:
    for name in {command[0] for command in QUESTIONS.values()}:
        cluster(name, script)
    site = look_at_slurm(LONG_S)
    checks = list(slurm_checks(site, required=True))
    assert site.partitions == ()
    assert "sinfo" in blocking(site)
    assert all(line.isprintable() for check in checks for line in (check.found, check.expected, check.next_step))
    assert all(len(check.found) < 600 for check in checks)


def test_accounting_that_is_off_asks_for_squeue(cluster: MakeProgram) -> None:
    cluster("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    cluster("sacctmgr", "echo 'You are not running a supported accounting_storage plugin' >&2; exit 1")
    site = look_at_slurm(LONG_S)
    assert site.status_command == "squeue"
    assert site.accounts == ()
    found = {check.name: check for check in slurm_checks(site, required=True)}
    assert found["accounting"].status == "warning"
    assert "slurm-status-command: squeue" in found["accounting"].next_step
    assert found["accounts"].status == "not applicable"
    assert blocking(site) == set()
