"""What the file of a neuroevolution potential (``nep.txt``) says of itself, read without calorine.

The format is that of GPUMD: a header of keywords, then one number per line. Fan et al., J. Chem. Phys. 157, 114801
(2022) describes the model (NEP3); NEP4 has one network per element (Song et al., Nat. Commun. 15, 10208 (2024)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glideflow.errors import PotentialError

HEADER_BYTES: Final = 65_536
"""More than the header of any model: its longest line names at most 94 elements."""
MAX_ELEMENTS: Final = 94
MAX_FLEXIBLE_ZBL_ELEMENTS: Final = 10
MAX_CUTOFF_ANGSTROM: Final = 100.0
MAX_DESCRIPTORS: Final = 103
MAX_NEURONS: Final = 120
VERSIONS: Final = (3, 4, 5)
SUPPORTED_KINDS: Final = tuple(f"nep{version}{zbl}" for version in VERSIONS for zbl in ("", "_zbl"))
"""Models of a short-ranged energy. Others are for dipoles, polarizabilities, charges or van der Waals forces."""


@dataclass(frozen=True, kw_only=True)
class NepHeader:
    """Header of a ``nep.txt``.

    Attributes:
        kind: first word, e.g. ``nep4_zbl``.
        elements: chemical symbols, in the order of the model.
        radial_cutoffs_angstrom: range of the radial descriptors for each element; a pair has the mean of its two.
        angular_cutoffs_angstrom: range of the angular descriptors for each element.
        zbl_angstrom: inner and outer radius between which the Ziegler-Biersack-Littmark repulsion is switched off;
            None without one, zeros where every pair has its own.
        header_lines: lines before the first parameter.
        values: numbers that follow the header.
    """

    kind: str
    elements: tuple[str, ...]
    radial_cutoffs_angstrom: tuple[float, ...]
    angular_cutoffs_angstrom: tuple[float, ...]
    zbl_angstrom: tuple[float, float] | None
    header_lines: int
    values: int

    @property
    def version(self) -> int:
        """Version of the model: 3, 4 or 5."""
        return int(self.kind[3])

    @property
    def largest_cutoff_angstrom(self) -> float:
        """Largest range of any element: neighbour lists reach that far."""
        return max(self.radial_cutoffs_angstrom)

    def cutoff_angstrom(self, element: str) -> float:
        """Range between two atoms of an element.

        Raises:
            ValueError: the model does not have the element.
        """
        return self.radial_cutoffs_angstrom[self.elements.index(element)]


def nep_header(path: Path) -> NepHeader:
    """Read the header of a ``nep.txt``.

    Raises:
        PotentialError: the file cannot be read, is no model, or is one of another kind than an energy.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(HEADER_BYTES)
    except OSError as error:
        raise PotentialError(
            f"cannot read the potential file {path}: {error.strerror}",
            expected="a readable nep.txt",
            next_step="check the path and its permissions",
        ) from error
    return nep_header_of(content, str(path))


def header_with_element(path: Path, element: str) -> NepHeader:
    """Header of a model that describes an element.

    Raises:
        PotentialError: the file is no such model, or does not have the element.
    """
    header = nep_header(path)
    if element not in header.elements:
        raise PotentialError(
            f"{path.name} describes {', '.join(header.elements)}, not {element}",
            expected=f"a model that has {element}",
            next_step="choose one of its elements, or another file",
        )
    return header


def nep_header_of(content: bytes, where: str) -> NepHeader:
    """Parse the header of a ``nep.txt`` from its beginning.

    Args:
        content: the file, or more than its header.
        where: what to call it in messages.

    Raises:
        PotentialError: it ends within its header, has another format, or is a model of another kind.
    """
    lines = content[:HEADER_BYTES].decode("latin-1").splitlines()
    try:
        first, *rest = [line.split() for line in lines] or [[]]
        kind = first[0] if first else ""
        _refuse_other_kinds(kind, where)
        return _header(kind, first, iter(rest))
    except (ValueError, StopIteration) as error:
        what = "ends within its header" if isinstance(error, StopIteration) else f"has no NEP header: {error}"
        raise PotentialError(
            f"{where} {what}",
            expected="the nep.txt of a trained neuroevolution potential, as GPUMD writes it",
            next_step="fetch the file again; nep.in, the input of the training, is another file",
        ) from error


