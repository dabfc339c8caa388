"""Figures as JSON inside a page, and families of like figures that share everything but their data."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ABSENT = "\0absent"
"""Marks in a difference that the member lacks a key of the skeleton."""


@dataclass(frozen=True, kw_only=True)
class FigureFamily:
    """Figures of the same kind, one of which is shown at a time.

    Attributes:
        skeleton: the first figure as JSON.
        differences: for each figure, what of the skeleton it replaces; see `difference`.
    """

    skeleton: Mapping[str, Any]
    differences: tuple[Any, ...]


def figure_json(figure: go.Figure) -> dict[str, Any]:
    """A figure as plain JSON values, arrays as base64 text of their binary content."""
    content: dict[str, Any] = json.loads(figure.to_json())
    content["layout"].pop("template", None)
    return content


def family(figures: Sequence[go.Figure]) -> FigureFamily:
    """Put figures of the same kind together so that what they share is stored once."""
    contents = [figure_json(figure) for figure in figures]
    skeleton = contents[0] if contents else {}
    return FigureFamily(skeleton=skeleton, differences=tuple(difference(skeleton, content) for content in contents))


def difference(base: Any, other: Any) -> Any:  # noqa: ANN401 - any JSON value
    """What turns one JSON value into another; None if they are equal.

    A mapping is described by its changed keys; a list of the same length by a mapping ``{"#": {index: difference}}``;
    anything else by ``{"=": new value}``.
    """
    if base == other and _text(base) == _text(other):  # in Python false equals 0, and 1 equals 1.0
        return None
    if isinstance(base, dict) and isinstance(other, dict):
        changed = {key: difference(base[key], other[key]) for key in base.keys() & other.keys()}
        changed |= {key: {"=": other[key]} for key in other.keys() - base.keys()}
        changed |= {key: {"=": _ABSENT} for key in base.keys() - other.keys()}
        return {"{": {key: changed[key] for key in sorted(changed) if changed[key] is not None}}
    if isinstance(base, list) and isinstance(other, list) and len(base) == len(other) and _holds_mappings(base):
        pairs = enumerate(zip(base, other, strict=True))
        changed = {str(index): difference(old, new) for index, (old, new) in pairs}
        return {"#": {index: change for index, change in changed.items() if change is not None}}
    return {"=": other}


def restored(base: Any, change: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value that `difference` was made from; the page does the same in JavaScript."""
    if change is None:
        return copy.deepcopy(base)
    if "=" in change:
        return copy.deepcopy(change["="])
    if "#" in change:
        return [restored(old, change["#"].get(str(index))) for index, old in enumerate(base)]
    keys = base.keys() | change["{"].keys()
    merged = {key: restored(base.get(key), change["{"].get(key)) for key in keys}
    return {key: value for key, value in merged.items() if value != _ABSENT}


def script_json(value: object) -> Markup:
    r"""JSON that is safe inside a ``<script>`` element: ``<``, ``>`` and ``&`` only as ``\u003c`` and the like."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # nothing in it can end the element


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _holds_mappings(values: Sequence[object]) -> bool:
    return bool(values) and all(isinstance(value, dict) for value in values)
