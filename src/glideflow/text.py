"""Text of others (engine output, file names, entries of files) made safe to show."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text in which everything that a terminal would obey is written as its code point.

    Line breaks and tabs stay. So do letters of any script; marks that reverse the direction of writing do not.
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else _written_out(character) for character in text
    )


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