def _refuse_other_kinds(kind: str, where: str) -> None:
    if not kind.startswith("nep") or kind in SUPPORTED_KINDS:
        return
    raise PotentialError(
        f"{where} is a model of the kind {kind!r:.40}",
        expected=f"one of {', '.join(SUPPORTED_KINDS)}: short-ranged energies",
        next_step="dipoles, polarizabilities, charges and dispersion have no place here; train an energy model"
        if "_" in kind
        else "convert it with the version of GPUMD that reads it, or train it again",
    )


def _header(kind: str, first: list[str], lines: Iterator[list[str]]) -> NepHeader:
    if kind not in SUPPORTED_KINDS:
        raise ValueError(f"its first word is {kind!r:.40}")
    elements = _elements(first)
    zbl = _zbl(next(lines), len(elements)) if kind.endswith("_zbl") else None
    radial, angular = _cutoffs(next(lines), len(elements))
    n_max = _integers(next(lines), "n_max", 2, 2)
    basis = _integers(next(lines), "basis_size", 2, 2)
    l_max = _integers(next(lines), "l_max", 3, 7)
    neurons, *_ = _integers(next(lines), "ANN", 2, 2)
    return NepHeader(
        kind=kind,
        elements=elements,
        radial_cutoffs_angstrom=radial,
        angular_cutoffs_angstrom=angular,
        zbl_angstrom=zbl,
        header_lines=6 if zbl is None else 7,
        values=_value_count(int(kind[3]), len(elements), n_max, basis, l_max, neurons)
        + (5 * len(elements) * (len(elements) + 1) if zbl == (0.0, 0.0) else 0),
    )


def _elements(words: list[str]) -> tuple[str, ...]:
    count = _integers(["types", *words[1:2]], "types", 1, 1)[0]
    if not 1 <= count <= MAX_ELEMENTS or len(words) != count + 2:
        raise ValueError(f"it announces {count} elements and names {' '.join(words[2:])!r:.80}")
    return tuple(words[2:])


def _zbl(words: list[str], elements: int) -> tuple[float, float]:
    inner, outer, *_ = _numbers(words, "zbl", 2, 3)
    flexible = inner == outer == 0.0
    if not (0 <= inner < outer) and not (flexible and elements <= MAX_FLEXIBLE_ZBL_ELEMENTS):
        raise ValueError(f"the radii of its ZBL repulsion are {inner:g} and {outer:g} Å")
    return inner, outer


def _cutoffs(words: list[str], elements: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Radial and angular cutoffs of each element; the last two numbers, of neighbours, say nothing here."""
    *cutoffs, _, _ = _numbers(words, "cutoff", 4, 2 * elements + 2)
    if len(cutoffs) == 2:
        cutoffs = cutoffs * elements
    radial, angular = tuple(cutoffs[::2]), tuple(cutoffs[1::2])
    if len(cutoffs) != 2 * elements or not all(
        0 < short <= long <= MAX_CUTOFF_ANGSTROM for long, short in zip(radial, angular, strict=True)
    ):
        raise ValueError(f"its cutoffs are {' '.join(words[1:])!r:.80}")
    return radial, angular


def _value_count(
    version: int, elements: int, n_max: list[int], basis: list[int], l_max: list[int], neurons: int
) -> int:
    """Numbers after the header: network, descriptor coefficients, descriptor scalers."""
    angular_kinds = l_max[0] + sum(flag != 0 for flag in l_max[1:])
    descriptors = n_max[0] + 1 + (n_max[1] + 1) * angular_kinds
    if not (descriptors <= MAX_DESCRIPTORS and 1 <= neurons <= MAX_NEURONS):
        raise ValueError(f"it has {descriptors} descriptors and {neurons} neurons")
    weights = (descriptors + 2) * neurons
    network = {3: weights, 4: weights * elements, 5: (weights + 1) * elements}[version] + 1
    coefficients = sum((n + 1) * (size + 1) for n, size in zip(n_max, basis, strict=True))
    return network + elements**2 * coefficients + descriptors


def _numbers(words: list[str], keyword: str, least: int, most: int) -> list[float]:
    if words[:1] != [keyword] or not least <= len(words) - 1 <= most:
        raise ValueError(f"the line {' '.join(words)!r:.80} stands where {keyword!r} is expected")
    return [float(word) for word in words[1:]]


def _integers(words: list[str], keyword: str, least: int, most: int) -> list[int]:
    values = _numbers(words, keyword, least, most)
    if not all(value.is_integer() and value >= 0 for value in values):
        raise ValueError(f"the line {' '.join(words)!r:.80} does not hold counts")
    return [int(value) for value in values]
