from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.errors import PotentialError
from glideflow.potentials.adhoc import potential_from_command
from glideflow.potentials.bundled import load_bundled, wheel_folder
from glideflow.potentials.check import check_potential
from glideflow.potentials.record import file_sha256


def refused(element: str, style: str, *lines: str, folder: Path | None = None) -> str:
    with pytest.raises(PotentialError) as caught:
        potential_from_command(element, "fcc", style, list(lines), folder=folder)
    assert caught.value.expected
    assert caught.value.next_step
    return str(caught.value)


def test_a_bundled_file_by_its_name() -> None:
    potential = potential_from_command("Cu", "fcc", "eam/alloy", ["* * Cu_mishin1.eam.alloy Cu"])
    assert potential.pair_coeff == ("* * {0} Cu",)
    assert potential.files[0].path == wheel_folder() / "Cu_mishin1.eam.alloy"
    assert potential.files[0].sha256 == file_sha256(potential.files[0].path)
    assert potential.id == "Cu_Cu_mishin1.eam.alloy"


@pytest.mark.parametrize(
    "name", ["with spaces.alloy", "it's.alloy", 'a"b.alloy', "a;b.alloy", "$HOME.alloy", "é.alloy", "Cu"]
)
def test_files_anywhere_with_any_name(tmp_path: Path, small_files: Any, name: str) -> None:
    import shlex

    folder = tmp_path / "a folder; rm -rf"
    folder.mkdir()
    (folder / name).write_text(small_files.setfl(("Al", "Cu")))
    for line in (f"* * {shlex.quote(str(folder / name))} Cu", f"* * {shlex.quote('./' + name)} Cu"):
        potential = potential_from_command("Cu", "fcc", "eam/alloy", [line], folder=folder)
        assert potential.pair_coeff == ("* * {0} Cu",)
        assert potential.files[0].path.read_text() == (folder / name).read_text()
        assert check_potential(potential).ok


def test_a_file_here_goes_before_a_bundled_one(tmp_path: Path, small_files: Any) -> None:
    (tmp_path / "Cu_u3.eam").write_text(small_files.funcfl)
    here = potential_from_command("Cu", "fcc", "eam", ["* * Cu_u3.eam"], folder=tmp_path)
    assert here.files[0].path == tmp_path / "Cu_u3.eam"


def test_a_folder_is_not_proposed_in_place_of_itself(tmp_path: Path) -> None:
    (tmp_path / "Cu.folder").mkdir()
    message = refused("Cu", "eam/alloy", "* * Cu.folder Cu", folder=tmp_path)
    assert "is a folder" in message
    assert "did you mean Cu.folder" not in message


def test_every_bundled_potential_can_be_typed() -> None:
    for potential in load_bundled().potentials:
        names = [file.path.name for file in potential.files]
        lines = [line.format(*names) for line in potential.pair_coeff]
        typed = potential_from_command(potential.element, potential.structure, potential.pair_style, lines)
        assert typed.pair_coeff == potential.pair_coeff
        assert typed.content_sha256 == potential.content_sha256


def test_hybrid_styles_with_several_lines() -> None:
    lines = ["* * zbl 74 74", "* * snap W_2940_2017_2.snapcoeff W_2940_2017_2.snapparam W"]
    style = "hybrid/overlay zbl 4 4.8 snap"
    assert potential_from_command("W", "bcc", style, lines).pair_coeff[1] == "* * snap {0} {1} W"
    assert "atomic number of W" in refused("W", style, "* * zbl 73 74", lines[1])
    assert "which part" in refused("W", style, "* * eam Cu_u3.eam")
    assert "which part" in refused("W", style, "* * 4 4")
    twice = "hybrid/overlay eam/alloy eam/alloy"
    two = ["* * eam/alloy 1 Cu_mishin1.eam.alloy Cu", "* * eam/alloy 2 Cu_zhou.eam.alloy Cu"]
    assert potential_from_command("Cu", "fcc", twice, two).pair_coeff == (
        "* * eam/alloy 1 {0} Cu",
        "* * eam/alloy 2 {1} Cu",
    )


@pytest.mark.parametrize(
    "line",
    ["1 1 Cu_mishin1.eam.alloy Cu", "* 2 Cu_mishin1.eam.alloy Cu", "Cu_mishin1.eam.alloy Cu", "* *", "", "1*2 * x"],
)
def test_only_one_atom_type(line: str) -> None:
    assert "`* *`" in refused("Cu", "eam/alloy", line)


