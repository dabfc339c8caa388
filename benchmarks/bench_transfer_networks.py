"""Networks of the branch `transfer`: members one after the other against stacked ones, and what a prediction costs.

    python benchmarks/bench_transfer_networks.py
    python benchmarks/bench_transfer_networks.py --members 4 --epochs 2 --device cuda

Trains on the fcc samples of the shipped library. An epoch shows each member as many samples as it is trained on. Both
ways have to give the same losses. Predictions are those of the trained ensemble for a batch of samples, and of a forest
of 300 trees as plain arrays.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from harness import Row, report, timed

from glideflow.config.network import NetworkSettings, TrainingSettings
from glideflow.config.transfer import TransferDataSettings
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.ensemble import NetworkEnsemble, NetworkRegressor
from glideflow.transfer.forest_arrays import forest_to_arrays

ARCHITECTURES = ("paper", "compact")
BATCH = 500
TREES = 300


def trained(dataset: TransferDataset, recipe: NetworkRegressor) -> tuple[NetworkEnsemble, float]:
    """An ensemble, and the time that its epochs took: that of one more epoch is taken off, with all preparations."""
    short = replace(recipe, training=recipe.training.model_copy(update={"epochs": 1}))
    every = np.arange(len(dataset))
    _, preparation_s = timed(lambda: short.fit(dataset, every, seed=0))
    ensemble, whole_s = timed(lambda: recipe.fit(dataset, every, seed=0))
    return ensemble, whole_s - preparation_s


def training_rows(dataset: TransferDataset, architecture: str, options: argparse.Namespace) -> Iterator[Row]:
    """One row for members one after the other, one for stacked members."""
    ensembles = []
    for batched in (False, True):
        recipe = NetworkRegressor(
            network=NetworkSettings(architecture=architecture),  # type: ignore[arg-type]
            training=TrainingSettings(
                epochs=options.epochs + 1, batched=batched, device=options.device, validation_fraction=0.0
            ),
            members=options.members,
        )
        ensemble, elapsed_s = trained(dataset, recipe)
        ensembles.append(ensemble)
        way = "stacked" if batched else "one after the other"
        per_member_s = elapsed_s / options.members / options.epochs
        yield Row(way=f"{architecture}: {way}", cpu_s=per_member_s, measured="an epoch of a member")
    losses = [np.array([member.train_loss[0] for member in ensemble.members]) for ensemble in ensembles]
    if not np.allclose(losses[0], losses[1], rtol=1e-3):
        raise SystemExit(f"{architecture}: the two ways differ: {losses}")


def prediction_rows(dataset: TransferDataset, members: int) -> Iterator[Row]:
    """What a prediction costs in a batch."""
    many = dataset.select(np.resize(np.arange(len(dataset)), BATCH))
    training = TrainingSettings(epochs=1)
    torch.set_num_threads(1)
    for architecture in ARCHITECTURES:
        network = NetworkSettings(architecture=architecture)  # type: ignore[arg-type]
        recipe = NetworkRegressor(network=network, training=training, members=members)
        ensemble = recipe.fit(dataset, np.arange(len(dataset)), seed=0)
        _, elapsed_s = timed(lambda ensemble=ensemble: ensemble.predict(many, np.arange(BATCH)))
        yield Row(way=f"{architecture}: prediction", cpu_s=elapsed_s / BATCH, measured=f"one of {BATCH} samples")
    yield forest_row(dataset, many)


def forest_row(dataset: TransferDataset, many: TransferDataset) -> Row:
    """The same for a forest as plain arrays."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(TREES, random_state=0).fit(dataset.elastic_gpa, target_log10(dataset).log10_mpa)
    arrays = forest_to_arrays(forest)
    (mean, _), elapsed_s = timed(lambda: arrays.predict(many.elastic_gpa))
    if not np.allclose(mean, forest.predict(many.elastic_gpa), rtol=1e-12):
        raise SystemExit("the forest differs from scikit-learn's")
    return Row(way=f"{TREES} trees: prediction", cpu_s=elapsed_s / BATCH, measured=f"one of {BATCH} samples")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="networks: stacked members, predictions")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    dataset = group_dataset("fcc", TransferDataSettings())
    rows = [row for architecture in ARCHITECTURES for row in training_rows(dataset, architecture, options)]
    rows += prediction_rows(dataset, options.members)
    details = {"samples": len(dataset), "members": options.members, "torch": torch.__version__}
    report("transfer_networks", f"{options.members} members, {len(dataset)} samples, {options.device}", rows, **details)


if __name__ == "__main__":
    main()
