from __future__ import annotations

import cProfile
import dataclasses
import filecmp
import json
import os
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from glideflow.cli.app import app
from glideflow.errors import StorageError
from glideflow.library import table
from glideflow.properties.results import PeierlsStressResult
from glideflow.records import Library
from glideflow.reporting.labels import with_error
from glideflow.reporting.website.outline import MARKER, outline
from glideflow.reporting.website.site import write_site

if TYPE_CHECKING:
    from conftest import Page

Read = Callable[[Path], "Page"]
ReadAll = Callable[[Path], "list[Page]"]


def test_every_potential_metal_and_structure_has_a_page(pages: ReadAll, site: Path, library: Library) -> None:
    plan = outline(library)
    expected = {"index.html", "overview.html", "methods.html"}
    expected |= {plan.potential_page(entry.potential.id) for entry in library.entries}
    expected |= {"metals/Cu-fcc.html", "metals/Fe-bcc.html", "metals/Mg-hcp.html"}
    expected |= {f"structures/{name}.html" for name in ("fcc", "bcc", "hcp")}
    assert {page.path.relative_to(site).as_posix() for page in pages(site)} == expected
    assert all(page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == 1 for page in pages(site))


@pytest.mark.parametrize("folder", ["site", "hostile_site"])
def test_every_link_leads_somewhere(pages: ReadAll, folder: str, request: pytest.FixtureRequest) -> None:
    root: Path = request.getfixturevalue(folder)
    known = {page.path.resolve(): page for page in pages(root)}
    identifiers = {path: page.ids() for path, page in known.items()}
    for path, page in known.items():
        for attributes in (*page.all("a"), *page.all("link"), *page.all("script"), *page.all("option")):
            address = urlsplit(next((attributes[k] for k in ("href", "src", "data-script") if k in attributes), ""))
            if address.scheme:
                assert address.scheme == "data" or (address.scheme, address.netloc) == ("https", "doi.org"), address
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            assert target.is_file(), (path, attributes)
            assert target.is_relative_to(root.resolve())
            if address.fragment and "=" not in address.fragment:  # otherwise filters of the first page
                assert unquote(address.fragment) in identifiers[target]


