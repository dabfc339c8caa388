from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glideflow.potentials.references import citation, plain_text, primary


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        ('G{\\"a}hler', "Gähler"),
        ("Vailh{\\\\'e}", "Vailhé"),
        ("Durukano{\\u g}lu", "Durukanoğlu"),
        ("{\\AA}gren", "Ågren"),
        ("{MgZn}$_2$", "MgZn_2"),
        ("7423--7442", "7423–7442"),
        ("the $\\\\upalpha$ phase", "the α phase"),
        ("N{\\o}rskov", "Nørskov"),
        ("a  \n b", "a b"),
        ("Fran{\\c c}ois", "François"),
    ],
)
def test_latex_becomes_text(latex: str, plain: str) -> None:
    assert plain_text(latex) == plain


@given(st.text(max_size=100))
def test_any_text_is_taken(text: str) -> None:
    assert "{" not in plain_text(text)


def test_one_line() -> None:
    record = {
        "author": "Mishin, Y. and M. J. Mehl",
        "title": "Stability",
        "journal": "Phys. Rev. B",
        "volume": "63",
        "pages": "1-2",
        "year": "2001",
    }
    assert citation(record) == "Y. Mishin, M. J. Mehl, Stability, Phys. Rev. B 63, 1–2 (2001)"
    assert citation({}) == ""
    assert citation({"title": "Only a title"}) == "Only a title"


def test_the_primary_reference() -> None:
    assert primary([{"title": "a"}, {"title": "b", "recordprimary": "recordprimary"}])["title"] == "b"
    assert primary([{"title": "a"}])["title"] == "a"
    assert primary([]) == {}
