"""What networks learn of a law that is known, beside the laws that are fitted to the same steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glideflow.config.mobility_network import MobilityNetworkSettings
from glideflow.mobility.baselines import fitted_laws
from glideflow.mobility.samples import Split, step_data
from glideflow.mobility.trajectory import Trajectory

pytest.importorskip("torch")

ANGLES_DEG = (
    0.0,
    14.42,
    29.5,
    41.47,
    54.74,
    70.53,
    79.98,
    90.0,
    101.42,
    109.47,
    115.24,
    121.75,
    136.69,
    152.79,
    164.21,
)
STRESSES_MPA = (250.0, 500.0, 750.0, 1000.0)
TEMPERATURES_K = (100.0, 300.0, 500.0, 700.0, 1000.0)
TRAINED, VALIDATED, TESTED = 36, 5, 12


@pytest.mark.slow  # 53 trajectories and 80 epochs of eight networks: a minute
def test_networks_find_a_law_that_fitted_ones_cannot_express(synthetic_trajectory: Callable[..., Trajectory]) -> None:
    """Barriers near the screw and the <111> line at 109°, of which no fitted law knows the second.

    Run with ``-s`` for the numbers of docs/mobility_network.md.
    """
    from glideflow.mobility.evaluation import evaluate
    from glideflow.mobility.training import train_ensemble

    random = np.random.default_rng(7)
    trajectories = []
    for number in range(TRAINED + VALIDATED + TESTED):
        angle = ANGLES_DEG[number % len(ANGLES_DEG)]
        scenario = (angle, float(random.choice(STRESSES_MPA)), float(random.choice(TEMPERATURES_K)))
        trajectories.append((f"{number}: {scenario}", synthetic_trajectory(*scenario, seed=number, duration_ps=5.0)))
    settings = MobilityNetworkSettings(features={"images": 1}, training={"members": 8, "epochs": 80})
    data = step_data(trajectories, settings)
    order = random.permutation(len(trajectories)).tolist()
    split = Split(
        train=tuple(order[:TRAINED]),
        validation=tuple(order[TRAINED : TRAINED + VALIDATED]),
        test=tuple(order[TRAINED + VALIDATED :]),
    )
    ensemble = train_ensemble(data, split, settings, 0, range(8))
    laws = {law.name: law.velocity_angstrom_per_ps for law in fitted_laws(data, split.train)}
    found = {
        name: evaluate(name, law, data, split.test).overall
        for name, law in {"PI-GNN": ensemble.velocity_angstrom_per_ps, **laws}.items()
    }
    for name, errors in found.items():
        print(f"{name}: {errors.percent:.0f} %, {errors.absolute_angstrom:.2f} Å, v {errors.velocity_percent:.0f} %")
    network = found.pop("PI-GNN")
    assert network.velocity_percent < 0.6 * min(errors.velocity_percent for errors in found.values())
    assert network.absolute_angstrom < min(errors.absolute_angstrom for errors in found.values())
