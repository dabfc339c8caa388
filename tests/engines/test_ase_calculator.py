from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT

from glideflow.config.engine import EngineSettings
from glideflow.config.lattice import LatticeSettings
from glideflow.engines.ase_calculator import AseEngine, calculator_from_path
from glideflow.engines.registry import engine_for
from glideflow.errors import EngineError, NonFiniteError, PotentialError
from glideflow.potentials.bundled import wheel_folder
from glideflow.potentials.calculator import potential_from_calculator
from glideflow.potentials.record import Potential
from glideflow.properties.lattice import relax_lattice


def potential(calculator: str, element: str = "Cu") -> Potential:
    return Potential(id="test", element=element, structure="fcc", engine="ase", calculator=calculator)


EMT_COPPER = potential("ase.calculators.emt:EMT")


def test_values_are_those_of_the_calculator() -> None:
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    moved, cell = atoms.positions + np.random.default_rng(0).normal(scale=0.1, size=(4, 3)), 1.01 * atoms.cell.array
    with AseEngine().open(EMT_COPPER, atoms) as session:
        session.evaluate(atoms.positions)
        found = session.evaluate(moved, cell)
        assert session.evaluations == 2
    expected = bulk("Cu", "fcc", a=3.6, cubic=True)
    expected.set_cell(cell)
    expected.positions = moved
    expected.calc = EMT()
    assert found.energy_ev == pytest.approx(expected.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, expected.get_forces(), atol=1e-12)
    np.testing.assert_allclose(found.stress_ev_per_angstrom3, expected.get_stress(voigt=False), atol=1e-12)


def test_the_atoms_handed_over_are_left_alone_and_the_element_is_that_of_the_potential() -> None:
    atoms = bulk("Au", "fcc", a=3.6, cubic=True)
    with AseEngine().open(EMT_COPPER, atoms) as session:
        energy = session.evaluate(atoms.positions).energy_ev
    copper = bulk("Cu", "fcc", a=3.6, cubic=True)
    copper.calc = EMT()
    assert energy == pytest.approx(copper.get_potential_energy(), abs=1e-12)
    assert atoms.calc is None
    assert set(atoms.symbols) == {"Au"}


def test_slabs_have_no_stress() -> None:
    slab = fcc111("Cu", (1, 1, 3), a=3.6, vacuum=5.0)
    with AseEngine().open(EMT_COPPER, slab) as session:
        np.testing.assert_array_equal(session.evaluate(slab.positions).stress_ev_per_angstrom3, 0.0)


def test_stated_ranges_are_found(isolated_tasks: str) -> None:
    atoms = bulk("Cu", "fcc", a=3.6)
    with AseEngine().open(potential(f"{isolated_tasks}:lennard_jones"), atoms) as session:
        assert session.cutoff_angstrom == 20.0
    with AseEngine().open(EMT_COPPER, atoms) as session:
        session.evaluate(atoms.positions)  # states 5.38 Å now, where its cutoff begins; it ends half an Å later
        assert session.cutoff_angstrom == 6.0


def test_a_range_that_is_given_counts_before_one_that_is_stated_and_one_that_is_measured(isolated_tasks: str) -> None:
    atoms = bulk("Cu", "fcc", a=3.6)
    stated = potential(f"{isolated_tasks}:lennard_jones")
    with AseEngine().open(replace(stated, cutoff_angstrom=7.5), atoms) as session:
        assert session.cutoff_angstrom == 7.5
    with AseEngine().open(EMT_COPPER, atoms) as session:  # states nothing before it has evaluated anything
        assert 5.5 < session.cutoff_angstrom <= 6.25
        energy = session.evaluate(atoms.positions).energy_ev
    atoms.calc = EMT()
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12), "measuring leaves the session as it was"


def test_a_calculator_whose_range_is_not_known_says_what_to_give(isolated_tasks: str) -> None:
    atoms = bulk("Cu", "fcc", a=3.6)
    for factory, reason in (("gravity", "15 Å apart feel each other"), ("crystals_only", "no molecules")):
        with AseEngine().open(potential(f"{isolated_tasks}:{factory}"), atoms) as session:
            with pytest.raises(EngineError, match=reason) as caught:
                _ = session.cutoff_angstrom
            assert "--cutoff" in caught.value.next_step


def test_the_factory_gets_the_arguments_of_the_potential() -> None:
    arguments = {"potential": str(wheel_folder() / "Cu_mishin1.eam.alloy")}
    copper = potential_from_calculator("Cu", "fcc", "ase.calculators.eam:EAM", arguments=arguments)
    lattice = relax_lattice(AseEngine(), copper, LatticeSettings(compare_structures=False))
    # Mishin et al., Phys. Rev. B 63, 224106 (2001)
    assert lattice.a_angstrom == pytest.approx(3.615, abs=2e-4)
    assert lattice.energy_ev_per_atom == pytest.approx(-3.54, abs=1e-3)
    assert lattice.cutoff_angstrom == pytest.approx(5.50679)
    wrong = potential_from_calculator("Cu", "fcc", "ase.calculators.eam:EAM", arguments={"potential": "no such file"})
    with pytest.raises(PotentialError, match="cannot make an ASE calculator"):
        AseEngine().open(wrong, bulk("Cu"))


@pytest.mark.parametrize(
    "path",
    [
        "ase.calculators.emt",
        "ase.calculators.emt:Nothing",
        "no.such.module:EMT",
        "",
        "isolated_tasks:Unlicensed",
        "os:getcwd",
    ],
)
def test_factories_that_do_not_work_are_refused(isolated_tasks: str, path: str) -> None:
    with pytest.raises(PotentialError, match="cannot make an ASE calculator") as caught:
        calculator_from_path(path)
    assert "module:factory" in caught.value.expected


def test_failing_calculator_is_an_engine_error() -> None:
    atoms = bulk("Fe", "bcc", a=2.87)  # EMT has no parameters for Fe
    session = AseEngine().open(potential("ase.calculators.emt:EMT", "Fe"), atoms)
    with session, pytest.raises(EngineError, match="stopped"):
        session.evaluate(atoms.positions)


def test_not_a_number_is_noticed(isolated_tasks: str) -> None:
    atoms = bulk("Cu", "fcc", a=1.2, cubic=True)
    session = AseEngine().open(potential(f"{isolated_tasks}:not_a_number"), atoms)
    with session, pytest.raises(NonFiniteError):
        session.evaluate(atoms.positions)


def test_forces_on_some_of_the_atoms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    with AseEngine().open(EMT_COPPER, atoms) as session:
        monkeypatch.setattr(EMT, "get_forces", lambda self, atoms: np.zeros((1, 3)))
        with pytest.raises(EngineError, match=r"forces of shape \(1, 3\)") as caught:
            session.evaluate(atoms.positions)
    assert "(4, 3)" in caught.value.expected


def test_registry_knows_its_engines() -> None:
    assert engine_for("lammps", EngineSettings()).name == "lammps"
    assert engine_for("ase", EngineSettings()).name == "ase"
    with pytest.raises(PotentialError, match="no engine 'abacus'"):
        engine_for("abacus", EngineSettings())
