"""Command lines that must be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from glideflow.cli.app import app

Refused = Callable[[list[str], type[Exception], str], None]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Asserts that a command ends in an error which names something, and leaves no file where it runs."""
    monkeypatch.chdir(tmp_path)

    def check(arguments: list[str], error: type[Exception], named: str) -> None:
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, error)
        assert named in str(done.exception)
        assert not list(tmp_path.iterdir())

    return check
