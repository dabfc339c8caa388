"""What the workflow would do: which jobs there are, and which of them a change brings back."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Project

ALL = {"lattice": 3, "elastic": 3, "gamma_surface": 3, "peierls_stress": 3, "library": 1, "report": 1, "site": 1}
JOINED = {"library": 1, "report": 1, "site": 1}


def test_a_fresh_run_has_one_job_per_potential_and_property(project: Project) -> None:
    assert project.pending() == ALL


def test_a_finished_run_has_nothing_to_do(done: Project) -> None:
    assert done.pending() == {}


def test_properties_that_are_not_asked_for_are_not_computed(project: Project) -> None:
    assert project.pending("--config", "properties=[elastic]") == {"lattice": 3, "elastic": 3} | JOINED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("lattice={scan_points: 31}", ALL),
        ("elastic={strain_dependence_flag: 0.05}", {"elastic": 3} | JOINED),
        ("gamma_surface={layers: 40}", {"gamma_surface": 3} | JOINED),
        ("peierls_stress={burgers_vectors: 50}", {"peierls_stress": 3} | JOINED),
        ("seed=1", {"gamma_surface": 3, "peierls_stress": 3} | JOINED),
        ("engine={accelerator: none}", ALL),
        ("engine={time_limit_s: 99}", JOINED),
        ("engine={accelerator: opt}", {}),
        ("work=elsewhere", JOINED),
    ],
)
def test_a_changed_value_brings_back_exactly_what_depends_on_it(done: Project, change: str, expected: dict) -> None:
    assert done.pending("--config", change) == expected


def test_a_changed_slip_system_brings_back_what_is_computed_on_it(done: Project) -> None:
    systems = (
        "slip_systems=[{name: fcc_111, structure: fcc, plane: [1, 1, 1], direction: [1, -1, 0]},"
        "{name: bcc_110, structure: bcc, plane: [1, 1, 0], direction: [-1, 1, 1]},"
        "{name: hcp_prismatic, structure: hcp, plane: [1, 0, -1, 0], direction: [-1, 2, -1, 0]}]"
    )
    assert done.pending("--config", systems) == {"gamma_surface": 1, "peierls_stress": 1} | JOINED


def test_an_added_potential_brings_its_own_jobs_only(done: Project) -> None:
    done.edit("run.yaml", lambda text: text.replace("ids: [", "ids: [Al_2008Mendelev_Al_eam-fs, "))
    assert done.pending() == dict.fromkeys(ALL, 1)


def test_a_removed_potential_leaves_the_library_and_the_report(done: Project) -> None:
    done.edit("run.yaml", lambda text: text.replace(", Mg_2006Sun_Mg_eam-fs", ""))
    assert done.pending() == JOINED


def append(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n{line}\n"


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("properties/lattice.py", ALL),
        ("properties/elastic.py", {"elastic": 3} | JOINED),
        ("properties/peierls_stress.py", {"peierls_stress": 3} | JOINED),
        ("properties/gamma_surface.py", {"gamma_surface": 3} | JOINED),
        ("crystals/slip_systems.py", {"gamma_surface": 3, "peierls_stress": 3} | JOINED),
        ("engines/lammps.py", ALL),
        ("engines/ase_calculator.py", {}),
        ("library.py", JOINED),
        ("reporting/report.py", {"report": 1}),
        ("reporting/website/site.py", {"site": 1}),
        ("config/load.py", {}),
        ("cli/app.py", {}),
    ],
)
def test_changed_code_brings_back_exactly_what_runs_it(done: Project, module: str, expected: dict) -> None:
    done.edit(f"src/glideflow/{module}", append("A_NEW_CONSTANT = 1"))
    assert done.pending() == expected


def test_comments_docstrings_and_the_version_bring_back_nothing(done: Project) -> None:
    for module in ("properties/lattice.py", "properties/elastic.py", "engines/lammps.py", "units.py"):
        done.edit(f"src/glideflow/{module}", append("# a comment"))
    done.edit("src/glideflow/properties/gamma_surface.py", lambda text: text.replace('"""', '"""Now: ', 1))
    done.edit("src/glideflow/__init__.py", lambda text: text.replace('__version__ = "', '__version__ = "9.'))
    done.edit("workflow/rules/library.smk", append("# a comment"))
    assert done.pending() == {}


class TestChangedPotential:
    """One potential of a local folder."""

    @pytest.fixture
    def local(self, make_project: Callable[[str], Project]) -> Project:
        project = make_project("  sources:\n    - {kind: folder, path: mine}\n    - kind: bundled\n")
        self.write(project, b"one")
        project.edit("run.yaml", lambda text: text.replace("ids: [", "ids: [mine, "))
        project.pretend_done()
        return project

    @staticmethod
    def write(project: Project, content: bytes, digest: str | None = None) -> None:
        folder = project.root / "mine"
        folder.mkdir(exist_ok=True)
        (folder / "cu.eam.alloy").write_bytes(content)
        entry = {
            "id": "mine",
            "element": "Cu",
            "structure": "fcc",
            "pair_style": "eam/alloy",
            "pair_coeff": ["* * {dir}/cu.eam.alloy Cu"],
            "dir": ".",
            "files": ["cu.eam.alloy"],
            "sha256": [digest or hashlib.sha256(content).hexdigest()],
            "status": "ok",
            "flags": [],
            "fictional": False,
            "family": "mine",
            "family_primary": True,
            "citation": "none",
            "doi": None,
        }
        manifest = {"schema": "potential-library/1", "potentials": [entry]}
        (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))

    def test_brings_back_what_was_computed_with_it(self, local: Project) -> None:
        assert local.pending() == {}
        self.write(local, b"two")
        assert local.pending() == dict.fromkeys(ALL, 1)

    def test_whose_file_is_not_the_stated_one_is_refused(self, local: Project) -> None:
        self.write(local, b"two", digest="0" * 64)
        message = local.refusal("-n")
        assert "potential mine" in message
        assert "0" * 64 in message

    def test_that_is_missing_is_refused(self, local: Project) -> None:
        (local.root / "mine/cu.eam.alloy").unlink()
        message = local.refusal("-n")
        assert "cu.eam.alloy" in message
        assert "next step" in message


def test_changed_code_of_a_calculator_brings_back_what_was_computed_with_it(
    make_project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project("  sources:\n    - {kind: folder, path: mine}\n    - kind: bundled\n")
    (project.root / "src" / "my_network.py").write_text("def make(): ...\n")
    (project.root / "mine").mkdir()
    entry = {"id": "mine", "element": "Cu", "structure": "fcc", "calculator": "my_network:make"}
    manifest = yaml.safe_dump({"schema": "potential-library/1", "potentials": [entry]})
    (project.root / "mine" / "manifest.yaml").write_text(manifest)
    project.edit("run.yaml", lambda text: text.replace("ids: [", "ids: [mine, "))
    monkeypatch.syspath_prepend(str(project.root / "src"))
    project.pretend_done()
    assert project.pending() == {}
    project.edit("src/my_network.py", append("LAYERS = 3"))
    assert project.pending() == dict.fromkeys(ALL, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nme: x", "did you mean 'name'?"),
        ("name: a\nname: b", "the key 'name' is given twice"),
        ("gamma_surface: {grid: [30, 31]}", "an odd number"),
        ("potentials: {select: {ids: [Cu_nowhere]}}", "Cu_nowhere"),
        ("potentials: {sources: [{kind: folder, path: nowhere}]}", "nowhere"),
        (
            "potentials: {select: {ids: [Cu_2001Mishin_Cu_eam-alloy_v2]}}\nslip_systems: []",
            "slip_systems: none for fcc",
        ),
    ],
)
def test_what_cannot_run_is_refused_before_any_job(project: Project, text: str, message: str) -> None:
    (project.root / "run.yaml").write_text(text)
    refusal = project.refusal("--cores", "1")
    assert message in refusal
    assert "Traceback" not in refusal
    assert not (project.root / "results").exists()


def test_an_optional_source_may_be_absent(make_project: Callable[[str], Project]) -> None:
    absent = "{kind: folder, path: nowhere, optional: true}"
    project = make_project(f"  sources:\n    - kind: bundled\n    - {absent}\n")
    run = project.snakemake("-n", "--configfile", "run.yaml")
    assert "nowhere" in run.stderr
    assert project.pending() == ALL


@pytest.mark.parametrize("tier", ["config", "medium", "paper"])
def test_every_tier_has_a_plan(project: Project, tier: str) -> None:
    run = project.snakemake("-n", "--quiet", "--configfile", f"config/{tier}.yaml")
    assert "Error" not in run.stderr


def test_the_default_tier_does_not_leak_into_another(project: Project) -> None:
    # config/config.yaml selects potentials by id; a file that selects by element must not inherit them.
    (project.root / "run.yaml").write_text("name: t\npotentials: {select: {elements: [Ta]}}\n")
    assert project.pending()["lattice"] < 5


def test_the_slurm_profile_works_from_the_root_as_typed(project: Project) -> None:
    run = project.snakemake("--profile", "slurm", "-n")
    assert "peierls_stress" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], None, (2, None, None)),
        (["--cores", "5"], None, (5, None, None)),
        (["--profile", "slurm"], None, (64, "200", "slurm")),
        (["--profile=slurm"], None, (64, "200", "slurm")),
        ([], "slurm", (64, "200", "slurm")),
        (["--profile", "slurm", "--cores", "32"], None, (32, "200", "slurm")),
    ],
)
def test_the_default_profile_leaves_to_a_site_what_is_the_sites(
    repository: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environment: str | None, expected: tuple
) -> None:
    from snakemake.cli import parse_args

    monkeypatch.chdir(repository)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    if environment is not None:
        monkeypatch.setenv("SNAKEMAKE_PROFILE", environment)
    monkeypatch.setattr(sys, "argv", ["snakemake", *arguments])  # what profiles/default looks at
    _, options = parse_args(arguments)
    jobs = None if options.jobs is None else str(options.jobs)
    assert (options.cores, jobs, options.executor) == expected
    assert options.keep_going
    assert {trigger.name for trigger in options.rerun_triggers} == {"MTIME", "PARAMS", "INPUT"}


@pytest.mark.parametrize("arguments", [["--lint"], ["--rulegraph"], ["--list-rules"], ["--summary"]])
def test_snakemake_itself_is_content(project: Project, arguments: list[str]) -> None:
    run = project.snakemake(*arguments)
    assert "Lints for" not in run.stdout + run.stderr


def test_rule_files_are_formatted(repository: Path) -> None:
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_parsing_loads_no_physics_package(project: Project) -> None:
    # Every job step parses the rules again.
    script = (
        "import sys\nfrom snakemake.cli import main\n"
        "try:\n    main(['-n', '--quiet', '--configfile', 'run.yaml'])\n"
        "except SystemExit:\n    pass\n"
        "print('LOADED', *sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=project.root, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.partition("LOADED")[2].split())
    assert "glideflow.run" in loaded
    assert not {"ase", "lammps", "scipy", "torch", "plotly", "h5py"} & loaded


def test_job_resources_grow_with_the_attempt(project: Project) -> None:
    text = project.snakemake("-n", "--configfile", "run.yaml").stdout
    peierls = text.partition("rule peierls_stress")[2].partition("rule ")[0]
    assert "runtime=" in peierls
    assert "mem_mb=" in peierls
