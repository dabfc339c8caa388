from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from glideflow.errors import ConfigurationError, StorageError
from glideflow.mobility.dataset import (
    SHIPPED,
    TrajectoryDataset,
    dataset_of,
    read_dataset,
    trajectories_from,
    trajectory_from,
    trajectory_sha256,
    write_dataset,
)
from glideflow.mobility.trajectory import FRAME_ARRAYS, Trajectory, read_trajectory, write_trajectory
from glideflow.mobility.velocities import glide_velocity
from glideflow.records import StageFailure
from glideflow.storage import WrongKindError, write_record

MakeTrajectory = Callable[..., Trajectory]


@pytest.fixture(scope="module")
def made(synthetic_trajectory: MakeTrajectory) -> dict[str, Trajectory]:
    """Trajectories of unlike length, and one that was lost on the way."""
    long = synthetic_trajectory(90.0, 500.0, 300.0, duration_ps=8.0)
    short = synthetic_trajectory(54.7, 250.0, 600.0, duration_ps=3.0)
    lost = dataclasses.replace(
        short,
        status="lost_atoms",
        reason="atoms were lost",
        rejected_ps=np.array([0.5]),
        rejected=("three lines",),
        failure=StageFailure(error_class="UnstableError", reason="atoms were lost", evidence="log of a machine"),
    )
    return {"long": long, "short": short, "lost": lost}


