from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import pytest

from glideflow.errors import StorageError
from glideflow.reporting.export import write_overview


def test_the_same_library_gives_the_same_image(library, tmp_path):
    for name in ("one.svg", "two.svg"):
        write_overview(library, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "one.svg").getroot().tag.endswith("svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.svg", "two.svg"]


def test_png_too(library, tmp_path):
    write_overview(library, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_missing_values_leave_an_empty_panel(library, broken, tmp_path):
    for entries in ((), (broken,)):
        write_overview(dataclasses.replace(library, entries=entries), tmp_path / "figure.svg")
        assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_other_formats_are_refused(library, tmp_path):
    with pytest.raises(StorageError, match="jpg"):
        write_overview(library, tmp_path / "figure.jpg")


def test_a_folder_that_cannot_be_made_is_reported(library, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_overview(library, tmp_path / "file" / "figure.svg")
