"""Folder for what is extracted from packages, and folders that appear in it at once or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from glideflow.errors import StorageError


def cache_folder() -> Path:
    """``$GLIDEFLOW_CACHE``, else ``glideflow`` in ``$XDG_CACHE_HOME``, else ``~/.cache/glideflow``."""
    if explicit := os.environ.get("GLIDEFLOW_CACHE"):
        return Path(explicit)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "glideflow"


def folder_made_once(target: Path, fill: Callable[[Path], None]) -> Path:
    """Make a folder whose name identifies its content, unless it exists.

    Args:
        target: the folder. It never exists half filled: several processes may make it at the same time.
        fill: writes the content into the empty folder that it is given.

    Raises:
        StorageError: the folder cannot be written.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise StorageError(
            f"cannot write to the cache folder {target.parent}: {error.strerror}",
            expected="a writable folder",
            next_step="set GLIDEFLOW_CACHE to a writable folder",
        ) from error
    try:
        fill(made)
        _publish(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _publish(made: Path, target: Path) -> None:
    made.chmod(0o755)
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process was first, with the same content
            raise