def test_nothing_is_loaded_from_anywhere_else(pages: ReadAll, site: Path) -> None:
    for page in pages(site):
        policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy.replace("http-equiv", "")
        assert not page.all("img") + page.all("iframe")
    style = (site / "assets" / "glideflow.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_foreign_text_stays_text(read: Read, pages: ReadAll, hostile_site: Path, hostile_library: Library) -> None:
    for page in pages(hostile_site):
        assert not page.all("img") + page.all("b")
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        scripts = [script for script in page.all("script") if script.get("type") != "application/json"]
        assert all(set(script) <= {"src", "defer", "charset"} and script["src"] for script in scripts)
    index = read(hostile_site / "index.html")
    assert hostile_library.name.split("\u2028")[0] in "".join(index.texts[0])
    assert "{{7*7}}" in index.text


def test_identifiers_become_file_names_and_stay_inside(hostile_site: Path) -> None:
    names = sorted(path.name for path in (hostile_site / "potentials").iterdir())
    assert len(names) == 3
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") for name in names)
    assert any(name.startswith("UNEP-v1-Cu-") for name in names)
    assert not (hostile_site.parent.parent / "etc").exists()


def test_data_scripts_hold_the_figures_of_their_page(read: Read, site: Path, hostile_site: Path) -> None:
    for root in (site, hostile_site):
        for script in (root / "data").iterdir():
            page = read(root / "potentials" / f"{script.stem}.html")
            wanted = {each["data-figure"] for _, each in page.elements if "plot" in each.get("class", "").split()}
            text = script.read_text(encoding="utf-8")
            assert "<" not in text
            store, figures = json.loads("[" + text.removeprefix("glideflow.receive(").removesuffix(");\n") + "]")
            assert store == script.stem
            assert wanted == set(figures)
            assert all(figure["data"] and figure["layout"]["height"] for figure in figures.values())


def test_pages_are_small(site: Path) -> None:
    for path in (*(site / "potentials").iterdir(), *(site / "data").iterdir()):
        assert path.stat().st_size < 70_000, path


def test_the_index_equals_the_library(read: Read, site: Path, library: Library) -> None:
    page = read(site / "index.html")
    cells: dict[str, list[dict[str, str]]] = {}
    for _, attributes in page.elements:
        if "data-label" in attributes:
            cells.setdefault(attributes["data-label"], []).append(attributes)
    expected = table(library)
    assert [each["data-sort"] for each in cells["potential"]] == [row["potential_id"] for row in expected]
    columns = {"C11 (GPa)": "c11_gpa", "γusf (mJ/m²)": "gamma_usf_mj_m2", "τP (MPa)": "peierls_mpa"}
    for label, key in columns.items():
        shown = [float(each["data-sort"]) if "data-sort" in each else None for each in cells[label]]
        assert shown == [row[key] for row in expected]


def test_the_downloads_are_the_library(site: Path, library: Library) -> None:
    from glideflow import strength_library

    copy = strength_library.load(site / "downloads" / "strength_library.h5")
    assert [entry.potential.id for entry in copy.entries] == [entry.potential.id for entry in library.entries]
    lines = (site / "downloads" / "strength_library.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(library.entries)


def test_a_page_shows_every_kind_of_stress(read: Read, site: Path, library: Library) -> None:
    first = library.entries[0].potential.id
    text = read(site / outline(library).potential_page(first)).text
    assert "1.40 ± 0.30 MPa, from the size fit" in text
    assert "the other cut (not in the total)5.0 MPa" in text
    assert "total error0.22 MPa" in text  # √(0.1² + 0.2²), the other cut left out
    assert "time limit" in text
    assert "by the paper's protocol" in text
    assert "17.5" in text
    assert "by strain control" in text
    assert "The error is that of the search" not in text  # a limit of large cells has a whole one
    assert "This is the limit of large cells; the cell of" in text


def test_the_error_of_a_single_cell_says_what_it_does_not_hold(read: Read, site: Path, library: Library) -> None:
    plan, said = outline(library), []
    for entry in library.entries:
        text = read(site / plan.potential_page(entry.potential.id)).text
        stage = entry.stage("peierls_stress")
        value = stage is not None and isinstance(stage.result, PeierlsStressResult) and not stage.result.is_upper_bound
        said.append("The error is that of the search in this cell of" in text)
        assert said[-1] == (value and entry.stage("peierls_series") is None)
    assert any(said)


def test_a_page_explains_flags_failures_and_sources(read: Read, site: Path, library: Library) -> None:
    plan = outline(library)
    texts = {entry.potential.id: read(site / plan.potential_page(entry.potential.id)).text for entry in library.entries}
    for entry in library.entries:
        assert all(flag in texts[entry.potential.id] for flag in entry.flags)
        assert entry.potential.sha256 in texts[entry.potential.id]
    lost = texts[library.entries[1].potential.id]
    assert "No value: elastic constants" in lost
    assert "it took too long" in lost
    assert "The time limit of one job was reached." in lost
    assert "J. P. Hirth and J. Lothe" in texts[library.entries[0].potential.id]


def test_upper_bounds_say_so(read: Read, library: Library, tmp_path: Path) -> None:
    entry = library.entries[2]
    bound = {"is_upper_bound": True, "peierls_mpa": 0.0283}
    stages = tuple(
        dataclasses.replace(stage, result=dataclasses.replace(stage.result, **bound))  # type: ignore[type-var]
        if stage.property == "peierls_stress"
        else stage
        for stage in entry.stages
    )
    part = dataclasses.replace(library, entries=(dataclasses.replace(entry, stages=stages),))
    folder = write_site(part, tmp_path / "site").parent
    for name in ("index.html", outline(part).potential_page(entry.potential.id), "metals/Cu-fcc.html"):
        text = read(folder / name).text
        assert "≤ 0.0283" in text
        assert with_error(0.0283, 0.01) not in text


@pytest.mark.parametrize("kept", [(), ("lattice",), ("elastic",), ("gamma_surface",), ("peierls_stress",)])
def test_parts_of_a_library_make_a_site(kept: tuple[str, ...], library: Library, tmp_path: Path) -> None:
    entry = library.entries[-1]
    part = dataclasses.replace(entry, stages=tuple(stage for stage in entry.stages if stage.property in kept))
    entries = (part,) if kept else ()
    folder = write_site(dataclasses.replace(library, entries=entries), tmp_path / "site").parent
    assert len(list(folder.glob("potentials/*.html"))) == len(entries)


def test_the_same_library_gives_the_same_bytes(site: Path, library: Library, tmp_path: Path) -> None:
    again = write_site(library, tmp_path / "again").parent
    files = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file())
    assert filecmp.cmpfiles(site, again, files, shallow=False) == (files, [], [])


def test_four_hundred_potentials_take_seconds(library: Library, tmp_path: Path) -> None:
    """Counted in function calls, since seconds depend on the machine and on what else it does."""

    def calls(copies: int) -> int:
        entries = [
            dataclasses.replace(entry, potential=dataclasses.replace(entry.potential, id=f"{entry.potential.id}_{k}"))
            for k in range(copies)
            for entry in library.entries
        ]
        with cProfile.Profile() as profile:
            write_site(dataclasses.replace(library, entries=tuple(entries)), tmp_path / "site")
        return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]

    calls(1)  # what is loaded once
    one, two, three = (calls(copies) for copies in (1, 2, 3))
    # 20 s, at the five million calls a second of a slow core, and as much again.
    assert 400 * (two - one) / len(library.entries) < 2 * 20 * 5e6
    assert three - two < 1.1 * (two - one), "each potential costs the same, however many there are"


