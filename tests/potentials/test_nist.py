from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from glideflow.errors import DependencyError, PotentialError
from glideflow.potentials import nist
from glideflow.potentials.check import check_potential
from glideflow.potentials.nist import fetch, load_nist

pytest.importorskip("potentials", reason="needs the package potentials (extra nist)")


class Repository:
    """A local copy in the package's own format, written with the package."""

    def __init__(self, folder: Path, url: str = "https://example.invalid") -> None:
        import potentials

        self.folder, self.url = folder, url
        self.database = potentials.Database(local=True, remote=False, localpath=str(folder))

    def add(self, identity: str, pair_style: str, files: dict[str, str], elements: list[str], **more: Any) -> None:
        from potentials.record.Artifact import Artifact
        from potentials.record.PotentialLAMMPS import PotentialLAMMPS

        artifacts = [Artifact(filename=name, url=f"{self.url}/{name}") for name in files]
        values = {
            "id": identity,
            "key": f"key-{identity}",
            "potid": "2001--Mishin-Y--Cu",
            "elements": elements,
            "symbols": elements,
            "pair_style": pair_style,
            "artifacts": artifacts,
            "dois": ["10.1103/PhysRevB.63.224106"],
        } | more
        names = list(files)
        if pair_style == "eam":
            record = PotentialLAMMPS.eam(names, **values)
        elif pair_style == "meam":
            record = PotentialLAMMPS.meam(*names, **values)
        else:
            record = PotentialLAMMPS.paramfile(names[0], **values)
        sources = self.folder / "sources"
        sources.mkdir(exist_ok=True)
        for name, content in files.items():
            (sources / name).write_text(content)
        self.database.save_lammps_potential(record, filenames=[sources / name for name in files])

    def add_entry(self) -> None:
        # Written by hand: building this record with the package needs a release of bibtexparser that it does not pin.
        paper = {
            "title": "Structural stability",
            "author": [{"given-name": "Y.", "surname": "Mishin"}, {"given-name": "M.J.", "surname": "Mehl"}],
            "publication-name": "Physical Review B",
            "publication-date": {"year": 2001},
            "volume": "63",
            "pages": "224106",
        }
        entry = {"key": "k", "id": "2001--Mishin-Y--Cu", "description": {"citation": paper}, "fictional-element": "Cu"}
        folder = self.folder / "Potential"
        folder.mkdir()
        (folder / "potential.2001--Mishin-Y--Cu.json").write_text(json.dumps({"interatomic-potential": entry}))


@pytest.fixture
def repository_copy(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "nist")


def test_single_elements_alloys_and_libraries(repository_copy: Repository, small_files: Any) -> None:
    repository_copy.add("a--Cu--LAMMPS--ipr1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    repository_copy.add(
        "b--AlCu--LAMMPS--ipr1", "eam/alloy", {"x.alloy": small_files.setfl(("Al", "Cu"))}, ["Al", "Cu"]
    )
    library = {"library.meam": small_files.library, "p.meam": "rc = 4\n"}
    repository_copy.add("c--AlCu--LAMMPS--ipr1", "meam", library, ["Cu", "Al"], symbols=["Cu", "AlS"])
    potentials = {potential.id: potential for potential in load_nist("nist", repository_copy.folder.parent).potentials}
    assert {identity: potential.pair_coeff for identity, potential in potentials.items()} == {
        "Cu_a--Cu--LAMMPS--ipr1": ("* * {0}",),
        "Al_b--AlCu--LAMMPS--ipr1": ("* * {0} Al",),
        "Cu_b--AlCu--LAMMPS--ipr1": ("* * {0} Cu",),
        "Cu_c--AlCu--LAMMPS--ipr1": ("* * {0} Cu AlS {1} Cu",),
        "Al_AlS_c--AlCu--LAMMPS--ipr1": ("* * {0} Cu AlS {1} AlS",),
    }
    assert all(check_potential(potential).ok for potential in potentials.values())
    assert {potential.doi for potential in potentials.values()} == {"10.1103/PhysRevB.63.224106"}


