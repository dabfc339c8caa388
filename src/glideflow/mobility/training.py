"""Training of mobility ensembles: all members at once, deterministic per seed, resumable after a kill at any instant.

Members see the same batches and differ in their initial weights, as in the mobility paper; what is random in an epoch
depends on the seed of the ensemble and the number of the epoch alone. No member influences another: trained alone it
gets the same weights to rounding. This module imports PyTorch.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glideflow.config.mobility_network import MobilityNetworkSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.mobility.ensemble import MobilityEnsemble, TrainedMember, member_seeds
from glideflow.mobility.loss import LossTensors, line_losses, loss_tensors
from glideflow.mobility.network import GraphTensors, State, graph_tensors, initial_state, networks_of
from glideflow.mobility.samples import Split, Step, StepData, refuse_leak
from glideflow.progress import Progress, silent
from glideflow.torch_training import alone, reproducible
from glideflow.training_checkpoints import Checkpoint, Request, read_checkpoint, write_checkpoint

_NOT_DECISIVE = {"device", "threads", "checkpoint_interval_s", "batched", "members"}
"""Settings that a resumed training may change."""
_VALIDATION_STEPS = 64
"""Steps that are validated at once."""


def train_ensemble(
    data: StepData,
    split: Split,
    settings: MobilityNetworkSettings,
    seed: int,
    members: Sequence[int],
    *,
    start: Sequence[State] | None = None,
    work: Path | None = None,
    resume: bool = True,
    progress: Progress = silent,
) -> MobilityEnsemble:
    """Train members of an ensemble, all at once or one after the other as the settings say.

    Args:
        data: the steps.
        split: trajectories to train on and to stop by; those of the test are not looked at.
        settings: features (as in ``data``), layers and training.
        seed: from which follow the order of the steps and, with the number of each, the initial weights of members.
        members: numbers of the members.
        start: weights to start from instead, one for each member (warm restart of active learning).
        work: folder of checkpoints, one for all members or one for each; at the end they hold the finished training,
            for the caller to remove when the result is safe.
        resume: whether to go on from checkpoints that are there.
        progress: told the number of epochs that are done.

    Raises:
        PropertyError: a part has no steps.
        ConfigurationError: a simulation is on both sides.
        ConvergenceError: the loss is no longer finite.
        StorageError: a checkpoint cannot be read, or belongs to another training.
        BusyError: another process writes that checkpoint.
        DependencyError: there is no CUDA device although the settings ask for one.
    """
    refuse_leak(data.sources, split)
    groups = [tuple(members)] if settings.training.batched else [(member,) for member in members]
    trained: list[TrainedMember] = []
    for group in groups:
        states = None if start is None else [start[list(members).index(member)] for member in group]
        run = _Request(data, split, settings, seed, group, states)
        trained += _trained_group(run, checkpoint_of(work, group), resume, progress)
    return MobilityEnsemble(
        features=settings.features, layers=settings.layers, step_ps=data.step_ps, members=tuple(trained)
    )


def checkpoint_of(work: Path | None, members: Sequence[int]) -> Path | None:
    """File of the checkpoint of members that are trained together."""
    return None if work is None else work / f"members-{'-'.join(map(str, members))}.safetensors"


@dataclass(frozen=True)
class _Request:
    """What decides the result of a training."""

    data: StepData
    split: Split
    settings: MobilityNetworkSettings
    seed: int
    members: tuple[int, ...]
    start: Sequence[State] | None

    def described(self) -> Request:
        return {
            "data_sha256": self.data.sha256(),
            "train": list(self.split.train),
            "validation": list(self.split.validation),
            "layers": self.settings.layers.model_dump(mode="json"),
            "training": self.settings.training.model_dump(mode="json", exclude=_NOT_DECISIVE),
            "seed": self.seed,
            "members": list(self.members),
            "start": _digest(self.initial_states()),
        }

    def initial_states(self) -> list[State]:
        if self.start is not None:
            return list(self.start)
        precision = np.float64 if self.settings.training.precision == "float64" else np.float32
        seeds = member_seeds(self.seed, self.members)
        return [initial_state(self.settings.layers, seed, precision) for seed in seeds]


def _digest(states: Sequence[State]) -> str:
    digest = hashlib.sha256()
    for state in states:
        for name in sorted(state):
            digest.update(name.encode() + np.ascontiguousarray(state[name]).tobytes())
    return digest.hexdigest()


def _trained_group(
    request: _Request, checkpoint: Path | None, resume: bool, progress: Progress
) -> tuple[TrainedMember, ...]:
    training = request.settings.training
    with alone(checkpoint), reproducible(training.device, training.threads):
        run = _Training(request)
        described = request.described() if checkpoint is not None else {}
        if checkpoint is not None and resume and checkpoint.is_file():
            run.restore(read_checkpoint(checkpoint, described))
        run.go(checkpoint, described, progress)
        return run.result()


@dataclass(frozen=True, eq=False)
class StepTensors:
    """One or more steps on the device of the training.

    Attributes:
        graph: the graphs.
        loss: what the loss needs of them.
    """

    graph: GraphTensors
    loss: LossTensors


def step_tensors(
    step: Step, *, near: tuple[int, int], dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> StepTensors:
    """A step as tensors.

    Args:
        step: the step.
        near: numbers of near segments to which those of nodes ahead and back are filled up, alike for all steps.
        dtype: of the numbers.
        device: where they go.
    """
    loss = loss_tensors(step.graph, [step.target], dtype=dtype, device=device, near=near)
    return StepTensors(graph_tensors(step.graph, dtype=dtype, device=device), loss)


def joined(steps: Sequence[StepTensors]) -> StepTensors:
    """Several steps as one batch."""
    nodes = _firsts([len(step.graph.glide_force) for step in steps])
    points = _firsts([len(step.graph.per_node) for step in steps])
    snapshots = _firsts([step.loss.count for step in steps])
    graphs, losses = [step.graph for step in steps], [step.loss for step in steps]
    acting = [each.acts.new_tensor([[point], [node]]) for each, point, node in zip(graphs, points, nodes, strict=True)]

    def shifted(name: str, parts: Sequence[Any], offsets: Sequence[Any], dim: int = 0) -> Tensor:
        return torch.cat([getattr(part, name) + by for part, by in zip(parts, offsets, strict=True)], dim=dim)

    return StepTensors(
        GraphTensors(
            **{name: torch.cat([getattr(graph, name) for graph in graphs], dim=1) for name in ("nodes", "gauss")},
            **{name: torch.cat([getattr(graph, name) for graph in graphs]) for name in _PER_VERTEX},
            along=shifted("along", graphs, nodes, dim=1),
            acts=shifted("acts", graphs, acting, dim=1),
        ),
        LossTensors(
            ahead=torch.cat([loss.ahead for loss in losses], dim=1),
            back=torch.cat([loss.back for loss in losses], dim=1),
            begins=shifted("begins", losses, nodes),
            ends=shifted("ends", losses, nodes),
            snapshots=shifted("snapshots", losses, snapshots),
            target_snapshots=shifted("target_snapshots", losses, snapshots),
            count=sum(loss.count for loss in losses),
        ),
    )


_PER_VERTEX = ("per_neighbour", "per_gauss", "per_node", "glide_force", "tension", "temperature")


def _firsts(counts: Sequence[int]) -> list[int]:
    return [int(first) for first in np.cumsum([0, *counts])[:-1]]


class _Training:
    """A training that can be written down after every epoch."""

    def __init__(self, request: _Request) -> None:
        self.request, self.settings = request, request.settings.training
        self.dtype = torch.float64 if self.settings.precision == "float64" else torch.float32
        self.networks = networks_of(request.settings.layers, request.initial_states(), self.dtype)
        self.networks.to(self.settings.device)
        self.optimiser = torch.optim.Adam(
            self.networks.parameters(), lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )
        self.steps = self._tensors(request.split.train, "training")
        held_out = self._tensors(request.split.validation, "validation")
        pieces = range(0, len(held_out), _VALIDATION_STEPS)
        self.held_out = [joined(held_out[first : first + _VALIDATION_STEPS]) for first in pieces]
        count = len(request.members)
        self.best: dict[int, State] = {}
        self.best_epoch = np.full(count, -1)
        self.train_loss = np.empty((count, 0))
        self.validation_loss = np.empty((count, 0))

    def _tensors(self, trajectories: Sequence[int], part: str) -> list[StepTensors]:
        steps = self.request.data.of(trajectories)
        if not steps:
            raise PropertyError(
                f"the {part} part of {len(trajectories)} trajectories has no steps",
                expected="one step at least",
                next_step="add trajectories, or change the shares of the split",
            )
        widths = [(step.target.ahead.numbers.shape[1], step.target.back.numbers.shape[1]) for step in steps]
        near = (max(ahead for ahead, _ in widths), max(back for _, back in widths))
        return [step_tensors(step, near=near, dtype=self.dtype, device=self.settings.device) for step in steps]

    @property
    def epoch(self) -> int:
        return self.train_loss.shape[1]

    def active(self) -> IntArray:
        """Members that have not stopped."""
        # A member that has not improved for so long has stopped for good, whatever the others do meanwhile.
        waited = self.epoch - 1 - self.best_epoch
        return np.flatnonzero((waited < self.settings.patience) | (self.epoch == 0))

    def go(self, checkpoint: Path | None, described: Request, progress: Progress) -> None:
        """Train until all members have stopped, and write checkpoints on the way."""
        stage, written = f"training {len(self.request.members)} networks: epochs", time.monotonic()
        while self.epoch < self.settings.epochs and self.active().size:
            self.train_epoch()
            progress(stage, self.epoch, self.settings.epochs)
            if checkpoint is not None and time.monotonic() - written >= self.settings.checkpoint_interval_s:
                write_checkpoint(checkpoint, self.snapshot(), described)
                written = time.monotonic()
        if checkpoint is not None:
            write_checkpoint(checkpoint, self.snapshot(), described)

    def train_epoch(self) -> None:
        """One pass over the training part, and what it was worth."""
        active, epoch = self.active(), self.epoch
        self._set_rate(epoch)
        order = np.random.default_rng([self.request.seed, epoch]).permutation(len(self.steps))
        total = torch.zeros(len(self.request.members), dtype=self.dtype, device=self.settings.device)
        for first in range(0, len(order), self.settings.batch_size):
            batch = [self.steps[k] for k in order[first : first + self.settings.batch_size]]
            total += self._step(joined(batch)) * len(batch)
        self._keep(active, _numbers(total / len(order)), self._validate())

    def _set_rate(self, epoch: int) -> None:
        cosine = 0.5 * (1 + np.cos(np.pi * epoch / self.settings.epochs))
        factor = float(cosine) if self.settings.schedule == "cosine" else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * factor

    def _step(self, batch: StepTensors) -> Tensor:
        """One step of the optimiser; the mean loss of each member before it."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._losses(batch).mean(dim=1)
        loss.sum().backward()  # type: ignore[no-untyped-call]  # members share no parameter: each gets its own gradient
        self._cut_gradients()
        self.optimiser.step()
        return loss.detach()

    def _losses(self, batch: StepTensors) -> Tensor:
        """(M, S) losses of all members for the steps of a batch."""
        velocity = self.networks(batch.graph).velocity
        return line_losses(velocity * self.request.data.step_ps, batch.loss)

    def _cut_gradients(self) -> None:
        """Shorten the gradient of each member, all its weights together, to its largest norm."""
        gradients = [parameter.grad for parameter in self.networks.parameters() if parameter.grad is not None]
        squares = [each.transpose(0, 1).flatten(1).square().sum(dim=1) for each in gradients]
        norms = torch.stack(squares).sum(dim=0).sqrt()
        factors = (self.settings.largest_gradient / norms.clamp(min=1e-12)).clamp(max=1)
        for each in gradients:
            each.mul_(factors.view(1, -1, *[1] * (each.dim() - 2)))

    def _validate(self) -> FloatArray:
        """(M,) mean loss of each member on the validation part."""
        with torch.no_grad():
            found = torch.cat([self._losses(batch) for batch in self.held_out], dim=1)
        return _numbers(found.mean(dim=1))

    def _keep(self, active: IntArray, train: FloatArray, validation: FloatArray) -> None:
        """Note the losses of an epoch, and the weights of the members for which it was the best one so far."""
        self._refuse_divergence(active, train)
        before = np.fmin.reduce(self.validation_loss, axis=1, initial=np.inf)
        columns = np.full((2, len(train), 1), np.nan)
        columns[0, active, 0], columns[1, active, 0] = train[active], validation[active]
        self.train_loss = np.hstack([self.train_loss, columns[0]])
        self.validation_loss = np.hstack([self.validation_loss, columns[1]])
        for member in active[validation[active] < before[active]].tolist():
            self.best_epoch[member] = self.epoch - 1
            self.best[member] = self.networks.state(member)

    def _refuse_divergence(self, active: IntArray, train: FloatArray) -> None:
        lost = active[~np.isfinite(train[active])]
        if lost.size:
            raise ConvergenceError(
                f"the training of member {self.request.members[lost[0]]} diverged in epoch {self.epoch}",
                expected="a finite loss",
                next_step="lower mobility.network.training.learning_rate",
            )

    def snapshot(self) -> Checkpoint:
        """Everything from which `restore` goes on; arrays of each member by its number."""
        count = len(self.request.members)
        return Checkpoint(
            epoch=self.epoch,
            network=_by_member([self.networks.state(member) for member in range(count)]),
            optimiser={
                f"{number}/{name}": np.array(value.detach().cpu().numpy())
                for number, entries in self.optimiser.state_dict()["state"].items()
                for name, value in entries.items()
            },
            best=_by_member([self.best.get(member, {}) for member in range(count)]),
            best_epoch=self.best_epoch,
            train_loss=self.train_loss,
            validation_loss=self.validation_loss,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was written."""
        count = len(self.request.members)
        self.networks.load([_member(checkpoint.network, member) for member in range(count)])
        state: dict[int, dict[str, Tensor]] = {}
        for key, entry in checkpoint.optimiser.items():
            number, _, name = key.partition("/")
            state.setdefault(int(number), {})[name] = torch.from_numpy(np.array(entry))
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        found = {member: _member(checkpoint.best, member) for member in range(count)}
        self.best = {member: weights for member, weights in found.items() if weights}
        self.best_epoch = np.array(checkpoint.best_epoch)
        self.train_loss, self.validation_loss = checkpoint.train_loss, checkpoint.validation_loss

    def result(self) -> tuple[TrainedMember, ...]:
        """The members with their best weights."""
        seeds = member_seeds(self.request.seed, self.request.members)
        return tuple(self._member(number, seed) for number, seed in enumerate(seeds))

    def _member(self, number: int, seed: int) -> TrainedMember:
        trained = np.isfinite(self.train_loss[number])
        return TrainedMember(
            state=self.best[number],
            seed=seed,
            best_epoch=int(self.best_epoch[number]),
            train_loss=self.train_loss[number, trained],
            validation_loss=self.validation_loss[number, trained],
        )


def _numbers(values: Tensor) -> FloatArray:
    return np.asarray(values.detach().cpu().numpy(), dtype=np.float64)


def _by_member(states: Sequence[State]) -> dict[str, Any]:
    return {f"{number}/{name}": values for number, state in enumerate(states) for name, values in state.items()}


def _member(arrays: Mapping[str, Any], number: int) -> State:
    prefix = f"{number}/"
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
