"""What the docs say of the shipped library is what it holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from glideflow.reporting.page_parts import marked

PAGES = ("docs/library.md", "docs/peierls.md")


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("scripts/library_tables.py")


def test_the_pages_are_current(
    script: ModuleType, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [str(repository / page) for page in PAGES]
    monkeypatch.setattr(sys, "argv", ["library_tables.py", *pages, "--check"])
    assert script.main() == 0, capsys.readouterr().err


def test_every_part_stands_in_a_page(script: ModuleType, repository: Path) -> None:
    texts = [(repository / page).read_text(encoding="utf-8") for page in PAGES]
    found = [match["name"] for text in texts for match in marked(script.COMMAND).finditer(text)]
    assert sorted(found) == sorted(script.PARTS)
