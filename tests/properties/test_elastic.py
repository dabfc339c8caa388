from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.eam import EAM
from ase.optimize import BFGS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glideflow.config.elastic import ElasticSettings
from glideflow.config.lattice import LatticeSettings
from glideflow.engines.ase_calculator import AseEngine
from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import ConvergenceError
from glideflow.potentials.record import Potential
from glideflow.properties.elastic import (
    _voigt_shear_modulus,
    cubic_tensor,
    deformation_gradient,
    elastic_constants,
    hexagonal_tensor,
    independent_constants,
    symmetric_tensor,
)
from glideflow.properties.lattice import relax_lattice
from glideflow.properties.results import ElasticResult, LatticeResult
from glideflow.units import EV_PER_A3_TO_GPA

Relaxed = Callable[[str], LatticeResult]
WheelPotential = Callable[[str], Potential]
CONSTANTS = st.floats(1.0, 500.0)


@pytest.fixture(scope="module")
def constants(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed
) -> Callable[[str], ElasticResult]:
    return lambda element: elastic_constants(
        lammps_engine, wheel_potential(element), relaxed(element), ElasticSettings()
    )


def energy_curvature_gpa(atoms: Atoms, strains: Sequence[tuple[int, int]], relax: bool, step: float = 1e-3) -> float:
    """Second derivative of the energy per volume with respect to a sum of strain components, by five points."""
    cell, energies = atoms.cell.array.copy(), []
    for multiple in (-2, -1, 0, 1, 2):
        strain = np.zeros((3, 3))
        for i, j in strains:
            strain[i, j] += multiple * step / 2
            strain[j, i] += multiple * step / 2
        strained = atoms.copy()
        strained.set_cell(cell @ (np.eye(3) + strain), scale_atoms=True)
        strained.calc = atoms.calc
        if relax:
            assert BFGS(strained, logfile=None).run(fmax=1e-6, steps=200)
        energies.append(strained.get_potential_energy())
    weights = np.array([-1, 16, -30, 16, -1]) / 12
    return float(weights @ energies) / step**2 / atoms.get_volume() * EV_PER_A3_TO_GPA


def cubic_by_energies(atoms: Atoms) -> list[float]:
    c11 = energy_curvature_gpa(atoms, [(0, 0)], relax=False)
    c12 = energy_curvature_gpa(atoms, [(0, 0), (1, 1)], relax=False) / 2 - c11
    return [c11, c12, energy_curvature_gpa(atoms, [(1, 2)], relax=False)]


def hexagonal_by_energies(atoms: Atoms) -> list[float]:
    c11 = energy_curvature_gpa(atoms, [(0, 0)], relax=True)
    c12 = energy_curvature_gpa(atoms, [(0, 0), (1, 1)], relax=True) / 2 - c11
    c33 = energy_curvature_gpa(atoms, [(2, 2)], relax=True)
    c13 = (energy_curvature_gpa(atoms, [(0, 0), (2, 2)], relax=True) - c11 - c33) / 2
    c44 = energy_curvature_gpa(atoms, [(1, 2)], relax=True)
    assert energy_curvature_gpa(atoms, [(0, 1)], relax=True) == pytest.approx((c11 - c12) / 2, rel=5e-3)
    return [c11, c12, c44, c13, c33]


def values_of(found: ElasticResult) -> list[float]:
    values = [found.c11_gpa, found.c12_gpa, found.c44_gpa]
    return values if found.c13_gpa is None else [*values, found.c13_gpa, found.c33_gpa]


def test_published_constants_of_copper(constants: Callable[[str], ElasticResult]) -> None:
    """Mishin et al., Phys. Rev. B 63, 224106 (2001), Table III: 169.9, 122.6, 76.2 GPa."""
    np.testing.assert_allclose(values_of(constants("Cu")), [169.9, 122.6, 76.2], atol=0.06)


@pytest.mark.parametrize("element", ["Cu", "Fe"])
def test_cubic_constants_by_energies_of_ases_embedded_atom(
    constants: Callable[[str], ElasticResult], relaxed: Relaxed, wheel_potential: WheelPotential, element: str
) -> None:
    """Another implementation and another derivative. Its splines between the table's points differ: 1 %."""
    potential = wheel_potential(element)
    atoms = bulk(element, potential.structure, a=relaxed(element).a_angstrom, cubic=True)
    atoms.calc = EAM(potential=str(potential.files[0].path), form=potential.pair_style.removeprefix("eam/"))
    np.testing.assert_allclose(values_of(constants(element)), cubic_by_energies(atoms), rtol=0.01)


