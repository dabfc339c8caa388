"""Cost of a frame of a dislocation trajectory, in timesteps of the molecular dynamics that it interrupts.

An edge dipole of Fe at 300 K and 500 MPa. The naive way writes the atoms of each frame to a file for analysis later,
here as LAMMPS' own text dump; extraction in memory writes nothing. Also: what a checkpoint costs, at which LAMMPS is
started anew from its restart file.

    python benchmarks/bench_line_extraction.py
    python benchmarks/bench_line_extraction.py --size 15 6 20 --steps 50
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from harness import Row, potential, report, timed

from glideflow.config.engine import EngineSettings
from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.cells import DislocationCell
from glideflow.mobility.dipoles import dipole
from glideflow.mobility.extraction import extract_lines, resampled
from glideflow.mobility.molecular_dynamics import DynamicsSession
from glideflow.mobility.orientations import nearest_line

SETTINGS = MobilityDynamicsSettings()
LATTICE_CONSTANT_ANGSTROM = 2.8553
WARM_UP_STEPS = 50
REPEATS = 5


def session(cell: DislocationCell, accelerator: str, restart: Path | None = None) -> DynamicsSession:
    """The cell under stress at 300 K."""
    engine = EngineSettings(accelerator=accelerator)
    opened = DynamicsSession(potential("Fe"), cell.atoms(), engine, SETTINGS, restart)
    if restart is None:
        opened.minimise(20)
        opened.create_velocities(600.0, 1)
    opened.keep_at(300.0, cell.shear_stress_mpa(500.0))
    opened.advance(WARM_UP_STEPS if restart is None else 0)
    return opened


def extract(running: DynamicsSession, cell: DislocationCell) -> int:
    """Lines of the running simulation, as its trajectory keeps them."""
    snapshot = running.snapshot()
    found = extract_lines(
        snapshot.positions_angstrom,
        snapshot.cell_angstrom,
        structure="bcc",
        burgers_angstrom=cell.burgers_angstrom,
    )
    return len([resampled(line, snapshot.cell_angstrom, SETTINGS.node_spacing_angstrom) for line in found])


def checkpoint(running: DynamicsSession, cell: DislocationCell, folder: Path) -> None:
    """Write a restart file, and start anew from it."""
    running.write_restart(folder / "restart")
    session(cell, "opt", folder / "restart").close()


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, nargs=3, default=(8.0, 2.8, 16.0), help="edges of the cell in nm")
    parser.add_argument("--steps", type=int, default=100, help="timesteps that are timed")
    options = parser.parse_args()
    cell = dipole(BccMetal("Fe", LATTICE_CONSTANT_ANGSTROM), nearest_line(90.0), tuple(options.size))
    atoms = len(cell.positions_angstrom)

    per_step = {}
    for accelerator in ("none", "opt"):
        with session(cell, accelerator) as running:
            per_step[accelerator] = timed(partial(running.advance, options.steps))[1] / options.steps
    rows = [
        Row(way=f"one timestep, {name}", cpu_s=cost, note=f"{atoms / cost / 1e6:.2f} M atom-steps/s")
        for name, cost in reversed(per_step.items())
    ]
    with tempfile.TemporaryDirectory() as name, session(cell, "opt") as running:
        folder = Path(name)
        assert extract(running, cell) == 2
        ways = {
            "lines extracted in memory": partial(extract, running, cell),
            "atoms written to a text dump": partial(running.write_atoms, folder / "dump"),
            "checkpoint: restart file written, LAMMPS started from it": partial(checkpoint, running, cell, folder),
        }
        for way, work in ways.items():
            cost = timed(lambda work=work: [work() for _ in range(REPEATS)])[1] / REPEATS
            rows.append(Row(way=way, cpu_s=cost, note=f"{1e6 * cost / atoms:.0f} µs/atom"))
        dump_bytes = (folder / "dump").stat().st_size
    title = f"A frame of a dislocation trajectory, Fe, {atoms} atoms, one thread"
    report("line_extraction", title, rows, atoms=atoms, dump_bytes=dump_bytes)


if __name__ == "__main__":
    main()
