"""What one look at a site found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glideflow.errors import GlideflowError

Status = Literal["ok", "warning", "missing", "not applicable"]

MOST_CHARACTERS = 300
"""Foreign output is cut to so many characters in a message."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, and what was found.

    Attributes:
        area: part of the site, e.g. ``Slurm``.
        name: what was looked at.
        status: ``ok``; ``warning`` (works, or could not be told, but look at it); ``missing`` (not there, or does not
            work); ``not applicable`` (nothing here asks for it).
        found: what was found.
        expected: what would have been right; empty if it is.
        next_step: what to do; empty if nothing.
        required: whether the configuration needs it.
    """

    area: str
    name: str
    status: Status
    found: str
    expected: str = ""
    next_step: str = ""
    required: bool = False

    @property
    def blocking(self) -> bool:
        """Whether the configuration cannot be run because of it."""
        return self.required and self.status == "missing"


def check_of_error(error: GlideflowError, *, area: str, name: str, required: bool) -> Check:
    """An error of the package as a check that failed."""
    return Check(
        area=area,
        name=name,
        status="missing",
        found=error.found,
        expected=error.expected,
        next_step=error.next_step,
        required=required,
    )


def plain(text: str, most_characters: int = MOST_CHARACTERS) -> str:
    """Foreign text on one line, cut, and without what a terminal would interpret."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return line if len(line) <= most_characters else line[: most_characters - 1] + "…"
