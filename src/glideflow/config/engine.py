"""Section ``engine``: how energies and forces are evaluated, and what a job may use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glideflow.config.base import Section


class EngineSettings(Section):
    """How the engine runs inside one job."""

    accelerator: Literal["none", "opt", "omp", "kokkos"] = "opt"
    """LAMMPS accelerator suffix. ``opt`` is the fastest on one core; a style without it falls back by itself."""
    threads: int = Field(default=1, ge=1, le=1024)
    """OpenMP threads of one engine process (``omp`` and ``kokkos``)."""
    gpus: int = Field(default=0, ge=0, le=64)
    """GPUs of one node given to ``kokkos``."""
    mpi_ranks: int = Field(default=1, ge=1, le=100_000)
    """MPI ranks of one engine; 1 starts no MPI launcher."""
    mpi_launcher: tuple[str, ...] = ("mpiexec", "-n", "{ranks}")
    """Command that starts the ranks: ``mpiexec -n {ranks}`` locally, ``srun --mpi=pmi2 -n {ranks}`` on Slurm."""
    time_limit_s: float = Field(default=3600.0, gt=0)
    """Wall time after which one property of one potential is ended and recorded as a failure."""
    memory_limit_gib: float = Field(default=8.0, gt=0)
    """Resident memory of one job's processes above which it is ended and recorded as a failure."""
