from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from glideflow.errors import PotentialError
from glideflow.potentials.debian_package import package_files


def package(
    path: Path, members: dict[str, bytes], *, compression: str = "xz", links: dict[str, str] | None = None
) -> Path:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{compression}") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar.{compression}": stream.getvalue()}
    content = b"!<arch>\n"
    for name, data in parts.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
        )
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2"])
def test_wanted_files_are_read_and_nothing_is_written(tmp_path: Path, compression: str) -> None:
    members = {"./usr/lib/a.so": b"abc", "./usr/share/b.txt": b"no", "../../evil.so": b"kept in memory"}
    made = package(tmp_path / "x.deb", members, compression=compression, links={"./usr/lib/c.so": "/etc/passwd"})
    found = {path.name: content for path, content in package_files(made, lambda path: path.suffix == ".so")}
    assert found == {"a.so": b"abc", "evil.so": b"kept in memory"}
    assert sorted(tmp_path.iterdir()) == [made]


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"!<arch>\n", b"!<arch>\nshort", b"!<arch>\n" + b" " * 58 + b"`\n"]
)
def test_what_is_no_package_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(content)
    with pytest.raises(PotentialError, match="cannot read the package") as caught:
        list(package_files(path, lambda path: True))
    assert "apt-get download" in caught.value.next_step


def test_a_truncated_package_is_told(tmp_path: Path) -> None:
    made = package(tmp_path / "x.deb", {"a.so": bytes(range(256)) * 400})
    made.write_bytes(made.read_bytes()[:-200])
    with pytest.raises(PotentialError, match="cannot read the package"):
        list(package_files(made, lambda path: True))


def test_an_unreasonable_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = package(tmp_path / "x.deb", {"a.so": b"x" * 100, "b.so": b"x" * 100})
    for limit in ("MAX_MEMBER_BYTES", "MAX_TOTAL_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(f"glideflow.potentials.debian_package.{limit}", 150 if limit == "MAX_TOTAL_BYTES" else 50)
            with pytest.raises(PotentialError):
                list(package_files(made, lambda path: True))
