from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.errors import StorageError
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.trajectory import (
    CellSummary,
    LineFrame,
    MobilityScenario,
    Trajectory,
    frame_arrays,
    joined,
    packed,
    read_trajectory,
    unpacked,
    write_trajectory,
)
from glideflow.records import provenance_of, summary_of
from glideflow.storage import WrongKindError, write_record

BURGERS = np.array([2.4, 0.3, 0.0])
TOPOLOGIES = {"dipole": ("infinite", "infinite"), "loop": ("closed",)}


def frame(time_ps: float, kind: str) -> LineFrame:
    """Lines with random nodes, a different number at each time."""
    random = np.random.default_rng(round(100 * time_ps))
    senses = {"dipole": (1, -1), "loop": (0,)}[kind]
    lines = tuple(
        DislocationLine(
            nodes_fractional=random.normal(size=(int(random.integers(3, 9)), 3)),
            period=np.array([0, sense, 0]),
            burgers_angstrom=BURGERS,
            topology="infinite" if sense else "closed",
        )
        for sense in senses
    )
    return LineFrame(
        time_ps=time_ps,
        cell_angstrom=np.tril(random.uniform(20, 30, (3, 3))),
        stress_mpa=random.normal(size=(3, 3)),
        temperature_k=300 + time_ps,
        lines=lines,
        debris_angstrom=3.0 * time_ps,
    )


@pytest.fixture
def make_trajectory(wheel_potential: Callable) -> Callable[..., Trajectory]:
    def make(kind: str = "dipole", frames: int = 5, **changes: object) -> Trajectory:
        cell = CellSummary(
            element="Fe",
            structure="bcc",
            kind=kind,
            lattice_constant_angstrom=2.8553,
            atoms=2790,
            character_angle_deg=90.0 if kind == "dipole" else None,
            radius_angstrom=None if kind == "dipole" else 50.0,
            miller_frame=np.array([[1.0, 1.0, -1.0], [-1.0, 2.0, 1.0], [1.0, 0.0, 1.0]]),
            burgers_angstrom=BURGERS,
            cell_angstrom=25 * np.eye(3),
            sha256="0" * 64,
        )
        parts = {
            "status": "completed",
            "scenario": MobilityScenario(stress_mpa=500.0, temperature_k=300.0, seed=1),
            "cell": cell,
            "potential": summary_of(wheel_potential("Fe")),
            "provenance": provenance_of(MobilityDynamicsSettings(), "lammps", "1, ovito 2", 1),
            "expansion": 1.003,
            "applied_stress_mpa": np.zeros((3, 3)),
            "topologies": TOPOLOGIES[kind],
            "rejected_ps": np.array([0.35]),
            "rejected": ("1 lines end inside the crystal or at a junction",),
        }
        return Trajectory(**(parts | packed([frame(0.1 * k, kind) for k in range(frames)]) | changes))

    return make


def assert_same_frames(found: list[LineFrame], expected: list[LineFrame]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.time_ps, one.temperature_k) == (other.time_ps, other.temperature_k)
        assert one.debris_angstrom == other.debris_angstrom
        np.testing.assert_array_equal(one.cell_angstrom, other.cell_angstrom)
        np.testing.assert_array_equal(one.stress_mpa, other.stress_mpa)
        for line, original in zip(one.lines, other.lines, strict=True):
            np.testing.assert_array_equal(line.nodes_fractional, original.nodes_fractional)
            np.testing.assert_array_equal(line.period, original.period)
            np.testing.assert_array_equal(line.burgers_angstrom, original.burgers_angstrom)
            assert line.topology == original.topology


@pytest.mark.parametrize("kind", ["dipole", "loop"])
@pytest.mark.parametrize("frames", [0, 1, 5])
def test_a_file_gives_back_every_frame(
    make_trajectory: Callable[..., Trajectory], tmp_path: Path, kind: str, frames: int
) -> None:
    trajectory = make_trajectory(kind, frames)
    write_trajectory(tmp_path / "t.h5", trajectory)
    found = read_trajectory(tmp_path / "t.h5")
    assert_same_frames(list(found.frames()), [frame(0.1 * k, kind) for k in range(frames)])
    plain = [
        field.name for field in dataclasses.fields(Trajectory) if isinstance(getattr(found, field.name), str | tuple)
    ]
    assert [getattr(found, name) for name in plain] == [getattr(trajectory, name) for name in plain]
    assert found.scenario == trajectory.scenario
    assert found.settings["timestep_ps"] == 0.002
    assert found.cell.radius_angstrom == trajectory.cell.radius_angstrom


def test_pieces_join_to_the_whole(make_trajectory: Callable[..., Trajectory]) -> None:
    frames = [frame(0.1 * k, "dipole") for k in range(7)]
    arrays = joined([packed(frames[:3]), packed([]), packed(frames[3:])])
    assert_same_frames(list(unpacked(arrays, TOPOLOGIES["dipole"], BURGERS)), frames)
    whole = frame_arrays(make_trajectory(**packed(frames)))
    assert all(np.array_equal(arrays[name], whole[name]) for name in whole)


