"""Functions that tests run in child processes. The folder of this file is on the children's PYTHONPATH."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms

from glideflow.config.engine import EngineSettings
from glideflow.engines.lammps import LammpsEngine
from glideflow.engines.protocol import Evaluation
from glideflow.errors import ConvergenceError, GlideflowError
from glideflow.isolation import Task, run_isolated
from glideflow.potentials.record import Potential
from glideflow.progress import Progress


def return_value(value: Any) -> Any:
    return value


def return_large_array(count: int) -> np.ndarray:
    return np.arange(count, dtype=float)


def return_environment(name: str) -> str | None:
    return os.environ.get(name)


def raise_error(message: str) -> None:
    raise ValueError(message)


def raise_glideflow_error() -> None:
    raise ConvergenceError("a force of 1 eV/Å is left", expected="at most 1e-6 eV/Å", next_step="raise the tolerance")


def exit_with(status: int) -> None:
    sys.exit(status)


def exit_without_result() -> None:
    os._exit(0)


def abort() -> None:
    os.abort()


def segfault() -> None:
    ctypes.string_at(0)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def hog_memory(gib: float) -> None:
    held = []
    for _ in range(int(gib * 16)):
        held.append(np.ones(2**23))  # 64 MiB each
        time.sleep(0.1)
    time.sleep(600)


def report_progress(progress: Progress) -> str:
    progress("first", 1, 4)
    time.sleep(0.15)  # longer than the interval at which progress is forwarded
    progress("second", 2.5, 4)
    time.sleep(0.15)
    progress("last", 4, 4)
    return "done"


def flood_progress(count: int, progress: Progress) -> str:
    for _ in range(count):
        progress("flood " + "x" * 200, 1, 1)
    return "done"


class _OnlyHere:
    """Cannot be pickled."""

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("this object stays where it is")


def return_unpicklable() -> object:
    return _OnlyHere()


def _refuse(*_: object) -> None:
    raise RuntimeError("made in the child only")


class _Unreadable:
    """Is pickled, but cannot be made again."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_refuse, (1,))


def return_unreadable() -> object:
    return _Unreadable()


def flood_output(megabytes: int) -> str:
    line = b"x" * 1023 + b"\n"
    for _ in range(megabytes):
        for stream in (1, 2):
            os.write(stream, line * 512)
    os.write(1, b"the last line\n")
    return "done"


def print_and_raise(lines: int) -> None:
    for number in range(lines):
        print(f"line {number}")
    print("ERROR: the engine's complaint", flush=True)
    os.abort()


def write_bytes_and_abort() -> None:
    os.write(2, b"caf\xe9 \0 end\n")
    os.abort()


def leave_pid(path: Path) -> None:
    path.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(600)


def start_grandchild(path: Path, then_abort: bool) -> None:
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    path.write_text(str(grandchild.pid), encoding="utf-8")
    if then_abort:
        os.abort()
    time.sleep(600)


def leave_temporary_file_and_abort(path: Path) -> None:
    import tempfile

    path.write_text(tempfile.mkdtemp(), encoding="utf-8")
    os.abort()


def run_child_that_leaves_pid(path: Path) -> None:
    run_isolated(Task(function="isolated_tasks:leave_pid", arguments={"path": path}))


def evaluate(potential: Potential, atoms: Atoms, settings: EngineSettings) -> Evaluation:
    with LammpsEngine(settings).open(potential, atoms) as session:
        return session.evaluate(atoms.positions)


class Unlicensed:
    """An ASE calculator's factory that fails: what a user's broken module looks like."""

    def __new__(cls) -> Self:
        raise GlideflowError("no licence found")


def lennard_jones() -> Any:
    """A Lennard-Jones crystal near Ar, cut off so far out that lattice sums converge to 1e-6."""
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=0.0104, sigma=3.4, rc=20.0, smooth=False)


def not_a_number() -> Any:
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=float("nan"))


def gravity() -> Any:
    """A calculator whose forces have no end and that says nothing of its range."""
    from ase.calculators.calculator import Calculator

    class Gravity(Calculator):
        implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

        def calculate(self, *arguments: Any, **keywords: Any) -> None:
            super().calculate(*arguments, **keywords)
            vectors = self.atoms.positions[:, None] - self.atoms.positions[None]
            distances = np.linalg.norm(vectors, axis=-1) + np.eye(len(vectors))
            self.results = {"energy": -np.sum(1 / distances), "forces": -np.sum(vectors / distances[..., None] ** 3, 1)}

    return Gravity()


def crystals_only() -> Any:
    """A calculator that refuses what has no neighbours, as a trained model may."""
    from ase.calculators.emt import EMT

    class CrystalsOnly(EMT):
        def calculate(self, atoms: Any = None, *arguments: Any, **keywords: Any) -> None:
            if atoms.get_volume() > 1000:
                raise ValueError("no molecules")
            super().calculate(atoms, *arguments, **keywords)

    return CrystalsOnly()
