from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from glideflow.config.engine import EngineSettings
from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.errors import ConfigurationError, NonFiniteError
from glideflow.mobility import dynamics
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.dipoles import dipole
from glideflow.mobility.dynamics import TrajectoryRequest, run_trajectory, simulate
from glideflow.mobility.extraction import DislocationLine, extract_lines
from glideflow.mobility.loops import shear_loop
from glideflow.mobility.molecular_dynamics import DynamicsSession
from glideflow.mobility.orientations import nearest_line
from glideflow.mobility.trajectory import FRAME_ARRAYS, MobilityScenario, Trajectory, read_trajectory
from glideflow.mobility.velocities import displacements_angstrom, glide_velocity

if TYPE_CHECKING:
    from conftest import Hold
    from glideflow.potentials.record import Potential

pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")

IRON = BccMetal("Fe", 2.8553, 0.3)
TINY = MobilityDynamicsSettings(
    expansion_cells=3,
    expansion_ps=0.1,
    relaxation_steps=20,
    equilibration_ps=0.05,
    duration_ps=0.15,
    startup_ps=0.0,
    extraction_interval_ps=0.01,
    checkpoint_interval_ps=0.05,
)

Request = Callable[..., TrajectoryRequest]


@pytest.fixture(scope="module")
def make_request(wheel_potential: Callable[[str], Potential]) -> Request:
    """A dipole of some two thousand atoms under 500 MPa at 300 K."""
    cell = dipole(IRON, nearest_line(90.0), (3.5, 0.7, 6.0))

    def make(**changes: object) -> TrajectoryRequest:
        parts = {
            "cell": cell,
            "potential": wheel_potential("Fe"),
            "scenario": MobilityScenario(stress_mpa=500.0, temperature_k=300.0, seed=1),
            "settings": TINY,
            "engine": EngineSettings(),
        }
        return TrajectoryRequest(**(parts | changes))

    return make


@pytest.fixture(scope="module")
def uninterrupted(make_request: Request, tmp_path_factory: pytest.TempPathFactory) -> Trajectory:
    return simulate(make_request(work=tmp_path_factory.mktemp("uninterrupted")))


def assert_same_motion(one: Trajectory, other: Trajectory) -> None:
    assert (one.status, one.reason) == (other.status, other.reason)
    assert one.expansion == other.expansion
    for name in FRAME_ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_a_trajectory_has_a_frame_at_every_interval_and_says_how_it_was_made(
    uninterrupted: Trajectory, make_request: Request
) -> None:
    assert uninterrupted.status == "completed"
    np.testing.assert_allclose(uninterrupted.times_ps, 0.01 * np.arange(16), atol=1e-12)
    assert [len(frame.lines) for frame in uninterrupted.frames()] == [2] * 16
    assert all([line.period[1] for line in frame.lines] == [1, -1] for frame in uninterrupted.frames())
    assert uninterrupted.cell.atoms == len(make_request().cell.positions_angstrom)
    assert uninterrupted.potential.sha256 == make_request().potential.content_sha256
    assert "ovito" in uninterrupted.provenance.engine_version
    assert 1.0 < uninterrupted.expansion < 1.01


def test_the_cell_starts_with_the_elastic_strain_of_its_stress_and_the_temperature_asked_for(
    uninterrupted: Trajectory,
) -> None:
    assert uninterrupted.applied_stress_mpa[0, 2] == 500.0
    # Thermal fluctuations of a shear stress are √(kT μ / V), some 90 MPa here.
    assert uninterrupted.stresses_mpa[0, 0, 2] == pytest.approx(500.0, abs=200.0)
    assert uninterrupted.temperatures_k.mean() == pytest.approx(300.0, abs=60.0)


def test_the_velocity_needs_frames_after_the_start_up(uninterrupted: Trajectory) -> None:
    found = glide_velocity(uninterrupted)
    assert found.frames == 16
    assert np.isfinite(found.velocity_m_per_s)