def test_an_older_site_is_replaced_as_a_whole(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_site(library, folder)
    part = dataclasses.replace(library, entries=library.entries[:1])
    write_site(part, folder)
    assert len(list(folder.glob("potentials/*.html"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_folder_with_other_work_is_refused(library: Library, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StorageError, match="no site of this package"):
        write_site(library, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    with pytest.raises(StorageError, match="no site of this package"):
        write_site(library, tmp_path / "thesis.tex")


def test_a_full_disk_leaves_the_old_site(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = dataclasses.replace(library, entries=())
    folder = write_site(part, tmp_path / "site").parent

    def full(self: Path, *_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="No space left"):
        write_site(library, folder)
    assert (folder / MARKER).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_old_site_comes_back_if_the_new_one_cannot_be_put_in_its_place(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_site(dataclasses.replace(library, entries=()), tmp_path / "site").parent
    replace = Path.replace

    def refusing(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise OSError(13, os.strerror(13))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refusing)
    with pytest.raises(StorageError, match="Permission denied"):
        write_site(dataclasses.replace(library, entries=library.entries[:1]), folder)
    assert not (folder / "potentials").exists()
    assert (folder / MARKER).is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_link_to_a_folder_stays_a_link(library: Library, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "site").symlink_to("elsewhere")
    write_site(dataclasses.replace(library, entries=()), tmp_path / "site")
    assert (tmp_path / "site").is_symlink()
    assert (tmp_path / "elsewhere" / "index.html").is_file()


def test_the_command_prints_the_page_to_open(site: Path, tmp_path: Path, library: Library) -> None:
    from typer.testing import CliRunner

    source = site / "downloads" / "strength_library.h5"
    result = CliRunner().invoke(app, ["library", "site", "--library", str(source), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "out" / "index.html")
    assert len(list((tmp_path / "out" / "potentials").iterdir())) == len(library.entries)
