"""From a portable model of OpenKIM to manifest entries: which LAMMPS commands read its parameter files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from glideflow.errors import PotentialError
from glideflow.potentials.edn import EdnValue, parse_edn
from glideflow.potentials.headers import (
    LIBRARY_FIELDS,
    TableHeader,
    funcfl_header_of,
    library_tokens,
    setfl_header_of,
    table_values,
)
from glideflow.potentials.identifiers import METALS, NATIVE_STRUCTURES
from glideflow.potentials.portable_model import PortableModel
from glideflow.potentials.references import citation, plain_text, primary
from glideflow.potentials.relatives import relative

LICENCE: Final = "CDDL-1.0 (copyright file of the Debian package openkim-models)"
SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")
MAX_DISCLAIMER_CHARACTERS: Final = 400
FIELDS_BEFORE_TABLES: Final = 4
"""Atomic number, mass, lattice constant and lattice in the line before an element's tables."""

SIMULATOR_STYLES: Final[Mapping[str, str]] = {
    "adp": "adp",
    "eam": "eam",
    "eam/alloy": "eam/alloy",
    "eam/fs": "eam/fs",
    "meam": "meam",
    "meam/c": "meam",
    "meam/spline": "meam/spline",
    "snap": "snap",
}
"""Pair styles of LAMMPS simulator models that work with one atom type, and their present names."""

_CHANGED_LIBRARY: Final = "floats in the fields ielement and ibar of the library are written as integers"
_CHANGED_ELEMENTS: Final = "the remark after the elements on line 4, which LAMMPS takes for elements, is left out"
_CHANGED_SNAP: Final = "the line 'diagonalstyle 3', whose keyword LAMMPS no longer knows, is left out"


