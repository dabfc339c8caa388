"""Ensembles of mobility networks: all members at once against one after the other, and against PyTorch Geometric.

    python benchmarks/bench_mobility_ensemble.py
    python benchmarks/bench_mobility_ensemble.py --members 20 --batch 8 64

Trains on steps of dipoles with random lines: what is learned does not matter for the time. The members have to get the
same losses at once as one after the other. For PyTorch Geometric the forward and backward passes of its `HeteroConv` of
`SAGEConv` are timed, three networks of a member with as many neurons, with the same loss but without an optimiser.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from harness import Row, report, timed

from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityNetworkSettings
from glideflow.mobility.ensemble import MobilityEnsemble
from glideflow.mobility.extraction import DislocationLine
from glideflow.mobility.graph import batched, line_graph, to_pyg
from glideflow.mobility.loss import line_losses, loss_tensors
from glideflow.mobility.samples import Split, Step, StepData, StepSource
from glideflow.mobility.targets import step_target
from glideflow.mobility.training import train_ensemble
from glideflow.mobility.trajectory import LineFrame

CELL = np.diag([80.0, 90.0, 160.0])
BURGERS = np.array([2.4, 0.6, 0.0])
NODES = 6
EPOCHS = 12


def frame(random: np.random.Generator) -> LineFrame:
    """Two wavy lines in opposite senses."""
    lines = []
    for sense, x, z in ((1, 0.2, 0.25), (-1, 0.7, 0.75)):
        along = sense * np.arange(NODES) / NODES
        points = np.column_stack([x + random.normal(0, 0.02, NODES), along, np.full(NODES, z)])
        lines.append(
            DislocationLine(
                nodes_fractional=points,
                period=np.array([0, sense, 0]),
                burgers_angstrom=BURGERS,
                topology="infinite",
            )
        )
    return LineFrame(
        time_ps=0.0, cell_angstrom=CELL, stress_mpa=np.zeros((3, 3)), temperature_k=300.0, lines=tuple(lines)
    )


def steps(count: int, trajectory: int) -> Iterator[Step]:
    """Random steps."""
    stress = 500.0 * np.eye(3)[[2, 1, 0]]
    for number in range(count):
        random = np.random.default_rng([trajectory, number])
        before, after = frame(random), frame(random)
        graph = line_graph(before, stress, 300.0, MobilityFeatureSettings(images=1))
        target = step_target(graph, before, after, radius_angstrom=60.0)
        yield Step(trajectory=trajectory, time_ps=0.0, graph=graph, target=target)


def source(name: str) -> StepSource:
    return StepSource(
        name=name,
        simulation=name,
        content_sha256="",
        kind="dipole",
        character_angle_deg=90.0,
        stress_mpa=500.0,
        temperature_k=300.0,
        burgers_angstrom=2.48,
    )


def ensemble_of(data: StepData, members: int, batch: int, epochs: int, *, at_once: bool) -> MobilityEnsemble:
    training = {"batch_size": batch, "epochs": epochs, "batched": at_once, "patience": 1000, "schedule": "constant"}
    settings = MobilityNetworkSettings(training=training)  # type: ignore[arg-type]
    return train_ensemble(data, Split(train=(0,), validation=(1,)), settings, 0, range(members))


def epoch_cpu_s(data: StepData, members: int, batch: int, *, at_once: bool) -> tuple[MobilityEnsemble, float]:
    """An ensemble, and the time of an epoch: preparations are those of one epoch less."""
    ensemble_of(data, members, batch, 1, at_once=at_once)  # what is loaded on the first call is not counted
    _, first = timed(lambda: ensemble_of(data, members, batch, 1, at_once=at_once))
    ensemble, whole = timed(lambda: ensemble_of(data, members, batch, 1 + EPOCHS, at_once=at_once))
    return ensemble, (whole - first) / EPOCHS


def rows_of(data: StepData, members: int, batch: int) -> Iterator[Row]:
    """One row for each way."""
    together, at_once_s = epoch_cpu_s(data, members, batch, at_once=True)
    yield Row(way=f"batch {batch}: all members at once", cpu_s=at_once_s, measured="an epoch")
    alone, one_by_one_s = epoch_cpu_s(data, members, batch, at_once=False)
    first, second = (np.array([member.train_loss for member in each.members]) for each in (together, alone))
    if not np.allclose(first, second, rtol=1e-3):
        raise SystemExit(f"the two ways differ: {first} {second}")
    yield Row(way=f"batch {batch}: one after the other", cpu_s=one_by_one_s, measured="an epoch")
    peer_s = members * pyg_epoch_cpu_s(data, batch)
    yield Row(way=f"batch {batch}: PyTorch Geometric", cpu_s=peer_s, measured="an epoch of one member")


def pyg_epoch_cpu_s(data: StepData, batch: int) -> float:
    """Forward and backward passes of one member over all training steps."""
    training = data.of([0])
    pieces = [training[first : first + batch] for first in range(0, len(training), batch)]
    graphs = [batched([step.graph for step in piece]) for piece in pieces]
    inputs = [to_pyg(graph) for graph in graphs]
    losses = [loss_tensors(graph, [step.target for step in piece]) for graph, piece in zip(graphs, pieces, strict=True)]
    networks = [PygNetwork() for _ in range(3)]

    def epoch() -> None:
        for each, loss in zip(inputs, losses, strict=True):
            force, drag, energy = (network(each) for network in networks)
            velocity = force / torch.nn.functional.softplus(drag) * torch.exp(-torch.nn.functional.softplus(energy))
            line_losses(velocity.unsqueeze(0), loss).mean().backward()

    epoch()
    return timed(epoch)[1]


class PygNetwork(torch.nn.Module):
    """Two layers of twenty neurons and a linear one."""

    def __init__(self) -> None:
        from torch_geometric.nn import HeteroConv, SAGEConv

        super().__init__()
        edges = [("node", "along", "node"), ("gauss", "acts_on", "node"), ("node", "moves", "gauss")]
        wanted = (edges, edges[:2])
        convolutions = [HeteroConv({edge: SAGEConv((-1, -1), 20) for edge in each}, aggr="sum") for each in wanted]
        self.layers = torch.nn.ModuleList(convolutions)
        self.head = torch.nn.Linear(20, 1)

    def forward(self, data) -> torch.Tensor:  # noqa: ANN001 - PyTorch Geometric ships no types
        hidden = {name: values.float() for name, values in data.x_dict.items()}
        for layer in self.layers:
            hidden = {name: torch.nn.functional.silu(x) for name, x in layer(hidden, data.edge_index_dict).items()}
        return self.head(hidden["node"]).squeeze(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description="mobility networks: members at once, one after the other, peers")
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--batch", type=int, nargs="+", default=[8])
    parser.add_argument("--steps", type=int, default=64)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    every = (*steps(options.steps, 0), *steps(8, 1))
    data = StepData(steps=every, sources=(source("a"), source("b")), step_ps=1.0)
    rows = [row for batch in options.batch for row in rows_of(data, options.members, batch)]
    details = {"steps": options.steps, "members": options.members, "torch": torch.__version__}
    report("mobility_ensemble", f"{options.members} members, {options.steps} steps, an epoch", rows, **details)


if __name__ == "__main__":
    main()
