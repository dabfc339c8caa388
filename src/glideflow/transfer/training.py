"""Training of the networks of an ensemble: deterministic per seed, resumable after a kill at any instant.

Each member has a seed of its own, from which follow its initial weights, the families that it holds out for early
stopping, the order of its samples and where their γ surfaces are looked at. What is random in an epoch depends on the
seed and the number of the epoch alone, never on what was drawn before.

This module imports PyTorch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from glideflow.config.network import NetworkSettings, TrainingSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.errors import ConvergenceError, PropertyError
from glideflow.progress import Progress, silent
from glideflow.torch_training import alone, reproducible
from glideflow.training_checkpoints import Checkpoint, Request, read_checkpoint, write_checkpoint
from glideflow.transfer.network import (
    InputScaling,
    State,
    TransferNetwork,
    fit_scaling,
    imagenet_of,
    initialised_from,
    network_from,
    new_network,
    outputs_of,
)
from glideflow.transfer.stacks import IMAGE_PART, LoopedStack, Stack, StackedStack
from glideflow.transfer.training_data import Augment, TrainingData, held_out_families

_SPLIT, _ORDER, _AUGMENTATION = range(3)
"""Purposes of random numbers, which tell their streams apart."""

_NOT_DECISIVE = {"device", "threads", "checkpoint_interval_s"}
"""Settings that a resumed training may change."""


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """One member of an ensemble.

    Attributes:
        settings: its layers.
        scaling: its scaling of inputs and target, fitted to its training part.
        state: its parameters and statistics.
        seed: its seed.
        initialised_from: ``random``, the digest of ImageNet weights, or what was fine-tuned.
        held_out_families: families that decided when to stop.
        best_epoch: epoch of its weights, counted from 0.
        train_loss: (epochs,) mean loss of each epoch while it was trained.
        validation_loss: (epochs,) loss of the families held out; empty if there are none.
    """

    settings: NetworkSettings
    scaling: InputScaling
    state: State
    seed: int
    initialised_from: str
    held_out_families: tuple[str, ...]
    best_epoch: int
    train_loss: FloatArray
    validation_loss: FloatArray

    def log10_mpa(self, gamma_mj_m2: FloatArray, elastic_gpa: FloatArray) -> FloatArray:
        """Predict log₁₀ of the Peierls stress in MPa.

        Args:
            gamma_mj_m2: (m, k, l) γ images.
            elastic_gpa: (m, 6) elastic features.

        Returns:
            (m,) predictions.
        """
        network = network_from(self.settings, self.state)
        return self.scaling.log10_mpa(
            outputs_of(network, self.scaling.gamma(gamma_mj_m2), self.scaling.elastic(elastic_gpa))
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the members start from.

    Attributes:
        networks: one for each.
        scalings: theirs, or None to fit them to the training part.
        source: what the weights were initialised from, one text for each.
    """

    networks: Sequence[TransferNetwork]
    scalings: Sequence[InputScaling] | None
    source: Sequence[str]


def train_networks(
    data: TrainingData,
    network: NetworkSettings,
    training: TrainingSettings,
    seeds: Sequence[int],
    *,
    augment: Augment | None = None,
    checkpoint: Path | None = None,
    resume: bool = True,
    progress: Progress = silent,
) -> tuple[TrainedNetwork, ...]:
    """Train one network for each seed.

    Members do not influence each other: one trained alone equals the same one trained with others, to the last bit
    unless they are batched, and then to rounding.

    Args:
        data: the samples.
        network: the layers.
        training: how they are trained.
        seeds: (M) seeds of the members.
        augment: gives equivalent γ images, drawn anew in each epoch; None shows them as they are.
        checkpoint: file of the state of this training, for resuming; at the end it holds the finished one, for the
            caller to remove when the result is safe.
        resume: whether to go on from that file if it is there.
        progress: told the number of epochs that are done.

    Raises:
        PropertyError: too few samples.
        ConvergenceError: the loss is no longer finite.
        StorageError: a file of weights or a checkpoint cannot be read, or belongs to another training.
        BusyError: another process writes that checkpoint.
        DependencyError: there is no CUDA device although the settings ask for one.
    """
    weights = imagenet_of(network)
    start = Start(
        networks=[new_network(network, seed, weights) for seed in seeds],
        scalings=None,
        source=[initialised_from(weights)] * len(seeds),
    )
    return train_from(
        start, data, network, training, seeds, augment=augment, checkpoint=checkpoint, resume=resume, progress=progress
    )