def test_a_longer_duration_goes_on_from_a_finished_trajectory(
    make_request: Request, uninterrupted: Trajectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = make_request(work=tmp_path, settings=TINY.model_copy(update={"duration_ps": 0.05}))
    assert len(simulate(short).times_ps) == 6
    started: list[object] = []
    monkeypatch.setattr(dynamics, "_thermal_expansion", lambda request: started.append(request))
    assert_same_motion(simulate(make_request(work=tmp_path)), uninterrupted)
    assert not started, "nothing is done twice"


def test_killed_in_the_middle_it_goes_on_to_the_same_frames_bit_by_bit(
    make_request: Request, uninterrupted: Trajectory, hold: Hold, tmp_path: Path
) -> None:
    output = tmp_path / "trajectory.h5"
    request = make_request(work=tmp_path / "work", output=output)
    (tmp_path / "request").write_bytes(pickle.dumps(request))
    code = "import pickle, sys; from glideflow.mobility.dynamics import run_trajectory as run; " + (
        "run(pickle.load(open(sys.argv[1], 'rb')))"
    )
    # Held in the second piece of two frames and a half: after its third extraction beyond the first piece.
    environment = hold.environment(after="glideflow.mobility.extraction:resampled", calls=2 * (1 + 5 + 2))
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "request")], env=os.environ | environment)
    wait_until(lambda: hold.held)
    process.kill()
    process.wait()
    wait_until(lambda: not any(alive(pid) for pid in hold.held))
    so_far = read_trajectory(output)
    assert so_far.status == "running"
    assert so_far.times_ps[-1] == pytest.approx(0.05)
    hold.lift()
    assert_same_motion(simulate(request), uninterrupted)
    assert_same_motion(read_trajectory(output), uninterrupted)


