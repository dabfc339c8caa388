"""Named arrays in safetensors files, read without trust.

The format (a length, a JSON header, the bytes of the arrays) can hold no code. What a foreign file could still do is to
promise more than there is: sizes are compared with the file before anything is allocated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glideflow.atomic import replacing
from glideflow.errors import StorageError

LARGEST_FILE_BYTES = 2**30
LARGEST_HEADER_BYTES = 4 * 2**20
MOST_TENSORS = 50_000

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_FORMAT = "format"

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class TensorFile:
    """What a safetensors file holds.

    Attributes:
        arrays: arrays by name.
        metadata: texts by name.
        sha256: digest of the whole file.
    """

    arrays: Arrays
    metadata: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


def write_tensors(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """Write arrays to a safetensors file, atomically; equal content gives equal bytes.

    Args:
        path: the file.
        arrays: arrays of numbers or truth values by name.
        metadata: texts that go into the header.

    Returns:
        SHA-256 of the file.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.numpy import save

    ordered = {name: np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape) for name in sorted(arrays)}
    content = _with_sorted_metadata(save(ordered), dict(metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _with_sorted_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    """The file with metadata in the order of their names: the library's own order changes from process to process."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length])
    ordered = {_METADATA: dict(sorted(metadata.items())), **header}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # as the format asks for, so that arrays stay aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + content[_LENGTH_BYTES + length :]


def read_tensors(path: Path, *, kind: str, largest_bytes: int = LARGEST_FILE_BYTES) -> TensorFile:
    """Read a file of arrays.

    Args:
        path: the file.
        kind: what it should be, for messages, e.g. ``a checkpoint``.
        largest_bytes: a larger file is refused before it is read.

    Raises:
        StorageError: the file is missing, too large, cut off, or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = _content(path, kind, largest_bytes)
    header = _header(path, kind, content)
    try:
        arrays = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise _damaged(path, kind, str(error)) from error
    metadata = {name: str(text) for name, text in header.get(_METADATA, {}).items() if name != _FORMAT}
    return TensorFile(arrays, metadata, hashlib.sha256(content).hexdigest())


def _content(path: Path, kind: str, largest_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(largest_bytes + 1)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}", expected=kind, next_step="check the path of the file"
        ) from error
    if len(content) > largest_bytes:
        raise StorageError(f"{path} has more than {largest_bytes} bytes", expected=f"{kind} of at most that size")
    return content


def _header(path: Path, kind: str, content: bytes) -> dict[str, Any]:
    """The checked header: every array lies inside the file, one behind the other, with as many bytes as its shape."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) < _LENGTH_BYTES or length > min(LARGEST_HEADER_BYTES, len(content) - _LENGTH_BYTES):
        raise _damaged(path, kind, f"its header should have {length} bytes, the file has {len(content)}")
    try:
        header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length])
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != _METADATA]
        metadata = header.get(_METADATA, {})
    except (ValueError, KeyError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _damaged(path, kind, f"its header cannot be read ({type(error).__name__})") from error
    if not isinstance(metadata, dict) or len(ends) > MOST_TENSORS:
        raise _damaged(path, kind, f"its header lists {len(ends)} arrays")
    if max(ends, default=0) != len(content) - _LENGTH_BYTES - length:
        raise _damaged(path, kind, "it is shorter or longer than its header says")
    return dict(header)


def _damaged(path: Path, kind: str, reason: str) -> StorageError:
    return StorageError(
        f"{path} is damaged or no safetensors file: {reason}",
        expected=f"{kind} as it was written",
        next_step="get the file again, or delete it and run its step again",
    )
