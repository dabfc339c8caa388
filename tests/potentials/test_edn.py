from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.potentials.edn import MAX_DEPTH, EdnValue, parse_edn

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def written(value: EdnValue) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)} {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + " ".join(written(item) for item in value) + "]"
    if value is None:
        return "nil"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)


@given(values)
def test_what_is_written_is_read(value: EdnValue) -> None:
    assert parse_edn(written(value)) == value


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_edn(text)


def test_the_notation() -> None:
    text = '{:kim "a\\"b" ; a remark\n "list" (1 2.5 -3e2) , "s" ["x\ny"]\n "more" {"t" true "n" nil}}'
    assert parse_edn(text) == {
        "kim": 'a"b',
        "list": [1, 2.5, -300.0],
        "s": ["x\ny"],
        "more": {"t": True, "n": None},
    }


@pytest.mark.parametrize("text", ["", "{", "[1", '"open', "{1}", "1 2", "]", "#{1}", "\\a", '"\\q"', "[" * 5000, "1a"])
def test_what_is_no_edn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_edn(text)


def test_depth_and_length_are_bounded() -> None:
    assert parse_edn("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)) is not None
    with pytest.raises(ValueError, match="nested"):
        parse_edn("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="characters"):
        parse_edn(" " * (4 * 2**20 + 1))
