"""The script that writes measured tables into pages: what is between its markers, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("strength_tables", ROOT / "scripts/strength_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_parts_are_rewritten_and_the_rest_stays(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PARTS", {"one": lambda folder: "| new |\n", "two": lambda folder: r"\1 \g<name>"})
    begin, end = "<!-- make strength-models writes {} from here -->", "<!-- to here -->"
    page = f"head\n{begin.format('one')}\nold\n{end}\nmiddle\n{begin.format('two')}\n\n{end}\ntail\n"
    written = script.page_text(tmp_path, page)
    assert "old" not in written
    assert [written.index(part) for part in ("head", "| new |", "middle", r"\1 \g<name>", "tail")] == sorted(
        written.index(part) for part in ("head", "| new |", "middle", r"\1 \g<name>", "tail")
    )
    assert script.page_text(tmp_path, written) == written, "writing again changes nothing"


def test_every_marker_of_the_pages_is_known(script: ModuleType) -> None:
    found = [
        match["name"]
        for name in ("transfer.md", "transfer_errors.md")
        for match in script.MARKER.finditer((ROOT / "docs" / name).read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(script.PARTS)
