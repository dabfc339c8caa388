from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bcc110, fcc111, hcp10m10
from ase.calculators.calculator import Calculator
from ase.constraints import FixCartesian
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS

from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.config.slip_systems import FCC_111, HCP_PRISMATIC, SlipSystemSettings
from glideflow.crystals.lattices import crystal
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem, slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import Engine
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.potentials.record import Potential
from glideflow.properties import gamma_surface as module
from glideflow.properties.fourier import FourierSurface
from glideflow.properties.gamma_surface import FaultRelaxer, fault_geometry, gamma_surface
from glideflow.properties.results import GammaSurfaceResult, LatticeResult
from glideflow.units import EV_PER_A2_TO_MJ_PER_M2
from glideflow.workbench import Workbench

WheelPotential = Callable[[str], Potential]
Relaxed = Callable[[str], LatticeResult]
Primary = Callable[[str], SlipSystem]
Surface = Callable[..., GammaSurfaceResult]


@pytest.fixture(scope="session")
def surface(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed, primary_system: Primary
) -> Surface:
    """A γ surface of an element on its primary slip system."""

    def compute(
        element: str,
        *,
        cut: str = "wide",
        system: SlipSystem | None = None,
        workbench: Workbench | None = None,
        engine: Engine | None = None,
        **settings: Any,
    ) -> GammaSurfaceResult:
        return gamma_surface(
            engine or lammps_engine,
            wheel_potential(element),
            relaxed(element),
            system or primary_system(element),
            GammaSurfaceSettings(**settings),
            cut=cut,
            workbench=workbench,
        )

    return compute


@pytest.fixture(scope="session")
def copper(surface: Surface) -> GammaSurfaceResult:
    return surface("Cu")


def test_published_faults_of_copper_and_aluminium(copper: GammaSurfaceResult, surface: Surface) -> None:
    """Cu: Mishin et al., Phys. Rev. B 63, 224106 (2001), 44.4 and 162 mJ/m². Al of Mendelev et al. (2008): 127, 220."""
    assert copper.gamma_isf_mj_m2 == pytest.approx(44.4, abs=0.1)
    assert copper.gamma_usf_mj_m2 == pytest.approx(162.0, abs=0.5)
    aluminium = surface("Al", grid=(7, 7))
    assert aluminium.gamma_isf_mj_m2 == pytest.approx(127.1, abs=0.1)
    assert aluminium.gamma_usf_mj_m2 == pytest.approx(219.7, abs=0.1)


def test_the_whole_surface_takes_less_than_a_minute(surface: Surface) -> None:
    started = time.process_time()
    surface("Cu", grid=(31, 31))
    assert time.process_time() - started < 60


@pytest.mark.parametrize(
    ("element", "cut", "steps", "points"),
    [("Cu", "wide", 30, 166), ("Fe", "wide", 12, 23), ("Zr", "wide", 12, 49), ("Zr", "narrow", 12, 49)],
)
def test_symmetry_changes_no_point_of_the_grid(
    surface: Surface, relaxed: Relaxed, primary_system: Primary, element: str, cut: str, steps: int, points: int
) -> None:
    """Numbers of points by the lemma of Burnside: (n² + 6 + 3 n)/6 for Cu, (n/2 + 1)² for Zr, with n steps a period."""
    settings = {"cut": cut, "grid": (steps + 1, steps + 1), "force_tolerance_ev_per_angstrom": 1e-6}
    reduced = surface(element, **settings)
    full = surface(element, **settings, use_symmetry=False)
    assert full.unique_points == steps**2
    assert reduced.unique_points == points
    area = fault_geometry(relaxed(element), primary_system(element), GammaSurfaceSettings()).cell.area_angstrom2
    difference_ev = np.abs(full.gamma_mj_m2 - reduced.gamma_mj_m2).max() * area / EV_PER_A2_TO_MJ_PER_M2
    assert difference_ev < 1e-6
    np.testing.assert_allclose(full.opening_angstrom, reduced.opening_angstrom, atol=1e-4)
    assert reduced.symmetry_error_mj_m2 < 1e-3


@pytest.mark.parametrize(("element", "layers"), [("Cu", 36), ("Fe", 36), ("Zr", 96)])
def test_slab_and_tilted_cell_agree(surface: Surface, element: str, layers: int) -> None:
    """Two ways to make one fault. Prismatic planes buckle over many layers, hence the thicker cell."""
    settings = {"grid": (6, 6), "path_points": 7, "layers": layers, "force_tolerance_ev_per_angstrom": 1e-6}
    slab, tilted = (surface(element, cell=cell, **settings) for cell in ("slab", "tilted"))
    np.testing.assert_allclose(tilted.gamma_mj_m2, slab.gamma_mj_m2, atol=0.01, rtol=1e-4)
    np.testing.assert_allclose(tilted.opening_angstrom, slab.opening_angstrom, atol=3e-3)


