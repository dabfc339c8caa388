"""Is a cell what it should be? Relaxed by LAMMPS, its lines found by OVITO, its atoms counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glideflow.config.engine import EngineSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConvergenceError
from glideflow.mobility.cells import DislocationCell, ReferenceLine
from glideflow.mobility.extraction import DislocationLine, extract_lines, has_burgers
from glideflow.mobility.orientations import LineOrientation
from glideflow.potentials.record import Potential

LARGEST_STRESS_MPA = 100.0
"""1 kbar: largest component of the mean stress of a relaxed cell, less the applied one."""
LARGEST_STRESS_SHARE = 0.1
"""The same as a share of the applied stress, whose strain is that of linear elasticity."""
SMALLEST_DISTANCE = 0.75
"""Smallest distance of two atoms, relative to nearest neighbours in the crystal."""
CORE_RADIUS_ANGSTROM = 12.0
"""Distance from a line within which atoms may have other neighbours than in the crystal."""
_SHELL = 1.2
"""Radius in lattice constants between the second and the third shell of neighbours, 1 and √2."""
_NEIGHBOURS = 14
_LOOP_STEPS = 25
"""Steps of FIRE for a loop: enough for its core. It would shrink away or grow in more of them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CellCheck:
    """What was found in a cell.

    Attributes:
        atoms: atoms in the cell.
        expected_atoms: of the perfect crystal, less the slab of thickness b sin θ.
        smallest_distance_angstrom: smallest distance of two atoms.
        defective_atoms: atoms with other than 14 neighbours in the first two shells, far from every line.
        lines: dislocation lines that OVITO finds, in the sense in which b is +b_ref where it is that at all.
        stress_mpa: (3, 3) mean stress.
        excess_stress_mpa: largest component of its difference from the applied stress.
        largest_force_ev_per_angstrom: largest force component.
        problems: what is wrong, in words; empty for a sound cell.
    """

    atoms: int
    expected_atoms: int
    smallest_distance_angstrom: float
    defective_atoms: int
    lines: tuple[DislocationLine, ...]
    stress_mpa: FloatArray
    excess_stress_mpa: float
    largest_force_ev_per_angstrom: float
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def relaxed_and_checked(
    cell: DislocationCell,
    potential: Potential,
    engine: EngineSettings,
    *,
    steps: int = 500,
    box_steps: int = 300,
    force_tolerance_ev_per_angstrom: float = 1e-2,
) -> tuple[DislocationCell, CellCheck]:
    """Relax a cell with its potential and look at it; LAMMPS and OVITO may take the process down with them.

    A dipole relaxes with its box. A loop would shrink away, or grow under stress: only its core relaxes, in the box at
    hand.

    Args:
        cell: the cell as built.
        potential: the potential.
        engine: how LAMMPS runs.
        steps: largest number of steps of FIRE for a dipole.
        box_steps: largest number of further steps with the box.
        force_tolerance_ev_per_angstrom: two-norm of all forces at which relaxation ends.

    Returns:
        The relaxed cell, and what was found in it.

    Raises:
        EngineError: LAMMPS cannot relax it.
        DependencyError: OVITO is not installed, or does not load.
    """
    # Whoever only reads records of checks does without LAMMPS.
    from glideflow.engines.lammps_relax import LammpsRelaxation

    fixed_box = cell.kind == "loop"
    with LammpsRelaxation(potential, cell.atoms(), engine) as session:
        relaxed = session.relax(
            steps=_LOOP_STEPS if fixed_box else steps,
            box_steps=0 if fixed_box else box_steps,
            force_tolerance_ev_per_angstrom=force_tolerance_ev_per_angstrom,
        )
    moved = with_atoms(cell, relaxed.positions_angstrom, relaxed.cell_angstrom)
    return moved, check_cell(moved, relaxed.stress_mpa, relaxed.largest_force_ev_per_angstrom)


def with_atoms(cell: DislocationCell, positions_angstrom: FloatArray, box_angstrom: FloatArray) -> DislocationCell:
    """The cell with other positions and periods; Burgers vector and lines go with the periods.

    Args:
        cell: the cell.
        positions_angstrom: (N, 3) positions.
        box_angstrom: (3, 3) periods as rows.
    """
    change = np.linalg.solve(cell.cell_angstrom, box_angstrom)
    lines = tuple(
        ReferenceLine(
            points_angstrom=line.points_angstrom @ change,
            period_angstrom=line.period_angstrom @ change,
            sign=line.sign,
        )
        for line in cell.reference_lines
    )
    return replace(
        cell,
        positions_angstrom=positions_angstrom,
        cell_angstrom=box_angstrom,
        burgers_angstrom=cell.burgers_angstrom @ change,
        reference_lines=lines,
    )