@pytest.mark.parametrize(
    ("style", "line", "message"),
    [
        ("eam/alloy", "* * AlCu.eam.alloy Al Cu", "alloys are not computed"),
        ("eam/alloy", "* * AlCu.eam.alloy Al", "the one element Cu"),
        ("eam/alloy", "* * AlCu.eam.alloy", "no element"),
        ("eam/alloy", "* * AlCu.eam.alloy NULL", "the one element Cu"),
        ("eam/alloy", "* * W_zhou.eam.alloy Cu", "describes W, not Cu"),
        ("eam/alloy", "* * NiAlH_jea.eam.alloy Cu", "describes Ni, Al, H, not Cu"),
        ("eam/alloy", "* * Cu_u3.eam Cu", "pair_style eam: use that"),
        ("eam", "* * Cu_mishin1.eam.alloy", "pair_style eam/alloy: use that"),
        ("eam", "* * Ni_u3.eam", "describes Ni, not Cu"),
        ("eam", "* * Cu_u3.eam Cu", "the file itself says the element"),
        ("eam/fs", "* * Cu_mishin1.eam.alloy Cu_zhou.eam.alloy Cu", "names 2 files"),
        ("eam/alloy", "* * Cu", "names 0 files"),
        ("meam", "* * library.meam Cu NULL Cu Ni", "alloys are not computed"),
        ("meam", "* * library.meam Cu Ni NULL Ni", "an entry of library.meam for Cu"),
        ("meam", "* * library.meam CuS AlS AlSiMgCuFe.meam AlS", "an entry of library.meam for Cu"),
        ("meam", "* * library.meam Ni NULL Cu", "not among the entries that the line takes"),
        ("meam", "* * library.meam Cuprum NULL Cuprum", "has no entry Cuprum"),
        ("meam", "* * library.meam Cu", "LIBRARY"),
        ("meam", "* * Cu.meam Cu library.meam Cu", "no complete MEAM library"),
        ("snap", "* * Cu_Zuo_JPCA2020.snapcoeff Cu_Zuo_JPCA2020.snapparam Ni", "the one element Cu"),
        ("snap", "* * Cu", "FILE"),
        ("eam/alloy", "* * nowhere.eam.alloy Cu", "does not exist"),
        ("eam/alloy", "* * /nowhere/at/all Cu", "does not exist"),
        ("eam/alloy", "* * ./ Cu", "is a folder"),
        ("eam/alloy", "* * Cu_mishin.eam.alloy Cu", "Cu_mishin1.eam.alloy"),
        ("eam/alloy", "* * 'unclosed Cu", "cannot be split"),
        ("eam/alloy", "* * $(reboot) Cu", "the argument"),
        ("eam/alloy", "* * Cu_u3.eam;ls Cu", "does not exist"),
        ("eam/alloy", f"* * {'x' * 300} Cu", "names 0 files"),
        ("eam/alloy", f"* * {'x' * 300}.alloy Cu", "does not exist"),
        ("eam/alloy; shell ls", "* * Cu_u3.eam Cu", "the pair style"),
        ("", "* * Cu_u3.eam Cu", "the pair style"),
    ],
)
def test_what_is_wrong_is_told(style: str, line: str, message: str, tmp_path: Path) -> None:
    assert message in refused("Cu", style, line, folder=tmp_path)


def test_labels_of_a_library_stand_for_their_elements() -> None:
    line = "* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam {}S"
    for element in ("Al", "Mg", "Cu", "Fe"):
        assert potential_from_command(element, "fcc", "meam", [line.format(element)])
    assert potential_from_command("W", "bcc", "meam", ["* * library.meam WL WL.meam WL"])
    assert potential_from_command("Ni", "fcc", "meam", ["* * library.meam Ni2 NULL Ni2"])
    assert "for C" in refused("C", "meam", "* * library.meam CuS NULL CuS")


@pytest.mark.parametrize("lines", [3, 4, 5])
def test_a_file_that_ends_within_its_header(tmp_path: Path, small_files: Any, lines: int) -> None:
    text = "\n".join(small_files.setfl(("Cu",)).split("\n")[:lines])
    (tmp_path / "x.alloy").write_text(text)
    assert "ends within its header" in refused("Cu", "eam/alloy", "* * x.alloy Cu", folder=tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"\xff\xfe" * 50, b"a\nb\nc\n1e99 Cu\n1 2 3 4 5\n", b"\n" * 10]
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.alloy").write_bytes(content)
    for style in ("eam/alloy", "adp"):
        assert "x.alloy" in refused("Cu", style, "* * x.alloy Cu", folder=tmp_path)
    assert "x.alloy" in refused("Cu", "eam", "* * x.alloy", folder=tmp_path)
    assert "x.alloy" in refused("Cu", "meam", "* * x.alloy Cu NULL Cu", folder=tmp_path)


def test_elements_and_missing_lines() -> None:
    assert "did you mean Cu" in refused("CU", "eam", "* * Cu_u3.eam")
    assert "no element" in refused("", "eam", "* * Cu_u3.eam")
    assert "no pair_coeff" in refused("Cu", "eam")


@given(st.text(max_size=60))
def test_any_line_makes_a_potential_or_one_clear_error(text: str) -> None:
    with contextlib.suppress(PotentialError):
        assert potential_from_command("Cu", "fcc", "eam/alloy", [f"* * {text}"]).files