class _UnusableError(Exception):
    """The model cannot be used; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ModelEntries:
    """What one model contributes to a manifest.

    Attributes:
        name: folder of its files: the extended KIM id.
        files: contents by file name, as LAMMPS reads them.
        potentials: manifest entries, one per metal.
        skipped: manifest entries of what cannot be used.
    """

    name: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    potentials: tuple[Mapping[str, Any], ...] = ()
    skipped: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Commands:
    """How LAMMPS reads the files of a model: ``{dir}/NAME`` for files, ``{symbol}`` for the metal."""

    pair_style: str
    pair_coeff: tuple[str, ...]
    files: Mapping[str, bytes]
    changes: tuple[str, ...] = ()


def model_entries(model: PortableModel) -> ModelEntries:
    """Manifest entries of a model, one per metal that it covers; none if it covers no metal of this package.

    Raises:
        PotentialError: the model's metadata cannot be read.
    """
    try:
        spec = _mapping(parse_edn(model.metadata["kimspec.edn"].decode("utf-8")))
        metals = [symbol for symbol in _texts(spec["species"]) if symbol in METALS]
    except (KeyError, ValueError) as error:
        raise PotentialError(f"kimspec.edn of the model {model.name!r:.120} cannot be read: {error}") from error
    if not metals:
        return ModelEntries(name=model.name)
    try:
        if not all(SAFE_NAME.fullmatch(name) for name in (model.name, *model.files)):
            raise _UnusableError("the name of the model or of a file is not a plain file name")
        commands = _commands(model, metals)
    except (_UnusableError, PotentialError) as error:
        reason = error.found if isinstance(error, PotentialError) else str(error)
        return ModelEntries(name=model.name, skipped=({"id": model.name[:200], "elements": metals, "reason": reason},))
    notes = (*commands.changes, *_checksum_notes(model))
    return ModelEntries(
        name=model.name,
        files=commands.files,
        potentials=tuple(_entry(model, spec, commands, symbol, notes) for symbol in metals),
    )


def _commands(model: PortableModel, metals: Iterable[str]) -> _Commands:
    if "smspec.edn" in model.metadata:
        return _simulator_commands(model)
    driver = model.driver.partition("__MD_")[0]
    if driver not in DRIVERS:
        called = f"the model driver {driver}" if driver else "a model that brings its own code"
        raise _UnusableError(f"{called}: LAMMPS' own pair styles do not read its parameters")
    return DRIVERS[driver](model, metals)


def _table_commands(model: PortableModel, metals: Iterable[str]) -> _Commands:
    """Driver EAM_Dynamo: one funcfl or setfl file, told apart by its content as the driver does."""
    if len(model.files) != 1:
        raise _UnusableError(f"{len(model.files)} parameter files; one table is known")
    name = next(iter(model.files))
    content, changes = _with_plain_element_line(model.files[name])
    try:
        header = setfl_header_of(content, name)
    except PotentialError:
        funcfl_header_of(content, name)
        return _Commands(pair_style="eam", pair_coeff=(f"* * {{dir}}/{name}",), files=model.files)
    if missing := [symbol for symbol in metals if symbol not in header.elements]:
        raise _UnusableError(f"{name} does not name {', '.join(missing)}")
    style = _setfl_style(header, content, name)
    line = f"* * {{dir}}/{name} {{symbol}}"
    return _Commands(pair_style=style, pair_coeff=(line,), files={name: content}, changes=changes)


def _setfl_style(header: TableHeader, content: bytes, name: str) -> str:
    """``eam/alloy`` or ``eam/fs``, whichever has as many values as the file (for one element they are the same)."""
    own_lines = FIELDS_BEFORE_TABLES * len(header.elements)
    values = len(content.split(b"\n", 5)[5].split()) - own_lines
    expected = table_values(header)
    if values < expected["eam/alloy"] - own_lines:
        raise _UnusableError(f"{name} is truncated: {values} values, {expected['eam/alloy']} expected")
    if len(header.elements) == 1:
        return "eam/fs" if name.endswith("fs") else "eam/alloy"
    return min(("eam/alloy", "eam/fs"), key=lambda style: abs(values - expected[style]))


def _meam_commands(model: PortableModel, metals: Iterable[str]) -> _Commands:
    """Driver MEAM_LAMMPS: a list of elements, then a library with or without parameters, or one spline file."""
    contents = dict(model.files)
    names = list(contents)
    labels = re.sub(r"#.*", "", contents.pop(names[0]).decode("latin-1")).split()
    if len(names) == 2 and "spline" in names[1]:
        return _spline_commands(names[1], contents, labels)
    if len(names) not in (2, 3):
        raise _UnusableError(f"{len(names)} parameter files; a list of elements, a library and parameters are known")
    contents[names[1]], changes = _with_integers(contents[names[1]])
    parameters = f"{{dir}}/{names[2]}" if len(names) == 3 else "NULL"
    line = f"* * {{dir}}/{names[1]} {' '.join(labels)} {parameters} {{symbol}}"
    return _Commands(pair_style="meam", pair_coeff=(line,), files=contents, changes=changes)


def _spline_commands(name: str, contents: Mapping[str, bytes], labels: list[str]) -> _Commands:
    if len(labels) > 1:
        raise _UnusableError("LAMMPS' meam/spline wants an atom type for every element of the file")
    return _Commands(pair_style="meam/spline", pair_coeff=(f"* * {{dir}}/{name} {{symbol}}",), files=contents)


def _snap_commands(model: PortableModel, metals: Iterable[str]) -> _Commands:
    """Driver SNAP: coefficients, parameters, and for some models a file that adds a ZBL repulsion."""
    names = list(model.files)
    if len(names) not in (2, 3):
        raise _UnusableError(f"{len(names)} parameter files; coefficients, parameters and a hybrid file are known")
    parameters, changes = _without_diagonal_style(model.files[names[1]])
    files = {names[0]: model.files[names[0]], names[1]: parameters}
    arguments = f"{{dir}}/{names[0]} {{dir}}/{names[1]} {{symbol}}"
    if len(names) == 2:
        return _Commands(pair_style="snap", pair_coeff=(f"* * {arguments}",), files=files, changes=changes)
    style, repulsion = _zbl(model.files[names[2]].decode("latin-1"))
    return _Commands(
        pair_style=f"hybrid/overlay {style} snap",
        pair_coeff=(repulsion, f"* * snap {arguments}"),
        files=files,
        changes=changes,
    )


def _zbl(text: str) -> tuple[str, str]:
    """Pair style and ``pair_coeff`` of a hybrid file for one element: count, symbol, cutoffs, atomic numbers."""
    lines = [fields for line in text.splitlines() if (fields := line.partition("#")[0].split())]
    match lines:
        case [["1"], [element], ["zbl", inner, outer], [first, second, "zbl", z, same]] if (
            first == second == element and z == same
        ):
            return f"zbl {float(inner):g} {float(outer):g}", f"* * zbl {int(z)} {int(same)}"
    raise _UnusableError("a hybrid file that is not a ZBL repulsion of one element")


def _simulator_commands(model: PortableModel) -> _Commands:
    """A simulator model of LAMMPS with one pair style and one ``pair_coeff`` line."""
    spec = _mapping(_edn(model, "smspec.edn"))
    style, line = _definition(spec)
    contents = dict(model.files)
    names = list(contents)
    for number, name in enumerate(names, start=1):
        line = line.replace(f"@<parameter-file-{number}>@", f"{{dir}}/{name}")
    line = line.replace("@<atom-type-sym-list>@", "{symbol}")
    if style == "meam/spline" and len(str(spec.get("supported-species", "")).split()) > 1:
        raise _UnusableError("LAMMPS' meam/spline wants an atom type for every element of the file")
    changes: tuple[str, ...] = ()
    if style == "meam":
        contents[names[0]], changes = _with_integers(contents[names[0]])
    return _Commands(pair_style=style, pair_coeff=(line,), files=contents, changes=changes)


def _definition(spec: Mapping[str, EdnValue]) -> tuple[str, str]:
    """Pair style and the arguments of its only ``pair_coeff``."""
    definition = _texts(spec.get("model-defn", []))
    if spec.get("simulator-name") != "LAMMPS" or spec.get("units") != "metal" or len(definition) != 2:
        raise _UnusableError("a simulator model that is not one pair style of LAMMPS in metal units")
    style = definition[0].removeprefix("pair_style").strip()
    if style not in SIMULATOR_STYLES or not definition[1].startswith("pair_coeff * * "):
        raise _UnusableError(f"a simulator model with the pair style {style!r:.60}")
    return SIMULATOR_STYLES[style], definition[1].removeprefix("pair_coeff ")


DRIVERS: Final[Mapping[str, Callable[[PortableModel, Iterable[str]], _Commands]]] = {
    "EAM_Dynamo": _table_commands,
    "MEAM_LAMMPS": _meam_commands,
    "SNAP": _snap_commands,
}
"""Model drivers whose parameter files are those of LAMMPS' own pair styles."""