class Slab:
    """A slab from ASE's builders, its upper half displaced, relaxed along the normal by ASE's L-BFGS."""

    def __init__(self, atoms: Atoms, calculator: Calculator) -> None:
        self._atoms, self._calculator = atoms, calculator
        heights = np.unique(atoms.positions[:, 2].round(4))
        self._upper = atoms.positions[:, 2] > np.median(heights)
        self._area = np.linalg.norm(np.cross(*atoms.cell.array[:2]))

    def in_plane_vector(self, length: float) -> np.ndarray:
        """A vector of the plane lattice of this length."""
        steps = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2), axis=-1).reshape(-1, 2)
        vectors = steps @ self._atoms.cell.array[:2]
        same_kind = vectors[np.abs(np.linalg.norm(vectors, axis=1) - length) < 1e-4]
        return same_kind[0]

    def energy(self, displacement: np.ndarray, relax: bool) -> float:
        displaced = self._atoms.copy()
        displaced.positions[self._upper] += displacement
        displaced.set_constraint(FixCartesian(range(len(displaced)), mask=(True, True, False)))
        displaced.calc = self._calculator
        if relax:
            assert LBFGS(displaced, logfile=None, alpha=20.0).run(fmax=1e-4, steps=500)
        return float(displaced.get_potential_energy())

    def gamma(self, displacement: np.ndarray, relax: bool = True) -> float:
        difference = self.energy(displacement, relax) - self.energy(np.zeros(3), relax)
        return difference / self._area * EV_PER_A2_TO_MJ_PER_M2


def periodic(atoms: Atoms) -> Atoms:
    """With vacuum all around, the third direction may be periodic."""
    atoms.pbc = True
    return atoms


@pytest.mark.parametrize("relaxation", ["normal", "none"])
def test_line_of_copper_on_a_slab_of_ase(
    surface: Surface, relaxed: Relaxed, ase_lammps: Callable[[str], Calculator], relaxation: str
) -> None:
    a = relaxed("Cu").a_angstrom
    slab = Slab(periodic(fcc111("Cu", (1, 1, 12), a=a, vacuum=15.0)), ase_lammps("Cu"))
    found = surface("Cu", grid=(6, 6), path_points=5, layers=12, relaxation=relaxation)
    # towards the intrinsic fault along one of ±(sum of two plane vectors)/3: along the other it is the aligned one
    partial = (slab._atoms.cell.array[0] + slab._atoms.cell.array[1]) / 3
    ends = [slab.gamma(sign * partial, relaxation == "normal") for sign in (1, -1)]
    direction = partial if ends[0] < ends[1] else -partial
    line = [slab.gamma(fraction * direction, relaxation == "normal") for fraction in found.path_fraction]
    np.testing.assert_allclose(found.path_mj_m2, line, atol=0.02)
    assert found.gamma_isf_mj_m2 == pytest.approx(min(ends), abs=0.02)
    assert found.gamma_asf_mj_m2 == pytest.approx(max(ends), abs=0.05)


@pytest.mark.parametrize("element", ["Fe", "Zr"])
def test_line_along_the_burgers_vector_on_a_slab_of_ase(
    surface: Surface, relaxed: Relaxed, ase_lammps: Callable[[str], Calculator], element: str
) -> None:
    lattice = relaxed(element)
    if element == "Fe":
        atoms = bcc110("Fe", (1, 1, 12), a=lattice.a_angstrom, vacuum=15.0)
        burgers = np.sqrt(3) / 2 * lattice.a_angstrom
    else:
        atoms = hcp10m10("Zr", (1, 2, 13), a=lattice.a_angstrom, c=lattice.c_angstrom, vacuum=15.0)
        heights = atoms.positions[:, 2]  # without the loosely bound outermost planes, the middle gap is a wide one
        atoms = atoms[(heights > heights.min() + 0.1) & (heights < heights.max() - 0.1)]
        burgers = lattice.a_angstrom
    slab = Slab(periodic(atoms), ase_lammps(element))
    found = surface(element, grid=(6, 6), path_points=5, layers=12 if element == "Fe" else 24)
    vector = slab.in_plane_vector(burgers)
    line = [slab.gamma(fraction * vector) for fraction in found.path_fraction]
    np.testing.assert_allclose(found.path_mj_m2, line, atol=0.05)
    assert found.gamma_usf_mj_m2 >= max(line) - 0.3


