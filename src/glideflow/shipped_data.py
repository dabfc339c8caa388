"""Files that ship with the package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from glideflow.errors import StorageError


@contextmanager
def shipped_file(name: str, *, what: str, instead: str) -> Iterator[Path]:
    """A file or folder of the package's data, as long as the context lasts.

    Args:
        name: where it lies in the package's folder ``data``.
        what: what it is, for the message.
        instead: what to name in its place, for the message.

    Raises:
        StorageError: this installation has none.
    """
    with resources.as_file(resources.files("glideflow") / "data" / name) as path:
        if not path.exists():
            raise StorageError(
                f"this installation has no {name}",
                expected=f"{what} that ships with glideflow",
                next_step=f"install glideflow again, or name {instead}",
            )
        yield path
