from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.constraints import FixAtoms
from ase.optimize import FIRE
from ase.optimize.precon import Exp, PreconLBFGS
from hypothesis import given
from hypothesis import strategies as st

from glideflow.config.elastic import ElasticSettings
from glideflow.config.lattice import LatticeSettings
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.dislocations import DislocationSize, edge_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem, frame
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import Engine
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.folder import load_folder
from glideflow.potentials.record import Potential
from glideflow.properties import dislocation_problem
from glideflow.properties import peierls_stress as module
from glideflow.properties.elastic import elastic_constants
from glideflow.properties.lattice import relax_lattice
from glideflow.properties.peierls_stress import extrapolate, peierls_stress
from glideflow.properties.results import LatticeResult, PeierlsStressResult
from glideflow.units import EV_PER_A3_TO_MPA
from glideflow.workbench import Workbench

WheelPotential = Callable[[str], Potential]
Relaxed = Callable[[str], LatticeResult]
Primary = Callable[[str], SlipSystem]
Search = Callable[..., PeierlsStressResult]
SMALL = {"burgers_vectors": 30, "height_angstrom": 40.0}


@pytest.fixture(scope="session")
def search(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed, primary_system: Primary
) -> Search:
    """Peierls stress of an element in a small cell."""

    def compute(
        element: str,
        *,
        seed: int = 0,
        workbench: Workbench | None = None,
        engine: Engine | None = None,
        **settings: Any,
    ) -> PeierlsStressResult:
        return peierls_stress(
            engine or lammps_engine,
            wheel_potential(element),
            relaxed(element),
            primary_system(element),
            PeierlsStressSettings(**(SMALL | settings)),
            seed=seed,
            workbench=workbench,
        )

    return compute


@pytest.fixture(scope="session")
def iron(search: Search) -> PeierlsStressResult:
    return search("Fe")


@pytest.fixture(scope="session")
def magnesium(search: Search) -> PeierlsStressResult:
    return search("Mg", start_positions=(0.0,), directions=("forward",))


def test_noise_leads_from_a_symmetric_core_to_the_one_that_breaks_the_mirror(
    search: Search, magnesium: PeierlsStressResult
) -> None:
    """Atoms that the mirror plane across the line maps onto themselves never leave it without noise."""
    symmetric = search("Mg", start_positions=(0.0,), directions=("forward",), start_noise_angstrom=0.0)
    assert symmetric.core_unloaded.transverse_angstrom is not None
    assert magnesium.core_unloaded.transverse_angstrom is not None
    assert np.abs(symmetric.core_unloaded.transverse_angstrom).max() < 1e-9
    assert np.abs(magnesium.core_unloaded.transverse_angstrom).max() > 0.1
    assert symmetric.peierls_mpa < 0.6 * magnesium.peierls_mpa


