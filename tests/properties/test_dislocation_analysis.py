"""Relaxed cells seen by OVITO's dislocation extraction, which knows nothing of how they were built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glideflow.crystals.dislocations import DislocationCell, DislocationSize, dislocation_cell
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.core_position import core_tracker, dissociation
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Minimiser
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs

COPIES_ALONG_LINE = 6


def dislocation_lines(
    cell: DislocationCell, positions: np.ndarray, structure: str
) -> list[tuple[np.ndarray, float, float]]:
    """Burgers vector for a line along +y, length and mean x of each line that OVITO finds, in the cell's frame."""
    ovito_data = pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
    from ovito.modifiers import DislocationAnalysisModifier

    box = cell.cell_angstrom * np.array([[1], [COPIES_ALONG_LINE], [1]])
    shifts = np.arange(COPIES_ALONG_LINE)[:, None, None] * cell.cell_angstrom[1]
    data = ovito_data.DataCollection()
    data.objects.append(ovito_data.SimulationCell(pbc=(True, True, False)))
    data.cell_[:, :3] = box.T
    particles = ovito_data.Particles()
    particles.create_property("Position", data=(positions[None] + shifts).reshape(-1, 3))
    data.objects.append(particles)
    lattice = getattr(DislocationAnalysisModifier.Lattice, structure.upper())
    data.apply(DislocationAnalysisModifier(input_crystal_structure=lattice))
    lines = []
    for line in data.dislocations.lines:
        sense = np.sign(line.points[-1, 1] - line.points[0, 1])
        burgers = sense * np.array(line.spatial_burgers_vector)
        lines.append((burgers, float(line.length), float(line.points[:, 0].mean())))
    return lines


def relaxed_cell(
    engine: LammpsEngine, potential: Potential, lattice: LatticeResult, system: SlipSystem, character: str
) -> tuple[DislocationCell, np.ndarray]:
    size = DislocationSize(
        burgers_vectors=40,
        height_angstrom=70.0,
        line_periods=1,
        rigid_thickness_angstrom=1.2 * lattice.cutoff_angstrom,
    )
    cell = dislocation_cell(layered_crystal(lattice.crystal, system), size, character=character)
    with engine.open(potential, cell.atoms(potential.element)) as session:
        problem = DislocationProblem(session, cell, fit_springs(engine, potential, lattice.crystal))
        minimiser = Minimiser(tolerance=1e-3, max_evaluations=500, precondition=problem.precondition)
        minimum = minimiser.minimise(lambda q: problem.energy_and_gradient(q, 0.0), np.zeros(problem.size))
    assert minimum.converged
    return cell, problem.positions(minimum.coordinates)


@pytest.mark.parametrize(
    ("element", "character"),
    [("Al", "edge"), ("Cu", "edge"), ("Fe", "edge"), ("Zr", "edge"), ("Cu", "screw"), ("Fe", "screw")],
)
def test_the_relaxed_cell_holds_one_dislocation(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
    primary_system: Callable[[str], SlipSystem],
    element: str,
    character: str,
) -> None:
    potential, lattice = wheel_potential(element), relaxed(element)
    cell, positions = relaxed_cell(lammps_engine, potential, lattice, primary_system(element), character)
    lines = dislocation_lines(cell, positions, lattice.structure)
    total = sum(burgers for burgers, _, _ in lines)
    total *= np.sign(total[cell.slip_axis])  # which sense counts as positive is a convention
    np.testing.assert_allclose(total / cell.burgers_vector_angstrom, np.eye(3)[cell.slip_axis], atol=0.02)
    assert len(lines) == (2 if lattice.structure == "fcc" else 1), "fcc cores dissociate into two partials"
    for _, length, _ in lines:
        assert length == pytest.approx(COPIES_ALONG_LINE * cell.cell_angstrom[1, 1], rel=0.02)
    if lattice.structure == "fcc":
        _compare_partials(cell, positions, sorted(place for _, _, place in lines))


def _compare_partials(cell: DislocationCell, positions: np.ndarray, places: list[float]) -> None:
    """The partials of the disregistry are where OVITO sees them; between them lies the fault's screw component."""
    tracker = core_tracker(cell)
    core = tracker.core(positions, cell.start_angstrom)
    found = dissociation(core, cell.burgers_vector_angstrom, tracker.length_angstrom)
    assert found.is_split
    assert found.width_angstrom == pytest.approx(places[1] - places[0], abs=1.5)
    assert found.partials_angstrom == pytest.approx(places, abs=1.5)
    # both partials have b/√12 across the Burgers vector of the whole, in opposite senses
    assert core.transverse_angstrom is not None
    across = np.abs(core.transverse_angstrom).max() / cell.burgers_vector_angstrom
    assert 0.5 / np.sqrt(12) < across < 1.05 / np.sqrt(12)
