from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, make_supercell

import glideflow.engines.nep as nep
from glideflow.config.elastic import ElasticSettings
from glideflow.config.engine import EngineSettings
from glideflow.config.lattice import LatticeSettings
from glideflow.engines.nep import NepEngine, closed_box, repeats_for
from glideflow.engines.registry import engine_for
from glideflow.errors import DependencyError, EngineError, NonFiniteError, PotentialError
from glideflow.potentials.folder import load_folder
from glideflow.potentials.record import Potential, PotentialFile
from glideflow.properties.elastic import elastic_constants
from glideflow.properties.lattice import relax_lattice

NepFile = Callable[..., Path]
installed = pytest.mark.skipif(importlib.util.find_spec("_nepy") is None, reason="needs calorine")


def potential(path: Path, element: str = "Cu") -> Potential:
    return Potential(id="test", element=element, structure="fcc", engine="nep", files=(PotentialFile(path=path),))


def thin_crystal(seed: int = 3) -> Atoms:
    """A rattled Cu crystal in a sheared cell, along one direction much thinner than the range of the model."""
    atoms = make_supercell(bulk("Cu", "fcc", a=3.6), [[2, 0, 0], [0, 1, 0], [1, 0, 3]])
    generator = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * generator.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += generator.uniform(-0.15, 0.15, atoms.positions.shape)
    return atoms


@installed
def test_values_are_those_of_calorines_own_calculator(nep_file: NepFile) -> None:
    from calorine.calculators import CPUNEP

    atoms = thin_crystal()
    with NepEngine().open(potential(nep_file()), atoms) as session:
        found = session.evaluate(atoms.positions)
        assert session.cutoff_angstrom == 5.0
        assert session.evaluations == 1
    atoms.calc = CPUNEP(str(nep_file()))
    assert found.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-11)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, atoms.get_forces(), atol=1e-12)
    np.testing.assert_allclose(found.stress_ev_per_angstrom3, atoms.get_stress(voigt=False), atol=1e-13)
    assert np.abs(found.forces_ev_per_angstrom).max() > 0.01, "forces that vanish test nothing"


@installed
@pytest.mark.parametrize("seed", [3, 4])
def test_forces_and_stress_are_derivatives_of_the_energy(nep_file: NepFile, seed: int) -> None:
    atoms, generator, step = thin_crystal(seed), np.random.default_rng(seed), 1e-4
    with NepEngine().open(potential(nep_file(seed=seed)), atoms) as session:
        found = session.evaluate(atoms.positions)
        for _ in range(3):
            direction = generator.normal(size=atoms.positions.shape)
            moved = [atoms.positions + s * step * direction for s in (1, -1)]
            plus, minus = (session.evaluate(positions, atoms.cell.array).energy_ev for positions in moved)
            expected = np.sum(found.forces_ev_per_angstrom * direction)
            assert -(plus - minus) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-5)
            strain = generator.normal(size=(3, 3))
            stretches = [np.eye(3) + s * step * (strain + strain.T) / 2 for s in (1, -1)]
            plus, minus = (session.evaluate(atoms.positions @ f, atoms.cell.array @ f).energy_ev for f in stretches)
            work = np.sum(found.stress_ev_per_angstrom3 * strain) * atoms.get_volume()
            assert (plus - minus) / (2 * step) == pytest.approx(work, rel=1e-5, abs=1e-5)
    np.testing.assert_allclose(found.forces_ev_per_angstrom.sum(axis=0), 0.0, atol=1e-11)


@installed
def test_a_thin_cell_is_a_part_of_a_thick_one(nep_file: NepFile) -> None:
    thin = thin_crystal()
    thick = thin.repeat((3, 6, 2))  # more than 2.5 cutoffs between opposite faces: the other search for neighbours
    path = nep_file()
    with NepEngine().open(potential(path), thin) as session:
        found = session.evaluate(thin.positions)
    with NepEngine().open(potential(path), thick) as session:
        expected = session.evaluate(thick.positions)
    assert found.energy_ev == pytest.approx(expected.energy_ev / 36, abs=1e-10)
    np.testing.assert_allclose(
        found.forces_ev_per_angstrom, expected.forces_ev_per_angstrom[: len(thin)], rtol=0, atol=1e-11
    )
    np.testing.assert_allclose(found.stress_ev_per_angstrom3, expected.stress_ev_per_angstrom3, atol=1e-13)