def test_connectivity_follows_the_sense_of_each_line_and_ends_at_its_image() -> None:
    lines = frame(0.3, "dipole")
    arrays = packed([frame(0.0, "dipole"), lines])
    count = len(lines.nodes_angstrom())
    starts, ends, burgers = lines.segments()
    nodes = arrays["nodes_fractional"][-count:]
    after = nodes[arrays["next_nodes"][-count:]] + arrays["next_images"][-count:]
    np.testing.assert_allclose(nodes @ lines.cell_angstrom, starts)
    np.testing.assert_allclose(after @ lines.cell_angstrom, ends)
    np.testing.assert_array_equal(burgers, [BURGERS] * count)
    # All segments of an infinite line add up to its period, and those of a dipole to nothing.
    first = len(lines.lines[0].nodes_fractional)
    np.testing.assert_allclose((ends - starts)[:first].sum(axis=0), lines.cell_angstrom[1], atol=1e-9)
    np.testing.assert_allclose((ends - starts).sum(axis=0), 0.0, atol=1e-9)


def test_a_file_of_another_version_or_kind_is_refused(
    make_trajectory: Callable[..., Trajectory], tmp_path: Path
) -> None:
    path = tmp_path / "t.h5"
    write_trajectory(path, make_trajectory())
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(StorageError, match="schema version 99"):
        read_trajectory(path)
    write_record(path, make_trajectory().scenario)
    with pytest.raises(WrongKindError, match="MobilityScenario"):
        read_trajectory(path)


@pytest.mark.parametrize("end", [100, 3000, -1])
def test_a_torn_or_altered_file_is_refused(
    make_trajectory: Callable[..., Trajectory], tmp_path: Path, end: int
) -> None:
    path = tmp_path / "t.h5"
    write_trajectory(path, make_trajectory())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if end < 0 else content[:end])
    with pytest.raises(StorageError, match=r"t\.h5"):
        read_trajectory(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"times_ps": np.zeros(4)}, "cells_angstrom"),
        ({"node_counts": np.ones(10, dtype=np.int64)}, "node_counts"),
        ({"next_nodes": np.full(40, 99)}, "next_nodes"),
        ({"next_nodes": np.zeros(40, dtype=np.int64)}, "next_nodes"),
        ({"next_images": np.zeros((40, 3), dtype=np.int64)}, "next_images"),
        ({"line_counts": np.full(5, 3)}, "line_counts"),
        ({"topologies": ("infinite", "open")}, "topologies"),
        ({"times_ps": np.zeros(5)}, "times_ps"),
        ({"times_ps": np.array([0.0, 0.1, np.nan, 0.3, 0.4])}, "times_ps"),
        ({"cells_angstrom": np.zeros((5, 3, 3))}, "cells_angstrom"),
        ({"temperatures_k": np.full(5, np.nan)}, "temperatures_k"),
        ({"applied_stress_mpa": np.full((3, 3), np.nan)}, "applied_stress_mpa"),
        ({"applied_stress_mpa": np.zeros((2, 3))}, "applied_stress_mpa"),
        ({"scenario": MobilityScenario(stress_mpa=np.nan, temperature_k=300.0, seed=1)}, "scenario"),
        ({"scenario": MobilityScenario(stress_mpa=500.0, temperature_k=-1.0, seed=1)}, "scenario"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(
    make_trajectory: Callable[..., Trajectory], tmp_path: Path, change: dict, named: str
) -> None:
    write_trajectory(tmp_path / "t.h5", make_trajectory(**change))
    with pytest.raises(StorageError, match=named):
        read_trajectory(tmp_path / "t.h5")


def test_nodes_that_are_nowhere_are_refused(make_trajectory: Callable[..., Trajectory], tmp_path: Path) -> None:
    trajectory = make_trajectory()
    trajectory.nodes_fractional[3, 1] = np.nan
    write_trajectory(tmp_path / "t.h5", trajectory)
    with pytest.raises(StorageError, match="nodes_fractional"):
        read_trajectory(tmp_path / "t.h5")


def test_inspect_prints_what_is_in_a_trajectory(make_trajectory: Callable[..., Trajectory], tmp_path: Path) -> None:
    write_trajectory(tmp_path / "t.h5", make_trajectory())
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "t.h5")])
    assert shown.exit_code == 0, shown.output
    rows = {line.split()[0]: line for line in shown.output.splitlines()}
    assert "MPa" in rows["scenario/stress_mpa"]
    assert "(5,)" in rows["times_ps"]
    assert rows["times_ps"].endswith("ps")
    assert "completed" in rows["status"]