def fine_tuned(
    members: Sequence[TrainedNetwork],
    data: TrainingData,
    training: TrainingSettings,
    *,
    augment: Augment | None = None,
    progress: Progress = silent,
) -> tuple[TrainedNetwork, ...]:
    """Tune trained networks to samples of another data set, e.g. a few of better physics.

    Scaling stays that of the first training, since the weights belong to it. Batch normalisation with statistics of a
    few samples is noise: freeze ``image``, as `FineTuningSettings` does, unless there are many.

    Args:
        members: the networks, which stay as they are.
        data: the samples.
        training: how to tune; ``frozen`` names the parts that keep their weights.
        augment: gives equivalent γ images; None shows them as they are.
        progress: told the number of epochs that are done.

    Raises:
        PropertyError: too few samples.
    """
    start = Start(
        networks=[network_from(member.settings, member.state) for member in members],
        scalings=[member.scaling for member in members],
        source=[f"fine-tuned from seed {member.seed}, {member.initialised_from}" for member in members],
    )
    seeds = [member.seed for member in members]
    return train_from(start, data, members[0].settings, training, seeds, augment=augment, progress=progress)


def train_from(
    start: Start,
    data: TrainingData,
    network: NetworkSettings,
    training: TrainingSettings,
    seeds: Sequence[int],
    *,
    augment: Augment | None = None,
    checkpoint: Path | None = None,
    resume: bool = True,
    progress: Progress = silent,
) -> tuple[TrainedNetwork, ...]:
    """Train networks from given weights; `train_networks` and `fine_tuned` say what the arguments are."""
    request = _request(start, data, network, training, seeds)
    with alone(checkpoint), reproducible(training.device, training.threads):
        run = _Training(start, data, network, training, seeds, augment)
        if checkpoint is not None and resume and checkpoint.is_file():
            run.restore(read_checkpoint(checkpoint, request))
        run.go(checkpoint, request, progress)
        return run.result(start.source)


def _request(
    start: Start, data: TrainingData, network: NetworkSettings, training: TrainingSettings, seeds: Sequence[int]
) -> Request:
    return {
        "data_sha256": data.sha256(),
        "network": network.model_dump(mode="json", exclude={"imagenet_weights", "imagenet_sha256"}),
        "training": training.model_dump(mode="json", exclude=_NOT_DECISIVE),
        "seeds": list(seeds),
        "initialised_from": list(start.source),
    }


def losses(
    output: Tensor,
    target: Tensor,
    censored: Tensor,
    *,
    kind: Literal["squared", "huber"],
    rule: Literal["one_sided", "bound"],
) -> Tensor:
    """Loss of each sample, of any shape.

    Args:
        output: predictions, scaled.
        target: truths, or bounds where they are censored, scaled alike.
        censored: whether the truth may lie below the target.
        kind: ``squared``, or ``huber``: squared up to 1, linear beyond (half of each, as is its convention).
        rule: what a prediction below a censored target costs: ``one_sided`` nothing, ``bound`` as much as above.
    """
    difference = output - target
    if rule == "one_sided":
        difference = torch.where(censored, difference.clamp(min=0), difference)
    if kind == "huber":
        return functional.huber_loss(difference, torch.zeros_like(difference), reduction="none")
    return difference.square()


