"""What outputs of density-functional codes say of themselves: finished, converged, and with which settings.

Readers of energies take what stands in a file. A run that was cut off, or whose last cycle did not converge, has an
energy as well, and so have two runs with different cutoffs: their difference is no fault energy. So γ of outputs is
taken only from runs that say that they are done, with the settings of the cell without a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from glideflow.errors import ConfigurationError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

VASP, GPAW, OTHER = "VASP", "GPAW", ""
OUTPUT_NAMES = ("vasprun.xml", "OUTCAR")
NOT_REACHED = "EDIFF was not reached"
"""What an OUTCAR says of an electronic cycle that has not converged."""

_RELAXATIONS = (1, 2, 3)
"""IBRION of relaxations."""
_SETTINGS = ("ENMAX", "ISPIN", "GGA", "METAGGA", "LHFCALC", "ISMEAR", "SIGMA")
_NOTHING = ("", "--", "F", ".FALSE.", "NONE")
_NUMBERS = ("NELM", "NSW", "IBRION")
_CUTOFF, _POTENTIALS, _MESH = "ENCUT", "POTCAR", "k points"
_OUTCAR_TAGS = re.compile(r"\b(ENCUT|ISPIN|GGA|METAGGA|LHFCALC|ISMEAR|SIGMA|NELM|NSW|IBRION)\s*=\s*([^\s;]+)")
_OUTCAR_MESH = re.compile(r"^\s*generate k-points for:\s*(\d+)\s+(\d+)\s+(\d+)")
_OUTCAR_TITLE = re.compile(r"^\s*POTCAR:\s+(.+?)\s*$")
_OUTCAR_END = "General timing and accounting"
_OUTCAR_REACHED = "aborting loop because EDIFF is reached"
_OUTCAR_RELAXED = "reached required accuracy"
_OUTCAR_FORCES = "TOTAL-FORCE"
_GPAW_BANNER = "___ ___ ___ _ _ _"
_GPAW_CONVERGED = re.compile(r"^\s*Converged (after|in) \d+", re.MULTILINE)
_GPAW_FAILED = "Did not converge"
_GPAW_SETTINGS = {
    "mode": re.compile(r"^\s*mode:\s*(.+?)\s*$", re.MULTILINE),
    "xc": re.compile(r"^\s*xc:\s*(.+?)\s*$", re.MULTILINE),
    _MESH: re.compile(r"^\s*kpts:\s*(.+?)\s*$", re.MULTILINE),
    "spinpol": re.compile(r"^\s*spinpol:\s*(.+?)\s*$", re.MULTILINE),
    "occupations": re.compile(r"^\s*occupations:\s*(.+?)\s*$", re.MULTILINE),
}


@dataclass(frozen=True, kw_only=True)
class CalculationOutput:
    """What an output says of its run; None where it does not say.

    Attributes:
        path: the file.
        code: `VASP`, `GPAW` or `OTHER`.
        complete: whether the run came to its end.
        electrons_converged: whether the last self-consistent cycle did.
        relaxes: whether positions were relaxed.
        ions_converged: whether this came to its criterion.
        has_forces: whether forces stand in it.
        settings: what has to be the same in runs whose energies are subtracted, as text.
    """

    path: Path
    code: str
    complete: bool = True
    electrons_converged: bool | None = None
    relaxes: bool = False
    ions_converged: bool | None = None
    has_forces: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know though the output is usable."""
        if self.electrons_converged is None:
            return (f"{self.path.name} in {self.path.parent.name or '.'} does not say whether it converged",)
        return ()


def output_file(path: Path) -> Path:
    """The output in a folder of VASP or GPAW; a file is itself.

    Raises:
        FileNotFoundError: the folder holds none, or several logs.
    """
    if not path.is_dir():
        return path
    named = [path / name for name in OUTPUT_NAMES if (path / name).is_file()]
    logs = sorted(path.glob("*.txt"))
    if not named and len(logs) != 1:
        raise FileNotFoundError(f"{path} is a folder without {' or '.join(OUTPUT_NAMES)}, and with {len(logs)} *.txt")
    return (named or logs)[0]


def finished_output(path: Path) -> CalculationOutput:
    """What an output says of its run, if that came to its end and converged.

    Args:
        path: vasprun.xml, OUTCAR, a log of GPAW, or anything else, of which nothing is known.

    Raises:
        ConfigurationError: it was cut off, its electrons or ions have not converged, or a relaxation has no forces.
        OSError: it cannot be read.
    """
    found = _read(path)
    if not found.complete:
        raise _unusable(found, "ends in the middle: the run was cut off", "run it to its end")
    if found.electrons_converged is False:
        raise _unusable(
            found,
            "has a last electronic cycle that did not converge",
            "raise NELM (VASP) or maxiter (GPAW), or ease the mixing, and run it again",
        )
    if found.relaxes and not found.has_forces:
        raise _unusable(found, "relaxes positions, but holds no forces", "look whether it is the file of that run")
    if found.relaxes and found.ions_converged is False:
        raise _unusable(
            found, "used up its NSW steps before the positions were relaxed", "go on from CONTCAR with a larger NSW"
        )
    return found


