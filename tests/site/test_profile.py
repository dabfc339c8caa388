"""Profiles found as Snakemake finds them, compared with what Slurm says, and written from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from glideflow.config.engine import EngineSettings
from glideflow.errors import ConfigurationError, DependencyError, StorageError
from glideflow.property_specs import ALL_PROPERTIES
from glideflow.site.ask import Answer
from glideflow.site.check import Check
from glideflow.site.profile import Profile, find_profile, read_profile
from glideflow.site.profile_checks import Demand, profile_checks
from glideflow.site.profile_text import profile_text, write_profile
from glideflow.site.slurm import QUESTIONS, NodeGroup, Partition, SlurmSite, look_at_slurm, parse_partitions

if TYPE_CHECKING:
    from conftest import MakeProgram

SMALL = Demand.of(EngineSettings(time_limit_s=3600, memory_limit_gib=8))
LONG_S = 300.0
"""Time limit of stand-ins that answer at once, however busy the machine is."""


@pytest.fixture
def site(cluster: MakeProgram) -> SlurmSite:
    return look_at_slurm(LONG_S)


def profile(**changes: Any) -> Profile:
    resources = {"slurm_partition": "cpu", "slurm_account": "materials", "mem_mb": 1000}
    keys: dict[str, Any] = {"executor": "slurm", "jobs": 100, "cores": 64, "default-resources": resources}
    return Profile(
        file=Path("config.yaml"), keys=keys | {name.replace("_", "-"): each for name, each in changes.items()}
    )


def resources(**changes: Any) -> dict[str, Any]:
    return profile().keys["default-resources"] | changes


def found(site: SlurmSite, which: Profile, demand: Demand = SMALL) -> dict[str, Check]:
    return {check.name: check for check in profile_checks(site, which, demand, required=True)}


def problems(site: SlurmSite, which: Profile, demand: Demand = SMALL) -> dict[str, str]:
    return {name: check.status for name, check in found(site, which, demand).items() if check.status != "ok"}


class TestWhereAProfileIsFound:
    """The places in which Snakemake looks for ``--profile``."""

    @pytest.fixture(autouse=True)
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
        monkeypatch.setenv("XDG_CONFIG_DIRS", f"{tmp_path}/site:{tmp_path}/other")
        for folder in ("work/slurm", "user/snakemake/slurm", "user/snakemake/mine", "site/snakemake/ours"):
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / "config.yaml").write_text("executor: slurm\n")

    def test_folder_user_and_site_in_this_order(self, tmp_path: Path) -> None:
        base = tmp_path / "work"
        assert find_profile("slurm", base) == base / "slurm/config.yaml"
        assert find_profile("mine", base) == tmp_path / "user/snakemake/mine/config.yaml"
        assert find_profile("ours", base) == tmp_path / "site/snakemake/ours/config.yaml"
        assert find_profile("nothing", base) is None

    def test_a_file_and_the_newest_format(self, tmp_path: Path) -> None:
        base = tmp_path / "work"
        assert find_profile("slurm/config.yaml", base) == base / "slurm/config.yaml"
        for name in ("config.v8+.yaml", "profile.v9+.yaml", "config.v10+.yaml.bak", "other.yaml"):
            (base / "slurm" / name).write_text("")
        assert find_profile("slurm", base) == base / "slurm/profile.v9+.yaml"


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "a: [1", "a: !!python/object:os.system {}", "\x00", ""])
def test_a_file_that_is_no_profile_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_profile(tmp_path / "config.yaml")
    assert caught.value.next_step


def test_resources_may_be_a_mapping_or_a_list() -> None:
    as_lists = profile(
        **{
            "default_resources": ["slurm_partition=cpu", "mem_mb=800"],
            "set_resources": ["peierls_stress:slurm_partition=long", "peierls_stress:mem_mb=9", "lattice:mem_mb=1"],
        }
    )
    as_mapping = profile(
        set_resources={"peierls_stress": {"slurm_partition": "long", "mem_mb": 9}, "lattice": {"mem_mb": 1}}
    )
    for each in (as_lists, as_mapping):
        assert each.partitions(["lattice", "peierls_stress"]) == ("cpu", "long")
        assert each.partitions(["peierls_stress"]) == ("long",)
    assert as_lists.default_resources["mem_mb"] == "800"


def test_a_profile_that_fits_has_no_problem(site: SlurmSite) -> None:
    assert problems(site, profile()) == {}


@pytest.mark.parametrize(
    ("changes", "name", "status"),
    [
        ({"default_resources": resources(slurm_partition="cups")}, "partition", "missing"),
        ({"default_resources": resources(slurm_partition="broken")}, "partition broken", "missing"),
        ({"set_resources": {"elastic": {"slurm_partition": "nowhere"}}}, "partition", "missing"),
        ({"default_resources": resources(slurm_account="physics")}, "account", "missing"),
        ({"default_resources": resources(mem_mb=499)}, "memory floor", "missing"),
        ({"default_resources": {"slurm_partition": "cpu", "slurm_account": "materials"}}, "memory floor", "warning"),
        ({"slurm_status_command": "qstat"}, "status command", "missing"),
        ({"cores": 256}, "cores", "warning"),
        ({"cores": "all"}, "cores", "missing"),
        ({"jobs": 151}, "jobs", "warning"),
        ({"jobs": "unlimited"}, "jobs", "warning"),
        ({"executor": "local"}, "executor", "warning"),
        ({"slurm_array_jobs": "all"}, "array jobs", "missing"),
    ],
)
def test_each_thing_that_does_not_fit_is_one_problem(
    site: SlurmSite, changes: dict[str, Any], name: str, status: str
) -> None:
    wrong = profile(**changes)
    assert problems(site, wrong) == {name: status}
    check = found(site, wrong)[name]
    assert check.expected
    assert check.next_step


def test_accounts_are_compared_without_regard_to_case_and_each_alone(site: SlurmSite) -> None:
    assert problems(site, profile(default_resources=resources(slurm_account="Materials, TEACHING"))) == {}
    assert problems(site, profile(default_resources=resources(slurm_account="materials,none"))) == {
        "account": "missing"
    }


def test_an_account_must_be_named_where_the_site_insists_and_gives_no_default(site: SlurmSite) -> None:
    without = profile(default_resources={"slurm_partition": "cpu", "mem_mb": 1000})
    assert problems(site, without) == {}
    assert problems(replace(site, default_account=""), without) == {"account": "missing"}
    assert problems(replace(site, default_account="", settings={}), without) == {}


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ({"memory_limit_gib": 1100}, "partition cpu"),
        ({"time_limit_s": 2 * 86400 + 1}, "partition cpu"),
        ({"accelerator": "kokkos", "gpus": 1}, "partition cpu"),
        ({"mpi_ranks": 65, "mpi_launcher": ("srun", "--mpi=pmi2", "-n", "{ranks}")}, "cores"),
        ({"mpi_ranks": 8, "mpi_launcher": ("srun", "--mpi=openmpi", "-n", "{ranks}")}, "MPI launcher"),
    ],
)
def test_jobs_that_do_not_fit_are_told(site: SlurmSite, engine: dict[str, Any], name: str) -> None:
    assert problems(site, profile(), Demand.of(EngineSettings(**engine))) == {name: "missing"}


def test_only_jobs_with_gpus_need_a_partition_with_gpus(site: SlurmSite) -> None:
    demand = Demand.of(EngineSettings(accelerator="kokkos", gpus=4))
    on_gpus = profile(set_resources={rule: {"slurm_partition": "gpu"} for rule in ALL_PROPERTIES})
    assert problems(site, on_gpus, demand) == {}
    five = Demand.of(EngineSettings(accelerator="kokkos", gpus=5))
    assert problems(site, on_gpus, five) == {"partition gpu": "missing"}


def test_a_launcher_of_one_machine_is_a_warning_for_many_ranks(site: SlurmSite) -> None:
    assert problems(site, profile(), Demand.of(EngineSettings(mpi_ranks=4))) == {"MPI launcher": "warning"}


def test_a_profile_without_a_partition_needs_a_default_one(site: SlurmSite) -> None:
    none = profile(default_resources={"mem_mb": 1000})
    assert problems(site, none) == {}
    others = tuple(replace(partition, default=False) for partition in site.partitions)
    assert problems(replace(site, partitions=others), none) == {"partition": "missing"}


def test_a_status_command_that_cannot_answer_is_told_before_the_run_waits_for_ever(
    site: SlurmSite,
) -> None:
    hanging = replace(site, answers=site.answers | {"sacct": Answer(command=("sacct",), outcome="hung", limit_s=1)})
    assert problems(hanging, profile(slurm_status_command="sacct")) == {"status command": "missing"}
    assert problems(hanging, profile(slurm_status_command="squeue")) == {}
    forgetful = replace(hanging, settings=hanging.settings | {"MinJobAge": "60 sec"})
    assert problems(forgetful, profile(slurm_status_command="squeue")) == {"status command": "missing"}
    patient = profile(slurm_status_command="squeue", slurm_init_seconds_before_status_checks=20)
    assert problems(forgetful, patient) == {}


def cluster_of(*partitions: Partition, **parts: Any) -> SlurmSite:
    answers = {name: Answer(command=command, outcome="answered") for name, command in QUESTIONS.items()}
    fields = {
        "answers": answers,
        "partitions": partitions,
        "settings": {},
        "accounts": (),
        "default_account": "",
        "submit_limit": None,
        "mpi_types": ("pmi2",),
    }
    return SlurmSite(**(fields | parts))


def partition_named(name: str, **parts: Any) -> Partition:
    nodes = (NodeGroup(count=2, cpus=48, memory_mb=190000, gpus=0, state="idle"),)
    return Partition(**({"name": name, "default": False, "up": True, "time_limit_min": None, "nodes": nodes} | parts))


class TestWrittenProfile:
    """The profile that doctor writes."""

    @pytest.mark.parametrize(
        "engine",
        [
            {},
            {"accelerator": "kokkos", "gpus": 2},
            {"mpi_ranks": 32, "mpi_launcher": ("srun", "--mpi=pmi2", "-n", "{ranks}")},
        ],
    )
    def test_has_no_problem_on_the_site_that_it_was_written_for(self, site: SlurmSite, engine: dict[str, Any]) -> None:
        demand = Demand.of(EngineSettings(**engine))
        written = Profile(file=Path("config.yaml"), keys=yaml.safe_load(profile_text(site, demand)))
        assert problems(site, written, demand) == {}

    def test_says_what_the_site_said(self, site: SlurmSite) -> None:
        keys = yaml.safe_load(profile_text(site, SMALL))
        assert keys["jobs"] == 150
        assert keys["cores"] == 64
        assert keys["default-resources"]["slurm_partition"] == "cpu"
        assert keys["default-resources"]["slurm_account"] == "materials"
        assert keys["slurm-status-command"] == "sacct"
        assert "set-resources" not in keys
        assert "config" not in keys

    def test_sends_what_does_not_fit_elsewhere(self, site: SlurmSite) -> None:
        days = Demand.of(EngineSettings(time_limit_s=5 * 86400))
        assert yaml.safe_load(profile_text(site, days))["default-resources"]["slurm_partition"] == "long"
        gpus = yaml.safe_load(profile_text(site, Demand.of(EngineSettings(accelerator="kokkos", gpus=1))))
        assert gpus["default-resources"]["slurm_partition"] == "cpu"
        assert {section["slurm_partition"] for section in gpus["set-resources"].values()} == {"gpu"}

    def test_of_a_site_without_accounting(self, cluster: MakeProgram) -> None:
        for name in ("sacct", "sacctmgr"):
            cluster(name, "echo 'Slurm accounting storage is disabled' >&2; exit 1")
        site = look_at_slurm(LONG_S)
        text = profile_text(replace(site, settings=site.settings | {"MinJobAge": "30 sec"}), SMALL)
        keys = yaml.safe_load(text)
        assert keys["slurm-status-command"] == "squeue"
        assert keys["slurm-init-seconds-before-status-checks"] == 10
        assert "slurm_account" not in keys["default-resources"]

    def test_has_a_comment_above_every_line_that_a_site_may_change(self, site: SlurmSite) -> None:
        lines = profile_text(site, Demand.of(EngineSettings(mpi_ranks=2))).splitlines()
        assert max(map(len, lines)) <= 120
        changing = re.compile(
            r" *(jobs|cores|slurm_partition|slurm_account|mem_mb|runtime|config|latency-wait|slurm-status-command"
            r"|slurm-init-seconds-before-status-checks|slurm-logdir):"
        )
        values = [number for number, line in enumerate(lines) if changing.match(line)]
        assert len(values) == 11
        for number in values:
            assert lines[number - 1].lstrip().startswith("#"), lines[number]

    @given(st.text(min_size=1, max_size=40))
    def test_quotes_whatever_a_partition_is_called(self, name: str) -> None:
        keys = yaml.safe_load(
            profile_text(cluster_of(partition_named(name), accounts=(name,), settings={"ClusterName": name}), SMALL)
        )
        assert keys["default-resources"]["slurm_partition"] == name
        assert keys["default-resources"]["slurm_account"] == name
        assert set(keys) == set(yaml.safe_load(profile_text(cluster_of(partition_named("cpu")), SMALL)))

    def test_never_replaces_one_unasked(self, site: SlurmSite, tmp_path: Path) -> None:
        for name in ("config.yaml", "config.v8+.yaml", "profile.yaml"):
            folder = tmp_path / name.replace(".", "_")
            folder.mkdir()
            (folder / name).write_text("executor: mine\n")
            with pytest.raises(ConfigurationError, match="there is a profile already"):
                write_profile(site, SMALL, folder)
            assert (folder / name).read_text() == "executor: mine\n"
            write_profile(site, SMALL, folder, overwrite=True)
            assert read_profile(folder / "config.yaml").text("executor") == "slurm"
            assert not list(folder.glob("*.tmp"))

    def test_is_not_written_where_it_cannot_be(self, site: SlurmSite, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError):
            write_profile(site, SMALL, tmp_path / "file" / "slurm")

    def test_needs_a_slurm_that_answers(self, make_program: MakeProgram, tmp_path: Path) -> None:
        with pytest.raises(DependencyError, match="sinfo is not on the PATH"):
            write_profile(look_at_slurm(LONG_S), SMALL, tmp_path / "slurm")
        assert not (tmp_path / "slurm").exists()

    def test_is_read_by_snakemake_with_its_launcher(self, site: SlurmSite, tmp_path: Path, repository: Path) -> None:
        demand = Demand.of(EngineSettings(mpi_ranks=2))
        write_profile(site, demand, tmp_path / "written")
        (tmp_path / "run.yaml").write_text(
            "name: test\nproperties: [lattice]\nengine:\n  mpi_ranks: 2\n"
            "potentials:\n  select:\n    ids: [Cu_2001Mishin_Cu_eam-alloy_v2]\n"
        )
        command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(repository / "Snakefile")]
        command += ["--workflow-profile", "none", "--configfile", "run.yaml", "--profile", str(tmp_path / "written")]
        environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/bin:/bin"}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert re.search(r"rule lattice:(?:\n .*)*\n +resources: .*\bmpi=srun, tasks=2\b", run.stdout), run.stdout


def test_partitions_of_the_stand_ins_are_the_ones_of_the_tests(sinfo: str) -> None:
    assert [partition.name for partition in parse_partitions(sinfo)] == ["cpu", "gpu", "long", "broken"]
