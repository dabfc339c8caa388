"""Slip systems and characters that only a configuration names, from the γ surface to the Peierls stress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from glideflow.config.load import settings_from_yaml
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.yaml_text import parse_yaml
from glideflow.crystals.slip_systems import SlipSystem, nearest_plane, slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.gamma_surface import gamma_surface
from glideflow.properties.peierls_strain import strain_controlled_peierls_stress
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult, PeierlsStressResult

CONFIGURATION = """
name: elsewhere
slip_systems:
  - {name: bcc_123, structure: bcc, plane: [1, 2, 3], direction: [1, 1, -1]}
  - {name: hcp_pyramidal, structure: hcp, plane: [1, 0, -1, 1], direction: [-1, 2, -1, 0]}
  - {name: hcp_basal, structure: hcp, plane: [0, 0, 0, 1], direction: [2, -1, -1, 0], characters: [edge, screw]}
  - {name: bcc_110, structure: bcc, plane: [1, 1, 0], direction: [-1, 1, 1], characters: [screw]}
  - {name: fcc_111, structure: fcc, plane: [1, 1, 1], direction: [-1, 1, 0], characters: [screw]}
  - {name: narrow, structure: hcp, plane: [1, 0, -1, 0], direction: [-1, 2, -1, 0], cut: narrow}
