from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glideflow.config.load import settings_from_mapping
from glideflow.config.run import RunSettings
from glideflow.config.slip_systems import BCC_110, FCC_111
from glideflow.errors import ConfigurationError, StorageError
from glideflow.potentials.record import Potential, PotentialFile
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.records import StageRecord
from glideflow.stages import StageRequest, run_stage
from glideflow.storage import read_record, write_record

WheelPotential = Callable[[str], Potential]
TINY = {
    "name": "tiny",
    "lattice": {"compare_structures": False},
    "gamma_surface": {"grid": [7, 7], "layers": 12, "path_points": 5},
    "peierls_stress": {"burgers_vectors": 14, "height_angstrom": 32, "bracket": 0.1, "initial_stress_mpa": 5.0},
}
RESULTS = {
    "lattice": LatticeResult,
    "elastic": ElasticResult,
    "gamma_surface": GammaSurfaceResult,
    "peierls_stress": PeierlsStressResult,
}


def tiny(**changes: Any) -> RunSettings:
    return settings_from_mapping(TINY | changes, "test")


def request(name: str, potential: Potential, **parts: Any) -> StageRequest:
    system = {"fcc": FCC_111, "bcc": BCC_110}[potential.structure]
    if name in ("gamma_surface", "peierls_stress"):
        parts = {"slip_system": system} | parts
    if name == "peierls_stress":
        parts = {"character": "edge"} | parts
    return StageRequest(name=name, potential=potential, **({"settings": tiny()} | parts))


@pytest.fixture(scope="module")
def iron(wheel_potential: WheelPotential) -> Potential:
    return wheel_potential("Fe")


@pytest.fixture(scope="module")
def iron_lattice(iron: Potential) -> StageRecord:
    return run_stage(request("lattice", iron))


def damaged_copper(tmp_path: Path, wheel_potential: WheelPotential, kind: str) -> Potential:
    """A Cu potential whose file is broken."""
    source = wheel_potential("Cu").files[0].path
    path = tmp_path / f"{kind}.eam.alloy"
    if kind == "segfault":  # tables of two entries: LAMMPS reads beyond them when it makes its splines
        lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join([*lines[:4], "2 1e-4 2 5e-4 5.5\n", *lines[5:]]), encoding="utf-8")
    elif kind == "garbage":
        path.write_text("garbage\n" * 5, encoding="utf-8")
    elif kind == "altered":
        shutil.copy(source, path)
    sha256 = "0" * 64 if kind == "altered" else ""
    return replace(wheel_potential("Cu"), id=kind, files=(PotentialFile(path=path, sha256=sha256),))


@pytest.mark.parametrize("name", RESULTS)
def test_every_property_becomes_a_record(iron: Potential, iron_lattice: StageRecord, tmp_path: Path, name: str) -> None:
    shown: list[str] = []
    upstream = () if name == "lattice" else (iron_lattice,)
    found = run_stage(request(name, iron, upstream=upstream), lambda stage, *_: shown.append(stage))
    assert found.status == "ok", found.failure
    assert found.failure is None
    assert isinstance(found.result, RESULTS[name])
    assert found.potential.id == "Fe"
    assert found.potential.sha256 == iron.content_sha256
    assert found.provenance.engine == "lammps"
    assert shown, "progress is shown"
    write_record(tmp_path / "record.h5", found)
    assert read_record(tmp_path / "record.h5", StageRecord).record_name == found.record_name
    expected_name = {"gamma_surface": "gamma_surface.bcc_110", "peierls_stress": "peierls_stress.bcc_110.edge"}
    assert found.record_name == expected_name.get(name, name)


@pytest.mark.parametrize(
    ("kind", "error_class", "reason"),
    [
        ("segfault", "Crashed", "signal SIGSEGV"),
        ("garbage", "PotentialError", "LAMMPS refuses potential garbage"),
        ("missing", "PotentialError", "missing.eam.alloy"),
        ("altered", "PotentialError", "has SHA-256"),
    ],
)
def test_a_broken_potential_is_a_recorded_failure_and_skips_what_needs_its_lattice(
    wheel_potential: WheelPotential, tmp_path: Path, kind: str, error_class: str, reason: str
) -> None:
    potential = damaged_copper(tmp_path, wheel_potential, kind)
    lattice = run_stage(request("lattice", potential))
    assert lattice.status == "failed"
    assert lattice.result is None
    assert lattice.failure.error_class == error_class
    assert reason in lattice.failure.reason
    assert lattice.failure.next_step
    for name in ("elastic", "gamma_surface", "peierls_stress"):
        found = run_stage(request(name, potential, upstream=(lattice,)))
        assert found.status == "skipped"
        assert found.failure.error_class == "Upstream"
        assert lattice.failure.reason in found.failure.reason
        write_record(tmp_path / "skipped.h5", found)