def test_equilibria_under_load_hold_against_noise(
    search: Search, magnesium: PeierlsStressResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the unloaded core: a saddle point, too, has no forces."""
    relax, generator = module._Loader._relax, np.random.default_rng(1)

    def from_noise(loader: Any, stress_mpa: float, start: Any, *others: Any) -> Any:
        block = loader.problem.block_size
        noise = np.append(generator.uniform(-0.01, 0.01, len(start) - block), np.zeros(block))
        return relax(loader, stress_mpa, start + noise, *others[:2])

    monkeypatch.setattr(module._Loader, "_relax", from_noise)
    noisy = search("Mg", start_positions=(0.0,), directions=("forward",))
    error = np.hypot(noisy.peierls_error_mpa, magnesium.peierls_error_mpa)
    assert noisy.peierls_mpa == pytest.approx(magnesium.peierls_mpa, abs=float(error))


def test_what_a_result_says_of_its_search(iron: PeierlsStressResult) -> None:
    assert not iron.is_upper_bound
    assert iron.flags == ()
    assert iron.atoms == 1770
    for curve in iron.curves:
        assert curve.stable_mpa < curve.peierls_mpa < curve.unstable_mpa
        assert curve.unstable_mpa - curve.stable_mpa <= 0.005 * curve.unstable_mpa
        stress, stable = np.abs(curve.stress_mpa), np.array(curve.outcome) == "stable"
        assert stress[stable].max() == curve.stable_mpa
        assert stress[~stable].min() == curve.unstable_mpa
        assert curve.largest_force_ev_per_angstrom[stable].max() <= 1e-6
        glided = np.abs(curve.core_position_angstrom) >= iron.burgers_vector_angstrom
        np.testing.assert_array_equal(glided, ~stable)
        assert (np.sign(curve.core_position_angstrom[~stable]) == np.sign(curve.stress_mpa[~stable])).all()
    parts = [iron.bracket_mpa, iron.history_mpa, iron.resolution_mpa]
    assert iron.peierls_error_mpa == pytest.approx(np.linalg.norm(parts))
    assert iron.peierls_mpa == min(curve.peierls_mpa for curve in iron.curves)
    # the Peach-Koehler force τ b per length on one line period equals the force tolerance
    force = iron.resolution_mpa / EV_PER_A3_TO_MPA * iron.burgers_vector_angstrom * iron.line_angstrom
    assert force == pytest.approx(iron.force_tolerance_ev_per_angstrom)


def test_forward_and_reverse_loading_are_equivalent(iron: PeierlsStressResult) -> None:
    """A twofold axis maps one onto the other in bcc {110}."""
    forward, reverse = iron.curves
    assert forward.direction == "forward"
    assert forward.peierls_mpa == pytest.approx(reverse.peierls_mpa, abs=2 * iron.bracket_mpa)
    stable, stable_back = (
        {abs(stress): place for stress, place, outcome in steps if outcome == "stable"}
        for steps in (
            zip(curve.stress_mpa.tolist(), curve.core_position_angstrom, curve.outcome, strict=True)
            for curve in iron.curves
        )
    )
    common = stable.keys() & stable_back.keys()
    assert len(common) > 8
    for stress in common:
        assert stable[stress] == pytest.approx(-stable_back[stress], abs=1e-3)


def test_the_second_direction_starts_from_what_the_first_has_found(iron: PeierlsStressResult) -> None:
    forward, reverse = iron.curves
    assert {forward.stable_mpa, forward.unstable_mpa} <= set(np.abs(reverse.stress_mpa).tolist())
    assert reverse.outcome.count("glides") == 1, "nothing is left to be narrowed down"


@pytest.mark.parametrize(
    "settings",
    [
        {"initial_stress_mpa": 7.0},
        {"initial_stress_mpa": 300.0},
        {"growth": 1.15},
        {"start_noise_angstrom": 0.05, "seed": 3},
        {"start_positions": (0.4, -0.3)},
        {"start_positions": (1.0,)},
        {"start_positions": (-4.0,)},
        {"force_tolerance_ev_per_angstrom": 1e-5},
    ],
    ids=str,
)
def test_the_value_does_not_depend_on_how_it_was_searched(
    search: Search, iron: PeierlsStressResult, settings: dict[str, Any]
) -> None:
    """One more or four valleys further on, the core meets the same barrier: the rigid blocks hold no memory."""
    other = search("Fe", directions=("forward",), **settings)
    allowed = iron.bracket_mpa + other.bracket_mpa + other.resolution_mpa
    assert other.peierls_mpa == pytest.approx(iron.peierls_mpa, abs=allowed)


def test_what_ends_before_it_has_relaxed_or_glided_is_no_evidence(search: Search, iron: PeierlsStressResult) -> None:
    """Above the Peierls stress a core creeps for long under small forces, which must not make it stable."""
    hasty = search("Fe", max_evaluations=60, directions=("forward",), start_positions=(0.0,))
    assert "unconverged" in hasty.curves[0].outcome
    assert "unconverged steps" in hasty.flags
    assert hasty.curves[0].stable_mpa <= iron.curves[0].unstable_mpa
    assert hasty.curves[0].unstable_mpa >= iron.curves[0].stable_mpa
    assert abs(hasty.peierls_mpa - iron.peierls_mpa) <= hasty.peierls_error_mpa + iron.peierls_error_mpa


def test_more_line_periods_change_nothing(search: Search, iron: PeierlsStressResult) -> None:
    double = search("Fe", line_periods=2, directions=("forward",), bracket=0.01, start_positions=(0.0,))
    assert double.atoms == 2 * iron.atoms
    assert double.resolution_mpa == pytest.approx(iron.resolution_mpa)
    assert double.peierls_mpa == pytest.approx(iron.peierls_mpa, abs=iron.bracket_mpa + double.bracket_mpa)


@pytest.mark.parametrize("element", ["Fe", "Zr"])
def test_the_preconditioner_saves_evaluations_and_changes_no_value(
    search: Search, monkeypatch: pytest.MonkeyPatch, element: str
) -> None:
    settings = {"directions": ("forward",), "bracket": 0.02, "start_positions": (0.0,), "initial_stress_mpa": 5.0}
    with_springs = search(element, **settings)
    monkeypatch.setattr(dislocation_problem, "inverse_by_waves", lambda matrix, rows: lambda gradient: gradient / 10)
    without = search(element, **settings)
    assert without.peierls_mpa == pytest.approx(
        with_springs.peierls_mpa, abs=with_springs.bracket_mpa + without.bracket_mpa
    )
    assert without.evaluations > 2 * with_springs.evaluations


@pytest.mark.slow
def test_strain_control_by_ase_finds_the_same_peak(
    iron: PeierlsStressResult, relaxed: Relaxed, primary_system: Primary, ase_lammps: Callable[[str], Calculator]
) -> None:
    """The top block is moved in small steps and its reaction force read, relaxed by ASE's preconditioned L-BFGS."""
    lattice = relaxed("Fe")
    size = DislocationSize(
        burgers_vectors=SMALL["burgers_vectors"],
        height_angstrom=SMALL["height_angstrom"],
        line_periods=1,
        rigid_thickness_angstrom=1.2 * lattice.cutoff_angstrom,
    )
    cell = edge_dislocation(layered_crystal(lattice.crystal, primary_system("Fe")), size)
    atoms = cell.atoms("Fe")
    atoms.cell[2, 2] += 20.0
    atoms.pbc = True
    atoms.calc = ase_lammps("Fe")
    atoms.set_constraint(FixAtoms(mask=~cell.mobile))

    def reaction() -> np.ndarray:
        for _ in range(10):
            # Line searches of ASE may end in an error while the core glides, and where the energy has no digits left.
            with suppress(RuntimeError):
                PreconLBFGS(atoms, precon=Exp(A=3.0, r_cut=4.5), use_armijo=False, logfile=None).run(1e-5, 1000)
            if np.abs(atoms.get_forces()).max() < 1e-4:
                break
            FIRE(atoms, logfile=None).run(1e-5, 30)
        else:
            pytest.fail("ASE's optimisers do not relax the cell")
        return atoms.get_forces(apply_constraint=False)[cell.top].sum(axis=0)

    def shear_stress_mpa() -> float:
        return -float(reaction()[0]) / cell.area_angstrom2 * EV_PER_A3_TO_MPA

    pushes, heights = [reaction()[2]], [0.0]
    for height in (-0.02, None):  # the height without normal force, by one secant step
        step = height if height is not None else heights[-1] * pushes[-1] / (pushes[0] - pushes[-1])
        atoms.positions[cell.top, 2] += step
        heights.append(step)
        pushes.append(reaction()[2])
    assert abs(pushes[-1]) < 0.01

    peak, step, last = -np.inf, 0.008, -np.inf
    while step > 2e-4:
        before = atoms.positions.copy()
        atoms.positions[cell.top, 0] += step
        stress = shear_stress_mpa()
        if stress < last and last > 20.0:  # the core has gone: back, and on in smaller steps
            atoms.positions = before
            step /= 4
        else:
            peak, last = max(peak, stress), stress
    assert peak == pytest.approx(iron.peierls_mpa, rel=0.02)


def test_the_unloaded_cell_shears_like_the_crystal(
    iron: PeierlsStressResult,
    lammps_engine: LammpsEngine,
    wheel_potential: WheelPotential,
    relaxed: Relaxed,
    primary_system: Primary,
) -> None:
    """Slope of the loading curve against the modulus for a shear with the sides held and the height free."""
    lattice, system = relaxed("Fe"), primary_system("Fe")
    elastic = elastic_constants(lammps_engine, wheel_potential("Fe"), lattice, ElasticSettings())
    axes = frame(system, lattice.crystal).axes
    voigt = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    stiffness = np.einsum(
        "ai,bj,ck,dl,ijkl->abcd", axes, axes, axes, axes, elastic.tensor_gpa[voigt[:, :, None, None], voigt]
    )
    free = [(0, 2), (1, 2), (2, 2)]  # xz is applied; yz and zz relax
    block = np.array([[stiffness[row + column] for column in free] for row in free])
    modulus_mpa = 1e3 / np.linalg.inv(block)[0, 0]
    curve = iron.curves[0]
    first = int(np.argmax(np.abs(curve.stress_mpa) > 2.0))
    slope = curve.stress_mpa[first] / curve.shear_strain[first]
    mobile = 1 - 2 * 1.2 * lattice.cutoff_angstrom / iron.height_angstrom  # the rigid blocks do not shear
    assert 0.75 < slope * mobile / modulus_mpa < 1.05


def test_a_core_without_barrier_gives_an_upper_bound(search: Search) -> None:
    copper = search("Cu", burgers_vectors=40)
    assert copper.is_upper_bound
    assert "upper bound" in copper.flags
    assert copper.peierls_mpa <= 0.1
    assert copper.peierls_mpa >= 2 * copper.resolution_mpa * (1 - 1e-9)
    assert all("glides" in curve.outcome for curve in copper.curves)


def test_hexagonal_and_face_centred_cores(search: Search) -> None:
    """Small cells, hence values that belong to these sizes; the core of Al dissociates into partials."""
    zirconium, aluminium = (search(element, directions=("forward",)) for element in ("Zr", "Al"))
    assert zirconium.peierls_mpa == pytest.approx(23.7, abs=0.5)
    assert aluminium.peierls_mpa == pytest.approx(7.1, abs=0.3)
    assert aluminium.core_unloaded.width_angstrom > 2 * 2.86
    assert zirconium.label == "(10-10)[-12-10]"


@pytest.mark.slow
def test_value_of_a_larger_cell(search: Search) -> None:
    """Fe of Mendelev et al. (2003), 60 b long and 60 Å high: 76.7 MPa by an earlier implementation of its own."""
    found = search("Fe", burgers_vectors=60, height_angstrom=60.0, directions=("forward",))
    assert found.peierls_mpa == pytest.approx(76.7, rel=0.01)


def test_an_interrupted_search_is_resumed_to_the_same_bits_without_repeating_steps(
    search: Search, counting_engine: type, same_bits: Callable[[Any, Any], bool], tmp_path: Path
) -> None:
    settings = {"bracket": 0.05, "initial_stress_mpa": 3.0, "burgers_vectors": 20, "height_angstrom": 36.0}
    whole_engine = counting_engine()
    whole = search("Fe", **settings, engine=whole_engine)
    fit = whole_engine.evaluations - whole.evaluations
    assert fit > 0, "evaluations that fit the springs"
    for fraction in (0.25, 0.5, 0.93):
        folder = tmp_path / str(fraction)
        workbench = Workbench(folder, "key")
        with pytest.raises(KeyboardInterrupt):
            search(
                "Fe", **settings, workbench=workbench, engine=counting_engine(fit + int(fraction * whole.evaluations))
            )
        workbench.close()
        workbench, engine = Workbench(folder, "key"), counting_engine()
        kept = sum(int(workbench.get(name)["evaluations"]) for name in workbench.names())
        assert kept > 0
        resumed = search("Fe", **settings, workbench=workbench, engine=engine)
        workbench.close()
        assert same_bits(resumed, whole)
        assert engine.evaluations == whole_engine.evaluations - kept
    engine = counting_engine()
    assert same_bits(search("Fe", **settings, workbench=Workbench(folder, "key"), engine=engine), whole)
    assert engine.evaluations == fit


def test_kept_steps_of_another_stress_are_not_used(search: Search, tmp_path: Path) -> None:
    settings = {"bracket": 0.1, "burgers_vectors": 20, "height_angstrom": 36.0, "directions": ("forward",)}
    workbench = Workbench(tmp_path, "key")
    first = search("Fe", **settings, initial_stress_mpa=3.0, workbench=workbench)
    second = search("Fe", **settings, initial_stress_mpa=4.0, workbench=workbench)
    alone = search("Fe", **settings, initial_stress_mpa=4.0)
    np.testing.assert_array_equal(second.curves[0].stress_mpa, alone.curves[0].stress_mpa)
    assert second.peierls_mpa == alone.peierls_mpa != first.peierls_mpa


def test_a_core_that_holds_to_the_end_is_a_property_error(search: Search) -> None:
    with pytest.raises(PropertyError, match="still holds at") as caught:
        search("Fe", maximum_stress_mpa=10.0, initial_stress_mpa=2.0, start_positions=(0.0,))
    assert "maximum_stress_mpa" in caught.value.expected


def test_a_core_that_does_not_relax_is_a_convergence_error(search: Search) -> None:
    with pytest.raises(ConvergenceError, match="unloaded core does not relax"):
        search("Fe", max_evaluations=50, force_tolerance_ev_per_angstrom=1e-30, accepted_force_ev_per_angstrom=1e-30)


def beyond(known: list[tuple[float, np.ndarray]], target: float) -> np.ndarray:
    """Thirty times as far as the branch leads: a core that has glided, before anything is relaxed."""
    return known[-1][1] + 30 * (extrapolate(known, target) - known[-1][1])


def torn(known: list[tuple[float, np.ndarray]], target: float) -> np.ndarray:
    """Atoms far from where the branch leads them, with the core where it was."""
    return extrapolate(known, target) + np.random.default_rng(0).uniform(-0.4, 0.4, len(known[0][1]))


@pytest.mark.parametrize("astray", [beyond, torn])
def test_an_extrapolation_that_leads_astray_is_not_followed(
    search: Search, iron: PeierlsStressResult, monkeypatch: pytest.MonkeyPatch, astray: Callable[..., np.ndarray]
) -> None:
    monkeypatch.setattr(module, "extrapolate", astray)
    found = search("Fe", directions=("forward",))
    assert found.peierls_mpa == pytest.approx(iron.peierls_mpa, abs=found.peierls_error_mpa + iron.peierls_error_mpa)
    assert all(np.diff(np.sort(found.curves[0].stress_mpa)) > 0)


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.floats(-5, 5))
def test_extrapolation_is_exact_for_parabolas(coefficients: list[float], target: float) -> None:
    def parabola(x: float) -> np.ndarray:
        return np.array([np.polyval(coefficients, x), 1.0])

    known = [(x, parabola(x)) for x in (0.5, 1.0, 2.5)]
    np.testing.assert_allclose(extrapolate(known, target), parabola(target), atol=1e-9)
    np.testing.assert_allclose(extrapolate(known[:1], target), known[0][1])
    np.testing.assert_allclose(extrapolate(known, 1.0), known[1][1], atol=1e-12)


