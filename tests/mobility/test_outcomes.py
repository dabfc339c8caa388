from __future__ import annotations

import numpy as np
import pytest

from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.outcomes import judge, judge_motion

SETTINGS = MobilityDynamicsSettings(smallest_gap=0.5, largest_extent=0.8, shortest_loop_angstrom=30.0)
CELL = np.diag([60.0, 40.0, 90.0])
BURGERS = np.array([2.4, 0.0, 0.0])
OTHER = np.array([0.0, 2.8, 0.0])


def infinite(sense: int, z: float = 0.25, burgers: np.ndarray = BURGERS, along: int = 1) -> DislocationLine:
    nodes = np.full((4, 3), [0.4, 0.1, z])
    nodes[:, along] += sense * np.arange(4) / 4
    period = np.zeros(3, dtype=np.int64)
    period[along] = sense
    return DislocationLine(nodes_fractional=nodes, period=period, burgers_angstrom=burgers, topology="infinite")


def loop(radius: float, burgers: np.ndarray = BURGERS) -> DislocationLine:
    angles = 2 * np.pi * np.arange(40) / 40
    nodes = np.column_stack([30 + radius * np.cos(angles), 20 + radius * np.sin(angles), np.full(40, 45.0)])
    return DislocationLine(
        nodes_fractional=nodes / np.diag(CELL),
        period=np.zeros(3, dtype=np.int64),
        burgers_angstrom=burgers,
        topology="closed",
    )


OPEN = DislocationLine(
    nodes_fractional=np.zeros((2, 3)), period=np.zeros(3, dtype=np.int64), burgers_angstrom=BURGERS, topology="open"
)


@pytest.mark.parametrize(
    ("kind", "found", "status"),
    [
        ("dipole", [infinite(1), infinite(-1)], ""),
        ("dipole", [infinite(-1), infinite(1), loop(3.0)], ""),
        ("dipole", [], "annihilated"),
        ("dipole", [loop(3.0)], "annihilated"),
        ("dipole", [infinite(1)], "broken"),
        ("dipole", [infinite(1), infinite(1)], "broken"),
        ("dipole", [infinite(1), infinite(-1), infinite(1)], "broken"),
        ("dipole", [infinite(1), infinite(-1, burgers=OTHER)], "broken"),
        ("dipole", [infinite(1, along=0), infinite(-1, along=0)], "broken"),
        ("dipole", [infinite(1), infinite(-1), OPEN], "broken"),
        ("loop", [loop(10.0)], ""),
        ("loop", [loop(10.0), loop(2.0)], ""),
        ("loop", [], "vanished"),
        ("loop", [loop(4.0)], "vanished"),
        ("loop", [infinite(1), infinite(-1)], "merged"),
        ("loop", [loop(10.0), OPEN], "broken"),
        ("loop", [loop(10.0, OTHER)], "broken"),
    ],
)
def test_lines_that_are_not_those_expected_are_named(kind: str, found: list[DislocationLine], status: str) -> None:
    judgement = judge(found, CELL, BURGERS, kind, SETTINGS)
    assert judgement.status == status
    assert bool(judgement.reason) == bool(status)
    assert len(judgement.lines) == (0 if status else 2 if kind == "dipole" else 1)


def test_other_closed_lines_are_debris() -> None:
    debris = 2 * np.pi * 3.0
    dipole = judge([infinite(1), infinite(-1), loop(3.0)], CELL, BURGERS, "dipole", SETTINGS)
    assert dipole.debris_angstrom == pytest.approx(debris, rel=0.01)
    largest = judge([loop(3.0), loop(10.0)], CELL, BURGERS, "loop", SETTINGS)
    assert largest.debris_angstrom == pytest.approx(debris, rel=0.01)
    assert np.ptp(largest.lines[0].nodes_fractional[:, 0]) == pytest.approx(20 / 60)


@pytest.mark.parametrize(
    ("below", "above", "status"),
    [(0.25, 0.75, ""), (0.30, 0.60, ""), (0.3, 0.5, "gap_closed"), (0.1, 0.9, "gap_closed"), (-0.9, 0.9, "gap_closed")],
)
def test_glide_planes_that_come_close_end_a_dipole_across_the_boundary_too(
    below: float, above: float, status: str
) -> None:
    first = [infinite(1, 0.25), infinite(-1, 0.75)]
    lines = [infinite(1, below), infinite(-1, above)]
    assert judge_motion(first, lines, "dipole", SETTINGS).status == status


@pytest.mark.parametrize(("radius", "status"), [(15.0, ""), (15.9, ""), (16.1, "merged")])
def test_a_loop_ends_before_it_meets_its_images(radius: float, status: str) -> None:
    assert judge_motion([loop(10.0)], [loop(radius)], "loop", SETTINGS).status == status