def wait_until(condition: Callable[[], object], limit_s: float = 240.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split(")")[-1].split()[0]


def test_a_damaged_restart_file_costs_one_piece(
    make_request: Request, uninterrupted: Trajectory, tmp_path: Path
) -> None:
    request = make_request(work=tmp_path, settings=TINY.model_copy(update={"duration_ps": 0.1}))
    simulate(request)
    *_, last = sorted(tmp_path.glob("*.restart"))
    last.write_bytes(last.read_bytes()[:-100])
    assert_same_motion(simulate(make_request(work=tmp_path)), uninterrupted)


def test_lines_that_are_not_there_end_a_trajectory(make_request: Request, tmp_path: Path) -> None:
    cell = make_request().cell
    (nx, ny, nz), a = (6, 6, 6), cell.lattice_constant_angstrom
    grid = np.indices((nx, ny, nz)).reshape(3, -1).T * a
    crystal = replace(
        cell, positions_angstrom=np.vstack([grid, grid + a / 2]), cell_angstrom=a * np.diag([nx, ny, nz]).astype(float)
    )
    found = simulate(make_request(cell=crystal, work=tmp_path))
    assert found.status == "annihilated"
    assert found.ended
    assert found.rejected == (found.reason,)
    assert len(found.times_ps) == 0
    assert not list(tmp_path.glob("*.restart"))


@pytest.mark.parametrize(("hidden", "status", "frames"), [((3, 4, 7), "completed", 13), ((3, 4, 5), "broken", 3)])
def test_a_line_may_be_hidden_for_a_moment_but_not_for_long(
    make_request: Request,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hidden: tuple[int, ...],
    status: str,
    frames: int,
) -> None:
    calls = 0

    def with_gaps(*arguments: object, **keywords: object) -> tuple[DislocationLine, ...]:
        nonlocal calls
        calls += 1
        found = extract_lines(*arguments, **keywords)
        return found[:1] if calls - 1 in hidden else found

    monkeypatch.setattr(dynamics, "extract_lines", with_gaps)
    changes = {"expansion_ps": 0.0, "equilibration_ps": 0.0, "patience_frames": 3, "keep_atoms": True}
    request = make_request(
        settings=TINY.model_copy(update=changes), work=tmp_path / "work", output=tmp_path / "hidden.h5"
    )
    found = simulate(request)
    assert (found.status, len(found.times_ps)) == (status, frames)
    np.testing.assert_allclose(found.rejected_ps, 0.01 * np.array(hidden), atol=1e-12)
    assert all("not a dipole" in reason for reason in found.rejected)
    dumps = sorted(path.name for path in (tmp_path / "hidden.atoms").iterdir())
    whole = ["000000.000ps.dump", "000000.050ps.dump", "000000.100ps.dump", "000000.150ps.dump"]
    assert dumps == (whole if status == "completed" else whole[:1])


def test_a_loop_that_is_too_small_to_be_one_ends_its_trajectory(make_request: Request, tmp_path: Path) -> None:
    stiffness = np.diag([170.0, 170, 170, 60, 60, 60]) + np.pad(50.0 * (1 - np.eye(3)), (0, 3))
    loop = shear_loop(IRON, 1.2, (4.5, 4.5, 3.0), tensor_gpa=stiffness, sides=24, images=1)
    settings = TINY.model_copy(update={"expansion_ps": 0.0, "shortest_loop_angstrom": 150.0})
    found = simulate(make_request(cell=loop, settings=settings, work=tmp_path))
    assert (found.status, found.topologies) == ("vanished", ("closed",))
    assert found.ended


def test_an_unstable_simulation_is_an_outcome(make_request: Request, tmp_path: Path) -> None:
    hot = MobilityScenario(stress_mpa=0.0, temperature_k=3e6, seed=1)
    settings = TINY.model_copy(update={"timestep_ps": 0.01, "expansion_ps": 0.0, "equilibration_ps": 0.1})
    found = run_trajectory(make_request(scenario=hot, settings=settings, work=tmp_path, output=tmp_path / "t.h5"))
    assert found.status == "lost_atoms", found.reason
    assert read_trajectory(tmp_path / "t.h5").reason == found.reason


def test_a_crash_is_a_recorded_failure_that_keeps_what_was_reached(
    make_request: Request, tmp_path: Path, wheel_potential: Callable[[str], Potential]
) -> None:
    potential = wheel_potential("Fe")
    garbage = tmp_path / "garbage.eam.fs"
    garbage.write_text("garbage\n" * 5, encoding="utf-8")
    broken = replace(potential, files=(replace(potential.files[0], path=garbage),))
    found = run_trajectory(make_request(potential=broken, output=tmp_path / "t.h5"))
    assert found.status == "failed"
    assert not found.ended
    assert found.failure is not None
    assert found.failure.error_class == "PotentialError"
    assert read_trajectory(tmp_path / "t.h5").failure == found.failure


def test_the_end_of_its_wall_time_is_not_the_end_of_a_trajectory(make_request: Request, tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"time_limit_s": 0.1})
    found = run_trajectory(make_request(settings=settings, work=tmp_path, output=tmp_path / "t.h5"))
    assert (found.status, found.ended) == ("failed", False)
    assert found.failure is not None
    assert found.failure.error_class == "TimeLimit"
    assert "goes on from the last checkpoint" in found.failure.next_step


def test_a_cell_with_positions_that_are_nowhere_is_refused(make_request: Request) -> None:
    cell = make_request().cell
    positions = cell.positions_angstrom.copy()
    positions[5] = np.nan
    with pytest.raises(NonFiniteError, match="1 of"):
        run_trajectory(make_request(cell=replace(cell, positions_angstrom=positions)))


@pytest.mark.parametrize(
    ("element", "temperature", "named"), [("W", 300.0, "for W"), ("Fe", 0.0, "0 K"), ("Fe", -3.0, "-3 K")]
)
def test_requests_that_cannot_be_met_are_refused(
    make_request: Request, wheel_potential: Callable[[str], Potential], element: str, temperature: float, named: str
) -> None:
    scenario = MobilityScenario(stress_mpa=500.0, temperature_k=temperature, seed=1)
    with pytest.raises(ConfigurationError, match=named):
        run_trajectory(make_request(potential=wheel_potential(element), scenario=scenario))


