"""The few calls into the LAMMPS library that sessions need, made on every MPI rank at once."""

from __future__ import annotations

import ctypes
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glideflow.crystals.lattices import FloatArray
from glideflow.errors import EngineError
from glideflow.isolation.ranks import on_all_ranks
from glideflow.units import LAMMPS_BAR_TO_EV_PER_A3

_GLOBAL_STYLE, _VECTOR_TYPE = 0, 1
_VOIGT_LAMMPS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
_MODULE = __name__

_instances: dict[int, Any] = {}
"""LAMMPS instances of this process by handle; the same handle on every rank is one parallel LAMMPS."""
_handles = itertools.count()


@dataclass(frozen=True)
class LammpsLibrary:
    """One LAMMPS, on one process or on all ranks.

    Attributes:
        handle: number of the instance in each process.
    """

    handle: int

    @classmethod
    def start(cls, arguments: list[str]) -> LammpsLibrary:
        """Start LAMMPS with command-line arguments."""
        handle = next(_handles)
        on_all_ranks(f"{_MODULE}:_start", handle, arguments)
        return cls(handle)

    def command(self, text: str) -> None:
        """Run one command."""
        on_all_ranks(f"{_MODULE}:_command", self.handle, text)

    def create_atoms(self, points: FloatArray) -> int:
        """Create atoms of type 1 with ids 1, 2, ... at (N, 3) points; return how many LAMMPS kept."""
        return int(on_all_ranks(f"{_MODULE}:_create_atoms", self.handle, np.ascontiguousarray(points)))

    def set_points(self, points: FloatArray) -> None:
        """Set the positions (N, 3) of all atoms, by id."""
        on_all_ranks(f"{_MODULE}:_scatter", self.handle, np.ascontiguousarray(points))

    def forces(self) -> FloatArray:
        """(N, 3) forces in eV/Å, by id."""
        return np.asarray(on_all_ranks(f"{_MODULE}:_gather_forces", self.handle))

    def points(self) -> FloatArray:
        """(N, 3) positions in Å, by id, possibly in another periodic image than they were set."""
        return np.asarray(on_all_ranks(f"{_MODULE}:_gather_points", self.handle))

    def fix_vector(self, name: str) -> FloatArray:
        """(3,) vector that a fix computes: for ``setforce``, the total force before it was set."""
        return np.array(on_all_ranks(f"{_MODULE}:_fix_vector", self.handle, name))

    def energy_ev(self) -> float:
        """Potential energy of the last step."""
        return float(on_all_ranks(f"{_MODULE}:_thermo", self.handle, "pe"))

    def stress_ev_per_angstrom3(self) -> FloatArray:
        """(3, 3) Cauchy stress of the last step, positive in tension, from the compute ``virial``."""
        pressure = on_all_ranks(f"{_MODULE}:_virial", self.handle)
        stress = np.empty((3, 3))
        for component, (i, j) in enumerate(_VOIGT_LAMMPS):
            stress[i, j] = stress[j, i] = -pressure[component] * LAMMPS_BAR_TO_EV_PER_A3
        return stress

    def is_tilted(self) -> bool:
        """Whether the box is tilted."""
        return any(tilt != 0.0 for tilt in on_all_ranks(f"{_MODULE}:_tilts", self.handle))

    def communication_cutoff_angstrom(self, scratch: Path) -> float:
        """Distance over which LAMMPS makes ghost atoms.

        Raises:
            EngineError: LAMMPS does not say.
        """
        report = scratch / "communication"
        self.command(f"info communication out overwrite {report}")
        found = re.search(r"cutoff\s*=\s*([0-9.eE+-]+)", report.read_text(encoding="utf-8"))
        if found is None:
            raise EngineError(
                "LAMMPS does not say its communication cutoff",
                expected="a line 'Communication cutoff = ...' from its command `info communication`",
                next_step="use the LAMMPS version of the lock file",
            )
        return float(found.group(1))

    def close(self) -> None:
        """End LAMMPS."""
        on_all_ranks(f"{_MODULE}:_close", self.handle)


def _start(handle: int, arguments: list[str]) -> None:
    from mpi4py import MPI  # first: it finds the MPI library that liblammps.so needs

    import lammps  # isort: skip

    _instances[handle] = lammps.lammps(cmdargs=arguments, comm=MPI.COMM_WORLD)


def _command(handle: int, text: str) -> None:
    _instances[handle].command(text)


def _create_atoms(handle: int, points: FloatArray) -> int:
    count = len(points)
    _instances[handle].create_atoms(count, list(range(1, count + 1)), [1] * count, points.ravel())
    return int(_instances[handle].get_natoms())


def _scatter(handle: int, points: FloatArray) -> None:
    _instances[handle].scatter_atoms("x", 1, 3, points.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))


def _gather_forces(handle: int) -> FloatArray:
    return np.ctypeslib.as_array(_instances[handle].gather_atoms("f", 1, 3)).reshape(-1, 3)


def _gather_points(handle: int) -> FloatArray:
    return np.ctypeslib.as_array(_instances[handle].gather_atoms("x", 1, 3)).reshape(-1, 3).copy()


def _fix_vector(handle: int, name: str) -> list[float]:
    return [float(_instances[handle].extract_fix(name, _GLOBAL_STYLE, _VECTOR_TYPE, index)) for index in range(3)]


def _thermo(handle: int, keyword: str) -> float:
    return float(_instances[handle].get_thermo(keyword))


def _virial(handle: int) -> list[float]:
    vector = _instances[handle].extract_compute("virial", _GLOBAL_STYLE, _VECTOR_TYPE)
    return [float(vector[component]) for component in range(6)]


def _tilts(handle: int) -> list[float]:
    return [float(tilt) for tilt in _instances[handle].extract_box()[2:5]]


def instance(handle: int) -> Any:  # noqa: ANN401 - LAMMPS has no types
    """LAMMPS itself, in a process that runs a function for it."""
    return _instances[handle]


def box(handle: int) -> tuple[FloatArray, FloatArray]:
    """(3,) origin and (3, 3) vectors of the box in Å."""
    low, high, xy, yz, xz, _, _ = _instances[handle].extract_box()
    x, y, z = np.subtract(high, low)
    return np.array(low), np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]])


def _close(handle: int) -> None:
    _instances.pop(handle).close()
