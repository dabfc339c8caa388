"""Single items of HDF5 files, read without trust: what a foreign or damaged file may not make a reader do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

LARGEST_FILE_BYTES = 4 * 2**30
"""Largest file, and largest data set in one, that is read."""


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A member that lies in this file: links of a foreign file could have any other one read.

    Raises:
        ValueError: the member is a link to another file.
    """
    import h5py

    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise ValueError(f"{group.name}/{name} is a link to another file")
    return group[name]


def content(item: h5py.Dataset) -> Any:  # noqa: ANN401 - any storable value
    """What a data set holds, if it lies in this file and is not unreasonably large.

    Raises:
        ValueError: it is neither.
    """
    if item.external or item.is_virtual:
        raise ValueError(f"the data of {item.name} lie in another file")
    if item.size is not None and item.size * item.dtype.itemsize > LARGEST_FILE_BYTES:
        raise ValueError(f"{item.name} promises more than {LARGEST_FILE_BYTES} bytes")
    return item[()]


def texts(item: h5py.Dataset) -> str | tuple[str, ...]:
    """A text, or several."""
    stored = content(item)
    return stored.decode() if isinstance(stored, bytes) else tuple(part.decode() for part in stored)


def storable(text: str) -> str:
    """The text with a replacement for what HDF5 cannot hold: zeros and bytes that are no UTF-8.

    Both occur in what a crashing engine writes, and in file names.
    """
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def text_type() -> Any:  # noqa: ANN401 - h5py ships no types
    """HDF5 type of UTF-8 text."""
    import h5py

    return h5py.string_dtype()
