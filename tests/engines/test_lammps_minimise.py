from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from glideflow.engines.ase_calculator import AseEngine
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.lammps_minimise import LammpsMinimiser, _id_ranges
from glideflow.errors import PropertyError
from glideflow.potentials.record import Potential

WheelPotential = Callable[[str], Potential]


@pytest.fixture(scope="module")
def copper_slab() -> tuple[Atoms, np.ndarray, np.ndarray]:
    """A slab with its two lowest and two highest layers as blocks, the atoms between shaken."""
    atoms = bulk("Cu", cubic=True, a=3.615) * (3, 3, 5)
    atoms.pbc = (True, True, False)
    atoms.cell[2, 2] += 20.0
    atoms.positions += [0.3, 0.0, 10.0]
    height = atoms.positions[:, 2]
    fixed, moved = height < height.min() + 2.0, height > height.max() - 2.0
    shaken = ~(fixed | moved)
    atoms.positions[shaken] += np.random.default_rng(3).uniform(-0.15, 0.15, (int(shaken.sum()), 3))
    return atoms, moved, fixed


def test_forces_vanish_except_on_the_blocks(
    lammps_engine: LammpsEngine, wheel_potential: WheelPotential, copper_slab: tuple[Atoms, np.ndarray, np.ndarray]
) -> None:
    atoms, moved, fixed = copper_slab
    potential = wheel_potential("Cu")
    start = atoms.positions.copy()
    start[moved] += [0.2, 0.1, 0.0]
    with LammpsMinimiser(lammps_engine, potential, atoms, moved, fixed) as session:
        found = session.minimise(
            start, energy_tolerance=0.0, force_tolerance_ev_per_angstrom=1e-6, max_evaluations=2000
        )
        short = session.minimise(start, energy_tolerance=0.0, force_tolerance_ev_per_angstrom=0.0, max_evaluations=5)
        early = session.minimise(
            start, energy_tolerance=1e-3, force_tolerance_ev_per_angstrom=0.0, max_evaluations=2000
        )
    with lammps_engine.open(potential, atoms) as session:
        there = session.evaluate(found.positions_angstrom)
    np.testing.assert_array_equal(found.positions_angstrom[moved | fixed], start[moved | fixed])
    assert np.abs(there.forces_ev_per_angstrom[~(moved | fixed)]).max() < 1e-6
    assert found.largest_force_ev_per_angstrom < 1e-6
    np.testing.assert_allclose(
        found.reaction_ev_per_angstrom, there.forces_ev_per_angstrom[moved].sum(axis=0), atol=1e-9
    )
    assert found.reaction_ev_per_angstrom[0] < -0.1, "the crystal pulls the block back"
    assert found.energy_ev == pytest.approx(there.energy_ev, abs=1e-8)
    assert np.abs(found.positions_angstrom - start).max() < 1.0, "no atom has been moved by a period"
    assert found.criterion == "force tolerance"
    assert short.criterion == "max force evaluations"
    assert short.evaluations >= 5
    assert early.criterion == "energy tolerance"
    assert early.energy_ev > found.energy_ev


def test_another_engine_is_refused(
    wheel_potential: WheelPotential, copper_slab: tuple[Atoms, np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(PropertyError, match="evaluated by ase") as caught:
        LammpsMinimiser(AseEngine(), wheel_potential("Cu"), *copper_slab)
    assert "peierls_stress" in caught.value.next_step


@pytest.mark.parametrize(
    ("members", "expected"),
    [([1, 1, 1, 0, 0, 1], "1:3 6:6"), ([0, 1, 0, 1, 1], "2:2 4:5"), ([1], "1:1")],
)
def test_members_are_written_as_ranges(members: list[int], expected: str) -> None:
    assert _id_ranges(np.array(members, dtype=bool)) == expected
