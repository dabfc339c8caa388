"""Verdicts follow from numbers: other numbers, other verdicts, and none without numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glideflow import strength_library
from glideflow.records import Library
from glideflow.reporting.transfer_claims import (
    CLAIM_COLUMNS,
    FAILS,
    HOLDS,
    IN_PART,
    UNDECIDED,
    Claim,
    Evidence,
    claim_markdown,
    claim_section,
    claims,
)
from glideflow.transfer.cost_panel import CONVERGED, CORES, FEATURES, CostPanel, CostRow
from glideflow.transfer.error_decomposition import ErrorTable, ErrorTerm, RouteError
from glideflow.transfer.few_shot import FewShotCurve, FewShotEntry
from glideflow.transfer.training_scope import ScopeRow

METALS = ("Cu", "Ni", "Al", "Au")


def term(element: str, kind: str, name: str, factor: float) -> ErrorTerm:
    log10 = np.full(3, np.log10(factor))
    own = {"element": element, "structure": "fcc", "kind": kind, "name": name, "value": "", "against": ""}
    return ErrorTerm(**own, potential_ids=("a", "b", "c"), log10=log10, relative=10**log10 - 1)


def route(element: str, name: str, factor: float) -> RouteError:
    return RouteError(
        element=element,
        structure="fcc",
        route=name,
        values=3,
        mean_mpa=1.0,
        relative_percent=100 * (factor - 1),
        factor=factor,
        terms=("inference",),
        mean_log10=np.array([np.log10(factor)]),
        share=np.ones(1),
    )


def errors(pt_eam: tuple[float, ...], held_out: float = 2.0) -> ErrorTable:
    """Four metals: EAM errs by 4 against MLFF, fixed steps by 10, a small cell by 3, transferred potentials by 5."""
    kinds = {"cell": 3.0, "protocol": 10.0, "transferred": 5.0, "held out": held_out}
    return ErrorTable(
        model="best",
        split="leave one family out",
        library_name="some",
        floor_mpa=0.1,
        terms=tuple(term(metal, "any", name, factor) for metal in METALS for name, factor in kinds.items()),
        routes=tuple(
            each
            for metal, factor in zip(METALS, pt_eam, strict=True)
            for each in (
                route(metal, "EAM, converged", 4.0),
                route(metal, "PT-EAM", factor),
                route(metal, "PT-MLFF", 1.02),
            )
        ),
    )


def shots(after: float) -> FewShotCurve:
    entries = tuple(
        FewShotEntry(
            potential_id=metal,
            element=metal,
            structure="fcc",
            shots=count,
            available=2,
            mlff_mpa=1.0,
            censored=False,
            error_log10=np.log10([factor]),
        )
        for metal in METALS
        for count, factor in ((0, 2.0), (2, after))
    )
    return FewShotCurve(model="best", library_name="some", floor_mpa=0.1, draws=1, seed=0, entries=entries)


def scope(low: float) -> tuple[ScopeRow, ...]:
    own = {
        "model": "ridge",
        "split": "10 folds by family",
        "samples": 9,
        "families": 9,
        "seeds": 1,
        "together_factor": 2.0,
        "apart_factor": 2.0,
    }
    return tuple(
        ScopeRow(structure=name, ratio=low + 0.1, ratio_low=low, ratio_high=low + 0.2, **own)  # type: ignore[arg-type]
        for name in ("fcc", "bcc", "hcp")
    )


def cost(seconds: float, cores: float = 1.0) -> CostPanel:
    steps = {FEATURES: ("", seconds), CORES: ("", cores), CONVERGED: ("EAM", 20.0)}
    rows = tuple(
        CostRow(
            step=step,
            interaction=kind,
            basis="timed",
            potentials=("a",),
            evaluations=np.ones(1),
            atoms=np.ones(1),
            core_seconds=np.array([value]),
            source="",
        )
        for step, (kind, value) in steps.items()
    )
    return CostPanel(library_name="some", rows=rows)


def found(evidence: Evidence, words: str) -> Claim:
    return next(each for each in claims(evidence) if words in each.claim)


@pytest.fixture(scope="module")
def library() -> Library:
    """Magnesium alone, of which the paper says nothing."""
    whole = strength_library.load()
    return replace(whole, entries=tuple(each for each in whole.entries if each.potential.element == "Mg"))


@pytest.fixture
def evidence(library: Library) -> Evidence:
    return Evidence(
        library=library,
        errors=errors((2.0, 2.0, 2.0, 1.1)),
        shots=shots(1.5),
        training=scope(1.05),
        cost=cost(1e-4),
    )


def test_verdicts_follow_from_the_numbers(evidence: Evidence) -> None:
    verdicts = {
        "nearer to MLFF": HOLDS,
        "no more than 48.09": FAILS,
        "244 atoms": HOLDS,
        "Strain steps": FAILS,
        "error of inference": HOLDS,
        "few machine-learned shots": HOLDS,
        "few per cent": HOLDS,
        "One model of all": HOLDS,
        "milliseconds": IN_PART,
    }
    assert {words: found(evidence, words).verdict for words in verdicts} == verdicts


def test_other_numbers_give_other_verdicts(evidence: Evidence) -> None:
    other = replace(
        evidence,
        errors=errors((2.0, 2.0, 6.0, 6.0), held_out=7.0),
        shots=shots(2.5),
        training=scope(0.9),
        cost=cost(1.0),
    )
    assert found(other, "nearer to MLFF").verdict == IN_PART
    assert found(replace(evidence, cost=cost(1e-4, cores=1e-3)), "milliseconds").verdict == HOLDS
    for words in ("error of inference", "few machine-learned shots", "One model of all", "milliseconds"):
        assert found(other, words).verdict == FAILS


def test_the_numbers_stand_beside_the_verdict(evidence: Evidence) -> None:
    assert "Cu 2.0 against 4.0" in found(evidence, "nearer to MLFF").here
    assert "Cu 100 %" in found(evidence, "no more than 48.09").here
    assert "4 potentials, a trend and no more" in found(evidence, "few machine-learned shots").here
    assert "0.1 ms" in found(evidence, "milliseconds").here


def test_without_evidence_nothing_is_decided(library: Library) -> None:
    undecided = {each.verdict for each in claims(Evidence(library=library))}
    assert undecided == {UNDECIDED}, "one metal decides nothing either"


def test_the_table_holds_every_claim(evidence: Evidence) -> None:
    every = claims(evidence)
    assert claim_markdown(every).count("\n") == len(every) + 2
    (table,) = claim_section(every).tables
    assert table.headings == CLAIM_COLUMNS
    assert len({row[0] for row in table.rows}) == len(every)
