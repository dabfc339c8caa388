"""Progress of long work, told to whoever shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with a stage's name and how much of it is done."""

    def __call__(self, stage: str, done: float, total: float, /) -> None:
        """Report ``done`` of ``total`` units of ``stage`` (``total`` 0 if unknown)."""


def silent(stage: str, done: float, total: float, /) -> None:
    """Show nothing."""
