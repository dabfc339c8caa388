"""The script that writes measured tables into the pages on transferred stresses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from glideflow.reporting.page_parts import marked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("scripts/strength_tables.py")


def test_every_marker_of_the_pages_is_known(script: ModuleType) -> None:
    found = [
        match["name"]
        for name in ("transfer.md", "transfer_errors.md")
        for match in marked(script.COMMAND).finditer((ROOT / "docs" / name).read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(script.PARTS)