@pytest.mark.parametrize("element", ["Cu", "Fe", "W", "Ni"])
def test_cubic_constants_by_energies(
    constants: Callable[[str], ElasticResult],
    relaxed: Relaxed,
    ase_lammps: Callable[[str], Calculator],
    wheel_potential: WheelPotential,
    element: str,
) -> None:
    atoms = bulk(element, wheel_potential(element).structure, a=relaxed(element).a_angstrom, cubic=True)
    atoms.calc = ase_lammps(element)
    found = constants(element)
    np.testing.assert_allclose(values_of(found), cubic_by_energies(atoms), rtol=2e-3)
    assert found.fit_residual_gpa < 1e-6


@pytest.mark.parametrize("element", ["Zr", "Mg"])
def test_hexagonal_constants_by_energies_with_internal_relaxation(
    constants: Callable[[str], ElasticResult], relaxed: Relaxed, ase_lammps: Callable[[str], Calculator], element: str
) -> None:
    lattice, found = relaxed(element), constants(element)
    atoms = bulk(element, "hcp", a=lattice.a_angstrom, c=lattice.c_angstrom)
    atoms.calc = ase_lammps(element)
    np.testing.assert_allclose(values_of(found), hexagonal_by_energies(atoms), rtol=5e-3, atol=0.05)
    clamped = energy_curvature_gpa(atoms, [(0, 0)], relax=False)
    assert clamped > found.c11_gpa + 0.5, "internal relaxation matters, or the test would not see it"


def test_lennard_jones_constants_by_lattice_sums(isolated_tasks: str) -> None:
    """Central forces at zero pressure: C_ijkl = (1/2V) Σ (φ'' - φ'/r) x_i x_j x_k x_l / r²; so C12 = C44 (Cauchy)."""
    potential = Potential(
        id="lj", element="Ar", structure="fcc", engine="ase", calculator=f"{isolated_tasks}:lennard_jones"
    )
    lattice = relax_lattice(AseEngine(), potential, LatticeSettings(compare_structures=False))
    found = elastic_constants(AseEngine(), potential, lattice, ElasticSettings(strain_amplitudes=(1e-4,)))
    epsilon, sigma, cutoff = 0.0104, 3.4, 20.0
    span = np.arange(-10, 11)
    sites = np.stack(np.meshgrid(span, span, span), axis=-1).reshape(-1, 3)
    sites = sites[(sites.sum(axis=1) % 2 == 0) & (sites != 0).any(axis=1)] * lattice.a_angstrom / 2
    r = np.linalg.norm(sites, axis=1)
    sites, r = sites[r < cutoff], r[r < cutoff]
    first = 4 * epsilon * (-12 * (sigma / r) ** 12 + 6 * (sigma / r) ** 6) / r
    second = 4 * epsilon * (156 * (sigma / r) ** 12 - 42 * (sigma / r) ** 6) / r**2
    weight = (second - first / r) / r**2 / 2 / lattice.crystal.volume_per_atom_angstrom3 * EV_PER_A3_TO_GPA
    x2, y2 = sites[:, 0] ** 2, sites[:, 1] ** 2
    c11, c12 = float(weight @ x2**2), float(weight @ (x2 * y2))
    np.testing.assert_allclose(values_of(found), [c11, c12, c12], rtol=1e-3)
    assert found.born_stable


def test_an_unstable_crystal_is_called_one(isolated_tasks: str) -> None:
    """Bcc held by central forces of this range gives way under the shear C' = (C11 - C12)/2."""
    potential = Potential(
        id="lj", element="Ar", structure="bcc", engine="ase", calculator=f"{isolated_tasks}:lennard_jones"
    )
    lattice = relax_lattice(AseEngine(), potential, LatticeSettings(compare_structures=False))
    found = elastic_constants(AseEngine(), potential, lattice, ElasticSettings(strain_amplitudes=(1e-4,)))
    assert not found.born_stable
    assert found.stability_eigenvalue_gpa == pytest.approx(min(found.c11_gpa - found.c12_gpa, found.c44_gpa))
    assert "Born-unstable" in found.flags