def refuse_other_settings(output: CalculationOutput, reference: CalculationOutput) -> None:
    """Energies of two runs are comparable only with the same code, potentials, functional, cutoff, mesh and spin.

    Settings that one of both does not state are not compared.

    Raises:
        ConfigurationError: they differ in one.
    """
    differing = [
        f"{name} {output.settings[name]} instead of {reference.settings[name]}"
        for name in sorted(output.settings.keys() & reference.settings.keys())
        if output.settings[name] != reference.settings[name]
    ]
    if output.code != reference.code and OTHER not in (output.code, reference.code):
        differing = [f"{output.code} instead of {reference.code}"]
    if differing:
        raise ConfigurationError(
            f"{output.path} was computed with {'; '.join(differing)} in {reference.path}",
            expected="the same code, potentials, functional, cutoff, k points, smearing and spin in both",
            next_step="repeat one of them with the settings of the other",
        )


def _unusable(found: CalculationOutput, problem: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(
        f"{found.path} {problem}",
        expected="a run that came to its end and converged: γ is a small difference of large energies",
        next_step=next_step,
    )


def _read(path: Path) -> CalculationOutput:
    if path.suffix == ".xml" or path.name.startswith("vasprun"):
        return _vasprun(path)
    if path.name.startswith("OUTCAR"):
        return _outcar(path)
    with path.open(encoding="utf-8", errors="replace") as stream:
        start = stream.read(4096)
        if _GPAW_BANNER in start:
            return _gpaw_log(path, start + stream.read())
    return CalculationOutput(path=path, code=OTHER)


def _vasprun(path: Path) -> CalculationOutput:
    """A vasprun.xml, element by element: those of long relaxations are large."""
    from xml.etree import ElementTree

    tags: dict[str, str] = {}
    steps, cycles, forces, complete = 0, 0, False, True
    try:
        for _, element in ElementTree.iterparse(path):
            if element.tag in ("i", "v") and (name := element.get("name")) is not None:
                tags.setdefault(name, (element.text or "").strip())
            elif element.tag == "array" and element.get("name") == "atomtypes":
                tags[_POTENTIALS] = ", ".join(_potential_titles(element))
            elif element.tag == "calculation":
                steps, cycles = steps + 1, len(element.findall("scstep"))
                forces = element.find("varray[@name='forces']") is not None
                element.clear()
    except ElementTree.ParseError:
        complete = False
    return _vasp_output(path, tags, steps=steps, cycles=cycles, complete=complete, forces=forces)


def _vasp_output(
    path: Path, tags: Mapping[str, str], *, steps: int, cycles: int, complete: bool, forces: bool
) -> CalculationOutput:
    limit, most, kind = (_integer(tags.get(name)) for name in _NUMBERS)
    relaxes = kind in _RELAXATIONS and most is not None and most > 1
    return CalculationOutput(
        path=path,
        code=VASP,
        complete=complete,
        electrons_converged=None if limit is None else cycles < limit,
        relaxes=relaxes,
        ions_converged=steps < most if relaxes and most is not None else None,
        has_forces=forces,
        settings=_vasp_settings(tags, tags.get("divisions")),
    )


def _potential_titles(element: Element) -> list[str]:
    """Titles of the pseudopotentials, the last column of the table of atom types."""
    rows = (row.findall("c") for row in element.iter("rc"))
    return [(cells[-1].text or "").strip() for cells in rows if cells]


def _vasp_settings(tags: Mapping[str, str], mesh: str | None) -> dict[str, str]:
    """Settings by the names that users know, numbers in one notation."""
    found = {_CUTOFF if name == "ENMAX" else name: _plain(tags[name]) for name in _SETTINGS if name in tags}
    if tags.get(_POTENTIALS):
        found[_POTENTIALS] = tags[_POTENTIALS]
    if mesh:
        found[_MESH] = " ".join(mesh.split())
    return found


def _outcar(path: Path) -> CalculationOutput:
    """An OUTCAR, line by line."""
    tags: dict[str, str] = {}
    titles: list[str] = []
    mesh, reached, relaxed, forces, complete = None, None, False, False, False
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if match := _OUTCAR_MESH.match(line):
                mesh = " ".join(match.groups())
            elif (match := _OUTCAR_TITLE.match(line)) and match[1] not in titles:
                titles.append(match[1])
            for name, value in _OUTCAR_TAGS.findall(line):
                tags.setdefault("ENMAX" if name == _CUTOFF else name, value)
            if NOT_REACHED in line or _OUTCAR_REACHED in line:
                reached = _OUTCAR_REACHED in line
            relaxed |= _OUTCAR_RELAXED in line
            forces |= _OUTCAR_FORCES in line
            complete |= _OUTCAR_END in line
    _, most, kind = (_integer(tags.get(name)) for name in _NUMBERS)
    if titles:
        tags[_POTENTIALS] = ", ".join(titles)
    return CalculationOutput(
        path=path,
        code=VASP,
        complete=complete,
        electrons_converged=reached,
        relaxes=kind in _RELAXATIONS and most is not None and most > 1,
        ions_converged=relaxed,
        has_forces=forces,
        settings=_vasp_settings(tags, mesh),
    )


def _gpaw_log(path: Path, text: str) -> CalculationOutput:
    """A log of GPAW; energies stand in it after a converged cycle only, and there is no mark of its end."""
    converged = False if _GPAW_FAILED in text else (True if _GPAW_CONVERGED.search(text) else None)
    found = {name: pattern.search(text) for name, pattern in _GPAW_SETTINGS.items()}
    return CalculationOutput(
        path=path,
        code=GPAW,
        electrons_converged=converged,
        settings={name: match[1] for name, match in found.items() if match},
    )


def _integer(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _plain(text: str) -> str:
    """Numbers without zeros at their end; one word for nothing, of which the files of VASP have several."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return "none" if text in _NOTHING else text
