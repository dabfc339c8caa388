"""Cost of the relaxations of a Peierls search against the number of atoms, from 3,000 to 250,000, with peak memory.

An edge dislocation in bcc {110} of Fe (Mendelev et al. 2003), forces to 1e-6 eV/Å. Of the search, three relaxations
are done at every size: the unloaded core from its arctan start, then 10 and 20 MPa, each started from an extrapolation
of those before. Every size runs in a process of its own, whose peak of resident memory is what is given; the processor
time is that of the engine, the springs, the preconditioner and the relaxations, without the start of the interpreter.
The exponent is that of the power law fitted to time against atoms.

    python benchmarks/bench_peierls_scaling.py
    python benchmarks/bench_peierls_scaling.py --largest 30000       # the first sizes only
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass

import numpy as np
from harness import Row, lattice, potential, report, timed

from glideflow.config.slip_systems import BCC_110
from glideflow.crystals.dislocations import DislocationCell, DislocationSize, edge_dislocation
from glideflow.crystals.layers import layered_crystal
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.properties.dislocation_problem import DislocationProblem
from glideflow.properties.minimiser import Minimiser
from glideflow.properties.peierls_stress import extrapolate
from glideflow.properties.results import LatticeResult
from glideflow.properties.springs import fit_springs

SIZES = ((36, 60.0), (60, 100.0), (120, 150.0), (180, 300.0), (262, 650.0))
"""Lengths in Burgers vectors and heights in Å."""
STRESSES_MPA = (0.0, 10.0, 20.0)
FORCE_TOLERANCE = 1e-6
LARGEST_MEMORY_MB = 4000


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a size took.

    Attributes:
        atoms: atoms in the cell.
        cpu_s: processor time of everything.
        setup_cpu_s: of that, the engine, the springs and the preconditioner.
        evaluations: force evaluations of each relaxation.
        memory_mb: peak of resident memory of the process.
    """

    atoms: int
    cpu_s: float
    setup_cpu_s: float
    evaluations: list[int]
    memory_mb: float


def dislocation(iron: LatticeResult, burgers_vectors: int, height_angstrom: float) -> DislocationCell:
    """The cell."""
    size = DislocationSize(
        burgers_vectors=burgers_vectors,
        height_angstrom=height_angstrom,
        line_periods=1,
        rigid_thickness_angstrom=1.2 * iron.cutoff_angstrom,
    )
    return edge_dislocation(layered_crystal(iron.crystal, slip_system(BCC_110)), size)


def relax_all(problem: DislocationProblem) -> list[int]:
    """The three relaxations; return the evaluations of each."""
    known: list[tuple[float, np.ndarray]] = []
    evaluations = []
    for stress_mpa in STRESSES_MPA:
        minimiser = Minimiser(
            tolerance=FORCE_TOLERANCE,
            max_evaluations=3000,
            largest_move=0.15,
            precondition=problem.precondition,
            pairs=problem.responses(known),
        )
        start = extrapolate(known, stress_mpa) if known else np.zeros(problem.size)
        minimum = minimiser.minimise(lambda q, tau=stress_mpa: problem.energy_and_gradient(q, tau), start)
        assert minimum.converged, f"{minimum.ending} at {stress_mpa:g} MPa"
        known.append((stress_mpa, minimum.coordinates))
        evaluations.append(minimum.evaluations)
    return evaluations


def measure(burgers_vectors: int, height_angstrom: float) -> Cost:
    """The cost of one size, in this process."""
    iron = lattice("Fe")
    cell = dislocation(iron, burgers_vectors, height_angstrom)
    engine = LammpsEngine()
    springs, springs_cpu_s = timed(lambda: fit_springs(engine, potential("Fe"), iron.crystal))
    session, engine_cpu_s = timed(lambda: engine.open(potential("Fe"), cell.atoms("Fe")))
    with session:
        problem, problem_cpu_s = timed(lambda: DislocationProblem(session, cell, springs))
        evaluations, cpu_s = timed(lambda: relax_all(problem))
    setup_cpu_s = springs_cpu_s + engine_cpu_s + problem_cpu_s
    return Cost(
        atoms=len(cell.positions_angstrom),
        cpu_s=setup_cpu_s + cpu_s,
        setup_cpu_s=setup_cpu_s,
        evaluations=evaluations,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def measure_in_a_process(burgers_vectors: int, height_angstrom: float) -> Cost:
    """The cost of one size, in a process of its own."""
    command = [sys.executable, __file__, "--one", str(burgers_vectors), str(height_angstrom)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Cost(**json.loads(output))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=10**9, help="leave out sizes above so many atoms")
    parser.add_argument("--one", nargs=2, type=float, metavar=("B", "HEIGHT"), help="one size; prints JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(int(options.one[0]), options.one[1]))))
        return
    sizes = [size for size in SIZES if 1.49 * size[0] * size[1] <= options.largest]
    costs = []
    for size in sizes:
        costs.append(measure_in_a_process(*size))
        print(costs[-1], flush=True)
    exponent = np.polyfit(np.log([c.atoms for c in costs]), np.log([c.cpu_s for c in costs]), 1)[0]
    rows = [
        Row(
            way=f"{burgers} b × {height:g} Å, {cost.atoms:,} atoms",
            cpu_s=cost.cpu_s,
            note=f"{cost.setup_cpu_s:.1f} s of it set-up; {'+'.join(map(str, cost.evaluations))} evaluations; "
            f"{cost.memory_mb:.0f} MB",
        )
        for (burgers, height), cost in zip(sizes, costs, strict=True)
    ]
    report(
        "peierls_scaling",
        f"three relaxations of a Peierls search in Fe: time grows as atoms to the power {exponent:.2f}",
        rows,
        exponent=float(exponent),
        costs=[asdict(cost) for cost in costs],
    )
    assert max(cost.memory_mb for cost in costs) < LARGEST_MEMORY_MB, f"more than {LARGEST_MEMORY_MB} MB"


if __name__ == "__main__":
    main()
