from __future__ import annotations

from collections.abc import Callable

import pytest

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult


def test_twinning_and_antitwinning_sense_are_two_values_and_no_error(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
) -> None:
    """On (112) of bcc iron one sense takes a third more stress than the other; that is not a matter of history."""
    settings = PeierlsStressSettings(burgers_vectors=16, height_angstrom=40, bracket=0.05, initial_stress_mpa=100.0)
    plane = SlipSystemSettings(name="bcc_112", structure="bcc", plane=(1, 1, 2), direction=(-1, -1, 1))
    found = peierls_stress(lammps_engine, wheel_potential("Fe"), relaxed("Fe"), slip_system(plane), settings)
    easy, hard = sorted(curve.peierls_mpa for curve in found.curves)
    assert hard > 1.2 * easy
    assert found.peierls_mpa == pytest.approx(easy)
    assert found.history_mpa < 0.5 * (hard - easy)
    assert "easier in one direction" in found.flags
    assert "depends on loading history" not in found.flags
