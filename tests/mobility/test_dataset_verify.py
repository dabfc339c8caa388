from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from glideflow.config.engine import EngineSettings
from glideflow.config.mobility import MobilityCellSettings
from glideflow.config.mobility_dynamics import MobilityDynamicsSettings
from glideflow.errors import ConfigurationError
from glideflow.mobility import dynamics
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.building import CellBuilder
from glideflow.mobility.dataset import DatasetEntry, dataset_of
from glideflow.mobility.dataset_verify import VerificationSetup, compared, drawn, request_again, verify
from glideflow.mobility.dynamics import TrajectoryRequest, simulate
from glideflow.mobility.trajectory import MobilityScenario, Trajectory, cell_sha256, summary_of_cell

if TYPE_CHECKING:
    from glideflow.potentials.record import Potential

MakeTrajectory = Callable[..., Trajectory]

IRON = BccMetal("Fe", 2.8553, 0.3)
TENSOR_GPA = np.zeros((6, 6))
TENSOR_GPA[:3, :3] = 145.0
TENSOR_GPA[[0, 1, 2], [0, 1, 2]] = 243.4
TENSOR_GPA[[3, 4, 5], [3, 4, 5]] = 116.0
TINY = MobilityDynamicsSettings(
    expansion_ps=0.0,
    relaxation_steps=10,
    equilibration_ps=0.0,
    duration_ps=0.06,
    startup_ps=0.0,
    extraction_interval_ps=0.01,
    checkpoint_interval_ps=0.03,
)


def entry_of(trajectory: Trajectory) -> DatasetEntry:
    return dataset_of({"one": trajectory}).entries[0]


def moved(trajectory: Trajectory, angstrom: float) -> Trajectory:
    """The lines driven farther, in proportion to the time, by so much at the end; each in its own sense."""
    times = trajectory.times_ps / trajectory.times_ps[-1]
    counts = trajectory.node_counts.reshape(len(times), -1)
    shift = np.concatenate(
        [np.repeat([-1.0, 1.0], row) * angstrom * time / 80.0 for row, time in zip(counts, times, strict=True)]
    )
    nodes = trajectory.nodes_fractional + shift[:, None] * [1.0, 0.0, 0.0]
    return dataclasses.replace(trajectory, nodes_fractional=nodes)


def test_a_simulation_that_repeats_itself_is_identical(synthetic_trajectory: MakeTrajectory) -> None:
    made = synthetic_trajectory(duration_ps=6.0)
    beginning = synthetic_trajectory(duration_ps=2.0)
    check = compared(entry_of(made), beginning)
    assert (check.outcome, check.compared_ps, check.difference_angstrom) == ("identical", 2.0, 0.0)


def test_heat_may_part_two_simulations_and_nothing_else(synthetic_trajectory: MakeTrajectory) -> None:
    entry = entry_of(synthetic_trajectory(duration_ps=12.0))
    beginning = synthetic_trajectory(duration_ps=2.0)
    other_heat = compared(entry, synthetic_trajectory(duration_ps=2.0, seed=1))
    assert (other_heat.outcome, other_heat.reason) == ("within errors", "")
    # Three nodes of each of two lines jitter by 0.3 Å, at both ends of the time, in both simulations.
    scatter = 0.3 / np.sqrt(3 * 2) * np.sqrt(2) * np.sqrt(2)
    assert other_heat.tolerance_angstrom == pytest.approx(4 * scatter, rel=0.5)
    assert 0 < other_heat.difference_angstrom < other_heat.tolerance_angstrom
    farther = compared(entry, moved(beginning, 2.0))
    assert farther.outcome == "differs"
    assert farther.difference_angstrom == pytest.approx(2.0, rel=1e-3)
    assert "2 Å farther" in farther.reason


def test_without_frames_at_the_same_times_nothing_agrees(synthetic_trajectory: MakeTrajectory) -> None:
    made = synthetic_trajectory(duration_ps=2.0)
    later = dataclasses.replace(made, times_ps=made.times_ps + 0.25)
    assert compared(entry_of(made), later).outcome == "differs"


def test_trajectories_are_drawn_at_random_or_by_name(synthetic_trajectory: MakeTrajectory) -> None:
    made = synthetic_trajectory(duration_ps=2.0)
    dataset = dataset_of({f"{number}": made for number in range(9)})
    assert [each.name for each in drawn(dataset, 2, 0, ("7", "3"))] == ["3", "7"]
    choices = {tuple(each.name for each in drawn(dataset, 2, seed)) for seed in range(20)}
    assert len(choices) > 10
    assert len(drawn(dataset, 99, 0)) == 9
    with pytest.raises(ConfigurationError, match="no trajectory 'absent'"):
        drawn(dataset, 1, 0, ("absent",))


class TestSimulatedAgain:
    """Real molecular dynamics, in a cell as small as it can be."""

    @pytest.mark.parametrize("angle_deg", [0.0, 54.74, 90.0, 109.47])
    def test_the_cell_is_built_as_it_was(
        self, wheel_potential: Callable[[str], Potential], synthetic_trajectory: MakeTrajectory, angle_deg: float
    ) -> None:
        potential = wheel_potential("Fe")
        builder = CellBuilder(IRON, TENSOR_GPA, MobilityCellSettings(images=1))
        cell = builder.dipole(angle_deg, (8.0, 1.4, 6.0))
        made = synthetic_trajectory(duration_ps=2.0)
        potential_of = dataclasses.replace(made.potential, sha256=potential.content_sha256)
        made = dataclasses.replace(made, cell=summary_of_cell(cell), potential=potential_of)
        setup = VerificationSetup(potential=potential, builder=builder, engine=EngineSettings(), duration_ps=1.2)
        again = request_again(made, setup)
        assert cell_sha256(again.cell) == cell_sha256(cell)
        assert again.settings.duration_ps == 2.0  # whole checkpoints
        larger = dataclasses.replace(made.cell, atoms=made.cell.atoms + 1)
        with pytest.raises(ConfigurationError, match="the cell that is built now"):
            request_again(dataclasses.replace(made, cell=larger), setup)
        with pytest.raises(ConfigurationError, match="are not those of"):
            request_again(synthetic_trajectory(duration_ps=2.0), setup)

    def test_the_first_picoseconds_come_out_to_the_bit(
        self, wheel_potential: Callable[[str], Potential], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("ovito.data", reason="needs the PyPI package ovito with libEGL and libGL")
        potential = wheel_potential("Fe")
        builder = CellBuilder(IRON, TENSOR_GPA, MobilityCellSettings(images=1))
        request = TrajectoryRequest(
            cell=builder.dipole(90.0, (3.5, 0.7, 6.0)),
            potential=potential,
            scenario=MobilityScenario(stress_mpa=700.0, temperature_k=300.0, seed=3),
            settings=TINY,
            engine=EngineSettings(),
            work=tmp_path,
        )
        made = simulate(request)
        # In this process: that a child does the same is tested with the simulation itself.
        monkeypatch.setattr(dynamics, "run_trajectory", simulate)
        setup = VerificationSetup(
            potential=potential, builder=builder, engine=EngineSettings(), duration_ps=0.03, work=tmp_path / "again"
        )
        (check,) = verify([entry_of(made)], setup)
        assert (check.outcome, check.compared_ps) == ("identical", pytest.approx(0.03))
        assert check.made_with == check.simulated_with
        foreign = dataclasses.replace(made, potential=dataclasses.replace(made.potential, sha256="0" * 64))
        (refused,) = verify([entry_of(foreign)], setup)
        assert (refused.outcome, refused.compared_ps) == ("not simulated", 0.0)
        assert "are not those of" in refused.reason
