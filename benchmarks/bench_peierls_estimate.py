"""What the extrapolated end of the branch of equilibria is worth, against the middle of the last interval.

The truth is a search of the same cell with a fifteen times narrower interval. Edges and screws of five metals.

    python benchmarks/bench_peierls_estimate.py
"""

from __future__ import annotations

import statistics

from harness import Row, lattice, potential, report, timed

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.slip_systems import BCC_110, FCC_111, HCP_PRISMATIC
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import LoadingCurve

CASES = (
    ("Fe", "edge"),
    ("Zr", "edge"),
    ("Al", "edge"),
    ("W", "edge"),
    ("Mg", "edge"),
    ("Fe", "screw"),
    ("Al", "screw"),
)
SYSTEMS = {system.structure: slip_system(system) for system in (BCC_110, FCC_111, HCP_PRISMATIC)}
BRACKET, NARROW = 0.006, 0.0004


def search(element: str, character: str, bracket: float) -> LoadingCurve:
    """The forward loading curve of an element."""
    crystal = lattice(element)
    settings = PeierlsStressSettings(
        burgers_vectors=30,
        height_angstrom=50,
        directions=("forward",),
        start_positions=(0.0,),
        bracket=bracket,
        force_tolerance_ev_per_angstrom=3e-7,
    )
    system = SYSTEMS[crystal.structure]
    found = peierls_stress(LammpsEngine(), potential(element), crystal, system, settings, character=character)
    return found.curves[0]


def main() -> None:
    rows, estimates, middles = [], [], []
    for element, character in CASES:
        truth = search(element, character, NARROW)
        found, cpu_s = timed(lambda element=element, character=character: search(element, character, BRACKET))
        exact = (truth.stable_mpa + truth.unstable_mpa) / 2
        errors = [abs(each / exact - 1) for each in (found.peierls_mpa, (found.stable_mpa + found.unstable_mpa) / 2)]
        estimates.append(errors[0])
        middles.append(errors[1])
        note = (
            f"{exact:.4g} MPa; {found.estimate}: off by {100 * errors[0]:.3f} %, the middle by {100 * errors[1]:.3f} %"
        )
        rows.append(Row(way=f"{element} {character}", cpu_s=cpu_s, note=note))
    report(
        "peierls_estimate",
        f"Value inside an interval of {100 * BRACKET:g} %",
        rows,
        median_error=[statistics.median(estimates), statistics.median(middles)],
        mean_error=[statistics.mean(estimates), statistics.mean(middles)],
    )


if __name__ == "__main__":
    main()
