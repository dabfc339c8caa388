"""docs/commands.md promises keys of the JSON output: they are there."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from glideflow.cli.properties import stage_json
from glideflow.config.lattice import LatticeSettings
from glideflow.properties.results import ElasticResult, GammaSurfaceResult, LatticeResult, PeierlsStressResult
from glideflow.records import FAILED, OK, PotentialSummary, StageFailure, StageRecord, provenance_of

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
RESULTS = {
    "`lattice`": LatticeResult,
    "`elastic`": ElasticResult,
    "`gamma`": GammaSurfaceResult,
    "`peierls`": PeierlsStressResult,
}


def promised(row: str) -> list[str]:
    section = PAGE.read_text(encoding="utf-8").partition("## JSON")[2]
    (cell,) = (line.split("|")[2] for line in section.splitlines() if line.startswith(f"| {row} |"))
    return [key for key in re.findall(r"`([a-z0-9_]+)`", cell) if key not in ("ok", "failed", "skipped")]


@pytest.mark.parametrize("command", RESULTS)
def test_promised_keys_of_results_are_fields_of_their_records(command: str) -> None:
    names = {field.name for field in dataclasses.fields(RESULTS[command])}
    assert len(promised(command)) >= 7
    assert not set(promised(command)) - names


def test_promised_keys_of_every_object_are_there() -> None:
    summary = PotentialSummary(**{field.name: "x" for field in dataclasses.fields(PotentialSummary)})
    provenance = provenance_of(LatticeSettings(), "lammps", "1", 0)
    common = {"property": "lattice", "potential": summary, "provenance": provenance}
    good = stage_json(StageRecord(status=OK, **common))
    assert set(promised("all")) == set(good)
    failure = StageFailure(error_class="PropertyError", reason="no crystal")
    bad = json.loads(json.dumps(stage_json(StageRecord(status=FAILED, failure=failure, **common))))
    assert set(promised("where it failed")) == {"failure", *bad["failure"]}