def test_intrinsic_fault_is_a_crystal_with_one_plane_taken_out(
    copper: GammaSurfaceResult, relaxed: Relaxed, ase_lammps: Callable[[str], Calculator]
) -> None:
    """ABC...AB|ABC... along [111] in a periodic cell, free to change its height."""
    lattice = relaxed("Cu")
    planes = 3 * 5 - 1
    spacing = lattice.a_angstrom / np.sqrt(3)
    edge = lattice.a_angstrom / np.sqrt(2)
    cell = np.array([[edge, 0, 0], [edge / 2, edge * np.sqrt(3) / 2, 0], [0, 0, planes * spacing]])
    sites = np.array([(cell[0] + cell[1]) / 3 * (plane % 3) + [0, 0, plane * spacing] for plane in range(planes)])
    atoms = Atoms(f"Cu{planes}", positions=sites, cell=cell, pbc=True)
    atoms.calc = ase_lammps("Cu")
    free = FrechetCellFilter(atoms, mask=[0, 0, 1, 0, 0, 0])
    assert LBFGS(free, logfile=None).run(fmax=1e-4, steps=300)
    excess = atoms.get_potential_energy() - planes * lattice.energy_ev_per_atom
    area = np.linalg.det(cell[:2, :2])
    assert copper.gamma_isf_mj_m2 == pytest.approx(excess / area * EV_PER_A2_TO_MJ_PER_M2, abs=0.05)


