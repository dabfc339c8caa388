from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.mobility.queries import Query
from glideflow.mobility.trajectory import Trajectory
from glideflow.records import provenance_of
from glideflow.reporting.figures.mobility import FRAMES_SHOWN, learning_figure, lines_figure, velocity_figure
from glideflow.reporting.mobility import (
    VelocityRow,
    example_of,
    mobility_page,
    velocities_csv,
    velocities_markdown,
    velocity_row,
)

MakeTrajectory = Callable[..., Trajectory]


def trajectory(make: MakeTrajectory, **scenario: float) -> Trajectory:
    made = make(**scenario, duration_ps=6.0, interval_ps=0.5)
    provenance = provenance_of(MobilityDynamicsSettings(startup_ps=0.5), "lammps", "1", 1)
    return dataclasses.replace(made, provenance=provenance)


@pytest.fixture(scope="module")
def rows(synthetic_trajectory: MakeTrajectory) -> list[VelocityRow]:
    grid = [(90.0, 500.0, 300.0), (90.0, 250.0, 300.0), (90.0, 500.0, 600.0), (54.7, 500.0, 300.0)]
    found = [
        velocity_row(
            f"{angle}-{stress:g}-{temperature:g}",
            trajectory(synthetic_trajectory, angle_deg=angle, stress_mpa=stress, temperature_k=temperature),
        )
        for angle, stress, temperature in grid
    ]
    return [
        *found,
        dataclasses.replace(found[0], name="gone", status="annihilated", remark="a|<b>", velocity_m_per_s=math.nan),
    ]


def test_rows_repeat_the_law_of_the_trajectory(rows: list[VelocityRow]) -> None:
    """The lines of these trajectories move by force over drag, which grows with temperature, and attract each other."""
    velocity = {(row.angle_deg, row.stress_mpa, row.temperature_k): row.velocity_m_per_s for row in rows[:-1]}
    assert 1.8 < velocity[90.0, 500.0, 300.0] / velocity[90.0, 250.0, 300.0] < 2.5
    assert 0.6 < velocity[90.0, 500.0, 600.0] / velocity[90.0, 500.0, 300.0] < 0.9


def test_csv_holds_every_digit_and_nothing_where_nothing_is_known(rows: list[VelocityRow]) -> None:
    found = list(csv.DictReader(io.StringIO(velocities_csv(rows))))
    assert [float(row["angle_deg"]) for row in found] == sorted(row.angle_deg for row in rows)
    by_name = {row["name"]: row for row in found}
    assert float(by_name[rows[0].name]["velocity_m_per_s"]) == rows[0].velocity_m_per_s
    assert by_name["gone"]["velocity_m_per_s"] == ""
    assert by_name["gone"]["radius_nm"] == ""
    assert by_name["gone"]["status"] == "annihilated"


def test_every_trajectory_has_a_line_of_markdown(rows: list[VelocityRow]) -> None:
    lines = velocities_markdown(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.replace("\\|", "").count("|") for line in lines[2:]}) == 1  # foreign text makes no column
    assert "| annihilated |" in "\n".join(lines)


def test_the_page_shows_each_kind_of_line_and_what_ended_early(
    rows: list[VelocityRow], synthetic_trajectory: MakeTrajectory
) -> None:
    page = mobility_page(rows, ("shown", trajectory(synthetic_trajectory)))
    for text in ("90.00°", "54.70°", "gone: annihilated", "thermal floor", "shapes-plot"):
        assert text in page
    assert "<b>}" not in page
    assert "a|<b>" not in page  # escaped
    assert "http://" not in page.split("<script>")[0]
    assert mobility_page(rows) == mobility_page(rows[::-1])


def test_lines_of_two_potentials_share_no_figure(rows: list[VelocityRow]) -> None:
    both = [*rows, dataclasses.replace(rows[0], name="W", potential="tungsten")]
    page, table = mobility_page(both), velocities_markdown(both)
    assert page.count(">90.00°, tungsten</h2>") == 1
    assert ">90.00°, known law</h2>" in page
    assert "| 90.00°, tungsten |" in table
    assert "known law" not in velocities_markdown(rows)
    assert {row["potential"] for row in csv.DictReader(io.StringIO(velocities_csv(both)))} == {"known law", "tungsten"}


def test_series_have_error_bars_and_their_thermal_floor(rows: list[VelocityRow]) -> None:
    own = [row for row in rows if row.angle_deg == 90.0]
    figure = velocity_figure(own, "stress")
    series, floor = figure.data[0], figure.data[1]
    assert list(series.x) == [250.0, 500.0]
    assert series.name == "300 K"
    expected = {row.stress_mpa: row for row in own if row.temperature_k == 300.0 and row.name != "gone"}
    assert list(series.error_y.array) == [expected[x].error_m_per_s for x in series.x]
    assert list(floor.y) == [expected[x].thermal_floor_m_per_s for x in series.x]
    assert {trace.name for trace in velocity_figure(own, "temperature").data} == {"250 MPa", "500 MPa", "thermal floor"}


def test_without_velocities_the_figure_says_so(rows: list[VelocityRow]) -> None:
    figure = velocity_figure([rows[-1]], "stress")
    assert not figure.data
    assert "no trajectory" in figure.layout.annotations[0].text


def test_learning_is_shown_by_strategy(rows: list[VelocityRow]) -> None:
    def query(strategy: Literal["active", "passive"], iteration: int, percent: float | None) -> Query:
        simulated = tuple("abcdefgh"[: 4 + 2 * iteration])
        return Query(
            iteration=iteration,
            strategy=strategy,
            simulated=simulated,
            uncertainty_percent=percent,
            threshold_percent=25.0,
            candidates=(),
            done=percent is None,
        )

    queries = [query("passive", 0, 60.0), query("active", 1, 30.0), query("active", 0, 60.0), query("active", 2, None)]
    ordered = sorted(queries, key=lambda each: (each.strategy, each.iteration))
    figure = learning_figure(ordered)
    assert [(each.name, list(each.x), list(each.y)) for each in figure.data] == [
        ("active", [4, 6], [60.0, 30.0]),
        ("passive", [4], [60.0]),
    ]
    assert not learning_figure(ordered[2:3]).data
    assert "What the ensemble asked for" in mobility_page(rows, None, queries)


def test_lines_are_drawn_where_they_are(synthetic_trajectory: MakeTrajectory) -> None:
    made = trajectory(synthetic_trajectory)
    figure = lines_figure(made)
    assert len(figure.data) == 2 * FRAMES_SHOWN
    last = list(made.frames())[-1]
    drawn = np.array([figure.data[-2].x, figure.data[-2].y]).T
    assert drawn == pytest.approx(last.lines[0].chain_angstrom(last.cell_angstrom)[:, :2] / 10)


def test_the_example_is_the_longest_loop(rows: list[VelocityRow]) -> None:
    loop = dataclasses.replace(rows[0], name="loop", kind="loop", angle_deg=math.nan, radius_nm=5.0, time_ps=2.0)
    assert example_of([*rows, loop]) == loop
    assert example_of([]) is None
