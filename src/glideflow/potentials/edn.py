"""The part of the extensible data notation in which OpenKIM writes its metadata.

Maps, vectors, lists, strings, numbers, keywords, ``true``, ``false`` and ``nil``, as
https://github.com/edn-format/edn defines them; sets, characters and tagged elements are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

EdnValue = dict[str, "EdnValue"] | list["EdnValue"] | str | float | int | bool | None

MAX_CHARACTERS: Final = 4 * 2**20
MAX_DEPTH: Final = 32

_TOKEN: Final = re.compile(
    r"""(?P<blank>[\s,]+|;[^\n]*)
      | (?P<bracket>[\[\](){}])
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?=[\s,\])};]|$))
      | (?P<symbol>:?[A-Za-z*!_?$%&=<>.+-][A-Za-z0-9*!_?$%&=<>.+:/-]*)""",
    re.VERBOSE | re.DOTALL,
)
_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}
_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "nil": None}


def parse_edn(text: str) -> EdnValue:
    """Parse one value: maps become dictionaries with text keys, vectors and lists become lists, keywords text.

    Raises:
        ValueError: the text is no EDN of this part, too long, or nested too deeply.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text)} characters; at most {MAX_CHARACTERS} are read")
    tokens = _tokens(text)
    value = _value(next(tokens, ("end", "")), tokens, MAX_DEPTH)
    if (kind := next(tokens, ("end", ""))[0]) != "end":
        raise ValueError(f"a {kind} after the value")
    return value


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected {text[position : position + 20]!r} at character {position}")
        position = match.end()
        if match.lastgroup and match.lastgroup != "blank":
            yield match.lastgroup, match.group()


def _value(token: tuple[str, str], tokens: Iterator[tuple[str, str]], depth: int) -> EdnValue:
    kind, text = token
    if depth == 0:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if kind == "bracket" and text in _CLOSING:
        items = list(_items(_CLOSING[text], tokens, depth - 1))
        return _map(items) if text == "{" else items
    if kind == "string":
        return _string(text)
    if kind == "number":
        return float(text) if re.search(r"[.eE]", text) else int(text)
    if kind == "symbol":
        return _CONSTANTS[text] if text in _CONSTANTS else text.removeprefix(":")
    raise ValueError(f"unexpected {text!r}" if text else "the text ends within a value")


def _items(closing: str, tokens: Iterator[tuple[str, str]], depth: int) -> Iterator[EdnValue]:
    for token in tokens:
        if token == ("bracket", closing):
            return
        yield _value(token, tokens, depth)
    raise ValueError(f"the text ends before {closing!r}")


def _map(items: list[EdnValue]) -> dict[str, EdnValue]:
    if len(items) % 2:
        raise ValueError("a map with a key without a value")
    return {str(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _string(text: str) -> str:
    # Escapes are those of JSON, but a string may hold line breaks as they are.
    try:
        return str(json.loads(text, strict=False))
    except json.JSONDecodeError as error:
        raise ValueError(f"a string with a bad escape: {text[:40]!r}") from error
