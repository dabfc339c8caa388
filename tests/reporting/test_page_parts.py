"""What is between the markers of a command is rewritten, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from glideflow.errors import ConfigurationError
from glideflow.reporting.page_parts import rewritten, write_pages

COMMAND = "make it"
BEGIN, END = "<!-- make it writes {} from here -->", "<!-- to here -->"
PAGE = f"head\n{BEGIN.format('one')}\nold\n{END}\nmiddle\n{BEGIN.format('two')}\n\n{END}\ntail\n"
PARTS = {"one": lambda: "| new |\n", "two": lambda: r"\1 \g<name>"}


def test_parts_are_rewritten_and_the_rest_stays() -> None:
    written = rewritten(PAGE, COMMAND, PARTS)
    assert "old" not in written
    places = [written.index(part) for part in ("head", "| new |", "middle", r"\1 \g<name>", "tail")]
    assert places == sorted(places)
    assert rewritten(written, COMMAND, PARTS) == written, "writing again changes nothing"
    assert rewritten(PAGE, "make another", {}) == PAGE
    with pytest.raises(ConfigurationError, match="a part 'two'"):
        rewritten(PAGE, COMMAND, {"one": str})


def test_pages_are_written_or_only_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    assert write_pages([page], COMMAND, PARTS, check=True) == 1
    assert capsys.readouterr().err == f"{page} is not current: make it\n"
    assert page.read_text(encoding="utf-8") == PAGE
    assert write_pages([page], COMMAND, PARTS) == 0
    assert write_pages([page], COMMAND, PARTS, check=True) == 0
