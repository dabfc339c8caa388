"""Partial results of a long task, safe against a kill at any instant.

A workbench is one append-only file. Each entry is framed by a magic word, its length and a checksum; an entry that
was being written when the process died is recognised and cut off when the file is next opened. The file's name is
the digest of the request that the entries answer, so that entries of another configuration, potential or code
version are never read.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from glideflow.errors import StorageError

_MAGIC = b"GFWB"
_HEADER = struct.Struct("<4sQI")
_LARGEST_ENTRY_BYTES = 2**32
_FOREIGN = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy raises on an entry that this package did not write."""

Entry = Mapping[str, NDArray[np.generic]]


def request_key(*parts: object) -> str:
    """Digest of everything that decides a result: settings, identities, code. Parts must be JSON-serialisable."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Workbench:
    """Named entries of arrays, kept in one append-only file.

    One process at a time writes a file. Another one that opens it meanwhile reads what is there and keeps its own
    entries in memory.

    Args:
        folder: where the file lies; None keeps entries in memory only.
        key: digest of the request, from `request_key`.

    Raises:
        StorageError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None, key: str = "") -> None:
        self._entries: dict[str, Entry] = {}
        self._stream: BinaryIO | None = None
        if folder is not None:
            self._path = folder / f"{key}.partial"
            self._stream = self._open(folder)

    def get(self, name: str) -> Entry | None:
        """The entry of this name, or None."""
        return self._entries.get(name)

    def put(self, name: str, **arrays: NDArray[np.generic]) -> None:
        """Keep an entry; when this returns, a kill of the process no longer loses it.

        Raises:
            StorageError: the file cannot be written any more, e.g. because the disk is full.
        """
        self._entries[name] = arrays
        if self._stream is not None:
            payload = _encode(name, arrays)
            with self._refusing_unwritable():
                _write_all(self._stream, _HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload)

    def section(self, name: str) -> Workbench:
        """A part of this workbench whose entries have names of their own: for one of several alike computations."""
        return _Section(self, name)

    def sync(self) -> None:
        """Force the entries to the disk, so that a failure of the machine does not lose them."""
        if self._stream is not None:
            with self._refusing_unwritable():
                os.fsync(self._stream.fileno())

    def names(self) -> tuple[str, ...]:
        """Names of the entries, in the order in which they were put."""
        return tuple(self._entries)

    def close(self) -> None:
        """Write everything out and close the file."""
        if self._stream is not None:
            self.sync()
            self._stream.close()
            self._stream = None

    def _open(self, folder: Path) -> BinaryIO | None:
        """The file, its torn tail cut off, at its end; None if another process writes it."""
        with self._refusing_unwritable():
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a write that failed leaves nothing behind that closing would try again.
            stream = self._path.open("a+b", buffering=0)
            alone = _locked(stream)
            stream.seek(0)
            sound = self._read(stream)
            if not alone:
                stream.close()
                return None
            stream.truncate(sound)
            stream.seek(sound)
        return stream

    @contextmanager
    def _refusing_unwritable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot keep partial results in {self._path}: {error.strerror}",
                expected="a folder that can be written, with room for partial results",
                next_step="set `work` to another folder, mend its permissions or free some space; "
                "what was kept before is not lost",
            ) from error

    def _read(self, stream: BinaryIO) -> int:
        """Read the entries; return the length of the sound part of the file."""
        sound = 0
        while True:
            payload = _next_payload(stream)
            if payload is None:
                return sound
            try:
                name, arrays = _decode(payload)
            except _FOREIGN:
                return sound  # a sound checksum on what this package did not write: not taken, like a torn entry
            self._entries[name] = arrays
            sound = stream.tell()


class _Section(Workbench):
    """Entries of another workbench that begin with a common word."""

    def __init__(self, whole: Workbench, name: str) -> None:
        super().__init__(None)
        self._whole = whole
        self._prefix = f"{name}: "

    def get(self, name: str) -> Entry | None:
        return self._whole.get(self._prefix + name)

    def put(self, name: str, **arrays: NDArray[np.generic]) -> None:
        self._whole.put(self._prefix + name, **arrays)

    def sync(self) -> None:
        self._whole.sync()

    def names(self) -> tuple[str, ...]:
        cut = len(self._prefix)
        return tuple(name[cut:] for name in self._whole.names() if name.startswith(self._prefix))

    def close(self) -> None:
        """Leave the whole open: it is its owner's to close."""


def _locked(stream: BinaryIO) -> bool:
    """Lock the file for this process until it is closed; False if another process has it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _write_all(stream: BinaryIO, content: bytes) -> None:
    """Write everything; the system may take less at a time, e.g. from a disk that is almost full."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) :]


def _next_payload(stream: BinaryIO) -> bytes | None:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, length, checksum = _HEADER.unpack(header)
    if magic != _MAGIC or length > _LARGEST_ENTRY_BYTES:
        return None
    payload = stream.read(length)
    return payload if len(payload) == length and zlib.crc32(payload) == checksum else None


def _encode(name: str, arrays: Entry) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{"name": np.array(name), **arrays})
    return buffer.getvalue()


def _decode(payload: bytes) -> tuple[str, Entry]:
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise TypeError("an archive of something other than arrays")
    return str(arrays.pop("name")), arrays