def _with_plain_element_line(table: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Cut what follows the elements on line 4 of a setfl file, which LAMMPS takes for further elements."""
    lines = table.split(b"\n", 4)
    words = lines[3].split() if len(lines) > 4 else []
    if not words or not words[0].isdigit() or not (symbols := words[1 : int(words[0]) + 1]):
        return table, ()
    if len(words) == len(symbols) + 1 or not all(symbol.isalpha() for symbol in symbols):
        return table, ()
    lines[3] = b" ".join(words[: len(symbols) + 1])
    return b"\n".join(lines), (_CHANGED_ELEMENTS,)


def _with_integers(library: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Rewrite the integer fields of a MEAM library that are written as floats of integral value."""
    text = library.decode("latin-1")
    fields = list(library_tokens(text))
    changed = text
    for position in reversed(range(len(fields))):
        match = fields[position]
        if position % LIBRARY_FIELDS in (3, 18) and re.fullmatch(r"[+-]?\d+\.0*", match[0]):
            changed = changed[: match.start()] + match[0].partition(".")[0] + changed[match.end() :]
    return changed.encode("latin-1"), (_CHANGED_LIBRARY,) if changed != text else ()


def _without_diagonal_style(parameters: bytes) -> tuple[bytes, tuple[str, ...]]:
    lines = parameters.splitlines(keepends=True)
    kept = [line for line in lines if line.split()[:2] != [b"diagonalstyle", b"3"]]
    return b"".join(kept), (_CHANGED_SNAP,) if len(kept) < len(lines) else ()


def _checksum_notes(model: PortableModel) -> tuple[str, ...]:
    """A note for every file that is not what the model's provenance record says, line ends apart."""
    if "kimprovenance.edn" not in model.metadata:
        return ()
    recorded: dict[str, EdnValue] = {}
    history = _edn(model, "kimprovenance.edn")
    for event in reversed(history if isinstance(history, list) else []):  # the latest comes first
        recorded |= _mapping(_mapping(event).get("checksums") or {})
    return tuple(
        f"{name} differs from the checksum in its provenance record"
        for name, content in model.files.items()
        if name in recorded and recorded[name] not in _sha1_of_either_line_end(content)
    )


def _sha1_of_either_line_end(content: bytes) -> tuple[str, str]:
    # SHA-1 is what OpenKIM records; it tells accidents apart, and nothing here relies on more than that.
    unix = content.replace(b"\r\n", b"\n")
    return tuple(hashlib.sha1(text, usedforsecurity=False).hexdigest() for text in (content, unix))  # type: ignore[return-value]


def _entry(
    model: PortableModel,
    spec: Mapping[str, EdnValue],
    commands: _Commands,
    symbol: str,
    notes: tuple[str, ...],
) -> Mapping[str, Any]:
    text, doi = _citation(spec)
    known = relative(model.name, symbol)
    flags = (*(known.flags if known else ()), *notes, *_disclaimer(spec))
    return {
        "id": f"{symbol}_{model.name}",
        "element": symbol,
        "structure": NATIVE_STRUCTURES[symbol],
        "pair_style": commands.pair_style,
        "pair_coeff": [line.replace("{symbol}", symbol) for line in commands.pair_coeff],
        "dir": model.name,
        "files": list(commands.files),
        "sha256": [hashlib.sha256(content).hexdigest() for content in commands.files.values()],
        "status": known.status if known else "ok",
        "flags": list(flags),
        "family": known.family if known else "",
        "citation": text,
        "doi": doi,
        "license": str(spec.get("license") or LICENCE),
        "source": {"id": model.name, "source": "openkim-models"},
    }


def _citation(spec: Mapping[str, EdnValue]) -> tuple[str, str]:
    """Citation with the model's own identifier, and the paper's DOI."""
    sources = spec.get("source-citations")
    records = [_mapping(item) for item in (sources if isinstance(sources, list) else [])]
    paper = primary([{key: str(value) for key, value in record.items()} for record in records])
    own = f"OpenKIM, {plain_text(str(spec.get('title', '')))}" + (f", doi {spec['doi']}" if spec.get("doi") else "")
    return "; ".join(filter(None, (citation(paper), own))), paper.get("doi", "").strip()


def _disclaimer(spec: Mapping[str, EdnValue]) -> tuple[str, ...]:
    text = plain_text(str(spec.get("disclaimer") or ""))
    if len(text) > MAX_DISCLAIMER_CHARACTERS:
        text = text[: MAX_DISCLAIMER_CHARACTERS - 1] + "…"
    return (f"disclaimer of its developers: {text}",) if text else ()


def _edn(model: PortableModel, name: str) -> EdnValue:
    try:
        return parse_edn(model.metadata[name].decode("utf-8"))
    except ValueError as error:
        raise PotentialError(f"{name} of the model {model.name!r:.120} cannot be read: {error}") from error


def _mapping(value: EdnValue) -> dict[str, EdnValue]:
    if not isinstance(value, dict):
        raise ValueError(f"a map, found {type(value).__name__}")
    return value


def _texts(value: EdnValue) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"a vector, found {type(value).__name__}")
    return [str(item) for item in value]
