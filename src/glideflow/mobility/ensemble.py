"""Ensembles of mobility networks: what they predict, and how sure they are of it.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityLayerSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.mobility.graph import LineGraph
from glideflow.mobility.network import MobilityNetworks, State, graph_tensors, networks_of


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedMember:
    """One member of an ensemble.

    Attributes:
        state: its weights.
        seed: its seed.
        best_epoch: epoch of its weights, counted from 0.
        train_loss: (epochs,) mean loss of each epoch while it was trained, in Å.
        validation_loss: (epochs,) mean loss of the validation part after each epoch, in Å.
    """

    state: State
    seed: int
    best_epoch: int
    train_loss: FloatArray
    validation_loss: FloatArray

    @property
    def score(self) -> float:
        """Validation loss of its weights in Å."""
        return float(self.validation_loss[self.best_epoch])


@dataclass(frozen=True, eq=False, kw_only=True)
class MobilityPrediction:
    """Velocities that an ensemble predicts; N nodes, R members that were asked.

    Attributes:
        velocity_angstrom_per_ps: (N,) mean velocity along the glide directions, equation 6 of the mobility paper.
        spread_angstrom_per_ps: (N,) standard deviation over the members, equation 7.
        members_angstrom_per_ps: (R, N) velocity of each member.
        free_velocity_angstrom_per_ps: (N,) mean of f/B: the velocity without a barrier.
        free_velocity_spread_angstrom_per_ps: (N,) its standard deviation over the members.
        energy_ev: (N,) mean activation energy.
        energy_spread_ev: (N,) its standard deviation over the members.
    """

    velocity_angstrom_per_ps: FloatArray
    spread_angstrom_per_ps: FloatArray
    members_angstrom_per_ps: FloatArray
    free_velocity_angstrom_per_ps: FloatArray
    free_velocity_spread_angstrom_per_ps: FloatArray
    energy_ev: FloatArray
    energy_spread_ev: FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class MobilityEnsemble:
    """Networks of one architecture that were trained on the same steps.

    Attributes:
        features: elastic medium and Gauss points of the graphs that they were trained on.
        layers: layers.
        step_ps: time of a step.
        members: the networks.
    """

    features: MobilityFeatureSettings
    layers: MobilityLayerSettings
    step_ps: float
    members: tuple[TrainedMember, ...]

    def best(self) -> tuple[int, ...]:
        """Numbers of the better half of the members by validation loss, as the paper takes them; one at least."""
        order = np.argsort([member.score for member in self.members], kind="stable")
        return tuple(sorted(order[: max(1, len(order) // 2)].tolist()))

    @cached_property
    def _networks(self) -> MobilityNetworks:
        states = [self.members[number].state for number in self.best()]
        return networks_of(self.layers, states, torch.float64)

    def velocity_angstrom_per_ps(self, graph: LineGraph) -> FloatArray:
        """(N,) mean velocities of the nodes of a graph along their glide directions; see `predict`."""
        return self.predict(graph).velocity_angstrom_per_ps

    def predict(self, graph: LineGraph) -> MobilityPrediction:
        """Velocities of the nodes of a graph, by the better half of the members.

        Args:
            graph: of any number of snapshots, made with the ensemble's own ``features``.
        """
        with torch.inference_mode():
            terms = self._networks(graph_tensors(graph, dtype=torch.float64))
        velocity, energy = terms.velocity.numpy(), terms.energy.numpy()
        free = (terms.force / terms.drag).numpy()
        return MobilityPrediction(
            velocity_angstrom_per_ps=velocity.mean(axis=0),
            spread_angstrom_per_ps=velocity.std(axis=0),
            members_angstrom_per_ps=velocity,
            free_velocity_angstrom_per_ps=free.mean(axis=0),
            free_velocity_spread_angstrom_per_ps=free.std(axis=0),
            energy_ev=energy.mean(axis=0),
            energy_spread_ev=energy.std(axis=0),
        )


def member_seeds(seed: int, members: Sequence[int]) -> tuple[int, ...]:
    """Seeds of members with these numbers; they do not depend on how many there are."""
    return tuple(int(np.random.SeedSequence([seed, member]).generate_state(1)[0]) for member in members)
