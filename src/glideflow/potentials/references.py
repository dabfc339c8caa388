"""Bibliographic records as text: BibTeX-like fields, as OpenKIM and NIST give them, to one line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

_ACCENTS: Final = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "u": "\u0306", "v": "\u030c", "H": "\u030b", "r": "\u030a", "k": "\u0328",
}  # fmt: skip
_LETTERS: Final = {
    "AA": "Å", "aa": "å", "AE": "Æ", "ae": "æ", "OE": "Œ", "oe": "œ", "O": "Ø", "o": "ø", "L": "Ł", "l": "ł",
    "ss": "ß", "i": "i", "j": "j", "alpha": "α", "beta": "β", "gamma": "γ", "omega": "ω", "Sigma": "Σ", "prime": "′",
    "upalpha": "α", "upbeta": "β", "upomega": "ω", "BV": "BV",
}  # fmt: skip
_ACCENT_PATTERN: Final = re.compile(
    r"\\(?P<accent>[\"'`^~=.]|[cuvHrk](?=[\s{]))\s*(?:\{\\?(?P<braced>[A-Za-z])\}|\\?(?P<bare>[A-Za-z]))"
)


def plain_text(latex: str) -> str:
    r"""Replace the LaTeX of bibliographies by the characters that it stands for: ``{\"a}`` gives ä, ``--`` a dash."""
    text = re.sub(r"\\+(?=[A-Za-z\"'`^~=.&$%])", r"\\", latex)
    text = _ACCENT_PATTERN.sub(_accented, text)
    text = re.sub(r"\\([A-Za-z]+)\s?", lambda match: _LETTERS.get(match[1], match[1]), text)
    text = re.sub(r"[{}$]", "", text).replace("\\", "").replace("---", "—").replace("--", "–")
    return re.sub(r"\s+", " ", text).strip()


def citation(record: Mapping[str, str]) -> str:
    """One line for a record with ``author``, ``title``, ``journal``, ``volume``, ``pages`` and ``year``.

    Fields that are missing are left out; an empty record gives an empty text.
    """
    field = {key: plain_text(str(value)) for key, value in record.items()}
    place = " ".join(filter(None, (field.get("journal") or field.get("booktitle"), field.get("volume"))))
    pages = re.sub(r"(?<=\w)\s*-\s*(?=\w)", "–", field.get("pages", ""))
    where = ", ".join(filter(None, (place, pages))) + (f" ({field['year']})" if field.get("year") else "")
    return ", ".join(filter(None, (_authors(field.get("author", "")), field.get("title"), where.strip())))


def primary(records: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """The record marked ``recordprimary``, else the first; an empty one if there is none."""
    marked = [record for record in records if record.get("recordprimary")]
    return (marked or list(records) or [{}])[0]


def _authors(names: str) -> str:
    """Authors in the order "given family", joined by commas."""
    return ", ".join(
        " ".join(reversed([part.strip() for part in name.split(",", 1)])) for name in re.split(r"\s+and\s+", names)
    ).strip()


def _accented(match: re.Match[str]) -> str:
    letter = match["braced"] or match["bare"]
    return unicodedata.normalize("NFC", letter + _ACCENTS[match["accent"]])
