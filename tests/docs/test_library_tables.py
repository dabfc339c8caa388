"""What the docs say of the shipped library is what it holds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from glideflow.reporting.page_parts import marked

PAGES = ("docs/library.md", "docs/peierls.md")


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("library_tables", repository / "scripts/library_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
