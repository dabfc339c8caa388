"""Files of a Debian package, read without installing it (``deb(5)``: tar archives in an ``ar`` archive)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from glideflow.errors import PotentialError

MAX_MEMBER_BYTES: Final = 256 * 2**20
MAX_TOTAL_BYTES: Final = 8 * 2**30
_AR_MAGIC: Final = b"!<arch>\n"
_AR_HEADER_BYTES: Final = 60


def package_files(package: Path, wanted: Callable[[PurePosixPath], bool]) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Regular files of a package, one at a time and in memory, so that no name in it can reach the disk.

    Args:
        package: the ``.deb`` file.
        wanted: says of a path inside the package whether its content is read.

    Raises:
        PotentialError: the file is no such package, is damaged, or holds more than is reasonable.
    """
    try:
        with package.open("rb") as stream:
            data = _data_archive(stream)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            yield from _wanted_members(archive, wanted)
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise PotentialError(
            f"cannot read the package {package}: {error}",
            expected="a Debian package with a data archive compressed by xz, gzip or bzip2",
            next_step="download it again (`apt-get download openkim-models`), or unpack it with `dpkg -x` and give the "
            "folder",
        ) from error


def _wanted_members(
    archive: tarfile.TarFile, wanted: Callable[[PurePosixPath], bool]
) -> Iterator[tuple[PurePosixPath, bytes]]:
    total = 0
    for member in archive:
        total += member.size
        if member.size > MAX_MEMBER_BYTES or total > MAX_TOTAL_BYTES:
            raise ValueError(f"{member.name[:80]} makes it larger than {MAX_TOTAL_BYTES} bytes in all")
        path = PurePosixPath(member.name)
        if member.isreg() and wanted(path) and (content := archive.extractfile(member)) is not None:
            yield path, content.read()


def _data_archive(stream: IO[bytes]) -> bytes:
    if stream.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise ValueError("it is no ar archive")
    while header := stream.read(_AR_HEADER_BYTES):
        if len(header) < _AR_HEADER_BYTES or header[-2:] != b"`\n":
            raise ValueError("the ar archive is damaged")
        name, size = header[:16].decode("latin-1").strip().rstrip("/"), int(header[48:58])
        if not 0 <= size <= MAX_TOTAL_BYTES:
            raise ValueError(f"a member of {size} bytes")
        if name.startswith("data.tar"):
            return stream.read(size)
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("it holds no data archive")
