"""Whether one ``pair_coeff`` line describes one atom type, and whether that is the element asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glideflow.errors import PotentialError
from glideflow.potentials.headers import (
    FUNCFL_STYLES,
    LIBRARY_STYLES,
    SETFL_STYLES,
    LibraryEntry,
    TableHeader,
    funcfl_header,
    library_entries,
    setfl_header,
)
from glideflow.potentials.identifiers import did_you_mean

NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MAX_SHOWN: Final = 30


@dataclass(frozen=True, kw_only=True)
class CoefficientLine:
    """One ``pair_coeff`` line, split and looked up.

    Attributes:
        text: as typed, for messages.
        style: pair style that reads it (the sub-style of a hybrid one).
        prefix: atom types and sub-style, e.g. ``* * snap``.
        words: the arguments after that; files as `Path`.
    """

    text: str
    style: str
    prefix: str
    words: tuple[str | Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, in order."""
        return tuple(word for word in self.words if isinstance(word, Path))

    @property
    def names_after_files(self) -> tuple[str, ...]:
        """The words after the last file: in most styles what maps atom types to elements."""
        names: list[str] = []
        for word in self.words:
            names = [] if isinstance(word, Path) else [*names, word]
        return tuple(names)


def check_element(line: CoefficientLine, element: str) -> None:
    """Check that a line maps one atom type to an element, as far as the style and the files' headers tell.

    Raises:
        PotentialError: the line has several atom types or another element, or a file is not what the style reads.
    """
    for styles, check in _CHECKS:
        if line.style in styles:
            check(line, element)
            return
    _check_any(line, element)


def is_symbol(word: str) -> bool:
    """Whether a word is a chemical symbol."""
    from ase.data import atomic_numbers

    return word in atomic_numbers


def _check_funcfl(line: CoefficientLine, element: str) -> None:
    file = _only_file(line, "FILE")
    if line.names_after_files:
        raise _wrong_mapping(line, "`* * FILE`: the file itself says the element")
    header = _header(funcfl_header, file, {"eam/alloy": setfl_header}, element)
    if header.atomic_number != _atomic_number(element):
        raise _other_elements(file, (_symbol_of(header.atomic_number),), element)


def _check_setfl(line: CoefficientLine, element: str) -> None:
    file = _only_file(line, f"FILE {element}")
    _expect_only(element, line)
    header = _header(setfl_header, file, {"eam": funcfl_header}, element)
    if element not in header.elements:
        raise _other_elements(file, header.elements, element)


def _header(
    read: Callable[[Path], TableHeader],
    file: Path,
    others: Mapping[str, Callable[[Path], TableHeader]],
    element: str,
) -> TableHeader:
    """The header of a table; if it cannot be read, but as that of another style, the message says so."""
    try:
        return read(file)
    except PotentialError as error:
        for style, read_other in others.items():
            try:
                read_other(file)
            except PotentialError:
                continue
            line = f"* * FILE {element}" if style == "eam/alloy" else "* * FILE"
            raise PotentialError(
                error.found,
                expected=error.expected,
                next_step=f"it reads as a file of pair_style {style}: use that with --pair-coeff '{line}'",
            ) from error
        raise


def _check_library(line: CoefficientLine, element: str) -> None:
    """``LIBRARY LABELS... (PARAMETERS | NULL) LABEL``, where LABEL is one of LABELS and an entry for the element."""
    form = f"`* * LIBRARY {element} PARAMETERS {element}`, or NULL for PARAMETERS"
    library, rest = line.words[0], line.words[1:]
    ends = [index for index, word in enumerate(rest) if isinstance(word, Path) or word == "NULL"]
    if not isinstance(library, Path) or not ends:
        raise _wrong_mapping(line, form)
    labels, mapped = [str(word) for word in rest[: ends[0]]], [str(word) for word in rest[ends[0] + 1 :]]
    if len(mapped) != 1:
        raise _wrong_mapping(line, form, mapped)
    entry = _library_entry(library, labels, mapped[0])
    if _symbol_in(entry.label) != element and entry.atomic_number != str(_atomic_number(element)):
        raise _wrong_mapping(line, f"an entry of {library.name} for {element}", mapped)


