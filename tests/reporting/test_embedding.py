from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
from hypothesis import example, given
from hypothesis import strategies as st

from glideflow.reporting.embedding import difference, family, figure_json, restored, script_json

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
KEYS = st.sampled_from(["x", "y", "=", "#", "{", "data"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)


@given(VALUES, VALUES)
@example([False, 1], [0, 1.0])
@example({"x": False}, {"x": 0})
def test_a_difference_turns_one_value_into_the_other(base, other):
    assert json.dumps(restored(base, difference(base, other)), sort_keys=True) == json.dumps(other, sort_keys=True)


def test_a_family_stores_what_is_shared_once():
    figures = [
        go.Figure(go.Heatmap(z=np.full((20, 20), k)), layout={"template": "none", "height": 300}) for k in (1, 2)
    ]
    members = family(figures)
    assert members.differences[0] is None
    assert len(json.dumps(members.differences[1])) < 0.95 * len(json.dumps(members.skeleton))
    assert restored(members.skeleton, members.differences[1]) == figure_json(figures[1])


def test_a_family_without_members():
    assert family([]).differences == ()


@given(st.text() | st.lists(st.text()))
def test_json_cannot_end_its_script(value):
    text = str(script_json({"key": value}))
    assert json.loads(text) == {"key": value}
    assert not set(text) & set("<>&\u2028\u2029")
