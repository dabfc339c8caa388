from __future__ import annotations

from pathlib import Path

import pytest

from glideflow.potentials.cache import cache_folder, folder_made_once


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLIDEFLOW_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("GLIDEFLOW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "glideflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "glideflow"


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    calls: list[Path] = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        assert folder != target
        (folder / "file").write_text("content")

    assert folder_made_once(target, fill) == folder_made_once(target, fill) == target
    assert len(calls) == 1
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_left_of_one_that_failed(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        folder_made_once(tmp_path / "sub" / "target", fail)
    assert not list((tmp_path / "sub").iterdir())


def test_the_first_of_two_processes_wins(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def overtaken(folder: Path) -> None:
        (folder / "file").write_text("mine")
        target.mkdir()
        (target / "file").write_text("theirs")

    assert folder_made_once(target, overtaken) == target
    assert (target / "file").read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]