class _Members:
    """What the members see: their parts of the data, in their own scaling."""

    def __init__(
        self,
        data: TrainingData,
        training: TrainingSettings,
        seeds: Sequence[int],
        scalings: Sequence[InputScaling] | None,
    ) -> None:
        self.data, self.seeds = data, seeds
        self.held_out: NDArray[np.bool_] = np.array(
            [held_out_families(data.families, training.validation_fraction, _generator(seed, _SPLIT)) for seed in seeds]
        )  # (M, n)
        self.scalings = tuple(scalings or (self._fitted(~held_out) for held_out in self.held_out))
        # One number for all members, whatever their families: members that are batched take equal steps.
        self.samples_per_epoch = max(1, round((1 - training.validation_fraction) * len(data)))

    def _fitted(self, part: NDArray[np.bool_]) -> InputScaling:
        return fit_scaling(self.data.gamma_mj_m2[part], self.data.elastic_gpa[part], self.data.log10_mpa[part])

    def order(self, epoch: int) -> IntArray:
        """(M, samples_per_epoch) samples of an epoch: the training part in random order, from the start if it ends."""
        return np.array([self._order(member, epoch) for member in range(len(self.seeds))])

    def _order(self, member: int, epoch: int) -> IntArray:
        own = np.flatnonzero(~self.held_out[member])
        generator = _generator(self.seeds[member], _ORDER, epoch)
        rounds = -(-self.samples_per_epoch // len(own))
        return np.concatenate([generator.permutation(own) for _ in range(rounds)])[: self.samples_per_epoch]


def _generator(seed: int, purpose: int, epoch: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, purpose, epoch])


@dataclass(frozen=True)
class _Batch:
    """Scaled inputs (A, B, k, l), (A, B, 6), targets and whether they are censored (A, B)."""

    gamma: Tensor
    elastic: Tensor
    target: Tensor
    censored: Tensor