@installed
def test_copies_and_the_search_over_images_agree(nep_file: NepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = thin_crystal()
    atoms.pbc = (True, True, False)
    values = []
    for repeats in [(1, 1, 1), (3, 6, 1)]:
        monkeypatch.setattr(nep, "repeats_for", lambda *_, chosen=repeats: chosen)
        with NepEngine().open(potential(nep_file()), atoms) as session:
            values.append(session.evaluate(atoms.positions))
    np.testing.assert_allclose(values[0].forces_ev_per_angstrom, values[1].forces_ev_per_angstrom, atol=1e-11)
    np.testing.assert_allclose(values[0].stress_ev_per_angstrom3, values[1].stress_ev_per_angstrom3, atol=1e-13)
    assert values[0].energy_ev == pytest.approx(values[1].energy_ev, abs=1e-10)


@installed
def test_a_direction_without_period_sees_vacuum_whatever_the_cell_says(nep_file: NepFile) -> None:
    slab = fcc111("Cu", (1, 1, 6), a=3.6, vacuum=20.0)
    slab.pbc = True
    path = nep_file()
    with NepEngine().open(potential(path), slab) as session:
        expected = session.evaluate(slab.positions)
    for third in ([0.0, 0.0, 0.0], [0.0, 0.0, 3.0], [7.0, 2.0, 30.0]):
        slab.cell[2] = third
        slab.pbc = (True, True, False)
        with NepEngine().open(potential(path), slab) as session:
            found = session.evaluate(slab.positions + np.array([0.0, 0.0, 1e4]))
        assert found.energy_ev == pytest.approx(expected.energy_ev, abs=1e-9)
        np.testing.assert_allclose(found.forces_ev_per_angstrom, expected.forces_ev_per_angstrom, atol=1e-9)


@installed
def test_a_pair_repels_as_ziegler_biersack_and_littmark_say(nep_file: NepFile) -> None:
    """Universal potential of Ziegler, Biersack and Littmark (1985), switched off by a cosine between 1 and 2 Å."""
    path = nep_file(scale=0.0)
    weights, exponents = [0.18175, 0.50986, 0.28022, 0.02817], [3.1998, 0.94229, 0.4029, 0.20162]
    for distance in (0.8, 1.5):
        dimer = Atoms("Cu2", [[0, 0, 0], [0, 0, distance]], pbc=False)
        screened = distance * 2 * 29**0.23 / 0.46850
        phi = sum(w * np.exp(-e * screened) for w, e in zip(weights, exponents, strict=True))
        switch = 1.0 if distance < 1 else 0.5 + 0.5 * np.cos(np.pi * (distance - 1))
        with NepEngine().open(potential(path), dimer) as session:
            energy = session.evaluate(dimer.positions).energy_ev
            far = session.evaluate(dimer.positions * 5).energy_ev
        assert energy == pytest.approx(14.39965 * 29**2 / distance * phi * switch, rel=2e-4)
        assert far == 0.0


@installed
def test_atoms_may_lie_outside_the_cell_and_values_have_no_memory(nep_file: NepFile) -> None:
    atoms = thin_crystal()
    images = np.random.default_rng(0).integers(-1000, 1001, size=(len(atoms), 3))
    with NepEngine().open(potential(nep_file()), atoms) as session:
        first = session.evaluate(atoms.positions)
        outside = session.evaluate(atoms.positions + images @ atoms.cell.array)
        session.evaluate(atoms.positions * 1.1, 1.1 * atoms.cell.array)
        again = session.evaluate(atoms.positions, atoms.cell.array)
    assert outside.energy_ev == pytest.approx(first.energy_ev, abs=1e-9)
    np.testing.assert_allclose(outside.forces_ev_per_angstrom, first.forces_ev_per_angstrom, atol=1e-9)
    assert again.energy_ev == first.energy_ev
    np.testing.assert_array_equal(again.forces_ev_per_angstrom, first.forces_ev_per_angstrom)


def test_cells_are_repeated_only_where_that_is_faster() -> None:
    assert repeats_for(np.diag([3.6, 3.6, 3.6]), 4, 6.0) == (1, 1, 1)
    assert repeats_for(np.diag([150.0, 4.4, 125.0]), 500, 6.0) == (1, 1, 1)
    assert repeats_for(np.diag([400.0, 4.4, 425.0]), 60_000, 6.0) == (1, 4, 1)
    assert repeats_for(np.diag([16.0, 16.0, 16.0]), 300, 6.0) == (1, 1, 1)


def test_closed_boxes() -> None:
    line, no_period = np.array([[0.0, 0, 0], [0, 0, 12]]), np.array([False, False, False])
    box = closed_box(np.zeros((3, 3)), no_period, line, 5.0)
    np.testing.assert_allclose(box, np.diag([15.0, 15.0, 25.0]))
    cell = np.array([[3.0, 0, 0], [1, 4, 0], [9, 9, 9]])
    box = closed_box(cell, np.array([True, True, False]), line, 5.0)
    np.testing.assert_allclose(box, [[3.0, 0, 0], [1, 4, 0], [0, 0, 25]], atol=1e-12)
    with pytest.raises(EngineError, match="no volume"):
        closed_box(np.ones((3, 3)), np.array([True, True, True]), line, 5.0)


@installed
def test_what_cannot_be_evaluated_is_told(nep_file: NepFile) -> None:
    atoms = thin_crystal()
    path = nep_file()
    with NepEngine().open(potential(path), atoms) as session:
        with pytest.raises(EngineError, match=r"shape \(2, 3\)"):
            session.evaluate(atoms.positions[:2])
        with pytest.raises(EngineError, match="not finite"):
            session.evaluate(np.full_like(atoms.positions, np.nan))
        with pytest.raises(EngineError, match=r"stopped: An atom has \d+ neighbors"):
            session.evaluate(atoms.positions * 0.2, atoms.cell.array * 0.2)
    with pytest.raises(PotentialError, match="describes Al, Cu, not W"):
        NepEngine().open(potential(path, "W"), atoms)
    with pytest.raises(PotentialError, match="engine 'lammps'"):
        NepEngine().open(Potential(id="x", element="Cu", structure="fcc", pair_style="eam"), atoms)
    lines = path.read_text().splitlines()
    for keep, reason in ((lines[:-3], "calorine refuses"), ([*lines[:9], "one", *lines[10:]], "calorine refuses")):
        path.write_text("\n".join(keep))
        with pytest.raises(PotentialError, match=reason):
            NepEngine().open(potential(path), atoms)
    path.write_text("\n".join([*lines[:9], "nan", *lines[10:]]))
    with pytest.raises((NonFiniteError, PotentialError)), NepEngine().open(potential(path), atoms) as session:
        session.evaluate(atoms.positions)


def test_without_calorine_there_is_a_message(nep_file: NepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="calorine") as caught:
        engine_for("nep", EngineSettings()).open(potential(nep_file()), thin_crystal())
    assert "pip install" in caught.value.next_step


@installed
def test_a_general_model_gives_the_lattices_of_the_functional_it_was_trained_on(shared_potentials: Path) -> None:
    """UNEP-v1 against PBE: a = 3.635 Å (Cu), 4.04 Å (Al), C11 = 165.5 and 123.7, C12 = 126.3 and 56.7 GPa by GPAW."""
    known = {entry.id: entry for entry in load_folder(shared_potentials).potentials}
    for element, a, c11, c12 in (("Cu", 3.635, 165.5, 126.3), ("Al", 4.04, 123.7, 56.7)):
        chosen = known[f"UNEP-v1:{element}"]
        lattice = relax_lattice(NepEngine(), chosen, LatticeSettings())
        elastic = elastic_constants(NepEngine(), chosen, lattice, ElasticSettings())
        assert lattice.a_angstrom == pytest.approx(a, rel=4e-3)
        assert (elastic.c11_gpa, elastic.c12_gpa) == pytest.approx((c11, c12), rel=0.08)
        assert lattice.ground_state == "fcc"
        assert lattice.cutoff_angstrom == 6.0