@pytest.fixture(scope="module")
def file(made: dict[str, Trajectory], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "some.h5"
    write_dataset(path, dataset_of(made))
    return path


def test_a_data_set_gives_back_what_a_trajectory_holds(made: dict[str, Trajectory], file: Path) -> None:
    found = read_dataset(file).trajectories()
    assert list(found) == sorted(made)
    for name, trajectory in made.items():
        for field in dataclasses.fields(Trajectory):
            before, after = getattr(trajectory, field.name), getattr(found[name], field.name)
            if isinstance(before, np.ndarray):
                assert before.shape == after.shape
                np.testing.assert_allclose(after, before, rtol=6e-8, atol=1e-30)
            elif field.name not in ("cell", "failure"):
                assert after == before
        np.testing.assert_array_equal(found[name].times_ps, trajectory.times_ps)  # steps are found by them
        np.testing.assert_array_equal(found[name].cell.burgers_angstrom, trajectory.cell.burgers_angstrom)
        assert found[name].cell.sha256 == trajectory.cell.sha256
    assert found["lost"].failure is not None
    assert (found["lost"].failure.error_class, found["lost"].failure.evidence) == ("UnstableError", "")
    assert found["long"].failure is None


def test_rounding_moves_no_line_by_a_ten_thousandth_of_an_angstrom(made: dict[str, Trajectory], file: Path) -> None:
    before, after = made["long"], read_dataset(file).trajectories()["long"]
    moved = [
        np.abs(one.nodes_angstrom() - other.nodes_angstrom()).max()
        for one, other in zip(before.frames(), after.frames(), strict=True)
    ]
    assert 0 < max(moved) < 1e-4
    velocities = [glide_velocity(each).velocity_m_per_s for each in (before, after)]
    assert velocities[1] == pytest.approx(velocities[0], abs=1e-3)


def test_equal_trajectories_are_equal_bytes_in_any_order(
    made: dict[str, Trajectory], file: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.h5"
    write_dataset(again, dataset_of(dict(reversed(made.items()))))
    assert again.read_bytes() == file.read_bytes()
    write_dataset(again, dataset_of(read_dataset(file).trajectories()))  # rounded numbers are rounded to themselves
    assert again.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("name", FRAME_ARRAYS)
def test_a_digest_notices_every_array(made: dict[str, Trajectory], name: str) -> None:
    changed = getattr(made["short"], name).copy()
    changed.flat[-1] += 1
    assert trajectory_sha256(dataclasses.replace(made["short"], **{name: changed})) != trajectory_sha256(made["short"])


def test_a_changed_byte_is_refused(file: Path, tmp_path: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(content)
    with pytest.raises(StorageError, match="is damaged"):
        read_dataset(damaged)


def test_a_number_that_another_program_has_changed_is_refused(file: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.h5"
    changed.write_bytes(file.read_bytes())
    with h5py.File(changed, "r+") as content:
        nodes = next(path for path in every_dataset(content) if path.endswith("nodes_fractional/values"))
        content[nodes][0] = content[nodes][0] + 0.1
    with pytest.raises(StorageError, match=r"holds \w+, whose content is not that of its digest"):
        read_dataset(changed)


def every_dataset(content: h5py.File) -> list[str]:
    found: list[str] = []
    content.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def test_parts_that_do_not_fit_are_refused_with_the_name(made: dict[str, Trajectory], tmp_path: Path) -> None:
    dataset = dataset_of(made)
    entry = dataset.entries[0]
    broken = dataclasses.replace(entry.trajectory, node_counts=entry.trajectory.node_counts + 1)
    odd = dataclasses.replace(dataset, entries=(dataclasses.replace(entry, trajectory=broken),))
    write_record(tmp_path / "odd.h5", odd, layout="columns")
    with pytest.raises(StorageError, match=f"{entry.name}, a trajectory whose node_counts"):
        read_dataset(tmp_path / "odd.h5")


def test_other_files_are_refused_as_what_they_are(made: dict[str, Trajectory], tmp_path: Path) -> None:
    single, foreign = tmp_path / "single.h5", tmp_path / "foreign.h5"
    write_trajectory(single, made["short"])
    foreign.write_bytes(b"no HDF5")
    with pytest.raises(WrongKindError, match="glideflow/Trajectory'"):
        read_dataset(single)
    with pytest.raises(StorageError, match="cannot be opened as HDF5"):
        trajectories_from([foreign])
    write_record(tmp_path / "failure.h5", StageFailure(error_class="a", reason="b"))
    with pytest.raises(WrongKindError, match="glideflow/StageFailure"):
        trajectories_from([tmp_path / "failure.h5"])


@pytest.mark.parametrize("status", ["running", "failed"])
def test_what_has_not_ended_is_not_passed_on(made: dict[str, Trajectory], status: str) -> None:
    with pytest.raises(ConfigurationError, match=r"running or failed, e\.g\. long"):
        dataset_of({**made, "long": dataclasses.replace(made["long"], status=status)})
    with pytest.raises(ConfigurationError, match="no trajectory"):
        dataset_of({})


def test_commands_read_single_files_and_data_sets_alike(
    made: dict[str, Trajectory], file: Path, tmp_path: Path
) -> None:
    single = tmp_path / "dipole_54.7deg.h5"
    write_trajectory(single, read_dataset(file).trajectories()["short"])
    found = trajectories_from([file, single])
    assert list(found) == ["long", "lost", "short", str(single)]
    assert trajectory_sha256(found[str(single)]) == trajectory_sha256(found["short"])
    assert list(trajectories_from([single], by_stem=True)) == ["dipole_54.7deg"]
    assert trajectory_from(single).status == "completed"
    with pytest.raises(ConfigurationError, match="holds 3 trajectories"):
        trajectory_from(file)
    with pytest.raises(ConfigurationError, match="two trajectories are called"):
        trajectories_from([file, file])


@pytest.fixture(scope="module")
def shipped(repository: Path) -> TrajectoryDataset:
    return read_dataset(repository / "src/glideflow/data/mobility_trajectories.h5")


class TestShipped:
    """The data set that comes with the package."""

    def test_is_small_and_complete(self, shipped: TrajectoryDataset, repository: Path) -> None:
        assert (repository / "src/glideflow/data/mobility_trajectories.h5").stat().st_size < 10_000_000
        assert (shipped.licence, len(shipped.citations)) == ("MIT", 1)
        for entry in shipped.entries:
            trajectory = entry.trajectory
            assert trajectory.potential.id == "Fe_2003Mendelev_Fe_eam-fs"
            assert trajectory.potential.doi
            assert trajectory.cell.atoms > 20_000
            assert trajectory.provenance.engine == "lammps"

    def test_is_what_the_word_stands_for(self, shipped: TrajectoryDataset) -> None:
        found = trajectories_from([Path(SHIPPED)])
        assert list(found) == [entry.name for entry in shipped.entries]
        name = min(found)
        assert trajectory_sha256(trajectory_from(Path(f"{SHIPPED}:{name}"))) == trajectory_sha256(found[name])
        loops = trajectories_from([Path(f"{SHIPPED}:loop_*")])
        assert list(loops) == [name for name, each in found.items() if each.cell.kind == "loop"]
        for absent in ("absent", "absent*"):
            with pytest.raises(ConfigurationError, match=f"no trajectory {re.escape(repr(absent))}"):
                trajectory_from(Path(f"{SHIPPED}:{absent}"))

    def test_moves_as_such_lines_do(self, shipped: TrajectoryDataset) -> None:
        """Lines follow the stress, no faster than shear waves (3.2 km/s)."""
        for entry in shipped.entries:
            if entry.trajectory.cell.kind == "dipole" and len(entry.trajectory.times_ps) > 50:
                found = glide_velocity(entry.trajectory)
                noise = np.fmax(found.error_m_per_s, found.thermal_floor_m_per_s)  # NaN for lines that do not move
                along = np.sign(entry.trajectory.scenario.stress_mpa) * found.velocity_m_per_s
                assert -3 * noise < along < 3200, entry.name
                assert math.isfinite(found.error_m_per_s)

    def test_an_exported_trajectory_is_the_same(self, shipped: TrajectoryDataset, tmp_path: Path) -> None:
        write_trajectory(tmp_path / "one.h5", shipped.entries[0].trajectory)
        assert trajectory_sha256(read_trajectory(tmp_path / "one.h5")) == shipped.entries[0].sha256
