from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase.build import bulk

from glideflow.config.engine import EngineSettings
from glideflow.engines.lammps import relaxation_style
from glideflow.engines.lammps_relax import LammpsRelaxation
from glideflow.potentials.record import Potential


@pytest.mark.parametrize("accelerator", ["opt", "kokkos"])
def test_a_shaken_crystal_in_a_stretched_box_relaxes_with_the_minimisers_that_an_accelerator_has(
    wheel_potential: Callable[[str], Potential], accelerator: str
) -> None:
    """KOKKOS stops at ``min_style fire``; what it has takes the crystal to the same minimum."""
    perfect = bulk("Fe", "bcc", a=2.8553, cubic=True).repeat(4)
    shaken = perfect.copy()
    shaken.rattle(0.05, seed=3)
    shaken.set_cell(shaken.cell * 1.002, scale_atoms=True)
    with LammpsRelaxation(wheel_potential("Fe"), shaken, EngineSettings()) as session:
        session._style = relaxation_style(EngineSettings.model_construct(accelerator=accelerator))
        found = session.relax(steps=500, force_tolerance_ev_per_angstrom=1e-4, box_steps=300)
    assert found.energy_ev / len(perfect) == pytest.approx(-4.1224, abs=1e-4)
    assert np.abs(found.stress_mpa).max() < 5.0
    assert found.cell_angstrom[0, 0] == pytest.approx(4 * 2.8553, abs=2e-3)


def test_only_kokkos_does_without_fire() -> None:
    found = {
        each: relaxation_style(EngineSettings.model_construct(accelerator=each)) for each in ("none", "opt", "omp")
    }
    assert set(found.values()) == {"fire"}
    assert relaxation_style(EngineSettings(accelerator="kokkos", gpus=1)) == "cg"
