"""Relaxed cells seen by OVITO's dislocation extraction, which knows nothing of how they were built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import SlipSystem
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.record import Potential
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Minimiser
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs

COPIES_ALONG_LINE = 6


def dislocation_lines(cell: DislocationCell, positions: np.ndarray, structure: str) -> list[tuple[np.ndarray, float]]:
    """Burgers vector for a line along +y, in the frame of the cell, and length of each line that OVITO finds."""
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
        lines.append((sense * np.array(line.spatial_burgers_vector), float(line.length)))
    return lines


def relaxed_cell(
    engine: LammpsEngine, potential: Potential, lattice: LatticeResult, system: SlipSystem
) -> tuple[DislocationCell, np.ndarray]:
    size = DislocationSize(
        burgers_vectors=40,
        height_angstrom=70.0,
        line_periods=1,
        rigid_thickness_angstrom=1.2 * lattice.cutoff_angstrom,
    )
    cell = edge_dislocation(layered_crystal(lattice.crystal, system), size)
    with engine.open(potential, cell.atoms(potential.element)) as session:
        problem = DislocationProblem(session, cell, fit_springs(engine, potential, lattice.crystal))
        minimiser = Minimiser(tolerance=1e-3, max_evaluations=500, precondition=problem.precondition)
        minimum = minimiser.minimise(lambda q: problem.energy_and_gradient(q, 0.0), np.zeros(problem.size))
    assert minimum.converged
    return cell, problem.positions(minimum.coordinates)


@pytest.mark.parametrize("element", ["Al", "Cu", "Fe", "Zr"])
def test_the_relaxed_cell_holds_one_edge_dislocation(
    lammps_engine: LammpsEngine,
    wheel_potential: Callable[[str], Potential],
    relaxed: Callable[[str], LatticeResult],
    primary_system: Callable[[str], SlipSystem],
    element: str,
) -> None:
    potential, lattice = wheel_potential(element), relaxed(element)
    cell, positions = relaxed_cell(lammps_engine, potential, lattice, primary_system(element))
    lines = dislocation_lines(cell, positions, lattice.structure)
    total = sum(burgers for burgers, _ in lines)
    total *= np.sign(total[0])  # which sense counts as positive is a convention
    np.testing.assert_allclose(total / cell.burgers_vector_angstrom, [1.0, 0.0, 0.0], atol=0.02)
    assert len(lines) == (2 if lattice.structure == "fcc" else 1), "fcc cores dissociate into two partials"
    for _, length in lines:
        assert length == pytest.approx(COPIES_ALONG_LINE * cell.cell_angstrom[1, 1], rel=0.02)