def _library_entry(library: Path, labels: Sequence[str], label: str) -> LibraryEntry:
    entries: dict[str, LibraryEntry] = {}
    for entry in library_entries(library):
        entries.setdefault(entry.label, entry)  # of entries with one label, LAMMPS takes the first
    if unknown := [name for name in dict.fromkeys([*labels, label]) if name not in entries]:
        raise PotentialError(
            f"{library.name} has no entry {', '.join(unknown)}",
            expected=f"entries among {', '.join(list(entries)[:MAX_SHOWN])}",
            next_step=f"did you mean {did_you_mean(unknown[0], entries) or 'one of these'}?",
        )
    if label not in labels:
        raise PotentialError(
            f"{label} is not among the entries that the line takes from {library.name}: {' '.join(labels)}",
            expected="the name of the atom type repeated between the library and the parameters",
            next_step=f"add {label} after the library",
        )
    return entries[label]


def _check_mapped(line: CoefficientLine, element: str) -> None:
    """Styles that end with one name per atom type: spline MEAM, SNAP, Tersoff and their kin."""
    if not line.files:
        raise _wrong_mapping(line, f"`* * FILE {element}`")
    _expect_only(element, line)


def _check_any(line: CoefficientLine, element: str) -> None:
    """Any other style: names after the last file map the atom type; of numbers only those of ``zbl`` are known."""
    if line.files and line.names_after_files:
        _expect_only(element, line)
    elif line.style == "zbl":
        number = _atomic_number(element)
        if [float(str(word)) for word in line.words if NUMBER.fullmatch(str(word))] != [number, number]:
            raise _wrong_mapping(line, f"`* * zbl {number} {number}`, the atomic number of {element}")


_CHECKS: Final[tuple[tuple[Iterable[str], Callable[[CoefficientLine, str], None]], ...]] = (
    (FUNCFL_STYLES, _check_funcfl),
    (SETFL_STYLES, _check_setfl),
    (LIBRARY_STYLES, _check_library),
    (("meam/spline", "meam/sw/spline", "snap", "tersoff", "tersoff/zbl", "sw", "pace", "bop"), _check_mapped),
)


def _only_file(line: CoefficientLine, form: str) -> Path:
    if len(line.files) != 1 or line.files[0] != line.words[0]:
        raise PotentialError(
            f"pair_coeff {line.text!r:.200} names {len(line.files)} files",
            expected=f"`* * {form}` (pair_style {line.style})",
            next_step="give one parameter file after `* *`",
        )
    return line.files[0]


def _expect_only(element: str, line: CoefficientLine) -> None:
    if line.names_after_files != (element,):
        raise _wrong_mapping(line, f"the one element {element} after the file")


def _wrong_mapping(line: CoefficientLine, expected: str, found: Sequence[str] | None = None) -> PotentialError:
    names = line.names_after_files if found is None else tuple(found)
    elements = [name for name in names if is_symbol(name)]
    return PotentialError(
        f"pair_coeff {line.text!r:.200} maps its atom types to {' '.join(names) or 'no element'}",
        expected=f"{expected} (pair_style {line.style})",
        next_step="alloys are not computed: name one element"
        if len(elements) > 1
        else f"correct the line, or compare it with LAMMPS' documentation of pair_style {line.style}",
    )


def _other_elements(file: Path, found: Sequence[str], element: str) -> PotentialError:
    return PotentialError(
        f"{file.name} describes {', '.join(found)}, not {element}",
        expected=f"a file that has {element}",
        next_step=f"pass --element {found[0]}, or another file"
        if len(found) == 1
        else "choose one of its elements, or another file",
    )


def _symbol_in(label: str) -> str:
    """The chemical symbol with which a label such as ``AlS``, ``Ni2`` or ``WL`` begins."""
    return label[:2] if is_symbol(label[:2]) else label[:1]


def _atomic_number(element: str) -> int:
    from ase.data import atomic_numbers

    return int(atomic_numbers[element])


def _symbol_of(atomic_number: int) -> str:
    from ase.data import chemical_symbols

    known = 0 < atomic_number < len(chemical_symbols)
    return str(chemical_symbols[atomic_number]) if known else f"the atomic number {atomic_number}"
