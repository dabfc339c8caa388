"""Measured parts of pages that people write: a command rewrites what stands between its markers, and nothing else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from glideflow.atomic import write_text
from glideflow.errors import ConfigurationError

Parts = Mapping[str, Callable[[], str]]
"""What makes each part, by its name."""


def marked(command: str) -> re.Pattern[str]:
    """Pattern of the parts that a command writes; its groups are the markers and the ``name`` of the part.

    A part stands between ``<!-- COMMAND writes NAME from here -->`` and ``<!-- to here -->``.
    """
    begin = rf"<!-- {re.escape(command)} writes (?P<name>\w+) from here -->\n"
    return re.compile(rf"({begin}).*?(\n<!-- to here -->)", flags=re.DOTALL)


def rewritten(page: str, command: str, parts: Parts) -> str:
    """A page with the parts of a command rewritten.

    Raises:
        ConfigurationError: the page has a part that the command does not know.
    """

    def part(found: re.Match[str]) -> str:
        if found["name"] not in parts:
            raise ConfigurationError(
                f"the page has a part {found['name']!r}",
                expected=f"one of {', '.join(parts)}, which {command} writes",
                next_step="correct the name between the markers",
            )
        return f"{found[1]}\n{parts[found['name']]()}{found[3]}"

    return marked(command).sub(part, page)


def write_pages(pages: Sequence[Path], command: str, parts: Parts, *, check: bool = False) -> int:
    """Rewrite the parts of a command in pages, or only say on standard error which pages are not current.

    Returns:
        exit status: 1 if pages were to be checked and one is not current.
    """
    stale = []
    for page in pages:
        before = page.read_text(encoding="utf-8")
        after = rewritten(before, command, parts)
        if after != before:
            stale.append(page)
        if not check:
            write_text(page, after)
    for page in stale if check else ():
        print(f"{page} is not current: {command}", file=sys.stderr)
    return int(check and bool(stale))