def test_the_stiffness_is_that_of_the_elastic_constants(make_request: Request) -> None:
    request = make_request()
    atoms = request.atoms()
    a = 2.855324
    grid = np.indices((6, 6, 6)).reshape(3, -1).T * a
    atoms = atoms[: 2 * len(grid)]
    atoms.positions = np.vstack([grid, grid + a / 2])
    atoms.cell = 6 * a * np.eye(3)
    with DynamicsSession(request.potential, atoms, request.engine, TINY) as session:
        stiffness = session.shear_stiffness_mpa()
    # C44 of this potential: Mendelev et al., Philos. Mag. 83, 3977 (2003), 116 GPa.
    np.testing.assert_allclose(stiffness, 116e3 * np.eye(2), atol=1e3)


def test_a_restart_file_holds_thermostat_and_barostat(make_request: Request, tmp_path: Path) -> None:
    request = make_request()
    stress, restart = request.applied_stress_mpa, tmp_path / "restart"
    with DynamicsSession(request.potential, request.atoms(), request.engine, TINY) as session:
        session.create_velocities(300.0, 1)
        session.keep_at(300.0, stress)
        session.advance(30)
        session.write_restart(restart)
        session.advance(20)
        without_break = session.snapshot()
    with DynamicsSession(request.potential, request.atoms(), request.engine, TINY, restart) as session:
        session.keep_at(300.0, stress)
        session.advance(20)
        found = session.snapshot()
    assert found.step == without_break.step == 50
    # A tenth of an Å where their state is lost. The rest is the box from which strain is measured, one step newer.
    np.testing.assert_allclose(found.cell_angstrom, without_break.cell_angstrom, atol=1e-5)
    moved = (found.positions_angstrom - without_break.positions_angstrom) @ np.linalg.inv(found.cell_angstrom)
    np.testing.assert_allclose(moved - np.rint(moved), 0.0, atol=1e-6)


def test_the_lines_glide_where_the_stress_drives_them_and_back_as_far_under_the_reversed_one(
    make_request: Request, tmp_path: Path
) -> None:
    settings = TINY.model_copy(
        update={"duration_ps": 1.2, "checkpoint_interval_ps": 0.4, "extraction_interval_ps": 0.1, "expansion_ps": 0.0}
    )
    gone = []
    for stress_mpa in (1000.0, -1000.0):
        scenario = MobilityScenario(stress_mpa=stress_mpa, temperature_k=100.0, seed=1)
        frames = list(simulate(make_request(settings=settings, scenario=scenario, work=tmp_path)).frames())
        gone.append(np.diff(displacements_angstrom([frames[0], frames[-1]]), axis=0)[0])
    forth, back = np.array(gone)  # (lines,) each, positive in the sense of the force of a positive stress
    assert (forth > 5.0).all()
    assert (back < -5.0).all()
    assert back.mean() == pytest.approx(-forth.mean(), rel=0.3)


@pytest.mark.slow  # four minutes of one core: eight picoseconds of thirty thousand atoms
def test_an_edge_dipole_glides_as_fast_as_it_should(make_request: Request) -> None:
    settings = MobilityDynamicsSettings(duration_ps=8.0, extraction_interval_ps=0.2)
    cell = dipole(IRON, nearest_line(90.0), (8.0, 2.8, 16.0))
    found = run_trajectory(make_request(cell=cell, settings=settings))
    assert found.status == "completed"
    velocity = glide_velocity(found)
    # 1390 to 1500 m/s in longer simulations of cells of several sizes; diffusion over 5 ps adds its part.
    assert 50.0 < velocity.thermal_floor_m_per_s < 90.0
    assert abs(velocity.velocity_m_per_s - 1450.0) < 3 * velocity.thermal_floor_m_per_s, velocity
    assert velocity.error_m_per_s < 150.0