def check_cell(cell: DislocationCell, stress_mpa: FloatArray, largest_force_ev_per_angstrom: float) -> CellCheck:
    """Look at a relaxed cell.

    Args:
        cell: the cell.
        stress_mpa: (3, 3) its mean stress.
        largest_force_ev_per_angstrom: largest force component on its atoms.

    Raises:
        DependencyError: OVITO is not installed, or does not load.
        NonFiniteError: a position is not finite.
    """
    lines = extract_lines(
        cell.positions_angstrom,
        cell.cell_angstrom,
        structure=cell.structure,
        burgers_angstrom=cell.burgers_angstrom,
    )
    counts, smallest = _neighbours(cell)
    unusual = cell.positions_angstrom[counts != _NEIGHBOURS]
    away = _distance_from_lines(unusual, lines, cell.cell_angstrom) > CORE_RADIUS_ANGSTROM
    check = CellCheck(
        atoms=len(cell.positions_angstrom),
        expected_atoms=expected_atoms(cell),
        smallest_distance_angstrom=smallest,
        defective_atoms=int(np.count_nonzero(away)),
        lines=lines,
        stress_mpa=stress_mpa,
        excess_stress_mpa=float(np.abs(stress_mpa - cell.applied_stress_mpa).max()),
        largest_force_ev_per_angstrom=largest_force_ev_per_angstrom,
    )
    return replace(check, problems=tuple(_problems(cell, check)))


def refuse_unsound(check: CellCheck) -> None:
    """Refuse a cell in which something is wrong.

    Raises:
        ConvergenceError: naming what is wrong.
    """
    if check.problems:
        raise ConvergenceError(
            f"the cell is not what was to be built: {'; '.join(check.problems)}",
            expected="exactly the dislocations asked for, in a crystal without other defects and without stress",
            next_step="take a larger cell; for another potential, look whether its dislocation cores are stable",
        )


def expected_atoms(cell: DislocationCell) -> int:
    """Atoms of the perfect block, less those in a slab of thickness b sin θ and half its height for a dipole."""
    p, q = (int(index) for index in cell.miller_frame[1, :2])
    lengths = np.array(cell.periods) * LineOrientation(p, q).periods  # in lattice constants
    perfect = 2.0 * float(np.prod(lengths))
    if cell.character_angle_deg is None:
        return round(perfect)
    slab = np.sqrt(0.75) * np.sin(np.radians(cell.character_angle_deg)) * lengths[1] * lengths[2] / 2
    return round(perfect - 2.0 * float(slab))


def _neighbours(cell: DislocationCell) -> tuple[IntArray, float]:
    """(N,) neighbours in the first two shells, and the smallest distance in Å."""
    from matscipy.neighbours import neighbour_list

    first, distance = neighbour_list("id", cell.atoms(), cutoff=_SHELL * cell.lattice_constant_angstrom)
    counts: IntArray = np.bincount(first, minlength=len(cell.positions_angstrom)).astype(np.int64)
    return counts, float(distance.min())


def _distance_from_lines(points: FloatArray, lines: tuple[DislocationLine, ...], box: FloatArray) -> FloatArray:
    """(P,) distance in Å from the nodes of the lines, periodic; infinite without lines."""
    distance = np.full(len(points), np.inf)
    nodes = [node for line in lines for node in line.nodes_fractional]
    fractions = np.linalg.solve(box.T, points.T).T
    for node in nodes:
        apart = fractions - node
        vectors = (apart - np.rint(apart)) @ box
        distance = np.minimum(distance, np.linalg.norm(vectors, axis=1))
    return distance


def _problems(cell: DislocationCell, check: CellCheck) -> list[str]:
    nearest = np.sqrt(0.75) * cell.lattice_constant_angstrom
    largest = max(LARGEST_STRESS_MPA, LARGEST_STRESS_SHARE * np.abs(cell.applied_stress_mpa).max())
    wrong = [
        (check.atoms != check.expected_atoms, f"{check.atoms} atoms instead of {check.expected_atoms}"),
        (
            check.smallest_distance_angstrom < SMALLEST_DISTANCE * nearest,
            f"two atoms {check.smallest_distance_angstrom:.2f} Å apart, nearest neighbours are {nearest:.2f} Å apart",
        ),
        (check.defective_atoms > 0, f"{check.defective_atoms} atoms with wrong neighbours away from the lines"),
        (
            not _has_its_lines(cell, check.lines),
            f"{_described(check.lines)} instead of {'one closed line' if cell.kind == 'loop' else 'two infinite ones'}"
            " with the Burgers vector ½<111>",
        ),
        (
            check.excess_stress_mpa > largest,
            f"a mean stress of {check.excess_stress_mpa:.0f} MPa beside the applied one, more than {largest:.0f}",
        ),
    ]
    return [text for is_wrong, text in wrong if is_wrong]


def _has_its_lines(cell: DislocationCell, lines: tuple[DislocationLine, ...]) -> bool:
    if not all(has_burgers(line, cell.burgers_angstrom) for line in lines):
        return False
    if cell.kind == "loop":
        return len(lines) == 1 and lines[0].topology == "closed"
    senses: list[NDArray[np.int64]] = [line.period for line in lines]
    return len(lines) == 2 and not np.any(senses[0] + senses[1]) and abs(int(senses[0][1])) == 1


def _described(lines: tuple[DislocationLine, ...]) -> str:
    if not lines:
        return "no dislocation line"
    return ", ".join(f"a line ({line.topology}, b = {np.round(line.burgers_angstrom, 2).tolist()} Å)" for line in lines)
