"""Values, names and files of others are data: none reaches a shell, `eval`, an unpickler or an import."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import PotentialError
from glideflow.potentials.record import Potential
from glideflow.workbench import _HEADER, _MAGIC, Workbench

if TYPE_CHECKING:
    from conftest import Place

SHELL = (
    "$(mkdir canary)",
    "`mkdir canary`",
    "; mkdir canary",
    "&& mkdir canary",
    "| mkdir canary",
    "x\nmkdir canary",
    "' ; mkdir canary ; '",
    '" ; mkdir canary ; "',
    "${IFS}mkdir${IFS}canary",
    "../../canary",
    "{config}",
    "{output}",
    "-rf",
    "--output=canary",
)
NAMES = (*SHELL, "a b", "ünïcödé 銅", "x" * 300, "\x1b]0;title\x07", "\u202egnp.exe", ".", "..", "/etc/passwd", "")


@pytest.mark.parametrize("name", NAMES)
def test_ids_of_potentials_on_the_command_line(place: Place, name: str) -> None:
    assert "next step" in place.refused("lattice", f"--potential={name}", "-o", "x.h5")


@pytest.mark.parametrize("name", NAMES)
def test_ids_of_potentials_in_a_manifest_reach_no_job(place: Place, name: str) -> None:
    place.put_copper()
    place.manifest(id=name)
    assert "next step" in place.refused("config", "check", "run.yaml")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["element", "structure", "pair_style", "calculator"])
def test_values_of_a_manifest_reach_no_interpreter(place: Place, key: str, name: str) -> None:
    if key == "pair_style" and name in ("../../canary", ".", "..", "/etc/passwd", "x" * 300, "-rf", "a b"):
        pytest.skip("plain words, for LAMMPS to refuse")
    place.put_copper()
    place.manifest(**{key: name})
    assert "next step" in place.refused("config", "check", "run.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_slip_systems_and_runs_are_plain(place: Place, name: str) -> None:
    system = {"name": name, "structure": "fcc", "plane": [1, 1, 1], "direction": [-1, 1, 0]}
    for document in ({"slip_systems": [system]}, {"name": name}, {"properties": [name]}):
        (place.folder / "run.yaml").write_text(json.dumps(document))
        assert "next step" in place.refused("config", "check", "run.yaml")


def test_the_workflow_refuses_hostile_ids_before_any_job(place: Place, repository: Path) -> None:
    place.put_copper()
    place.manifest(id="$(mkdir canary)")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "-s", str(repository / "Snakefile")]
    run = subprocess.run(
        [*command, "--configfile", "run.yaml"], cwd=place.folder, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "key id" in run.stdout + run.stderr
    assert not place.canary.exists()


def folder_names() -> list[str]:
    """What a folder may be called, several of the names in one: a lattice is computed for each."""
    plain = [name for name in SHELL if not {"\n", "/"} & {*name} and not name.startswith("-")]
    return [" ".join(plain[first::3]) for first in range(3)]


@pytest.mark.parametrize("name", folder_names())
def test_folders_and_files_of_any_name_are_computed_with(make_place: Callable[[str], Place], name: str) -> None:
    place = make_place(f"folder {name}")
    file = place.put_copper(f"{name}.alloy")
    words = ["--element", "Cu", "--structure", "fcc", "--pair-style", "eam/alloy"]
    quoted = "'" + str(file).replace("'", "'\"'\"'") + "'"
    run = place.run(
        "lattice", *words, "--pair-coeff", f"* * {quoted} Cu", "-o", f"out {name}.h5", "--work", f"w {name}"
    )
    assert run.returncode == 0, run.stderr
    assert (place.folder / f"out {name}.h5").is_file()


@pytest.mark.parametrize(
    "style", ["python", "hybrid/overlay python eam/alloy", "mliap unified", "mliap model mliappy x.pkl"]
)
def test_pair_styles_that_run_programs_are_refused(style: str, lammps_engine: LammpsEngine) -> None:
    from ase.build import bulk

    potential = Potential(id="x", element="Cu", structure="fcc", pair_style=style, pair_coeff=("* * module.Class Cu",))
    with pytest.raises(PotentialError, match="runs what its files say"):
        lammps_engine.open(potential, bulk("Cu", "fcc", a=3.6))


@pytest.mark.parametrize(
    "line", ["* * {dir}/cu.alloy Cu\nshell mkdir canary", "* * {dir}/cu.alloy Cu & shell", "* * ${x} Cu", '* * "a" Cu']
)
def test_commands_of_lammps_cannot_be_smuggled_in(place: Place, line: str) -> None:
    place.put_copper()
    place.manifest(pair_coeff=[line])
    assert "pair_coeff" in place.refused("lattice", "-p", "mine", "-c", "run.yaml")
    words = ["--element", "Cu", "--structure", "fcc", "--pair-style", "eam/alloy", "--pair-coeff"]
    place.run("lattice", *words, line.replace("{dir}/", ""), "-o", "x.h5")


def test_a_parameter_file_of_lammps_commands_is_no_input_script(place: Place) -> None:
    (place.folder / "cu.alloy").write_text("shell mkdir canary\nshell mkdir canary\n" * 20)
    place.manifest()
    run = place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5")
    assert "fail" in run.stderr or run.returncode == 2


class TestPickles:
    """A pickle that acts when it is loaded, in the place of every file that is read."""

    READERS = (
        ["lattice", "-p", "mine", "-c", "run.yaml", "-o", "out.h5"],
        ["elastic", "-p", "mine", "-c", "run.yaml", "--lattice", "TRAP"],
        ["gamma", "-p", "mine", "-c", "run.yaml", "--lattice", "TRAP"],
        ["peierls", "-p", "mine", "-c", "run.yaml", "--lattice", "TRAP"],
        ["library", "merge", "TRAP", "-o", "out.h5", "-c", "run.yaml"],
        ["report", "--library", "TRAP", "-o", "out.html"],
        ["inspect", "TRAP"],
        ["config", "check", "TRAP"],
        ["config", "show", "TRAP"],
        ["potentials", "check", "mine", "-c", "run.yaml"],
        ["status", "-c", "TRAP"],
        ["failures", "-c", "TRAP"],
    )

    @pytest.mark.parametrize("words", READERS, ids=lambda words: " ".join(words[:2]))
    @pytest.mark.parametrize("ending", [".pkl", ".h5", ".npy"])
    def test_as_the_file_that_a_command_reads(self, place: Place, trap: bytes, words: list[str], ending: str) -> None:
        file = place.folder / f"trap{ending}"
        file.write_bytes(trap)
        (place.folder / "cu.alloy").write_bytes(trap)
        place.manifest()
        given = [file.name if word == "TRAP" else word for word in words]
        if words[0] == "lattice" or words[:2] == ["potentials", "check"]:
            place.run(*given)  # it fails in the child
        else:
            place.refused(*given)

    def test_among_partial_results(self, tmp_path: Path, place: Place, trap: bytes) -> None:
        for payload in (trap, object_array(trap), archive_with(trap)):
            (tmp_path / "key.partial").write_bytes(_HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload)
            workbench = Workbench(tmp_path, "key")
            assert workbench.names() == ()
            workbench.close()
        assert not place.canary.exists()

    def test_in_an_object_of_hdf5(self, place: Place, trap: bytes) -> None:
        import h5py

        with h5py.File(place.folder / "trap.h5", "w") as file:
            file.attrs["schema"] = "glideflow/StageRecord"
            file.attrs["schema_version"] = 1
            file["status"] = np.void(trap)
            file.create_dataset("potential", data=np.frombuffer(trap, dtype="u1"))
        for words in (["inspect", "trap.h5"], ["library", "merge", "trap.h5", "-o", "x.h5"]):
            place.run(*words)

    def test_in_the_folder_of_a_running_task(self, place: Place, trap: bytes) -> None:
        # Whoever can write into the folder of partial results cannot write into that of a task: see TestPrivate.
        work = place.folder / "work"
        (work / "glideflow-old").mkdir(parents=True)
        for name in ("task", "result", "failure.json"):
            (work / "glideflow-old" / name).write_bytes(trap)
        place.put_copper()
        place.manifest()
        run = place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5", "--work", "work")
        assert run.returncode == 0


def object_array(trap: bytes) -> bytes:
    """An archive of numpy with an array of Python objects, which is a pickle."""
    stream = io.BytesIO()
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    padded = header + b" " * (117 - len(header)) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + trap
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("name.npy", array)
        archive.writestr("x.npy", array)
    return stream.getvalue()


def archive_with(trap: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("name", trap)
        archive.writestr("x.pkl", trap)
    return stream.getvalue()


def test_modules_beside_the_files_are_not_imported(place: Place) -> None:
    for name in ("numpy", "ase", "lammps", "random", "sitecustomize", "usercustomize", "glideflow_plugin"):
        (place.folder / f"{name}.py").write_text(f"import os; os.mkdir({str(place.canary)!r})")
    place.put_copper()
    place.manifest()
    # As it is installed: the command's own folder comes first on the path, not the current one.
    run = place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5", PYTHONSAFEPATH="1")
    assert run.returncode == 0, run.stderr


FORBIDDEN = {"eval", "exec", "compile", "__import__", "input"}
FORBIDDEN_CALLS = {
    ("os", "system"),
    ("os", "popen"),
    ("pickle", "load"),
    ("marshal", "loads"),
    ("shelve", "open"),
    ("yaml", "load"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
    ("tarfile", "extractall"),
    ("shutil", "unpack_archive"),
    ("tempfile", "mktemp"),
    ("torch", "load"),
    ("joblib", "load"),
}
ALLOWED = {("isolation/child.py", "pickle.loads"), ("isolation/parent.py", "pickle.loads")}
"""What a process reads that its own parent or child has just written, in a folder that nobody else may enter."""


def test_the_package_calls_nothing_that_executes_data(repository: Path) -> None:
    found: list[str] = []
    for file in sorted((repository / "src/glideflow").rglob("*.py")):
        name = file.relative_to(repository / "src/glideflow").as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found += [f"{name}:{node.lineno} {call}" for call in suspicious(node) if (name, call) not in ALLOWED]
    assert found == []


def suspicious(node: ast.Call) -> list[str]:
    """What a call does that must not be done with foreign data."""
    calls = []
    function = node.func
    if isinstance(function, ast.Name) and function.id in FORBIDDEN:
        calls.append(function.id)
    if isinstance(function, ast.Attribute) and not loads_tensors_only(node):
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if (owner, function.attr) in FORBIDDEN_CALLS or function.attr in ("extractall", "allow_pickle"):
            calls.append(f"{owner}.{function.attr}")
        if owner == "pickle" and function.attr == "loads":
            calls.append("pickle.loads")
    for keyword in node.keywords:
        if keyword.arg in ("shell", "allow_pickle") and getattr(keyword.value, "value", True):
            calls.append(f"{keyword.arg}=True")
    return calls


def loads_tensors_only(node: ast.Call) -> bool:
    """PyTorch's restricted unpickler, which executes nothing and constructs tensors and plain containers only."""
    limits = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
    return ast.unparse(node.func) == "torch.load" and limits.get("weights_only") is True


