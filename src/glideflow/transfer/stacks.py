"""Several networks of one architecture that are trained together: one after the other, or as one with stacked weights.

Stacked, the weights of all members form tensors with one more dimension, and `torch.func.vmap` turns one forward pass
into that of all. Both give the same numbers to rounding. Which one is faster depends on the network and the machine:
docs/transfer_network.md has what was measured.

This module imports PyTorch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from glideflow.config.network import NetworkPart
from glideflow.crystals.lattices import IntArray
from glideflow.transfer.network import State, TransferNetwork

IMAGE_PART = "image"


class Stack(Protocol):
    """M networks."""

    def trained(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters that are trained, each with the name of its part of the network."""

    def tensors(self) -> dict[str, Tensor]:
        """All parameters and statistics by name, as they lie in memory."""

    def set_training(self, training: bool) -> None:
        """Switch batch normalisation between the statistics of the batch and its own; frozen parts keep theirs."""

    def forward(self, gamma: Tensor, elastic: Tensor, active: IntArray) -> Tensor:
        """Outputs (A, B) of the active members for inputs (A, B, k, l) and (A, B, 6), one set for each of them."""

    def state(self, member: int) -> State:
        """Copy of one member's parameters and statistics."""


class LoopedStack:
    """Networks that are evaluated one after the other."""

    def __init__(self, networks: Sequence[TransferNetwork], frozen: Sequence[NetworkPart]) -> None:
        self._networks = networks
        self._frozen = frozen

    def trained(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters that are trained, each with the name of its part of the network."""
        for network in self._networks:
            yield from _trained(dict(network.named_parameters()), self._frozen)

    def tensors(self) -> dict[str, Tensor]:
        """All parameters and statistics by name."""
        return {
            f"{member}.{name}": value
            for member, network in enumerate(self._networks)
            for name, value in network.state_dict().items()
        }

    def set_training(self, training: bool) -> None:
        """Switch between training and evaluation."""
        for network in self._networks:
            _set_training(network, self._frozen, training=training)

    def forward(self, gamma: Tensor, elastic: Tensor, active: IntArray) -> Tensor:
        """Outputs (A, B) of the active members."""
        parts = [self._networks[member](gamma[row], elastic[row]) for row, member in enumerate(active)]
        return torch.stack(parts)

    def state(self, member: int) -> State:
        """Copy of one member's parameters and statistics."""
        return {name: _copied(value) for name, value in self._networks[member].state_dict().items()}


class StackedStack:
    """Networks that are evaluated as one."""

    def __init__(self, networks: Sequence[TransferNetwork], frozen: Sequence[NetworkPart]) -> None:
        self._parameters, self._buffers = stack_module_state(list(networks))
        self._frozen = frozen
        self._shape: nn.Module = copy.deepcopy(networks[0]).to("meta")
        self._all = vmap(self._one)

    def _one(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], gamma: Tensor, elastic: Tensor) -> Tensor:
        return torch.as_tensor(functional_call(self._shape, (parameters, buffers), (gamma, elastic)))

    def trained(self) -> Iterator[tuple[str, Tensor]]:
        """Parameters that are trained, those of all members in one."""
        yield from _trained(self._parameters, self._frozen)

    def tensors(self) -> dict[str, Tensor]:
        """All parameters and statistics by name, those of all members in one."""
        return {**self._parameters, **self._buffers}

    def set_training(self, training: bool) -> None:
        """Switch between training and evaluation."""
        _set_training(self._shape, self._frozen, training=training)

    def forward(self, gamma: Tensor, elastic: Tensor, active: IntArray) -> Tensor:
        """Outputs (M, B): members that are no longer trained are carried along, at the price of their evaluation."""
        return torch.as_tensor(self._all(self._parameters, self._buffers, gamma, elastic))

    def state(self, member: int) -> State:
        """Copy of one member's parameters and statistics."""
        return {name: _copied(value[member]) for name, value in self.tensors().items()}


def _trained(parameters: dict[str, Tensor], frozen: Sequence[NetworkPart]) -> Iterator[tuple[str, Tensor]]:
    for name, value in parameters.items():
        part = name.partition(".")[0]
        value.requires_grad_(part not in frozen)
        if part not in frozen:
            yield part, value


def _set_training(network: nn.Module, frozen: Sequence[NetworkPart], *, training: bool) -> None:
    network.train(training)
    for part in frozen:
        network.get_submodule(part).eval()


def _copied(value: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.array(value.detach().cpu().numpy())
