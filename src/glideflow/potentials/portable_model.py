"""Parameter files of an OpenKIM model, read from its shared object without loading it or the KIM API.

A model of the KIM API 2 exports ``kim_shared_library_schema``, a structure that points to the model's name, its driver
and arrays of embedded files (``KIM_SharedLibrarySchemaV2.hpp`` of the KIM API). On disk its pointers are relocations,
and an embedded file's length, filled in by a constructor at load time, is the size of the ELF symbol that it points to.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from glideflow.errors import PotentialError

MAX_EMBEDDED_FILES: Final = 64
MAX_FILE_BYTES: Final = 256 * 2**20
MAX_SYMBOLS: Final = 100_000
MAX_NAME_BYTES: Final = 512

_SCHEMA_SYMBOL: Final = "kim_shared_library_schema"
_RELATIVE_AND_ABSOLUTE: Final = {"EM_X86_64": (8, 1), "EM_AARCH64": (1027, 257)}
"""Relocation types of 64-bit pointers: to an address of the file itself, and to a symbol (processor ABIs)."""

# Offsets in the schema, and within each embedded-file entry (two pointers around a 32-bit length, padded to 8 bytes).
_ITEM_NAME, _DRIVER_NAME, _SIMULATOR_FILE, _FILE_COUNT, _FILES, _METADATA_COUNT, _METADATA = 8, 32, 40, 48, 56, 64, 72
_ENTRY_BYTES, _ENTRY_CONTENT = 24, 16


@dataclass(frozen=True, kw_only=True)
class PortableModel:
    """What a model's shared object holds.

    Attributes:
        name: extended KIM id, e.g. ``EAM_Dynamo_..._Cu__MO_346334655118_005``.
        driver: extended KIM id of its model driver; empty for a model that brings its own code.
        files: parameter files by name, in the order in which the driver takes them.
        metadata: further files by name, among them ``kimspec.edn``; ``smspec.edn`` for a simulator model.
    """

    name: str
    driver: str
    files: dict[str, bytes]
    metadata: dict[str, bytes]


def read_portable_model(content: bytes) -> PortableModel:
    """Read a model from the bytes of its shared object.

    Nothing in the file is trusted: every address and length is checked against the file.

    Raises:
        PotentialError: the bytes are no model of the KIM API 2, or damaged.
    """
    try:
        return _read(_Image(content))
    except PotentialError:
        raise
    except Exception as error:  # pyelftools raises whatever a damaged file makes its parser stumble over
        raise _not_a_model(f"{type(error).__name__}: {error}") from error


def _not_a_model(what: str) -> PotentialError:
    return PotentialError(
        f"no readable OpenKIM model: {what}",
        expected="a shared object of a portable model of the KIM API 2 for x86-64 or AArch64",
        next_step="install the package openkim-models again, or leave the model out",
    )


class _Image:
    """Memory of a shared object as the dynamic linker would lay it out, as far as the file defines it."""

    def __init__(self, content: bytes) -> None:
        from elftools.elf.elffile import ELFFile

        elf = ELFFile(io.BytesIO(content))
        machine = elf.header["e_machine"]
        if machine not in _RELATIVE_AND_ABSOLUTE or elf.elfclass != 64 or not elf.little_endian:
            raise _not_a_model(f"a {elf.elfclass}-bit file for the machine {machine}")
        self._content = content
        self._segments = [
            (segment["p_vaddr"], segment["p_offset"], segment["p_filesz"]) for segment in elf.iter_segments("PT_LOAD")
        ]
        symbols = list(_table(elf, ".dynsym", content).iter_symbols())
        self.symbols = {symbol.name: symbol["st_value"] for symbol in symbols}
        self._pointers = dict(_pointers(_table(elf, ".rela.dyn", content), symbols, _RELATIVE_AND_ABSOLUTE[machine]))

    def bytes_at(self, address: int, size: int) -> bytes:
        for start, offset, length in self._segments:
            if start <= address and address + size <= start + length:
                position = offset + address - start
                if 0 <= size <= MAX_FILE_BYTES and position + size <= len(self._content):
                    return self._content[position : position + size]
        raise _not_a_model(f"{size} bytes at {address:#x} lie outside the file")

    def text_at(self, address: int) -> str:
        for size in (32, MAX_NAME_BYTES):
            raw, end, _ = self._prefix(address, size).partition(b"\0")
            if end:
                return raw.decode("ascii")
        raise _not_a_model("a name without an end")

    def count_at(self, address: int) -> int:
        (count,) = struct.unpack("<i", self.bytes_at(address, 4))
        if not 0 <= count <= MAX_EMBEDDED_FILES:
            raise _not_a_model(f"{count} embedded files")
        return int(count)

    def pointer_at(self, address: int) -> int | None:
        """Target of the pointer stored at an address; ``None`` for a null pointer."""
        return self._pointers[address][0] if address in self._pointers else None

    def embedded_file(self, entry: int) -> tuple[str, bytes]:
        name, content = self.pointer_at(entry), self._pointers.get(entry + _ENTRY_CONTENT)
        if name is None or content is None:
            raise _not_a_model("an embedded file without name or content")
        return self.text_at(name), self.bytes_at(*content)

    def _prefix(self, address: int, size: int) -> bytes:
        for start, _, length in self._segments:
            if start <= address < start + length:
                return self.bytes_at(address, min(size, start + length - address))
        raise _not_a_model(f"an address {address:#x} outside the file")


def _table(elf: Any, name: str, content: bytes) -> Any:  # noqa: ANN401 - pyelftools ships no types
    section = elf.get_section_by_name(name)
    if section is None:
        raise _not_a_model(f"it has no section {name}")
    size, entry = section["sh_size"], section["sh_entsize"]
    if entry < 16 or size // entry > MAX_SYMBOLS or section["sh_offset"] + size > len(content):
        raise _not_a_model(f"the section {name} is damaged")
    return section


def _pointers(
    section: Any,  # noqa: ANN401 - pyelftools ships no types
    symbols: list[Any],
    kinds: tuple[int, int],
) -> Iterable[tuple[int, tuple[int, int]]]:
    """Pairs of an address and the (target, size of the symbol that it points to or 0)."""
    relative, absolute = kinds
    for relocation in section.iter_relocations():
        if relocation["r_info_type"] == relative:
            yield relocation["r_offset"], (relocation["r_addend"], 0)
        elif relocation["r_info_type"] == absolute:
            symbol = symbols[relocation["r_info_sym"]]
            yield relocation["r_offset"], (symbol["st_value"] + relocation["r_addend"], symbol["st_size"])


def _read(image: _Image) -> PortableModel:
    schema = image.symbols.get(_SCHEMA_SYMBOL)
    if schema is None:
        raise _not_a_model(f"it does not export {_SCHEMA_SYMBOL}")
    metadata = _embedded(image, schema + _METADATA_COUNT, schema + _METADATA)
    if (simulator := image.pointer_at(schema + _SIMULATOR_FILE)) is not None:
        name, content = image.embedded_file(simulator)
        metadata[name] = content
    return PortableModel(
        name=_text(image, schema + _ITEM_NAME),
        driver=_text(image, schema + _DRIVER_NAME),
        files=_embedded(image, schema + _FILE_COUNT, schema + _FILES),
        metadata=metadata,
    )


def _text(image: _Image, pointer: int) -> str:
    address = image.pointer_at(pointer)
    return "" if address is None else image.text_at(address)


def _embedded(image: _Image, count_address: int, array_pointer: int) -> dict[str, bytes]:
    array = image.pointer_at(array_pointer)
    if array is None:
        return {}
    entries = (array + _ENTRY_BYTES * index for index in range(image.count_at(count_address)))
    return dict(image.embedded_file(entry) for entry in entries)
