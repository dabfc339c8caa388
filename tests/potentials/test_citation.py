from __future__ import annotations

from dataclasses import replace

from glideflow.potentials.bundled import load_bundled
from glideflow.potentials.citation import citation_of, citation_text
from glideflow.potentials.record import Potential

CU = Potential(
    id="Cu", element="Cu", structure="fcc", pair_style="eam", citation="A paper", doi="10.1/x", licence="MIT"
)


def test_the_text_has_paper_doi_licence_and_program() -> None:
    text = citation_text(citation_of(CU))
    assert text.startswith("A paper\nhttps://doi.org/10.1/x\n")
    assert "licence: MIT" in text
    assert "10.1016/j.cpc.2021.108171" in text


def test_collections_ask_to_be_cited() -> None:
    def also(source: str) -> str:
        return " ".join(citation_of(replace(CU, source=source)).also)

    assert "10.1007/s11837-011-0102-6" in also("openkim-models")
    assert "10.1007/s11837-011-0102-6" in also("apt:openkim-models 1:2021.01.28-2")
    assert "10.1016/j.cossms.2013.10.001" in also("NIST Interatomic Potentials Repository")
    assert "OpenKIM" not in also("folder mine")
    assert citation_of(replace(CU, engine="ase")).also == ()


def test_what_is_not_known_is_said() -> None:
    text = citation_text(citation_of(replace(CU, citation="", doi="", licence="")))
    assert "no publication is stated" in text
    assert "licence: not stated" in text
    assert "doi.org" not in text.splitlines()[1]


def test_every_bundled_potential_can_be_cited() -> None:
    for potential in load_bundled().potentials:
        citation = citation_of(potential)
        assert len(citation.text) > 20
        assert citation.licence.startswith("GPL-2.0-only")
