"""Peierls stress with and without the spring-network preconditioner: evaluations and processor time.

Edge dislocations in bcc {110} of Fe (Mendelev et al. 2003) and on prismatic planes of Zr (Mendelev and Ackland 2007),
the same cell, tolerance and search; only the preconditioner of the minimiser is the spring network in one run and a
constant in the other. Both must find the same stress within their brackets.

    python benchmarks/bench_peierls_stress.py
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from harness import Row, lattice, potential, report, timed

from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.slip_systems import BCC_110, HCP_PRISMATIC
from glideflow.crystals.slip_systems import slip_system
from glideflow.engines.lammps import LammpsEngine
from glideflow.properties import dislocation_problem
from glideflow.properties.peierls_stress import peierls_stress
from glideflow.properties.results import PeierlsStressResult

SETTINGS = PeierlsStressSettings(
    burgers_vectors=40, height_angstrom=60, directions=("forward",), max_evaluations=20_000
)
CURVATURE_EV_PER_A2 = 10.0
"""Of a metallic bond; dividing by it is what a minimiser without any knowledge of the crystal can do."""


@contextmanager
def without_springs() -> Iterator[None]:
    """Replace the inverse of the spring network by a constant."""
    constant = lambda matrix, rows: lambda gradient: gradient / CURVATURE_EV_PER_A2  # noqa: E731
    with mock.patch.object(dislocation_problem, "inverse_by_waves", constant):
        yield


def search(element: str) -> PeierlsStressResult:
    """The Peierls stress of an element."""
    crystal = lattice(element)
    system = slip_system(BCC_110 if crystal.structure == "bcc" else HCP_PRISMATIC)
    return peierls_stress(LammpsEngine(), potential(element), crystal, system, SETTINGS)


def main() -> None:
    for element in ("Fe", "Zr"):
        found, cpu_s = timed(lambda element=element: search(element))
        with without_springs():
            plain, plain_cpu_s = timed(lambda element=element: search(element))
        allowed = found.bracket_mpa + plain.bracket_mpa + found.resolution_mpa
        assert abs(found.peierls_mpa - plain.peierls_mpa) <= allowed, "both must find the same stress"
        rows = [
            Row(way=way, cpu_s=seconds, note=f"{r.evaluations} evaluations, {r.peierls_mpa:.2f} MPa")
            for way, seconds, r in (("springs", cpu_s, found), ("constant", plain_cpu_s, plain))
        ]
        report(
            f"peierls_stress_{element}",
            f"Peierls stress of {element}, {found.atoms} atoms, forces to 1e-6 eV/Å",
            rows,
            evaluations=[found.evaluations, plain.evaluations],
            evaluation_ratio=plain.evaluations / found.evaluations,
            peierls_mpa=[found.peierls_mpa, plain.peierls_mpa],
        )


if __name__ == "__main__":
    main()