def test_strain_dependence_is_flagged(constants: Callable[[str], ElasticResult]) -> None:
    """Al Mendelev 2008 is not smooth at its minimum: 3 % between strains of 1e-3 and 5e-4."""
    assert "strain-dependent elastic constants" in constants("Al").flags
    assert constants("Al").strain_dependence > 0.02
    assert constants("Cu").flags == ()
    assert constants("Cu").strain_dependence < 1e-3


def test_internal_coordinates_that_do_not_relax_are_an_error_and_never_left_out(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed
) -> None:
    settings = ElasticSettings(force_tolerance_ev_per_angstrom=1e-30)
    with pytest.raises(ConvergenceError, match="Voigt component"):
        elastic_constants(lammps_engine, wheel_potential("Zr"), relaxed("Zr"), settings)


def test_a_strained_crystal_has_its_tangent_constants(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed
) -> None:
    """The result belongs to the crystal that it is given: compressed copper is stiffer."""
    squeezed = replace(relaxed("Cu"), a_angstrom=0.99 * relaxed("Cu").a_angstrom)
    stiff = elastic_constants(lammps_engine, wheel_potential("Cu"), squeezed, ElasticSettings())
    assert stiff.bulk_modulus_gpa > 1.1 * 138.4


@given(CONSTANTS, CONSTANTS, CONSTANTS)
def test_cubic_tensors_round_trip(c11: float, c12: float, c44: float) -> None:
    tensor = cubic_tensor(c11, c12, c44)
    np.testing.assert_allclose(independent_constants(tensor, "fcc"), [c11, c12, c44], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(symmetric_tensor(tensor, "bcc"), tensor, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(
        np.sort(np.linalg.eigvalsh(tensor)),
        np.sort([c11 - c12, c11 - c12, c11 + 2 * c12, c44, c44, c44]),
        rtol=1e-9,
        atol=1e-9,
    )


@given(CONSTANTS, CONSTANTS, CONSTANTS, CONSTANTS, CONSTANTS)
def test_hexagonal_tensors_round_trip(c11: float, c12: float, c44: float, c13: float, c33: float) -> None:
    tensor = hexagonal_tensor(c11, c12, c44, c13, c33)
    np.testing.assert_allclose(independent_constants(tensor, "hcp"), [c11, c12, c44, c13, c33], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(symmetric_tensor(tensor, "hcp"), tensor, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(tensor, tensor.T)
    assert tensor[5, 5] == pytest.approx((c11 - c12) / 2)


@given(arrays(float, (6, 6), elements=st.floats(-10, 10)))
def test_averaging_is_a_projection(noise: np.ndarray) -> None:
    for structure in ("fcc", "hcp"):
        once = symmetric_tensor(noise, structure)
        np.testing.assert_allclose(symmetric_tensor(once, structure), once, atol=1e-10)


@given(st.floats(10.0, 300.0), st.floats(5.0, 200.0))
def test_voigt_moduli_of_an_isotropic_solid(bulk_modulus: float, shear_modulus: float) -> None:
    """A solid with C44 = (C11 - C12)/2 has K = C12 + 2G/3 and G = C44, whichever class it is written in."""
    c12 = bulk_modulus - 2 * shear_modulus / 3
    c11 = c12 + 2 * shear_modulus
    for tensor in (cubic_tensor(c11, c12, shear_modulus), hexagonal_tensor(c11, c12, shear_modulus, c12, c11)):
        assert tensor[:3, :3].sum() / 9 == pytest.approx(bulk_modulus)
        assert _voigt_shear_modulus(tensor) == pytest.approx(shear_modulus)


@pytest.mark.parametrize("component", range(6))
def test_deformations_are_symmetric_with_one_engineering_strain(component: int) -> None:
    deformation = deformation_gradient(component, 1e-3)
    np.testing.assert_array_equal(deformation, deformation.T)
    strain = (deformation + deformation.T) / 2 - np.eye(3)
    engineering = [strain[0, 0], strain[1, 1], strain[2, 2], 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]]
    np.testing.assert_allclose(engineering, 1e-3 * np.eye(6)[component], atol=1e-16)
