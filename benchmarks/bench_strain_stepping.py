"""The Peierls search against brute force: straining in steps of 1e-5 with LAMMPS' own conjugate gradients.

An edge dislocation in bcc {110} of Fe (Mendelev et al. 2003), the same cell and the same force tolerance for both: the
largest force component, 1e-5 eV/Å (LAMMPS: `min_modify norm inf`, no energy tolerance; its default is the two-norm of
all forces, which takes longer). Brute force shears the cell by 1e-5, holds the rigid block there and minimises, until
the core has glided by one Burgers vector; the value is the largest stress on the way. It runs inside one LAMMPS process
through the package's `peierls_paper` stage, without its energy tolerance. The search is that of `glideflow peierls`, in
one direction as well. Both must find the same stress within 1 %.

    python benchmarks/bench_strain_stepping.py                                # 40 b × 60 Å, minutes
    python benchmarks/bench_strain_stepping.py --burgers 60 --height 100      # the reference cell
"""

from __future__ import annotations

import argparse
from typing import Any
from unittest import mock

from harness import Row, lattice, potential, report, timed

from glideflow.config.peierls_paper import PeierlsPaperSettings
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.slip_systems import BCC_110
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.lammps_minimise import LammpsMinimiser
from glideflow.properties import peierls_paper as strain_stepping
from glideflow.properties.peierls_paper_results import GLIDED, PeierlsPaperResult
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LatticeResult, PeierlsStressResult

FEWER_EVALUATIONS = 20
SAME_VALUE = 0.01


class LargestComponentMinimiser(LammpsMinimiser):
    """LAMMPS' conjugate gradients, ended by the largest force component."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(*arguments)
        self._command_all(["min_modify norm inf"])


def search(iron: LatticeResult, options: argparse.Namespace) -> PeierlsStressResult:
    """The search, in one direction."""
    settings = PeierlsStressSettings(
        burgers_vectors=options.burgers,
        height_angstrom=options.height,
        force_tolerance_ev_per_angstrom=options.tolerance,
        directions=("forward",),
    )
    return peierls_stress(LammpsEngine(), potential("Fe"), iron, slip_system(BCC_110), settings)


def brute_force(iron: LatticeResult, options: argparse.Namespace) -> PeierlsPaperResult:
    """Strain step by strain step."""
    settings = PeierlsPaperSettings(
        burgers_vectors=options.burgers,
        height_angstrom=options.height,
        energy_tolerance=0.0,
        force_tolerance_ev_per_angstrom=options.tolerance,
        max_evaluations=1_000_000,
        size_s=False,
    )
    with mock.patch.object(strain_stepping, "LammpsMinimiser", LargestComponentMinimiser):
        return strain_stepping.peierls_paper(
            LammpsEngine(), potential("Fe"), iron, slip_system(BCC_110), settings, progress=print_progress
        )


def print_progress(what: str, done: int, total: int) -> None:
    """Every twentieth step."""
    del total
    print(f"{what}: {done} evaluations", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--burgers", type=int, default=40, help="length of the cell in Burgers vectors")
    parser.add_argument("--height", type=float, default=60.0, help="its height in Å")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest force component in eV/Å")
    options = parser.parse_args()
    iron = lattice("Fe")
    found, cpu_s = timed(lambda: search(iron, options))
    stepped, stepped_cpu_s = timed(lambda: brute_force(iron, options))
    [cell] = stepped.cells
    assert cell.outcome == GLIDED, f"brute force ended by {cell.outcome}"
    assert cell.peierls_mpa is not None
    ratio, difference = cell.evaluations / found.evaluations, cell.peierls_mpa / found.peierls_mpa - 1
    rows = [
        Row(way="search", cpu_s=cpu_s, note=f"{found.evaluations} evaluations, {found.peierls_mpa:.2f} MPa"),
        Row(
            way="strain steps of 1e-5, CG",
            cpu_s=stepped_cpu_s,
            note=f"{cell.evaluations} evaluations, {cell.peierls_mpa:.2f} MPa, {cell.steps} steps",
        ),
    ]
    report(
        f"strain_stepping_{options.burgers}b_{options.height:g}A",
        f"Peierls stress of Fe, {found.atoms} atoms, forces to {options.tolerance:g} eV/Å: {ratio:.0f} times fewer "
        f"evaluations, {100 * difference:+.2f} %",
        rows,
        atoms=found.atoms,
        evaluations=[found.evaluations, cell.evaluations],
        evaluation_ratio=ratio,
        peierls_mpa=[found.peierls_mpa, cell.peierls_mpa],
    )
    assert ratio >= FEWER_EVALUATIONS, f"fewer than {FEWER_EVALUATIONS} times fewer evaluations"
    assert abs(difference) <= SAME_VALUE, "both must find the same stress"


if __name__ == "__main__":
    main()
