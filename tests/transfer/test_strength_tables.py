"""The script that writes measured tables into the pages on transferred stresses."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from glideflow.reporting.page_parts import marked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("strength_tables", ROOT / "scripts/strength_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_marker_of_the_pages_is_known(script: ModuleType) -> None:
    found = [
        match["name"]
        for name in ("transfer.md", "transfer_errors.md")
        for match in marked(script.COMMAND).finditer((ROOT / "docs" / name).read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(script.PARTS)
