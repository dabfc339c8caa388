"""Whether this Python environment is the one that the lock file describes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from glideflow import __version__
from glideflow.isolation import Failure, Limits, Task, run_isolated
from glideflow.site.check import Check, plain

AREA = "Python"
MINIMUM = (3, 11)
LOCK = Path("envs/lock/default.txt")
OVITO_LIBRARIES = {"libEGL.so.1": "libegl1", "libGL.so.1": "libgl1"}
"""Shared libraries that OVITO's wheel needs and does not bring, with their Debian packages."""
MOST_NAMED = 6

_PIN = re.compile(r"^[A-Za-z0-9][^\\#]*==[^\\#]*")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A package that is not what was asked for.

    Attributes:
        name: the package.
        wanted: what was asked for, e.g. ``==2.0``.
        found: installed version, empty if it is not installed.
    """

    name: str
    wanted: str
    found: str

    @property
    def described(self) -> str:
        """In words, e.g. ``numpy 1.26 (wanted ==2.0)``."""
        return f"{self.name} {self.found or 'absent'} (wanted {self.wanted})"


def python_checks(base: Path, limit_s: float) -> Iterator[Check]:
    """Interpreter, packages, and the system libraries that OVITO needs.

    Args:
        base: folder in which a lock file is looked for first.
        limit_s: time limit for loading the libraries.
    """
    yield _interpreter()
    yield _requirements()
    yield _locked(base)
    yield _ovito(limit_s)


def _interpreter() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info[:2] >= MINIMUM
    where = "in a virtual environment" if sys.prefix != sys.base_prefix else "the system's, not a virtual environment"
    return Check(
        area=AREA,
        name="interpreter",
        status="ok" if good else "missing",
        found=f"Python {version}, {where} ({sys.prefix})",
        expected="" if good else "Python {}.{} or later".format(*MINIMUM),
        next_step="" if good else "make PYTHON=python3.11 setup",
        required=True,
    )


def _requirements() -> Check:
    """The packages without which nothing runs, with the versions that this package admits."""
    try:
        required = metadata.requires("glideflow") or []
    except metadata.PackageNotFoundError:
        required = []
    wrong = [each.described for each in differences(line for line in required if "extra ==" not in line)]
    found = f"glideflow {__version__} with {'all' if not wrong else 'not all'} of the packages that it needs"
    return Check(
        area=AREA,
        name="packages",
        status="missing" if wrong else "ok" if required else "warning",
        found=f"{found}: {_named(wrong)}" if wrong else found if required else "glideflow runs without being installed",
        expected="" if required and not wrong else "the packages that glideflow asks for, installed with it",
        next_step="" if required and not wrong else "make setup, or pip install glideflow",
        required=True,
    )


def _locked(base: Path) -> Check:
    lock = next((file for file in (base / LOCK, Path(__file__).parents[3] / LOCK) if file.is_file()), None)
    if lock is None:
        return Check(area=AREA, name="lock file", status="not applicable", found="there is none here")
    pins = _pins(lock)
    wrong = [each.described for each in differences(pins)]
    return Check(
        area=AREA,
        name="lock file",
        status="warning" if wrong else "ok",
        found=f"{len(wrong)} of {len(pins)} packages are not as locked: {_named(wrong)}"
        if wrong
        else f"all {len(pins)} packages are as locked",
        expected="the versions with which the package is tested" if wrong else "",
        next_step="make setup" if wrong else "",
    )


def _pins(lock: Path) -> list[str]:
    try:
        lines = lock.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [found.group().strip() for line in lines if (found := _PIN.match(line))]


def _named(wrong: list[str]) -> str:
    return plain(", ".join(wrong[:MOST_NAMED])) + (f" and {len(wrong) - MOST_NAMED} more" if wrong[MOST_NAMED:] else "")


def differences(requirements: Iterable[str]) -> Iterator[Difference]:
    """Packages that are absent or of another version than required; those for other platforms are passed over.

    Args:
        requirements: as in pip's files, e.g. ``numpy==2.0 ; python_version < '3.13'``. Unreadable ones are left out.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    for text in requirements:
        try:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate():
                continue
            found = _installed(requirement.name)
            good = bool(found) and requirement.specifier.contains(found, prereleases=True)
        except (InvalidRequirement, InvalidVersion):
            continue
        if not good:
            yield Difference(name=requirement.name, wanted=str(requirement.specifier) or "any", found=found)


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _ovito(limit_s: float) -> Check:
    """OVITO is used by the dislocation branches and by tests; the library branch does without it."""
    task = Task(function="glideflow.site.probe:loadable", arguments={"libraries": tuple(OVITO_LIBRARIES)})
    outcome = run_isolated(task, Limits(wall_time_s=limit_s))
    installed = _installed("ovito")
    refused = {"?": outcome.reason} if isinstance(outcome, Failure) else outcome.value
    if not refused:
        return Check(
            area=AREA,
            name="libraries of OVITO",
            status="ok",
            found=f"{' and '.join(OVITO_LIBRARIES)} load; OVITO {installed or 'is not installed'}",
        )
    packages = " ".join(OVITO_LIBRARIES.get(name, "libegl1 libgl1") for name in refused)
    return Check(
        area=AREA,
        name="libraries of OVITO",
        status="warning" if installed else "not applicable",
        found=plain("; ".join(refused.values())),
        expected="libEGL and libGL, which OVITO's wheel does not bring (needed by the dislocation branches only)",
        next_step=f"make system, or apt-get install {packages}",
    )