class _Training:
    """A training that can be written down after every epoch."""

    def __init__(
        self,
        start: Start,
        data: TrainingData,
        network: NetworkSettings,
        training: TrainingSettings,
        seeds: Sequence[int],
        augment: Augment | None,
    ) -> None:
        self.network, self.settings, self.augment = network, training, augment
        self.members = _Members(data, training, seeds, start.scalings)
        self._refuse_too_few()
        kind = StackedStack if training.batched else LoopedStack
        networks = [each.to(training.device) for each in start.networks]
        self.stack: Stack = kind(networks, training.frozen)
        self.optimiser = _optimiser(self.stack, training)
        self.rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        count = len(seeds)
        self.best: dict[int, State] = {}
        self.best_epoch = np.full(count, -1)
        self.train_loss = np.empty((count, 0))
        self.validation_loss = np.empty((count, 0))

    def _refuse_too_few(self) -> None:
        normalised = self.network.architecture == "paper" and IMAGE_PART not in self.settings.frozen
        if normalised and self.members.samples_per_epoch < 2:
            raise PropertyError(
                f"{len(self.members.data)} samples to train on, {self.members.samples_per_epoch} of them per epoch",
                expected="two at least, for batch normalisation",
                next_step="add samples, or hold fewer families out (validation_fraction)",
            )

    @property
    def epoch(self) -> int:
        return self.train_loss.shape[1]

    def active(self) -> IntArray:
        """Members that have not stopped."""
        # Without families held out there is nothing to stop for.
        waited = self.epoch - 1 - self.best_epoch
        running = (waited < self.settings.patience) | ~self.members.held_out.any(axis=1) | (self.epoch == 0)
        return np.flatnonzero(running)

    def go(self, checkpoint: Path | None, request: Request, progress: Progress) -> None:
        """Train until all members have stopped, and write checkpoints on the way."""
        stage, written = f"training {len(self.members.seeds)} networks", time.monotonic()
        while self.epoch < self.settings.epochs and self.active().size:
            self.train_epoch(self.active())
            progress(stage, self.epoch, self.settings.epochs)
            if checkpoint is not None and time.monotonic() - written >= self.settings.checkpoint_interval_s:
                write_checkpoint(checkpoint, self.snapshot(), request)
                written = time.monotonic()
        if checkpoint is not None:
            write_checkpoint(checkpoint, self.snapshot(), request)

    def train_epoch(self, active: IntArray) -> None:
        """One pass over the training parts of the active members, and what it was worth."""
        epoch = self.epoch
        self._set_rates(epoch)
        order = self.members.order(epoch)
        generators = [_generator(seed, _AUGMENTATION, epoch) for seed in self.members.seeds]
        self.stack.set_training(True)
        # At least batch_size samples each: batch normalisation cannot do with a last batch of one.
        steps = max(1, order.shape[1] // self.settings.batch_size)
        total = np.zeros(len(active))
        for samples in np.array_split(order, steps, axis=1):
            total += self._step(samples, generators, active) * samples.shape[1]
        self._keep(active, total / order.shape[1], self._validate(active))

    def _set_rates(self, epoch: int) -> None:
        factor = 0.5 * (1 + np.cos(np.pi * epoch / self.settings.epochs)) if self.settings.schedule == "cosine" else 1.0
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * float(factor)

    def _step(self, samples: IntArray, generators: list[np.random.Generator], active: IntArray) -> FloatArray:
        """One step of the optimiser; the mean loss of each active member before it."""
        seen = self._seen(active)
        batch = self._batch(samples[seen], seen, generators)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._losses(batch, seen).mean(dim=1)
        loss.sum().backward()  # type: ignore[no-untyped-call]  # members share no parameter: each gets its own gradient
        self.optimiser.step()
        return np.asarray(loss.detach().cpu().numpy()[np.isin(seen, active)], dtype=np.float64)

    def _seen(self, active: IntArray) -> IntArray:
        """Members that are evaluated: stacked ones all at once."""
        return np.arange(len(self.members.seeds)) if self.settings.batched else active

    def _batch(self, samples: IntArray, rows: IntArray, generators: list[np.random.Generator] | None) -> _Batch:
        """Inputs of the given members for their samples (A, B)."""
        data = self.members.data
        pairs = [(self.members.scalings[member], chosen) for member, chosen in zip(rows, samples, strict=True)]
        drawing = [generators[member] if generators else None for member in rows]
        parts = (
            [scaling.gamma(self._image(chosen, draw)) for (scaling, chosen), draw in zip(pairs, drawing, strict=True)],
            [scaling.elastic(data.elastic_gpa[chosen]) for scaling, chosen in pairs],
            [scaling.target(data.log10_mpa[chosen]) for scaling, chosen in pairs],
            [data.censored[chosen] for _, chosen in pairs],
        )
        return _Batch(*(torch.from_numpy(np.array(part)).to(self.settings.device) for part in parts))

    def _image(self, samples: IntArray, generator: np.random.Generator | None) -> FloatArray:
        images = self.members.data.gamma_mj_m2[samples]
        return images if generator is None or self.augment is None else self.augment(images, samples, generator)

    def _losses(self, batch: _Batch, members: IntArray) -> Tensor:
        output = self.stack.forward(batch.gamma, batch.elastic, members)
        return losses(output, batch.target, batch.censored, kind=self.settings.loss, rule=self.settings.censored)

    def _validate(self, active: IntArray) -> FloatArray:
        """Mean loss of each active member on the families that it holds out; NaN where there are none."""
        held_out = np.take(self.members.held_out, active, axis=0)
        if not held_out.any():
            return np.full(len(active), np.nan)
        # All members see all samples, so that batched ones have inputs of one shape; only those held out count.
        seen = self._seen(active)
        every = np.tile(np.arange(len(self.members.data)), (len(seen), 1))
        self.stack.set_training(False)
        with torch.no_grad():
            found = self._losses(self._batch(every, seen, None), seen).cpu().numpy()[np.isin(seen, active)]
        counts = held_out.sum(axis=1)
        return np.where(counts > 0, np.where(held_out, found, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)

    def _keep(self, active: IntArray, train: FloatArray, validation: FloatArray) -> None:
        """Note the losses of an epoch, and the weights of the members for which it was the best one so far."""
        self._refuse_divergence(active, train)
        stops: NDArray[np.bool_] = np.asarray(self.members.held_out.any(axis=1))
        before: FloatArray = np.asarray(np.fmin.reduce(self.validation_loss, axis=1, initial=np.inf))
        column = np.full((len(stops), 2), np.nan)
        column[active, 0], column[active, 1] = train, validation
        better = [m for m in active if stops[m] and column[m, 1] < before[m]]
        self.train_loss = np.column_stack([self.train_loss, column[:, 0]])
        self.validation_loss = np.column_stack([self.validation_loss, column[:, 1]])
        for member in better:
            self.best_epoch[member] = self.epoch - 1
            self.best[member] = self.stack.state(member)

    def _refuse_divergence(self, active: IntArray, train: FloatArray) -> None:
        lost = active[~np.isfinite(train)]
        if lost.size:
            raise ConvergenceError(
                f"the training with seed {self.members.seeds[lost[0]]} diverged in epoch {self.epoch}",
                expected="a finite loss",
                next_step="lower training.learning_rate and training.fine_tuning_learning_rate",
            )

    def snapshot(self) -> Checkpoint:
        """Everything from which `restore` goes on."""
        optimiser = {
            f"{number}/{name}": np.array(value.detach().cpu().numpy())
            for number, entries in self.optimiser.state_dict()["state"].items()
            for name, value in entries.items()
            if value is not None
        }
        return Checkpoint(
            epoch=self.epoch,
            network={name: value.detach().cpu().numpy() for name, value in self.stack.tensors().items()},
            optimiser=optimiser,
            best={f"{member}/{name}": value for member, state in self.best.items() for name, value in state.items()},
            best_epoch=self.best_epoch,
            train_loss=self.train_loss,
            validation_loss=self.validation_loss,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was written."""
        with torch.no_grad():
            for name, value in self.stack.tensors().items():
                value.copy_(torch.from_numpy(np.array(checkpoint.network[name])))
        state: dict[int, dict[str, Tensor]] = {}
        for key, entry in checkpoint.optimiser.items():
            number, _, name = key.partition("/")
            state.setdefault(int(number), {})[name] = torch.from_numpy(np.array(entry))
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        for key, entry in checkpoint.best.items():
            member, _, name = key.partition("/")
            self.best[int(member)] = {**self.best.get(int(member), {}), name: entry}
        self.best_epoch = np.array(checkpoint.best_epoch)
        self.train_loss, self.validation_loss = checkpoint.train_loss, checkpoint.validation_loss

    def result(self, source: Sequence[str]) -> tuple[TrainedNetwork, ...]:
        """The members with their best weights, those of the last epoch if nothing was held out."""
        return tuple(self._member(number, origin) for number, origin in enumerate(source))

    def _member(self, number: int, source: str) -> TrainedNetwork:
        families = np.array(self.members.data.families)[self.members.held_out[number]]
        trained = np.isfinite(self.train_loss[number])
        return TrainedNetwork(
            settings=self.network,
            scaling=self.members.scalings[number],
            state=self.best.get(number) or self.stack.state(number),
            seed=self.members.seeds[number],
            initialised_from=source,
            held_out_families=tuple(sorted(set(families.tolist()))),
            best_epoch=int(self.best_epoch[number]) if number in self.best else self.epoch - 1,
            train_loss=self.train_loss[number, trained],
            validation_loss=self.validation_loss[number, trained] if families.size else np.empty(0),
        )


def _optimiser(stack: Stack, training: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser, with the convolutions in a group of their own rate."""
    groups: dict[str, list[Tensor]] = {}
    for part, parameter in stack.trained():
        groups.setdefault(IMAGE_PART if part == IMAGE_PART else "dense", []).append(parameter)
    if not groups:
        raise PropertyError(
            "every part of the network is frozen", expected="a part to train", next_step="shorten training.frozen"
        )
    rates = {IMAGE_PART: training.fine_tuning_learning_rate, "dense": training.learning_rate}
    options = [{"params": parameters, "lr": rates[name]} for name, parameters in groups.items()]
    match training.optimiser:
        case "adam":
            return torch.optim.Adam(options, weight_decay=training.weight_decay)
        case "adamw":
            return torch.optim.AdamW(options, weight_decay=training.weight_decay)
        case _:
            return torch.optim.SGD(options, momentum=training.momentum, weight_decay=training.weight_decay)