gamma_surface: {grid: [5, 5], path_points: 5, layers: 12, symmetry_check_points: 1}
peierls_stress: {burgers_vectors: 24, height_angstrom: 40, bracket: 0.05, directions: [forward]}
"""
SETTINGS = settings_from_yaml(parse_yaml(CONFIGURATION, "test"))
SYSTEMS = {settings.name: slip_system(settings) for settings in SETTINGS.slip_systems}

Relaxed = Callable[[str], LatticeResult]
WheelPotential = Callable[[str], Potential]
Search = Callable[..., PeierlsStressResult]


@pytest.fixture(scope="module")
def search(lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed) -> Search:
    """Peierls stress of an element in a slip system of the configuration above."""

    def compute(element: str, system: str, character: str, **changes: Any) -> PeierlsStressResult:
        settings = PeierlsStressSettings(**(SETTINGS.peierls_stress.model_dump() | changes))
        potential, lattice = wheel_potential(element), relaxed(element)
        return peierls_stress(lammps_engine, potential, lattice, SYSTEMS[system], settings, character=character)

    return compute


@pytest.mark.parametrize(("element", "name"), [("Fe", "bcc_123"), ("Mg", "hcp_pyramidal"), ("Mg", "hcp_basal")])
def test_an_entry_in_the_configuration_is_enough(
    search: Search,
    lammps_engine: LammpsEngine,
    wheel_potential: WheelPotential,
    relaxed: Relaxed,
    element: str,
    name: str,
) -> None:
    surface = gamma_surface(
        lammps_engine, wheel_potential(element), relaxed(element), SYSTEMS[name], SETTINGS.gamma_surface
    )
    assert 0 < surface.gamma_usf_mj_m2 <= surface.gamma_max_mj_m2
    assert surface.symmetry_error_mj_m2 < 0.1
    found = search(element, name, "edge")
    assert found.slip_system == surface.slip_system == name
    assert found.curves[0].stable_mpa < found.peierls_mpa < found.curves[0].unstable_mpa
    assert found.peierls_mpa > 2 * found.resolution_mpa


def test_the_basal_core_is_split_where_the_prismatic_one_is_not(search: Search) -> None:
    basal = search("Mg", "hcp_basal", "edge", bracket=0.3)
    assert basal.dissociation_angstrom is not None
    assert basal.dissociation_angstrom > 3 * basal.burgers_vector_angstrom
    assert basal.partials_angstrom == pytest.approx(
        basal.core_unloaded.position_angstrom + basal.dissociation_angstrom * np.array([-0.5, 0.5]), abs=1.0
    )


def test_the_basal_faults_of_hcp_have_names(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed
) -> None:
    """Intrinsic fault (I2) of Mg against a slab that is stacked with it; atoms on top of atoms cost most."""
    from ase import Atoms

    potential, lattice = wheel_potential("Mg"), relaxed("Mg")
    settings = SETTINGS.gamma_surface.model_copy(update={"relaxation": "none"})
    surface = gamma_surface(lammps_engine, potential, lattice, SYSTEMS["hcp_basal"], settings)
    a, c = lattice.a_angstrom, lattice.c_angstrom
    assert c is not None
    cell = np.array([[a, 0, 0], [-a / 2, np.sqrt(0.75) * a, 0], [0, 0, 6 * c + 30]])
    sites = {"A": np.zeros(2), "B": np.array([0, a / np.sqrt(3)]), "C": np.array([0, 2 * a / np.sqrt(3)])}

    def energy(stacking: str) -> float:
        positions = [[*sites[letter], 15 + layer * c / 2] for layer, letter in enumerate(stacking)]
        with lammps_engine.open(
            potential, Atoms(["Mg"] * 12, positions=positions, cell=cell, pbc=(1, 1, 0))
        ) as session:
            return session.evaluate(np.array(positions)).energy_ev

    fault = (energy("ABABABCACACA") - energy("ABABABABABAB")) / (np.sqrt(0.75) * a**2) * 16021.766
    assert surface.gamma_isf_mj_m2 == pytest.approx(fault, abs=0.02)
    assert surface.gamma_isf_mj_m2 < surface.gamma_usf_mj_m2 < surface.gamma_asf_mj_m2  # type: ignore[operator]


@pytest.fixture(scope="module")
def iron(search: Search) -> PeierlsStressResult:
    return search("Fe", "bcc_110", "screw", height_angstrom=60.0, bracket=0.01, directions=("forward", "reverse"))


def test_screw_of_iron(iron: PeierlsStressResult) -> None:
    """Published static values for potentials of iron: 1 to 2 GPa (Terentyev et al., Phil. Mag. 96, 71 (2016))."""
    assert iron.character == "screw"
    assert iron.peierls_mpa == pytest.approx(1317, rel=0.02)
    forward, reverse = iron.curves
    assert forward.peierls_mpa == pytest.approx(reverse.peierls_mpa, abs=2 * iron.bracket_mpa)
    assert iron.valley_angstrom == pytest.approx(np.sqrt(8) / 3 * iron.burgers_vector_angstrom, rel=1e-6)
    # one of the three {110} planes of the zone; which one is a matter of the cell
    assert iron.glide_plane in ("(110)", "(01-1)", "(101)")
    assert min(abs(abs(forward.glide_angle_deg or 0.0) - angle) for angle in (0.0, 60.0)) < 5.0


def test_strain_control_finds_the_same_stress_for_a_screw(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed, search: Search
) -> None:
    changes = {"height_angstrom": 50.0, "bracket": 0.01, "initial_stress_mpa": 5.0}
    stress = search("Al", "fcc_111", "screw", **changes)
    settings = PeierlsStressSettings(**(SETTINGS.peierls_stress.model_dump() | changes))
    strain = strain_controlled_peierls_stress(
        lammps_engine, wheel_potential("Al"), relaxed("Al"), SYSTEMS["fcc_111"], settings, character="screw"
    )
    assert strain.peierls_mpa == pytest.approx(stress.peierls_mpa, rel=0.01)


def test_structure_of_the_core_of_iron(iron: PeierlsStressResult) -> None:
    """Not degenerate; on the way to the next valley lies a second, split core of this potential."""
    assert iron.core_unloaded.polarity == pytest.approx(0.0, abs=1e-3)
    assert iron.core_unloaded.height_angstrom == pytest.approx(0.0)
    assert iron.starts_energy_ev.max() == pytest.approx(0.0045, abs=0.002)
    assert iron.starts_width_angstrom is not None
    assert np.ptp(iron.starts_width_angstrom) > 1.0


def test_the_screw_of_a_potential_with_a_degenerate_core(search: Search) -> None:
    """Its core leaves the plane of largest resolved stress: the twofold axis that would keep it there is lost."""
    tungsten = search("W", "bcc_110", "screw", initial_stress_mpa=500.0, height_angstrom=60.0)
    assert tungsten.core_unloaded.polarity == pytest.approx(0.87, abs=0.05)
    assert tungsten.glide_plane != "(110)"


def test_a_core_that_transforms_under_load_is_recorded(search: Search) -> None:
    """The split core of iron collapses to the compact one well below the stress at which that glides."""
    split = {"start_positions": (0.25,), "height_angstrom": 60.0}
    iron = search("Fe", "bcc_110", "screw", bracket=0.2, initial_stress_mpa=200.0, **split)
    assert "core rearranges under load" in iron.flags
    (curve,) = iron.curves
    assert curve.core_height_angstrom is not None
    assert curve.core_width_angstrom is not None
    assert len(curve.core_height_angstrom) == len(curve.core_width_angstrom) == len(curve.stress_mpa)
    assert len(curve.core_jumps) == curve.jumps >= 1
    jump = curve.core_jumps[0]
    assert jump.stable_mpa < jump.jumped_mpa < curve.peierls_mpa
    assert jump.to_angstrom - jump.from_angstrom > 0.5
    assert jump.width_after_angstrom < 0.75 * jump.width_before_angstrom
    assert jump.polarity_after == pytest.approx(0.0, abs=0.1)


def test_the_cut_of_a_slip_system_holds_for_both_properties(
    search: Search, lammps_engine: LammpsEngine, wheel_potential: WheelPotential, relaxed: Relaxed
) -> None:
    narrow = SYSTEMS["narrow"]
    surface = gamma_surface(lammps_engine, wheel_potential("Zr"), relaxed("Zr"), narrow, SETTINGS.gamma_surface)
    assert surface.cut == "narrow"
    assert search("Zr", "narrow", "edge", bracket=0.3, start_positions=(0.0,)).cut == "narrow"


def test_planes_of_a_zone_are_named(relaxed: Relaxed) -> None:
    crystal, system = relaxed("Fe").crystal, SYSTEMS["bcc_110"]
    assert nearest_plane(crystal, system, np.array([1.0, 1.0, 0.0]) / np.sqrt(2)) in ("(110)", "(-1-10)")
    assert nearest_plane(crystal, system, np.array([1.0, -1.0, 2.0]) / np.sqrt(6)) in ("(1-12)", "(-11-2)")
    basal: SlipSystem = SYSTEMS["hcp_basal"]
    assert nearest_plane(relaxed("Mg").crystal, basal, np.array([0.0, 0.02, 1.0])) in ("(0001)", "(000-1)")