@pytest.mark.parametrize(
    ("engine", "error_class"), [({"time_limit_s": 0.05}, "TimeLimit"), ({"memory_limit_gib": 0.01}, "MemoryLimit")]
)
def test_limits_of_the_engine_section_hold(
    iron: Potential, iron_lattice: StageRecord, engine: dict[str, float], error_class: str
) -> None:
    hours = {"grid": [201, 201], "layers": 40}
    settings = tiny(engine=engine, gamma_surface=hours)
    found = run_stage(request("gamma_surface", iron, upstream=(iron_lattice,), settings=settings))
    assert found.status == "failed"
    assert found.failure.error_class == error_class


def test_partial_results_of_a_finished_property_give_it_again(
    iron: Potential, iron_lattice: StageRecord, tmp_path: Path
) -> None:
    parts = {"upstream": (iron_lattice,), "work": tmp_path / "work"}
    first = run_stage(request("peierls_stress", iron, **parts))
    (partial,) = (tmp_path / "work").glob("*.partial")
    size = partial.stat().st_size
    again = run_stage(request("peierls_stress", iron, **parts))
    assert partial.stat().st_size == size, "nothing was computed again"
    write_record(tmp_path / "first.h5", first)
    write_record(tmp_path / "again.h5", again)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()
    other = run_stage(request("peierls_stress", iron, **parts, settings=tiny(seed=5)))
    assert other.ok
    assert len(list((tmp_path / "work").glob("*.partial"))) == 2, "another request has a file of its own"
    assert sorted(path.suffix for path in (tmp_path / "work").iterdir()) == [".partial", ".partial"]


def test_two_mpi_ranks_compute_what_one_does(iron: Potential, iron_lattice: StageRecord, tmp_path: Path) -> None:
    mpiexec = Path(sys.executable).parent / "mpiexec"
    launcher = str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("needs mpiexec, which the PyPI package mpich brings")
    parallel = tiny(engine={"mpi_ranks": 2, "mpi_launcher": [launcher, "-n", "{ranks}"], "time_limit_s": 1200})
    one = run_stage(request("gamma_surface", iron, upstream=(iron_lattice,)))
    two = run_stage(request("gamma_surface", iron, upstream=(iron_lattice,), settings=parallel, work=tmp_path / "work"))
    assert one.ok
    assert two.ok, two.failure
    np.testing.assert_allclose(two.result.gamma_mj_m2, one.result.gamma_mj_m2, atol=1e-3)
    (partial,) = (tmp_path / "work").glob("*.partial")
    assert partial.read_bytes().count(b"GFWB") <= two.result.evaluations / 3, "points are kept once, not per rank"


def test_work_folder_that_cannot_be_made(iron: Potential, iron_lattice: StageRecord, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(StorageError) as caught:
        run_stage(request("elastic", iron, upstream=(iron_lattice,), work=tmp_path / "file" / "work"))
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("name", "parts", "found"),
    [
        ("elastic", {}, "without the lattice record"),
        ("gamma_surface", {"slip_system": None}, "without"),
        ("lattice", {"slip_system": FCC_111}, "for fcc crystals"),
        ("lattice", {"character": "edge"}, "character 'edge'"),
    ],
)
def test_incomplete_requests_are_refused(iron: Potential, name: str, parts: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigurationError, match=found) as caught:
        run_stage(request(name, iron, **parts))
    assert caught.value.expected


def test_the_lattice_of_another_crystal_is_refused(
    iron: Potential, iron_lattice: StageRecord, wheel_potential: WheelPotential
) -> None:
    """A file serves every structure: its lattice constants in one of them say nothing of the others."""
    foreign = {
        "lattice of Fe (bcc)": (replace(iron, structure="fcc"), iron_lattice),
        "lattice of Fe": (replace(wheel_potential("Cu"), structure="bcc"), iron_lattice),
        "elastic of Fe": (iron, replace(iron_lattice, property="elastic")),
    }
    for found, (potential, lattice) in foreign.items():
        with pytest.raises(ConfigurationError, match=re.escape(found)):
            run_stage(request("elastic", potential, upstream=(lattice,)))


def test_a_character_that_would_not_be_what_is_computed_is_refused(iron: Potential, iron_lattice: StageRecord) -> None:
    for character in ("mixed", ""):
        with pytest.raises(ConfigurationError, match=f"character '{character}'"):
            run_stage(request("peierls_stress", iron, upstream=(iron_lattice,), character=character))


def test_the_same_request_gives_the_same_numbers(iron: Potential, iron_lattice: StageRecord) -> None:
    for name in ("elastic", "gamma_surface"):
        first, second = (asdict(run_stage(request(name, iron, upstream=(iron_lattice,))).result) for _ in range(2))
        for key, value in first.items():
            assert np.array_equal(value, second[key]), key
