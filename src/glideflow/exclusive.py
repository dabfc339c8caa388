"""One process at a time: locks that vanish with their holder, however it ends, and that say who it is.

A lock is a file that the operating system locks for an open file (flock), also between the machines that share a file
system if that file system carries locks (NFS, GPFS; Lustre when mounted with ``flock``). Where it carries none, nothing
is locked: atomic writes and the checksums of partial results still keep files sound, but work may be done twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from glideflow.errors import StorageError

POLL_INTERVAL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Process that holds a lock.

    Attributes:
        host: machine on which it runs.
        pid: its process id there.
        slurm_job: id of the Slurm job of which it is part, empty outside of one.
        since: local time at which it took the lock, ISO 8601.
    """

    host: str = "unknown"
    pid: int = 0
    slurm_job: str = ""
    since: str = ""

    def __str__(self) -> str:
        job = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}" + (f", since {self.since}" if self.since else "")


class Lock:
    """A lock that is held until it is released, or until this process ends.

    Args:
        stream: the locked file, or None where the file system has no locks.
        path: its path.
    """

    def __init__(self, stream: BinaryIO | None, path: Path) -> None:
        self._stream = stream
        self._path = path

    @property
    def real(self) -> bool:
        """Whether others are kept out; False where the file system has no locks."""
        return self._stream is not None

    def release(self) -> None:
        """Let the next one in; the file goes with the lock."""
        if self._stream is not None:
            self._path.unlink(missing_ok=True)  # before the lock: whoever waits for this file looks whether it is gone
        self.leave()

    def leave(self) -> None:
        """Let the next one in, but leave the file, as if the holder had been killed."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def try_lock(path: Path) -> Lock | Holder:
    """Take a lock if it is free.

    Args:
        path: file of the lock; it and its folder are made if need be.

    Returns:
        The lock, or who holds it.

    Raises:
        StorageError: the file cannot be made.
    """
    while True:
        stream = _opened(path)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with stream:
                return _holder(stream)
        except OSError:  # a file system without locks
            stream.close()
            return Lock(None, path)
        if _is_still_there(path, stream):
            _sign(stream)
            return Lock(stream, path)
        stream.close()  # its holder removed it between opening and locking


@contextmanager
def alone(path: Path, waiting: Callable[[Holder], None]) -> Iterator[None]:
    """Hold a lock while the block runs; wait for it as long as another process holds it.

    Args:
        path: file of the lock.
        waiting: called with the holder while this process waits, about twice a second.

    Raises:
        StorageError: the file cannot be made.
    """
    while isinstance(lock := try_lock(path), Holder):
        waiting(lock)
        time.sleep(POLL_INTERVAL_S)
    try:
        yield
    finally:
        lock.release()


def _opened(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+b", buffering=0)
    except OSError as error:
        raise StorageError(
            f"cannot lock {path}: {error.strerror}",
            expected="a folder for partial results that can be written",
            next_step="set `work` to another folder, or mend its permissions",
        ) from error


def _is_still_there(path: Path, stream: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _sign(stream: BinaryIO) -> None:
    holder = Holder(
        host=socket.gethostname(),
        pid=os.getpid(),
        slurm_job=os.environ.get("SLURM_JOB_ID", ""),
        since=time.strftime("%Y-%m-%dT%H:%M:%S"),
    )
    with suppress(OSError):  # a full disk: the lock holds, only its holder stays unnamed
        stream.truncate(0)
        stream.write(json.dumps(asdict(holder)).encode())


def _holder(stream: BinaryIO) -> Holder:
    """Who signed the file; whoever locked it a moment ago may not have come to that."""
    stream.seek(0)
    try:
        return Holder(**json.loads(stream.read()))
    except (ValueError, TypeError):
        return Holder()
