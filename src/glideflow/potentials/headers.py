"""What the parameter files of EAM and MEAM potentials say of themselves, read without LAMMPS.

Formats as in the LAMMPS documentation of ``pair_style eam`` (funcfl and setfl, with the variants of ``eam/fs``,
``eam/he`` and ``adp``) and ``pair_style meam``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from glideflow.errors import PotentialError

HEADER_BYTES: Final = 65_536
"""More than the header lines of any table file."""
MAX_ELEMENTS: Final = 100
MAX_POINTS: Final = 10_000_000
LIBRARY_FIELDS: Final = 19

FUNCFL_STYLES: Final = frozenset({"eam"})
SETFL_STYLES: Final = frozenset({"eam/alloy", "eam/fs", "eam/he", "adp"})
LIBRARY_STYLES: Final = frozenset({"meam", "meam/c", "meam/ms"})


@dataclass(frozen=True, kw_only=True)
class TableHeader:
    """Header of a funcfl or setfl file.

    Attributes:
        elements: chemical symbols (setfl); empty for funcfl.
        atomic_number: atomic number of the first element (setfl), or of the only one (funcfl).
        density_points: points of each embedding function.
        radius_points: points of each density and pair function.
        cutoff_angstrom: range of the tables in Å.
    """

    elements: tuple[str, ...]
    atomic_number: int
    density_points: int
    radius_points: int
    cutoff_angstrom: float


@dataclass(frozen=True, kw_only=True)
class LibraryEntry:
    """One entry of a MEAM library.

    Attributes:
        label: name by which ``pair_coeff`` calls it; often, not always, the chemical symbol.
        lattice: reference structure, e.g. ``fcc``.
        atomic_number: the field ``ielement`` as written; some libraries hold 1 throughout.
        background: the field ``ibar`` as written.
    """

    label: str
    lattice: str
    atomic_number: str
    background: str


def setfl_header(path: Path) -> TableHeader:
    """Read the header of a setfl file: elements and grid.

    Raises:
        PotentialError: the file cannot be read, ends within its header, or has another format.
    """
    return setfl_header_of(_beginning(path), str(path))


def setfl_header_of(content: bytes, where: str) -> TableHeader:
    """Parse the header of a setfl file from its beginning.

    Args:
        content: the file, or more than its first six lines.
        where: what to call it in messages.

    Raises:
        PotentialError: it ends within its header, or has another format.
    """
    with _parsing(where, "setfl"):
        symbols, grid, element = _fields(content, (3, 4, 5))
        symbols = _without_comment(symbols)
        count = int(symbols[0])
        if not 1 <= count <= MAX_ELEMENTS or len(symbols) != count + 1:
            raise ValueError(f"line 4 announces {symbols[0]} elements and names {' '.join(symbols[1:])[:80]!r}")
        return _header(tuple(symbols[1 : count + 1]), element, grid)


def funcfl_header(path: Path) -> TableHeader:
    """Read the header of a funcfl file: atomic number and grid.

    Raises:
        PotentialError: the file cannot be read, ends within its header, or has another format.
    """
    return funcfl_header_of(_beginning(path), str(path))


def funcfl_header_of(content: bytes, where: str) -> TableHeader:
    """Parse the header of a funcfl file from its beginning; see `setfl_header_of`."""
    with _parsing(where, "funcfl"):
        element, grid = _fields(content, (1, 2))
        return _header((), element, grid)


def table_values(header: TableHeader) -> Mapping[str, int]:
    """How many tabulated values each style expects below the header, without the elements' own lines.

    For ``n`` elements and ``p = n (n + 1) / 2`` pairs: ``eam/alloy`` has n embedding and density functions and p pair
    functions, ``eam/fs`` n² density functions, ``eam/he`` the same, ``adp`` 2 p functions more than ``eam/alloy``.
    """
    count = max(len(header.elements), 1)
    pairs = count * (count + 1) // 2
    embedding, radial = count * header.density_points, header.radius_points
    return MappingProxyType(
        {
            "eam": header.density_points + 2 * radial,
            "eam/alloy": embedding + (count + pairs) * radial,
            "eam/fs": embedding + (count**2 + pairs) * radial,
            "eam/he": embedding + (count**2 + pairs) * radial,
            "adp": embedding + (count + 3 * pairs) * radial,
        }
    )


def library_entries(path: Path) -> tuple[LibraryEntry, ...]:
    """Read the entries of a MEAM library, in order; LAMMPS takes the first of a label.

    Raises:
        PotentialError: the file cannot be read, or ends within an entry.
    """
    tokens = [match.group() for match in library_tokens(_text(path))]
    if not tokens or len(tokens) % LIBRARY_FIELDS:
        raise PotentialError(
            f"{path} is no complete MEAM library: {len(tokens)} fields",
            expected=f"{LIBRARY_FIELDS} fields for every element",
            next_step="fetch the file again; a library and a parameter file may be swapped in pair_coeff",
        )
    starts = range(0, len(tokens), LIBRARY_FIELDS)
    return tuple(_library_entry(tokens[start : start + LIBRARY_FIELDS]) for start in starts)


def library_tokens(text: str) -> Iterator[re.Match[str]]:
    """The fields of a MEAM library as matches, comments left out."""
    position = 0
    for line in text.splitlines(keepends=True):
        end = position + len(line.partition("#")[0])
        yield from re.compile(r"\S+").finditer(text, position, end)
        position += len(line)


def _library_entry(fields: list[str]) -> LibraryEntry:
    return LibraryEntry(
        label=fields[0].strip("'\""),
        lattice=fields[1].strip("'\""),
        atomic_number=fields[3],
        background=fields[18],
    )


@contextmanager
def _parsing(where: str, format_name: str) -> Iterator[None]:
    """Turn what goes wrong while a header is parsed into one message."""
    try:
        yield
    except (ValueError, IndexError) as error:
        what = "ends within its header" if isinstance(error, IndexError) else f"has no {format_name} header: {error}"
        raise PotentialError(
            f"{where} {what}",
            expected=f"the {format_name} format of LAMMPS' pair_style eam",
            next_step="fetch the file again, or give the pair_style that belongs to its format",
        ) from error


def _without_comment(words: list[str]) -> list[str]:
    comment = [index for index, word in enumerate(words) if word.startswith("#")]
    return words[: comment[0]] if comment else words


def _fields(content: bytes, numbers: tuple[int, ...]) -> list[list[str]]:
    lines = content[:HEADER_BYTES].decode("latin-1").split("\n")  # as LAMMPS: a lone carriage return is a blank
    return [lines[number].split() for number in numbers]


def _header(elements: tuple[str, ...], element: list[str], grid: list[str]) -> TableHeader:
    return TableHeader(
        elements=elements,
        atomic_number=int(element[0]),
        density_points=_points(grid[0]),
        radius_points=_points(grid[2]),
        cutoff_angstrom=float(grid[4]),
    )


def _points(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_POINTS:
        raise ValueError(f"{count} points in a table")
    return count


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(HEADER_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> PotentialError:
    return PotentialError(
        f"cannot read the potential file {path}: {error.strerror}",
        expected="a readable parameter file",
        next_step="check the path and its permissions",
    )
