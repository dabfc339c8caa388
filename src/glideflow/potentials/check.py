"""Whether a potential's files are there, unaltered, and what its pair style reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from glideflow.errors import GlideflowError, PotentialError
from glideflow.potentials.headers import (
    FUNCFL_STYLES,
    LIBRARY_FIELDS,
    LIBRARY_STYLES,
    SETFL_STYLES,
    TableHeader,
    funcfl_header,
    library_entries,
    setfl_header,
    table_values,
)
from glideflow.potentials.nep_header import header_with_element
from glideflow.potentials.pair_coeff import CoefficientLine, check_element
from glideflow.potentials.record import Potential, verify_files

MAX_HEADER_WORDS = 8
"""Numbers and words that the line before an element's tables may hold (atomic number, mass, lattice constant, name)."""


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """Result of the checks of one potential.

    Attributes:
        id: the potential.
        problems: what is wrong; empty if nothing is.
        remarks: what is unusual and does not keep LAMMPS from using the potential.
        energy_ev_per_atom: energy of the perfect crystal in eV per atom, where an evaluation was asked for.
    """

    id: str
    problems: tuple[GlideflowError, ...] = ()
    remarks: tuple[str, ...] = ()
    energy_ev_per_atom: float | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_potential(potential: Potential, evaluate: Callable[[Potential], float] | None = None) -> CheckReport:
    """Check files, digests, headers and tables, and on demand the energy of the perfect crystal.

    Args:
        potential: what to check; it need not have digests.
        evaluate: gives the energy of the perfect crystal in eV per atom, in a child process that may die without harm.
            Called only if the files are in order.

    Returns:
        a report; nothing that is wrong with the potential is raised.
    """
    problems: list[GlideflowError] = []
    remarks: list[str] = []
    energy_ev_per_atom = None
    for step in (_check_files, _check_content):
        try:
            remarks.extend(step(potential))
        except GlideflowError as error:
            problems.append(error)
    if evaluate is not None and not problems:
        try:
            energy_ev_per_atom = _finite(evaluate(potential), potential)
        except GlideflowError as error:
            problems.append(error)
    return CheckReport(
        id=potential.id, problems=tuple(problems), remarks=tuple(remarks), energy_ev_per_atom=energy_ev_per_atom
    )


def _check_files(potential: Potential) -> Iterator[str]:
    verify_files(potential)
    yield from ()


def _check_content(potential: Potential) -> Iterator[str]:
    """Check headers against the element, and count and read the values of tables; remarks on what is unusual."""
    if potential.engine == "nep" and all(file.path.is_file() for file in potential.files):
        _check_nep(potential)
    for line in potential.pair_coeff:
        parsed = _parsed(line, potential)
        if parsed is None or not all(file.is_file() for file in parsed.files):
            continue  # a file that is missing is reported once, by the step before
        check_element(parsed, potential.element)
        if parsed.files:
            yield from _check_values(parsed.files[0], parsed)


def _parsed(line: str, potential: Potential) -> CoefficientLine | None:
    """The line with its files; ``None`` for a part of a hybrid style that this module does not tell apart."""
    paths = {f"{{{number}}}": file.path for number, file in enumerate(potential.files)}
    words = line.split()
    styles = potential.pair_style.split() or [""]
    hybrid = styles[0].startswith("hybrid")
    if hybrid and words[2] not in styles[1:]:
        return None
    taken = 3 if hybrid else 2
    return CoefficientLine(
        text=line,
        style=words[2] if hybrid else styles[0],
        prefix=" ".join(words[:taken]),
        words=tuple(paths.get(word, word) for word in words[taken:]),
    )


def _check_values(file: Path, line: CoefficientLine) -> Iterator[str]:
    if line.style in LIBRARY_STYLES:
        _check_library(file, {str(word) for word in line.words})
    elif line.style in SETFL_STYLES:
        header = setfl_header(file)
        # The line of the only element is the sixth; those of several lie between their tables.
        yield from _check_table(file, line.style, header, header_lines=6 if len(header.elements) == 1 else 5)
    elif line.style in FUNCFL_STYLES:
        yield from _check_table(file, line.style, funcfl_header(file), header_lines=3)


def _check_nep(potential: Potential) -> None:
    """Check that a neuroevolution potential has the element, and as many numbers as its header says."""
    (file,) = (file.path for file in potential.files)
    header = header_with_element(file, potential.element)
    words = file.read_bytes().split(b"\n", header.header_lines)[header.header_lines].split()
    if len(words) != header.values:
        raise PotentialError(
            f"{file} holds {len(words)} values",
            expected=f"{header.values} values below the header of {header.kind}",
            next_step="fetch the file again: it is truncated, or its header has been altered",
        )
    if strange := [word for word in words if (number := _number(word)) is None or not math.isfinite(number)]:
        raise _no_numbers(file, strange)


def _check_library(file: Path, used: set[str]) -> None:
    floats = [
        entry.label
        for entry in library_entries(file)
        if entry.label in used and not all(_is_integer(text) for text in (entry.atomic_number, entry.background))
    ]
    if floats:
        raise PotentialError(
            f"the fields ielement and ibar of {', '.join(floats[:10])} in {file} are not integers",
            expected="integers, as LAMMPS of 2025 and later insists on",
            next_step=f"write the 4th and the {LIBRARY_FIELDS}th field of the entry as integers",
        )


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdigit()


def _check_table(file: Path, style: str, header: TableHeader, header_lines: int) -> Iterator[str]:
    """Count the values of a table and read them as numbers; words in lines of several elements are passed over."""
    words = b"\n".join(file.read_bytes().split(b"\n", header_lines)[header_lines:]).split()
    expected, elements = table_values(header)[style], len(header.elements)
    if not expected <= len(words) <= expected + (MAX_HEADER_WORDS * elements if elements > 1 else 0):
        raise PotentialError(
            f"{file} holds {len(words)} values",
            expected=f"{expected} values and a line per element for pair_style {style}",
            next_step="fetch the file again if it is truncated; eam/alloy, eam/fs and adp files differ in their length",
        )
    numbers = [number for word in words if (number := _number(word)) is not None]
    if len(numbers) < expected:
        raise _no_numbers(file, [word for word in words if _number(word) is None])
    # Some tables in use hold NaN or infinity at zero distance, where nothing reads them: the energy shows the others.
    if strange := sum(not math.isfinite(number) for number in numbers):
        yield f"{file.name} holds {strange} values that are not finite"


def _number(word: bytes) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _no_numbers(file: Path, words: list[bytes]) -> PotentialError:
    shown = ", ".join(repr(word[:40].decode("latin-1")) for word in words[-3:])
    return PotentialError(
        f"{file} holds {len(words)} words among its values, e.g. {shown}",
        expected="numbers",
        next_step="fetch the file again",
    )


def _finite(energy_ev_per_atom: float, potential: Potential) -> float:
    if not math.isfinite(energy_ev_per_atom):
        raise PotentialError(
            f"the energy of the {potential.structure} crystal of {potential.id} is {energy_ev_per_atom}",
            expected="a finite energy",
            next_step="look for NaN in its files, and for distances outside its tables",
        )
    return energy_ev_per_atom