@pytest.mark.parametrize(
    ("call", "harmless"),
    [
        ("torch.load(file, weights_only=True)", True),
        ("torch.load(file)", False),
        ("torch.load(file, weights_only=False)", False),
        ("torch.load(file, weights_only=wanted)", False),
    ],
)
def test_tensors_are_read_with_weights_only(call: str, harmless: bool) -> None:
    (node,) = (found for found in ast.walk(ast.parse(call)) if isinstance(found, ast.Call))
    assert (suspicious(node) == []) is harmless


def test_rules_quote_every_value_that_reaches_the_shell(repository: Path) -> None:
    commands = json.dumps([file.read_text(encoding="utf-8") for file in (repository / "workflow/rules").glob("*.smk")])
    for field in ("wildcards.", "params.", "input.", "output.", "output", "log"):
        for part in commands.split("{" + field)[1:]:
            text = part.partition("}")[0]
            inside_shell = "{" + field + text + "}"
            if text.endswith(":q") or "RESULTS" in inside_shell:
                continue
            assert not is_in_a_command(commands, inside_shell), inside_shell


def is_in_a_command(commands: str, placeholder: str) -> bool:
    """Whether a placeholder stands in a line that begins with a command of the package."""
    lines = [line for line in commands.split("\\n") if placeholder in line]
    return any("glideflow " in line or " --" in line for line in lines)
