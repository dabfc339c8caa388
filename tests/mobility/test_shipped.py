from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from glideflow.config.mobility_glide import LineDynamicsSettings  # noqa: E402
from glideflow.mobility.artifacts import MobilityCard, TrainedSource  # noqa: E402 - behind PyTorch
from glideflow.mobility.baselines import LAWS  # noqa: E402
from glideflow.mobility.dataset import SHIPPED, shipped_trajectories  # noqa: E402
from glideflow.mobility.laws import EnsembleLaw  # noqa: E402
from glideflow.mobility.line_dynamics import LineProblem, glide, resolved_stress_mpa, straight_dipole  # noqa: E402
from glideflow.mobility.samples import simulation_sha256  # noqa: E402
from glideflow.mobility.shipped import (  # noqa: E402
    GlideConditions,
    held_out_errors,
    outside_data,
    shipped_law,
)
from glideflow.mobility.spreads import ERROR_OVER_SPREAD  # noqa: E402
from glideflow.reporting.mobility_errors import held_out_section  # noqa: E402

EDGE = GlideConditions(kind="dipole", angle_deg=90.0, stress_mpa=500.0, temperature_k=300.0)


def source(angle_deg: float | None, stress_mpa: float, temperature_k: float, part: str = "train") -> TrainedSource:
    return TrainedSource(
        name="one",
        part=part,  # type: ignore[arg-type]
        simulation="0" * 64,
        kind="loop" if angle_deg is None else "dipole",
        character_angle_deg=angle_deg,
        stress_mpa=stress_mpa,
        temperature_k=temperature_k,
        potential_id="Fe_one",
    )


@pytest.fixture(scope="module")
def card() -> MobilityCard:
    sources = (source(90.0, 250.0, 300.0), source(5.0, -1000.0, 600.0), source(None, 1500.0, 900.0, "test"))
    return MobilityCard(
        name="PI-GNN",
        step_ps=1.0,
        seed=0,
        sources=sources,
        data_sha256="",
        burgers_angstrom=2.48,
        training={},
        metrics={"trajectories": 4.0, "velocity_percent": 12.3, "absolute_angstrom": 1.04},
        baseline_metrics={"linear drag": {"velocity_percent": 25.0}, "other": {"velocity_percent": 18.0}},
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ()),
        ({"stress_mpa": -500.0}, ()),  # reversed glide
        ({"angle_deg": 172.0}, ()),  # 13° from 5°, across the half circle
        ({"burgers_angstrom": 2.49, "potential_id": "Fe_one"}, ()),
        ({"angle_deg": 45.0}, ("lines at 45.00°: the nearest that it was trained on are at 5.00°",)),
        ({"stress_mpa": 200.0}, ("a stress of 200 MPa: it was trained between 250 and 1000 MPa",)),
        ({"temperature_k": 900.0}, ("a temperature of 900 K: it was trained between 300 and 600 K",)),
        ({"kind": "loop", "angle_deg": None}, ("it was trained on no loop: dipoles only",)),
        ({"potential_id": "Fe_two"}, ("lines of Fe_two: it was trained on Fe_one",)),
        ({"burgers_angstrom": 2.74}, ("a Burgers vector of 2.74 Å: it was trained with 2.48 Å",)),
    ],
)
def test_conditions_outside_of_the_data_are_named(
    card: MobilityCard, changes: dict[str, object], told: tuple[str, ...]
) -> None:
    assert outside_data(card, replace(EDGE, **changes)) == told  # type: ignore[arg-type]


def test_the_error_on_unseen_simulations_is_said_beside_that_of_the_best_law(card: MobilityCard) -> None:
    said = held_out_errors(card)
    for text in ("4 simulations", "12 %", "the best of 2 fitted laws, other, 18 %", "1.0 Å in a step of 1 ps"):
        assert text in said
    assert "spread" not in said
    wide = held_out_errors(replace(card, metrics={**card.metrics, ERROR_OVER_SPREAD: 2.66}))
    assert "their spread counts 2.7 times" in wide
    assert held_out_errors(replace(card, metrics={})) == ""
    assert "fitted" not in held_out_errors(replace(card, baseline_metrics={}))


class TestShippedEnsemble:
    """The ensemble that comes with the package."""

    @staticmethod
    def shipped() -> tuple[EnsembleLaw, MobilityCard]:
        law = shipped_law()
        assert isinstance(law, EnsembleLaw)
        assert law.card is not None
        return law, law.card

    def test_learned_from_the_shipped_trajectories_and_was_tested_on_others_of_them(self) -> None:
        _, card = self.shipped()
        simulations = {simulation_sha256(each) for each in shipped_trajectories().values()}
        assert {each.simulation for each in card.sources} <= simulations
        assert {each.part for each in card.sources} == {"train", "validation", "test"}
        assert {each.potential_id for each in card.sources} == {"Fe_2003Mendelev_Fe_eam-fs"}
        assert card.metrics["trajectories"] == sum(each.part == "test" for each in card.sources)
        assert set(card.baseline_metrics) == set(LAWS)
        assert all(np.isfinite(each["velocity_percent"]) for each in card.baseline_metrics.values())

    def test_the_page_shows_its_errors_on_what_it_has_not_seen(self) -> None:
        _, card = self.shipped()
        laws, velocities, *loops = held_out_section(Path(SHIPPED), shipped_trajectories()).tables
        assert [row[0] for row in laws.rows] == ["PI-GNN", *LAWS]
        assert float(laws.rows[0][3]) == pytest.approx(card.metrics["velocity_percent"], abs=0.51)
        assert len(velocities.rows) == card.metrics["trajectories"]
        assert [each.title for each in (laws, *loops[:1])] == [
            "Dipoles that it has not seen",
            "Loops that it has not seen",
        ]
        assert {row[0] for row in loops[1].rows} == {"loop"}
        every = [each for each in shipped_trajectories().values() if each.cell.kind == "loop"]
        _, _, _, longer = held_out_section(Path(SHIPPED), shipped_trajectories(), startup_ps=1.0).tables
        assert len(loops[1].rows) < len(longer.rows) == len(every)  # which a shorter start-up leaves a step to

    def test_moves_an_edge_with_the_stress_and_reverses_it(self) -> None:
        law, card = self.shipped()
        assert law.burgers_angstrom == pytest.approx(2.473, rel=0.01)
        speeds = []
        for stress in (500.0, -500.0):
            cell, lines = straight_dipole(90.0, (80.0, 28.0, 160.0), card.burgers_angstrom)
            problem = LineProblem(
                lines=lines,
                cell_angstrom=cell,
                applied_stress_mpa=resolved_stress_mpa(stress, lines[0].burgers_angstrom),
                temperature_k=300.0,
                medium=law.ensemble.features,
            )
            run = glide(problem, law, LineDynamicsSettings(duration_ps=0.2, interval_ps=0.1))
            first, last = (frame.lines[0].centre_fractional()[0] for frame in (run.frames[0], run.frames[-1]))
            speeds.append(-(last - first) * 80.0 / 0.2 * 100)
        assert 500 < speeds[0] < 3000  # m/s
        assert speeds[1] == pytest.approx(-speeds[0], rel=0.02)