def test_kinks_that_keep_loaded_cores_from_the_tolerance_end_in_a_bound_and_not_in_a_failure(
    lammps_engine: LammpsEngine, shared_potentials: Path, primary_system: Primary
) -> None:
    """Embedding functions of Zhou et al. (2004) are pieced together; which core is caught by a kink, chance decides."""
    (aluminium,) = (each for each in load_folder(shared_potentials).potentials if each.id == "Al_2004Zhou_Al_eam-alloy")
    settings = PeierlsStressSettings(burgers_vectors=24, height_angstrom=40.0)
    relaxed = relax_lattice(lammps_engine, aluminium, LatticeSettings())
    result = peierls_stress(lammps_engine, aluminium, relaxed, primary_system("Al"), settings)
    assert result.is_upper_bound
    assert {"not smooth", "unconverged steps"} & set(result.flags)
    assert 0 < result.peierls_mpa < 5


@pytest.mark.parametrize(("needed", "expected"), [(1e-6, 1e-6), (5e-6, 1e-5), (2e-4, 2e-4)])
def test_a_search_whose_relaxations_do_not_end_goes_on_with_ten_times_the_tolerance(
    monkeypatch: pytest.MonkeyPatch, needed: float, expected: float
) -> None:
    settings = PeierlsStressSettings(force_tolerance_ev_per_angstrom=1e-6, accepted_force_ev_per_angstrom=2e-4)
    tried = []
    unloaded: Any = None

    def search_all(loader: Any, *_: Any) -> tuple[list[Any], tuple[str, ...]]:
        tried.append(loader.force_tolerance)
        if loader.force_tolerance < needed:
            raise ConvergenceError("no end", expected="an end", next_step="none")
        return [], ()

    monkeypatch.setattr(module, "_search_all", search_all)
    loader = module._Loader.__new__(module._Loader)
    loader.settings, loader.force_tolerance = settings, settings.force_tolerance_ev_per_angstrom
    module._search_as_fine_as_possible(loader, unloaded, settings)
    assert tried[-1] == pytest.approx(expected)
    assert tried == sorted(tried)


def test_a_search_that_ends_within_no_accepted_force_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def search_all(*_: Any) -> None:
        raise ConvergenceError("no end", expected="an end", next_step="none")

    monkeypatch.setattr(module, "_search_all", search_all)
    loader = module._Loader.__new__(module._Loader)
    loader.settings = PeierlsStressSettings()
    loader.force_tolerance = loader.settings.force_tolerance_ev_per_angstrom
    unloaded: Any = None
    with pytest.raises(ConvergenceError):
        module._search_as_fine_as_possible(loader, unloaded, loader.settings)
    assert loader.force_tolerance == loader.settings.accepted_force_ev_per_angstrom
