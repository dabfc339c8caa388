"""Archives, downloads, links and temporary folders: nothing leaves the folder that it belongs into."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from glideflow.errors import GlideflowError, PotentialError
from glideflow.isolation import Success, Task, run_isolated
from glideflow.potentials import debian_package
from glideflow.potentials.cache import folder_made_once
from glideflow.potentials.debian_package import package_files
from glideflow.potentials.folder import load_folder
from glideflow.potentials.nist import DIGESTS, _download_file, _noted_digests, download
from glideflow.potentials.openkim import extracted_models
from glideflow.potentials.record import Potential, PotentialFile, verify_files
from glideflow.text import printable

if TYPE_CHECKING:
    from conftest import Place


class TestLinks:
    """Files of a manifest that are links."""

    def test_that_lead_out_of_the_folder_are_not_followed(self, place: Place) -> None:
        (place.folder / "cu.alloy").symlink_to("/etc/passwd")
        place.manifest()
        listing = load_folder(place.folder)
        assert listing.potentials == ()
        assert "links that lead out of the folder: cu.alloy" in listing.skipped[0].reason
        run = place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5")
        assert run.returncode == 2
        assert "lead out of the folder" in run.stderr
        assert "root:" not in run.stderr

    @pytest.mark.parametrize("target", ["../outside", "/", "/proc/self", "inside/../../outside"])
    def test_folders_that_lead_out_are_not_followed_either(self, place: Place, target: str) -> None:
        (place.folder.parent / "outside").mkdir()
        (place.folder / "inside").mkdir()
        (place.folder / "linked").symlink_to(target)
        place.manifest(dir="linked")
        assert load_folder(place.folder).potentials == ()

    def test_that_stay_inside_are_used(self, place: Place) -> None:
        place.put_copper("data/real.alloy")
        (place.folder / "cu.alloy").symlink_to("data/real.alloy")
        place.manifest()
        assert [potential.id for potential in load_folder(place.folder).potentials] == ["mine"]

    def test_the_folder_itself_may_be_one(self, place: Place, tmp_path: Path) -> None:
        place.put_copper()
        place.manifest()
        (tmp_path / "elsewhere").symlink_to(place.folder)
        assert [potential.id for potential in load_folder(tmp_path / "elsewhere").potentials] == ["mine"]

    def test_in_a_circle_are_no_hang(self, place: Place) -> None:
        (place.folder / "cu.alloy").symlink_to("cu.alloy")
        place.manifest()
        run = place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5")
        assert run.returncode == 2

    def test_a_device_is_no_parameter_file(self, place: Place) -> None:
        (place.folder / "cu.alloy").symlink_to("/dev/zero")
        place.manifest()
        assert place.run("potentials", "check", "mine", "-c", "run.yaml").returncode != 0

    def test_a_result_replaces_a_link_and_not_what_it_leads_to(self, place: Place) -> None:
        victim = place.folder / "victim"
        victim.write_text("keep")
        (place.folder / "x.h5").symlink_to(victim)
        place.put_copper()
        place.manifest()
        assert place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5").returncode == 0
        assert victim.read_text() == "keep"


def deb(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    """A Debian package with these members in its data archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    data = stream.getvalue()
    header = b"data.tar.xz".ljust(16) + b"0".ljust(12) + b"0".ljust(6) * 2 + b"100644".ljust(8)
    path.write_bytes(b"!<arch>\n" + header + str(len(data)).encode().ljust(10) + b"`\n" + data)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