def test_landmarks_and_edges(copper: GammaSurfaceResult, surface: Surface) -> None:
    assert copper.gamma_mj_m2.shape == copper.opening_angstrom.shape == (31, 31)
    np.testing.assert_array_equal(copper.gamma_mj_m2[0], copper.gamma_mj_m2[-1])
    np.testing.assert_array_equal(copper.gamma_mj_m2[:, 0], copper.gamma_mj_m2[:, -1])
    assert copper.gamma_mj_m2[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert copper.path_mj_m2[[0, -1]] == pytest.approx([0.0, copper.gamma_isf_mj_m2], abs=1e-6)
    assert copper.gamma_usf_mj_m2 >= copper.path_mj_m2.max()
    assert copper.gamma_usf_mj_m2 == pytest.approx(copper.path_mj_m2.max(), rel=0.01)
    assert copper.gamma_asf_mj_m2 == pytest.approx(copper.gamma_max_mj_m2, rel=1e-6), "on the grid, atoms on top"
    assert copper.opening_angstrom.min() > -0.02, "only the intrinsic fault, with twelve neighbours, is denser"
    iron = surface("Fe", grid=(6, 6))
    assert iron.gamma_isf_mj_m2 is None
    assert iron.gamma_asf_mj_m2 is None
    assert iron.path_vector_angstrom == pytest.approx([iron.period_angstrom[0], 0.0])
    np.testing.assert_allclose(iron.path_mj_m2, iron.path_mj_m2[::-1], atol=1e-3)


@pytest.mark.parametrize("element", ["Cu", "Fe", "Mg"])
def test_fourier_representation_repeats_the_grid(surface: Surface, element: str) -> None:
    found = surface(element)
    fourier = FourierSurface(
        found.fourier_wavevectors_per_angstrom,
        found.fourier_cosine_mj_m2,
        found.fourier_sine_mj_m2,
        found.fourier_symmetry,
    )
    grid = np.stack(np.meshgrid(found.x_angstrom, found.y_angstrom, indexing="ij"), axis=-1)
    errors = fourier(grid)[:-1, :-1] - found.gamma_mj_m2[:-1, :-1]
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(found.fourier_residual_mj_m2, rel=1e-6)
    assert found.fourier_residual_mj_m2 < 0.005 * found.gamma_max_mj_m2
    points = found.path_fraction[:, None] * found.path_vector_angstrom
    np.testing.assert_allclose(fourier(points), found.path_mj_m2, atol=0.01 * found.gamma_max_mj_m2)


def test_basal_plane_of_a_hexagonal_crystal(surface: Surface) -> None:
    settings = SlipSystemSettings(name="hcp_basal", structure="hcp", plane=(0, 0, 0, 1), direction=(2, -1, -1, 0))
    basal = surface("Mg", grid=(31, 31), system=slip_system(settings))
    full = surface("Mg", grid=(7, 7), system=slip_system(settings), use_symmetry=False)
    np.testing.assert_allclose(full.gamma_mj_m2, basal.gamma_mj_m2[::5, ::5], atol=0.01)
    assert basal.unique_points < 200


@pytest.mark.parametrize(("element", "cell"), [("Cu", "slab"), ("Cu", "tilted"), ("Zr", "tilted")])
def test_gradient_along_the_normal_is_the_derivative(
    lammps_engine: LammpsEngine,
    wheel_potential: WheelPotential,
    relaxed: Relaxed,
    primary_system: Primary,
    element: str,
    cell: str,
) -> None:
    settings = GammaSurfaceSettings(cell=cell, layers=8)
    geometry = fault_geometry(relaxed(element), primary_system(element), settings)
    displacement = geometry.layers.period_angstrom * [0.3, 0.2]
    with lammps_engine.open(wheel_potential(element), geometry.cell.atoms(element)) as session:
        relaxer = FaultRelaxer(session, geometry.cell, settings)
        count = len(geometry.cell.positions_angstrom)
        point = np.append(np.random.default_rng(0).uniform(-0.1, 0.1, count), 0.01 if cell == "tilted" else 0.0)
        gradient = relaxer._objective(displacement, point)[1]
        for index in range(count + (cell == "tilted")):
            step = 1e-5 * np.eye(count + 1)[index]
            plus, minus = (relaxer._objective(displacement, point + sign * step)[0] for sign in (1, -1))
            assert gradient[index] == pytest.approx((plus - minus) / 2e-5, abs=2e-5, rel=1e-6)


@pytest.mark.parametrize("cell", ["slab", "tilted"])
def test_an_interrupted_surface_is_resumed_to_the_same_bits_without_repeating_points(
    surface: Surface, counting_engine: type, same_bits: Callable[[Any, Any], bool], tmp_path: Path, cell: str
) -> None:
    settings = {"grid": (9, 9), "path_points": 7, "cell": cell, "layers": 12}
    uninterrupted = surface("Cu", **settings)
    for stop in (30, 60, 120):
        folder = tmp_path / str(stop)
        workbench = Workbench(folder, "key")
        with pytest.raises(KeyboardInterrupt):
            surface("Cu", **settings, workbench=workbench, engine=counting_engine(stop))
        workbench.close()
        resumed_engine, workbench = counting_engine(), Workbench(folder, "key")
        kept = sum(int(workbench.get(name)["evaluations"]) for name in workbench.names())
        resumed = surface("Cu", **settings, workbench=workbench, engine=resumed_engine)
        workbench.close()
        assert same_bits(resumed, uninterrupted)
        assert resumed_engine.evaluations == uninterrupted.evaluations - kept
    again = counting_engine()
    assert same_bits(surface("Cu", **settings, workbench=Workbench(folder, "key"), engine=again), uninterrupted)
    assert again.evaluations < 60, "the reference state only"


def test_a_wrong_symmetry_is_noticed(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = np.array([np.eye(2), -np.eye(2)])  # fcc {111} has no inversion: it would swap isf and aligned fault
    true_geometry = module.fault_geometry
    monkeypatch.setattr(module, "fault_geometry", lambda *a: replace(true_geometry(*a), symmetry=wrong))
    with pytest.raises(PropertyError, match="equivalent displacements differ"):
        surface("Cu", grid=(5, 5), path_points=5, symmetry_check_points=6)


def test_a_point_that_does_not_relax_is_named(surface: Surface) -> None:
    with pytest.raises(ConvergenceError, match=r"the γ point at .* keeps a force") as caught:
        surface("Cu", grid=(5, 5), force_tolerance_ev_per_angstrom=1e-30, accepted_error_mj_m2=0.0, max_evaluations=20)
    assert "accepted_error_mj_m2" in caught.value.next_step


def test_the_narrow_prismatic_cut_costs_more(surface: Surface) -> None:
    """Planes that lie closer together are bound more strongly."""
    settings = {"grid": (6, 6), "path_points": 7, "system": slip_system(HCP_PRISMATIC)}
    wide, narrow = (surface("Zr", cut=cut, **settings) for cut in ("wide", "narrow"))
    assert narrow.gamma_usf_mj_m2 > 1.5 * wide.gamma_usf_mj_m2
    assert (wide.cut, narrow.cut) == ("wide", "narrow")


def test_only_close_packed_planes_have_an_intrinsic_fault() -> None:
    """(111) of bcc is hexagonal and repeats after three planes, too."""
    settings = SlipSystemSettings(name="bcc_111", structure="bcc", plane=(1, 1, 1), direction=(1, -1, 0))
    layers = layered_crystal(crystal("bcc", 2.855), slip_system(settings))
    assert module.special_faults(layers, "wide") == (None, None)
    isf, asf = module.special_faults(layered_crystal(crystal("fcc", 3.615), slip_system(FCC_111)), "wide")
    assert isf is not None
    assert asf == pytest.approx(-isf)
    assert np.linalg.norm(isf) == pytest.approx(3.615 / np.sqrt(6)), "a Shockley partial"


def test_a_cell_in_which_surfaces_act_on_the_fault_is_flagged(copper: GammaSurfaceResult, surface: Surface) -> None:
    thin = surface("Cu", grid=(5, 5), layers=4, path_points=5)
    assert thin.flags == ("cell thinner than the range of the potential",)
    assert abs(thin.gamma_isf_mj_m2 - copper.gamma_isf_mj_m2) > 1.0, "which is why"
    assert copper.flags == ()
    assert surface("Cu", grid=(5, 5), layers=8, path_points=5).flags == ()
