from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult, PeierlsStressResult


def test_the_value_of_a_core_that_jumps_does_not_depend_on_where_it_starts(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
    primary_system: Callable[[str], SlipSystem],
) -> None:
    """Nickel has two unloaded cores. One of them leaves its branch early, and can be carried past the other by a large
    step: seen from there it glides at 9.5 MPa, where the core that it should have met still holds.
    """

    def search(*starts: float) -> PeierlsStressResult:
        settings = PeierlsStressSettings(
            burgers_vectors=30, height_angstrom=50, start_positions=starts, directions=("forward",)
        )
        return peierls_stress(
            lammps_engine, wheel_potential("Ni"), relaxed("Ni"), primary_system("Ni"), settings, seed=0
        )

    lowest, metastable = search(0.0, 0.25), search(0.25)
    assert metastable.peierls_mpa == pytest.approx(lowest.peierls_mpa, rel=0.01)
    assert lowest.starts_energy_ev.max() > 1e-5, "two cores, or the test tests nothing"
    for result in (lowest, metastable):
        (curve,) = result.curves
        stress, stable = np.abs(curve.stress_mpa), np.array(curve.outcome) == "stable"
        glides = np.array(curve.outcome) == "glides"
        assert stress[stable].max() == curve.stable_mpa < curve.unstable_mpa == stress[glides].min()
