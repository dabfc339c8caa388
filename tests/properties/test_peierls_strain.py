from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.dislocations import DislocationSize, dislocation_cell
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.errors import PropertyError
from glideflow.potentials.record import Potential
from glideflow.progress import silent
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.peierls_strain import _HeldCell, strain_controlled_peierls_stress
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs
from glideflow.storage import read_record, write_record
from glideflow.workbench import Workbench

WheelPotential = Callable[[str], Potential]
Relaxed = Callable[[str], LatticeResult]
Primary = Callable[[str], SlipSystem]
Both = Callable[..., tuple[Any, Any]]
SMALL = {
    "burgers_vectors": 16,
    "height_angstrom": 34.0,
    "directions": ("forward",),
    "start_positions": (0.0,),
    "bracket": 0.02,
}


@pytest.fixture(scope="module")
def parts(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed, primary_system: Primary
) -> Callable[..., dict[str, Any]]:
    """Arguments of a search."""

    def of(element: str, **settings: Any) -> dict[str, Any]:
        return {
            "engine": lammps_engine,
            "potential": wheel_potential(element),
            "lattice": relaxed(element),
            "system": primary_system(element),
            "settings": PeierlsStressSettings(**(SMALL | settings)),
        }

    return of


@pytest.mark.parametrize("element", ["Fe", "Zr", "Al"])
def test_strain_and_stress_control_find_the_same_value(parts: Callable[..., dict[str, Any]], element: str) -> None:
    by_strain = strain_controlled_peierls_stress(**parts(element))
    by_stress = peierls_stress(**parts(element))
    allowed = by_strain.peierls_error_mpa + by_stress.peierls_error_mpa
    assert by_strain.peierls_mpa == pytest.approx(by_stress.peierls_mpa, abs=allowed)
    assert by_strain.peierls_error_mpa < 0.02 * by_strain.peierls_mpa
    assert by_strain.atoms == by_stress.atoms
    assert by_strain.stress_mpa.max() == by_strain.peierls_mpa
    assert (np.diff(by_strain.shear_strain) > 0).all()
    assert by_strain.glide_strain > by_strain.shear_strain[-1]
    assert by_strain.flags == ()


@pytest.mark.slow  # cells of the size that the library uses
def test_both_routes_agree_in_the_reference_cell(parts: Callable[..., dict[str, Any]]) -> None:
    reference = {"burgers_vectors": 60, "height_angstrom": 100.0}
    by_strain = strain_controlled_peierls_stress(**parts("Mg", **reference))
    by_stress = peierls_stress(**parts("Mg", **reference))
    assert by_strain.peierls_mpa == pytest.approx(by_stress.peierls_mpa, rel=0.01)


def test_loads_in_both_senses_shear_the_cell_like_a_stress(parts: Callable[..., dict[str, Any]]) -> None:
    forward, reverse = (
        strain_controlled_peierls_stress(**parts("Fe", directions=(direction,), bracket=0.2))
        for direction in ("forward", "reverse")
    )
    assert reverse.peierls_mpa == pytest.approx(forward.peierls_mpa, rel=0.2)
    np.testing.assert_allclose(reverse.core_position_angstrom[1:5], -forward.core_position_angstrom[1:5], rtol=0.05)
    curve = peierls_stress(**parts("Fe", bracket=0.2)).curves[0]
    first = int(np.argmax(curve.stress_mpa > 2.0))
    modulus = curve.stress_mpa[first] / curve.shear_strain[first]
    for path in (forward, reverse):
        linear = (path.stress_mpa > 0.5) & (path.stress_mpa < 3.0) & (np.abs(path.core_position_angstrom) < 0.1)
        np.testing.assert_allclose(path.stress_mpa[linear] / path.shear_strain[linear], modulus, rtol=0.01)


def test_the_held_coordinate_is_left_out_of_the_inverse(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed, primary_system: Primary
) -> None:
    """Against the matrix itself: invert, strike out the row and the column, invert again."""
    lattice, potential = relaxed("Fe"), wheel_potential("Fe")
    size = DislocationSize(burgers_vectors=8, height_angstrom=34, line_periods=1, rigid_thickness_angstrom=10.0)
    layers = layered_crystal(lattice.crystal, primary_system("Fe"))
    cell = dislocation_cell(layers, size, character="edge")
    springs = fit_springs(lammps_engine, potential, lattice.crystal)
    with lammps_engine.open(potential, cell.atoms("Fe")) as session:
        problem = DislocationProblem(session, cell, springs)
        held = _HeldCell(problem, cell, PeierlsStressSettings(), Workbench(None), silent)
    inverse = np.array([problem.precondition(unit) for unit in np.eye(problem.size)])
    rest = np.arange(problem.size) != held.held
    reduced = np.linalg.inv(np.linalg.inv(inverse)[np.ix_(rest, rest)])
    gradient = np.random.default_rng(1).normal(size=problem.size)
    gradient[held.held] = 0.0
    found = held._precondition(gradient)
    np.testing.assert_allclose(found[rest], reduced @ gradient[rest], atol=1e-6 * np.abs(found).max())
    assert found[held.held] == pytest.approx(0.0, abs=1e-12)


def test_a_core_that_holds_to_the_end_is_a_property_error(parts: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(PropertyError, match="has not glided"):
        strain_controlled_peierls_stress(**parts("Fe", maximum_stress_mpa=10.0))


def test_an_interrupted_path_is_resumed_to_the_same_bits(
    parts: Callable[..., dict[str, Any]], counting_engine: type, same_bits: Callable[[Any, Any], bool], tmp_path: Path
) -> None:
    settings = {"bracket": 0.3}
    engine = counting_engine()
    whole = strain_controlled_peierls_stress(**(parts("Zr", **settings) | {"engine": engine}))
    workbench = Workbench(tmp_path, "key")
    with pytest.raises(KeyboardInterrupt):
        strain_controlled_peierls_stress(
            **(parts("Zr", **settings) | {"engine": counting_engine(engine.evaluations // 2)}), workbench=workbench
        )
    workbench.close()
    workbench, again = Workbench(tmp_path, "key"), counting_engine()
    resumed = strain_controlled_peierls_stress(**(parts("Zr", **settings) | {"engine": again}), workbench=workbench)
    workbench.close()
    assert same_bits(resumed, whole)
    assert again.evaluations < engine.evaluations
    write_record(tmp_path / "strain.h5", whole)
    assert same_bits(read_record(tmp_path / "strain.h5", type(whole)), whole)