ESCAPES = {
    "parent": member("../../canary/libkim-api-portable-model.so"),
    "absolute": member("/tmp/canary/libkim-api-portable-model.so"),
    "symbolic link": member("a/libkim-api-portable-model.so", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": member("a/libkim-api-portable-model.so", tarfile.LNKTYPE, "../../etc/passwd"),
    "device": member("a/libkim-api-portable-model.so", tarfile.CHRTYPE),
    "pipe": member("a/libkim-api-portable-model.so", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_members_of_an_archive_cannot_leave_it(tmp_path: Path, kind: str) -> None:
    content = b"" if ESCAPES[kind].type != tarfile.REGTYPE else b"\x7fELF no model"
    package = deb(tmp_path / "models.deb", [(ESCAPES[kind], content)])
    before = {file for file in tmp_path.rglob("*") if "cache" not in file.parts}
    for _, read in package_files(package, lambda path: True):
        assert b"root:" not in read
    with suppress(GlideflowError):
        extracted_models(package, tmp_path / "cache")
    assert {file for file in tmp_path.rglob("*") if "cache" not in file.parts} == before
    assert all(file.name == "manifest.yaml" for file in (tmp_path / "cache").rglob("*") if file.is_file())


def test_an_archive_that_unpacks_to_too_much_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = bytes(8 * 2**20)
    package = deb(tmp_path / "bomb.deb", [(member(f"{number}/x.so"), bomb) for number in range(4)])
    assert package.stat().st_size < 20_000
    monkeypatch.setattr(debian_package, "MAX_MEMBER_BYTES", 10 * 2**20)
    monkeypatch.setattr(debian_package, "MAX_TOTAL_BYTES", 20 * 2**20)
    files = package_files(package, lambda path: True)
    assert [len(next(files)[1]), len(next(files)[1])] == [len(bomb), len(bomb)]
    with pytest.raises(PotentialError, match="larger than"):
        next(files)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with what its path says."""

    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        self.send_response(200)
        if self.path == "/lies":
            self.send_header("Content-Length", "3")
        self.end_headers()
        content = b"number 1\n" if self.path != "/endless" else bytes(2**16)
        for _ in range(1 if self.path != "/endless" else 100_000):
            try:
                self.wfile.write(content)
            except OSError:
                return

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


class TestDownloads:
    """Files from a repository on the network."""

    pytest.importorskip("requests", reason="comes with the package potentials (extra nist)")

    def test_are_written_whole_with_their_digest(self, server: str, tmp_path: Path) -> None:
        target = tmp_path / "cu.alloy"
        assert _download_file(f"{server}/file", target) is None
        assert target.read_bytes() == b"number 1\n"
        assert _noted_digests(tmp_path) == {"cu.alloy": hashlib.sha256(b"number 1\n").hexdigest()}
        check = subprocess.run(["sha256sum", "--check", DIGESTS], cwd=tmp_path, capture_output=True, check=False)
        assert check.returncode == 0

    def test_that_change_afterwards_are_refused(self, server: str, tmp_path: Path) -> None:
        target = tmp_path / "cu.alloy"
        _download_file(f"{server}/file", target)
        target.write_bytes(b"number 2\n")
        file = PotentialFile(path=target, sha256=_noted_digests(tmp_path)["cu.alloy"])
        with pytest.raises(PotentialError, match="has SHA-256"):
            verify_files(Potential(id="x", element="Cu", structure="fcc", files=(file,)))

    def test_without_end_are_broken_off(self, server: str, tmp_path: Path) -> None:
        with pytest.raises(PotentialError, match="larger than 1000000 bytes"):
            download(f"{server}/endless", tmp_path / "x", limit_bytes=1_000_000)
        assert (tmp_path / "x").stat().st_size <= 1_000_000

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd", "", "gopher://x"])
    def test_from_other_places_are_refused(self, tmp_path: Path, url: str) -> None:
        target = tmp_path / "x"
        assert "the address" in str(_download_file(url, target))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("path", ["/gone", "/elsewhere"])
    def test_that_fail_leave_nothing(self, server: str, tmp_path: Path, path: str) -> None:
        assert _download_file(f"{server}{path}", tmp_path / "x") is not None
        assert not list(tmp_path.iterdir())

    def test_lines_of_a_digest_file_that_are_none_are_passed_over(self, tmp_path: Path) -> None:
        (tmp_path / DIGESTS).write_bytes(b"\xff\n")
        assert _noted_digests(tmp_path) == {}
        (tmp_path / DIGESTS).write_text("zz  a\n" + "0" * 64 + "  b\n")
        assert _noted_digests(tmp_path) == {"b": "0" * 64}


class TestPrivate:
    """Folders that hold what is executed or believed."""

    def mode(self, path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    def test_a_task_lies_in_a_folder_that_nobody_else_may_enter(self, isolated_tasks: str, tmp_path: Path) -> None:
        seen: list[int] = []

        def look(*_: object) -> None:
            seen.extend(self.mode(path) for path in tmp_path.glob("glideflow-*"))

        old = os.umask(0)
        try:
            task = Task(
                function=f"{isolated_tasks}:report_progress", arguments={}, scratch=tmp_path, wants_progress=True
            )
            assert isinstance(run_isolated(task, progress=look), Success)
        finally:
            os.umask(old)
        assert seen
        assert set(seen) == {0o700}

    def test_so_do_its_temporary_files(self, isolated_tasks: str) -> None:
        outcome = run_isolated(Task(function=f"{isolated_tasks}:return_environment", arguments={"name": "TMPDIR"}))
        assert isinstance(outcome, Success)
        assert Path(outcome.value).name.startswith("glideflow-")
        assert not Path(outcome.value).exists()

    def test_what_is_extracted_is_made_out_of_sight(self, tmp_path: Path) -> None:
        modes: list[int] = []

        def fill(made: Path) -> None:
            modes.append(self.mode(made))
            (made / "x").write_text("1")

        old = os.umask(0)
        try:
            target = folder_made_once(tmp_path / "extract", fill)
        finally:
            os.umask(old)
        assert modes == [0o700]
        assert self.mode(target) == 0o755


class TestTerminals:
    """Text of others on a terminal."""

    def test_what_a_terminal_would_obey_is_written_out(self) -> None:
        text = "γ\tµ 銅\n\x1b[2J\x07\x9b1m\u202e\udcff\r"
        assert printable(text) == "γ\tµ 銅\n\\x1b[2J\\x07\\x9b1m\\u202e\\udcff\\r"

    @pytest.mark.parametrize("command", [["inspect", "x.h5"], ["failures", "-c", "run.yaml"]])
    def test_what_a_parameter_file_says_in_a_record(self, place: Place, command: list[str]) -> None:
        place.put_copper()
        (place.folder / "cu.alloy").write_text("a\nb\nc\n1 \x1b]0;owned\x07\n\x1b[2J")
        place.manifest()
        text = (place.folder / "run.yaml").read_text() + "properties: [lattice]\nname: t\n"
        (place.folder / "run.yaml").write_text(text)
        result = "results/t/potentials/mine/lattice.h5"
        for output in ("x.h5", result):
            place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", output)
        run = place.run(*command)
        assert run.returncode == 0, run.stderr
        assert "\x1b" not in run.stdout + run.stderr
        assert "mine" in run.stdout


def test_the_environment_of_a_job_is_not_recorded(place: Place) -> None:
    place.put_copper()
    place.manifest()
    place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5", SECRET_TOKEN="hunter2-canar")
    assert b"hunter2" not in (place.folder / "x.h5").read_bytes()


def test_paths_of_this_machine_are_not_in_results(place: Place) -> None:
    place.put_copper()
    place.manifest()
    place.run("lattice", "-p", "mine", "-c", "run.yaml", "-o", "x.h5")
    assert str(place.folder).encode() not in (place.folder / "x.h5").read_bytes()
    assert sys.prefix.encode() not in (place.folder / "x.h5").read_bytes()
