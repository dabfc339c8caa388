from __future__ import annotations

import re
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from glideflow.config.potentials import Element
from glideflow.potentials.identifiers import ID_PATTERN, METALS, NATIVE_STRUCTURES, did_you_mean, slug


@given(st.text(max_size=400))
def test_a_slug_is_empty_or_a_valid_id(text: str) -> None:
    made = slug(text)
    assert made == "" or (re.fullmatch(ID_PATTERN, made) and len(made) <= 128)


def test_a_slug_keeps_ids_as_they_are() -> None:
    assert slug("2001--Mishin-Y--Cu--LAMMPS--ipr1") == "2001--Mishin-Y--Cu--LAMMPS--ipr1"
    assert slug("a b/../c;$(d)é") == "a-b-..-c-d"


def test_every_metal_has_a_structure() -> None:
    assert set(NATIVE_STRUCTURES) == set(METALS) == set(get_args(Element))


def test_suggestions() -> None:
    known = ["Cu_2001Mishin", "Cu_2004Zhou", "W_2001Zhou"]
    assert did_you_mean("cu_2001", known) == "Cu_2001Mishin"
    assert did_you_mean("Cu_2001Mishim", known, count=1) == "Cu_2001Mishin"
    assert did_you_mean("zzz", known) == ""
    assert did_you_mean("x" * 10_000, known) == ""