def test_statuses_are_those_of_the_repository(repository_copy: Repository, small_files: Any) -> None:
    for status in ("superseded", "retracted"):
        repository_copy.add(f"{status}--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"], status=status)
    repository_copy.add("active--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    listing = load_nist(str(repository_copy.folder), Path())
    assert {potential.id: potential.source_status for potential in listing.potentials} == {
        "Cu_active--1": "ok",
        "Cu_superseded--1": "superseded",
        "Cu_retracted--1": "retracted",
    }


def test_missing_parameter_files_are_named(repository_copy: Repository, small_files: Any) -> None:
    repository_copy.add("a--1", "eam/alloy", {"x.alloy": small_files.setfl(("Cu",))}, ["Cu"])
    (repository_copy.folder / "potential_LAMMPS" / "a--1" / "x.alloy").unlink()
    listing = load_nist(str(repository_copy.folder), Path())
    assert not listing.potentials
    assert "x.alloy" in listing.skipped[0].reason
    assert "fetch" in listing.skipped[0].reason


def test_what_cannot_be_used_is_listed_with_the_reason(repository_copy: Repository, small_files: Any) -> None:
    table = {"x": small_files.setfl(("Cu",))}
    repository_copy.add("tersoff--1", "tersoff", table, ["Cu"])
    repository_copy.add("units--1", "eam/alloy", table, ["Cu"], units="real")
    repository_copy.add("charges--1", "eam/alloy", table, ["Cu"], atom_style="charge")
    repository_copy.add("all--1", "eam/alloy", table, ["Cu", "Al"], allsymbols=True)
    repository_copy.add("other--1", "eam/alloy", table, ["Ag"])
    (repository_copy.folder / "potential_LAMMPS" / "broken--1.json").write_text("{")
    listing = load_nist(str(repository_copy.folder), Path())
    assert not listing.potentials
    reasons = {entry.id: entry.reason for entry in listing.skipped}
    assert set(reasons) == {"tersoff--1", "units--1", "charges--1", "all--1", "broken--1"}
    assert "pair style tersoff" in reasons["tersoff--1"]
    assert "every element" in reasons["all--1"]
    assert "cannot be read" in reasons["broken--1"]


def test_hostile_file_names_never_leave_the_copy(repository_copy: Repository, small_files: Any) -> None:
    repository_copy.add("a--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    record = repository_copy.folder / "potential_LAMMPS" / "a--1.json"
    for name in ("../../up.eam", "/etc/passwd", "x;rm"):
        record.write_text(record.read_text().replace("cu.eam", name))
        listing = load_nist(str(repository_copy.folder), Path())
        assert not listing.potentials
        assert "plain names" in listing.skipped[0].reason
        record.write_text(record.read_text().replace(name, "cu.eam"))


def test_the_copy_is_only_read(repository_copy: Repository, small_files: Any) -> None:
    repository_copy.add("a--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    before = sorted(repository_copy.folder.rglob("*"))
    load_nist(str(repository_copy.folder), Path())
    assert sorted(repository_copy.folder.rglob("*")) == before


def test_records_are_read_again_only_if_they_change(
    repository_copy: Repository, small_files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository_copy.add("a--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    first = load_nist(str(repository_copy.folder), Path())
    with monkeypatch.context() as patch:
        patch.setattr(nist, "_record", None)
        assert load_nist(str(repository_copy.folder), Path()) == first
    repository_copy.add("b--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    assert len(load_nist(str(repository_copy.folder), Path()).potentials) == 2


def test_the_publication_comes_from_the_repositorys_entry(repository_copy: Repository, small_files: Any) -> None:
    repository_copy.add("a--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    assert "2001--Mishin-Y--Cu" in load_nist(str(repository_copy.folder), Path()).potentials[0].citation
    repository_copy.add_entry()
    (potential,) = load_nist(str(repository_copy.folder), Path()).potentials
    assert potential.citation == "Y. Mishin, M.J. Mehl, Structural stability, Physical Review B 63, 224106 (2001)"
    assert potential.fictional


def test_no_copy_is_told(tmp_path: Path) -> None:
    with pytest.raises(PotentialError, match="holds no LAMMPS potentials") as caught:
        load_nist("nowhere", tmp_path)
    assert "glideflow potentials fetch" in caught.value.next_step


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Files over HTTP on this machine."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_fetch_brings_records_and_files_and_names_what_is_missing(
    tmp_path: Path, server: str, small_files: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    import potentials

    remote = Repository(tmp_path / "remote", url=server)
    remote.add("a--1", "eam", {"cu.eam": small_files.funcfl}, ["Cu"])
    remote.add("b--1", "eam/alloy", {"gone.alloy": small_files.setfl(("Cu",))}, ["Cu"])
    remote.add("c--1", "eam/alloy", {"ni.alloy": small_files.setfl(("Ni",))}, ["Ni"])
    (tmp_path / "web" / "cu.eam").write_text(small_files.funcfl)
    database = potentials.Database(
        local=True, remote=True, localpath=str(tmp_path / "copy"), remote_style="local", remote_host=tmp_path / "remote"
    )
    report = fetch("copy", tmp_path, elements=["Cu"], database=database)
    assert not capsys.readouterr().out
    assert report.records == ("a--1", "b--1")
    assert report.missing == ("b--1: gone.alloy",)
    remote.add_entry()
    again = fetch("copy", tmp_path, elements=["Cu"], database=database)
    # The package reads entries with some releases of bibtexparser only.
    assert (tmp_path / "copy" / "Potential").is_dir() or "publications of 1 entries" in again.missing[-1]
    listing = load_nist("copy", tmp_path)
    assert [potential.id for potential in listing.potentials] == ["Cu_a--1"]
    assert listing.potentials[0].files[0].path.read_text() == small_files.funcfl


def test_fetch_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import potentials

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    database = potentials.Database(
        local=True, remote=True, localpath=str(tmp_path / "a"), remote_style="local", remote_host=tmp_path / "b"
    )
    monkeypatch.setattr(database.remote_database, "get_records", refuse)
    with pytest.raises(DependencyError, match="cannot be reached"):
        fetch("copy", tmp_path, database=database)
    monkeypatch.setattr(potentials, "Database", refuse)
    with pytest.raises(DependencyError, match="cannot be reached"):
        fetch("copy", tmp_path)
