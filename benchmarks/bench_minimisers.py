"""Relaxations of a dislocation under load by our minimiser and by others: evaluations and processor time.

An edge dislocation in bcc {110} of Fe (Mendelev et al. 2003). The rigid blocks are held at shear strains that rise
towards the Peierls stress; at each strain everybody starts from the same positions, the equilibrium before with one
more step of uniform shear, and relaxes the atoms in between to the same largest force component.

- ours: L-BFGS around the springs, inverted by waves along the rows of atoms (`glideflow.properties.row_waves`);
- the same with the sparse matrix of the springs factorised as it is (SuperLU): what the waves leave out;
- ASE's `PreconLBFGS` with its exponential preconditioner `Exp` (Packwood et al. 2016), solved by pyamg's multigrid, its
  defaults but for the criterion of convergence; and with its other line search, by Wolfe's conditions;
- ASE's `PreconLBFGS` around our preconditioner: what is left of the difference are memory and line search;
- LAMMPS' own conjugate gradients.

A minimiser that gives up says so in the last column, with the force that it has left.

    python benchmarks/bench_minimisers.py
    python benchmarks/bench_minimisers.py --burgers 120 --height 200 --tolerance 1e-6

Needs `pip install 'glideflow[bench]'`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms
from ase.optimize.precon import Exp, PreconLBFGS
from harness import Row, lattice, potential, report, timed

from glideflow.config.slip_systems import BCC_110
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.lammps_minimise import LammpsMinimiser
from glideflow.engines.protocol import Session
from glideflow.properties import dislocation_problem
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Minimiser
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs

STRAINS = (0.0, 2e-4, 4e-4, 6e-4, 8e-4)
MAX_EVALUATIONS = 20_000


@dataclass(frozen=True)
class Relaxed:
    """Where a relaxation ended: (N, 3) positions, evaluations, largest force component on a free atom."""

    positions_angstrom: np.ndarray
    evaluations: int
    largest_force: float


Relaxation = Callable[[np.ndarray], Relaxed]
"""Start positions (N, 3), the blocks where they are to be held."""


class SessionCalculator(Calculator):
    """A session of ours for ASE; counts evaluations."""

    implemented_properties = ("energy", "forces")

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def calculate(self, atoms: Atoms, properties: Any, system_changes: Any = all_changes) -> None:  # noqa: ANN401
        super().calculate(atoms, properties, system_changes)
        found = self._session.evaluate(atoms.positions)
        self.results = {"energy": found.energy_ev, "forces": found.forces_ev_per_angstrom}


class LargestComponentLBFGS(PreconLBFGS):  # type: ignore[misc]
    """Converged when the largest component is small, not the largest norm."""

    def gradient_converged(self, gradient: np.ndarray) -> bool:
        return bool(np.abs(gradient).max() <= self.fmax)


class OurPreconditioner:
    """Our preconditioner behind ASE's interface: M p = g on all atoms, those of the blocks at rest."""

    def __init__(self, problem: DislocationProblem, mobile: np.ndarray) -> None:
        self._problem, self._mobile = problem, mobile

    def make_precon(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        """It does not change."""

    def Pdot(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def solve(self, gradient: np.ndarray) -> np.ndarray:
        solution = np.zeros_like(gradient).reshape(-1, 3)
        free = gradient.reshape(-1, 3)[self._mobile].ravel()
        solution[self._mobile] = apply(self._problem, free).reshape(-1, 3)
        return solution.ravel()


def apply(problem: DislocationProblem, gradient: np.ndarray) -> np.ndarray:
    """The preconditioner on mobile atoms alone, the block held."""
    return problem.precondition(np.append(gradient, np.zeros(problem.block_size)))[: -problem.block_size]


def ours(session: Session, cell: DislocationCell, problem: DislocationProblem, tolerance: float) -> Relaxation:
    """Our minimiser."""

    def relax(start: np.ndarray) -> Relaxed:
        def objective(moves: np.ndarray) -> tuple[float, np.ndarray]:
            positions = start.copy()
            positions[cell.mobile] += moves.reshape(-1, 3)
            found = session.evaluate(positions)
            return found.energy_ev, -found.forces_ev_per_angstrom[cell.mobile].ravel()

        minimiser = Minimiser(
            tolerance=tolerance,
            max_evaluations=MAX_EVALUATIONS,
            largest_move=0.15,
            precondition=lambda gradient: apply(problem, gradient),
        )
        minimum = minimiser.minimise(objective, np.zeros(3 * int(cell.mobile.sum())))
        positions = start.copy()
        positions[cell.mobile] += minimum.coordinates.reshape(-1, 3)
        return Relaxed(positions, minimum.evaluations, minimum.largest_gradient)

    return relax


def by_ase(
    session: Session,
    cell: DislocationCell,
    precon: Any,  # noqa: ANN401 - ASE's preconditioners have no common type
    tolerance: float,
    *,
    armijo: bool = True,
) -> Relaxation:
    """ASE's preconditioned L-BFGS; the preconditioner is kept from one relaxation to the next."""

    def relax(start: np.ndarray) -> Relaxed:
        atoms = cell.atoms("Fe")
        atoms.positions = start
        atoms.set_constraint(FixAtoms(mask=~cell.mobile))
        atoms.calc = SessionCalculator(session)
        before = session.evaluations
        optimizer = LargestComponentLBFGS(atoms, precon=precon, use_armijo=armijo, logfile=None)
        with suppress(RuntimeError):  # the line search fails: where it ended is what counts
            optimizer.run(fmax=tolerance, steps=MAX_EVALUATIONS)
        return Relaxed(atoms.positions, session.evaluations - before, float(np.abs(atoms.get_forces()).max()))

    return relax


def by_lammps(cell: DislocationCell, tolerance: float) -> Relaxation:
    """LAMMPS' conjugate gradients, ended by the largest force component."""
    session = LammpsMinimiser(LammpsEngine(), potential("Fe"), cell.atoms("Fe"), cell.top, cell.bottom)
    session._command_all(["min_modify norm inf"])

    def relax(start: np.ndarray) -> Relaxed:
        found = session.minimise(
            start,
            energy_tolerance=0.0,
            force_tolerance_ev_per_angstrom=tolerance,
            max_evaluations=MAX_EVALUATIONS,
        )
        return Relaxed(found.positions_angstrom, found.evaluations, found.largest_force_ev_per_angstrom)

    return relax


@contextmanager
def factorised() -> Iterator[None]:
    """The springs' matrices factorised as they are."""
    from scipy.sparse.linalg import splu

    def inverse(matrix: Any, rows: Any) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ANN401
        del rows
        options = {"SymmetricMode": True}
        factor = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        return lambda vector: np.asarray(factor.solve(vector))

    with mock.patch.object(dislocation_problem, "inverse_by_waves", inverse):
        yield


def starts_by(relax: Relaxation, cell: DislocationCell) -> list[np.ndarray]:
    """Where the relaxations start: from the equilibria of one of the ways."""
    height = cell.lattice_positions_angstrom[:, 2]
    lowest, highest = height[cell.bottom].max(), height[cell.top].min()
    shear = np.zeros_like(cell.positions_angstrom)
    shear[:, 0] = np.clip(height, lowest, highest) - lowest
    starts, previous, strained = [], cell.positions_angstrom, 0.0
    for strain in STRAINS:
        starts.append(previous + (strain - strained) * shear)
        previous, strained = relax(starts[-1]).positions_angstrom, strain
    return starts


def row(way: str, make: Callable[[], Relaxation], starts: list[np.ndarray], tolerance: float) -> tuple[Row, list[int]]:
    """All relaxations by one way; what it prepares beforehand counts too."""
    relax, setup_cpu_s = timed(make)
    ended, cpu_s = timed(lambda: [relax(start) for start in starts])
    evaluations = [each.evaluations for each in ended]
    worst = max(each.largest_force for each in ended)
    note = f"{sum(evaluations)} evaluations ({', '.join(map(str, evaluations))})"
    given_up = sum(each.largest_force > tolerance for each in ended)
    if given_up:
        note += f"; gave up {given_up} of {len(starts)}, up to {worst:.1e} eV/Å left"
    return Row(way=way, cpu_s=setup_cpu_s + cpu_s, note=note), evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--burgers", type=int, default=60, help="length of the cell in Burgers vectors")
    parser.add_argument("--height", type=float, default=100.0, help="its height in Å")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest force component in eV/Å")
    options = parser.parse_args()
    iron, engine = lattice("Fe"), LammpsEngine()
    cell = the_cell(iron, options)
    with engine.open(potential("Fe"), cell.atoms("Fe")) as session:

        def problem() -> DislocationProblem:
            return DislocationProblem(session, cell, fit_springs(engine, potential("Fe"), iron.crystal))

        def with_factors() -> DislocationProblem:
            with factorised():
                return problem()

        starts = starts_by(ours(session, cell, problem(), options.tolerance), cell)
        tolerance = options.tolerance
        mobile = np.flatnonzero(cell.mobile)
        ways: dict[str, Callable[[], Relaxation]] = {
            "ours": lambda: ours(session, cell, problem(), tolerance),
            "ours, springs factorised": lambda: ours(session, cell, with_factors(), tolerance),
            "ASE PreconLBFGS, Exp and pyamg": lambda: by_ase(session, cell, Exp(), tolerance),
            "the same, Wolfe line search": lambda: by_ase(session, cell, Exp(), tolerance, armijo=False),
            "ASE PreconLBFGS, our preconditioner": lambda: by_ase(
                session, cell, OurPreconditioner(problem(), mobile), tolerance
            ),
            "LAMMPS CG": lambda: by_lammps(cell, tolerance),
        }
        found = [row(way, make, starts, tolerance) for way, make in ways.items()]
    report(
        f"minimisers_{options.burgers}b_{options.height:g}A",
        f"{len(STRAINS)} relaxations of a dislocation in Fe, {len(cell.plane)} atoms, forces to {tolerance:g} eV/Å",
        [each for each, _ in found],
        evaluations=dict(zip(ways, [evaluations for _, evaluations in found], strict=True)),
        atoms=len(cell.plane),
    )


def the_cell(iron: LatticeResult, options: argparse.Namespace) -> DislocationCell:
    """The dislocation."""
    size = DislocationSize(
        burgers_vectors=options.burgers,
        height_angstrom=options.height,
        line_periods=1,
        rigid_thickness_angstrom=1.2 * iron.cutoff_angstrom,
    )
    return edge_dislocation(layered_crystal(iron.crystal, slip_system(BCC_110)), size)


if __name__ == "__main__":
    main()
