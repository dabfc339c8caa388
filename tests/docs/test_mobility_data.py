"""docs/mobility_data.md repeats the shipped trajectories and the card of the ensemble: it is as current as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from glideflow.mobility.dataset import shipped_trajectories
from glideflow.reporting.mobility import velocity_row


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("scripts/mobility_model.py")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/mobility_data.md").read_text(encoding="utf-8")


def test_data_and_velocities_are_those_of_the_shipped_trajectories(script: ModuleType, page: str) -> None:
    trajectories = shipped_trajectories()
    rows = [velocity_row(name, each) for name, each in trajectories.items()]
    sections = {"data": script.data_lines(rows, list(trajectories.values())), "velocities": script.velocity_lines(rows)}
    assert script.with_sections(page, sections) == page


def test_held_out_errors_are_those_of_the_card(script: ModuleType, page: str, repository: Path) -> None:
    card = json.loads((repository / "src/glideflow/data/mobility_model/model.json").read_text(encoding="utf-8"))
    errors = page.partition("<!-- errors -->")[2].partition("<!-- end of errors -->")[0]
    scores = {"PI-GNN": card["metrics"]} | card["baseline_metrics"]
    for law, own in scores.items():
        (row,) = re.findall(rf"^\| {law} \| (\S+) \| (\S+) \| (\S+) \|", errors, re.MULTILINE)
        names = ("velocity_percent", "percent", "absolute_angstrom")
        assert list(row) == [script._rounded(own[name]) for name in names]


def test_what_lies_outside_of_the_markers_stays(script: ModuleType) -> None:
    page = "before\n<!-- a -->\nold\n<!-- end of a -->\nafter\n"
    assert script.with_sections(page, {"a": iter(["new", "lines"])}) == (
        "before\n<!-- a -->\n\nnew\nlines\n\n<!-- end of a -->\nafter\n"
    )
    with pytest.raises(SystemExit, match="lacks the markers"):
        script.with_sections(page, {"b": iter([])})
