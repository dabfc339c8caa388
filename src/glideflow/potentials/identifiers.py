"""Names of potentials, and the metals that they describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from glideflow.potentials.record import Structure

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._+:-]*$"
"""Ids serve as file names and wildcards: no separators, spaces or shell characters, and no leading dot."""
MAX_ID_CHARACTERS: Final = 128

NATIVE_STRUCTURES: Final[Mapping[str, Structure]] = MappingProxyType(
    {
        **dict.fromkeys(("Al", "Au", "Cu", "Ni", "Pd", "Pt"), "fcc"),
        **dict.fromkeys(("Fe", "Mo", "Ta", "W"), "bcc"),
        **dict.fromkeys(("Co", "Mg", "Ti", "Zr"), "hcp"),
    }
)
"""Crystal structure of each metal at room temperature and ambient pressure."""

METALS: Final = tuple(sorted(NATIVE_STRUCTURES))
"""Metals for which collections without that information (OpenKIM, NIST) are searched."""


def slug(text: str) -> str:
    """Turn any text into a part of an id: runs of other characters become one hyphen.

    The result is empty if nothing of the text can be kept.
    """
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-._+")[:MAX_ID_CHARACTERS]


def did_you_mean(name: str, known: Iterable[str], count: int = 3) -> str:
    """Known names that hold ``name``, else the closest ones, as text for a message; empty if none is close."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    wanted = name[:MAX_ID_CHARACTERS].lower()
    holding = (candidate for candidate in by_lower if len(wanted) > 2 and wanted in candidate)
    close = sorted(holding, key=lambda candidate: (len(candidate), candidate))[:count]
    close = close or get_close_matches(wanted, by_lower, n=count, cutoff=0.6)
    return ", ".join(by_lower[candidate] for candidate in close)
