"""Mobility ensembles as files: weights in a safetensors file, and a card in JSON beside it that says what they are.

The format cannot hold code, and equal ensembles are equal bytes. A file that was changed, cut off or paired with
another card is refused (`glideflow.cards`). This module imports PyTorch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from glideflow import __version__
from glideflow.cards import card_path, no_card, read_with_card, write_with_card
from glideflow.config.mobility_network import MobilityFeatureSettings, MobilityLayerSettings
from glideflow.errors import StorageError
from glideflow.mobility.baselines import LAWS, FittedLaw
from glideflow.mobility.ensemble import MobilityEnsemble, TrainedMember
from glideflow.mobility.features import GAUSS_FEATURES, NODE_FEATURES
from glideflow.mobility.network import State, networks_of
from glideflow.mobility.samples import Split, StepData
from glideflow.mobility.spreads import ERROR_OVER_SPREAD

SCHEMA: Final = "glideflow/mobility-card/1"
MODEL_FILE: Final = "model.safetensors"
LICENCE: Final = "MIT"
_HISTORY = ("train_loss", "validation_loss")
_PACKAGES = ("numpy", "torch")

Part = Literal["train", "validation", "test", "new"]


@dataclass(frozen=True, kw_only=True)
class TrainedSource:
    """A trajectory that a model was made with.

    Attributes:
        name: its name then.
        part: what it was used for.
        simulation: digest of its simulation, see `glideflow.mobility.samples.StepSource`.
        kind: ``dipole`` or ``loop``.
        character_angle_deg: angle of a dipole; None for a loop.
        stress_mpa: resolved shear stress.
        temperature_k: temperature.
        potential_id: potential of the simulation; empty where the card does not say.
        potential_sha256: digest of its files; the same.
    """

    name: str
    part: Part
    simulation: str
    kind: str
    character_angle_deg: float | None
    stress_mpa: float
    temperature_k: float
    potential_id: str = ""
    potential_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class MobilityCard:
    """What a file of trained weights is.

    Attributes:
        name: of the model, e.g. ``PI-GNN 2 x 20, 20 members``.
        step_ps: time of a step.
        seed: of the ensemble.
        sources: trajectories that it was made with.
        data_sha256: digest of the steps.
        burgers_angstrom: mean length of their Burgers vectors.
        training: settings of the training.
        laws: baselines fitted to the training part: parameters by name of the law.
        metrics: scores by name, of the test part; NaN where one has no meaning. ``error_over_spread``, where it is
            there, is of the test and the validation part.
        baseline_metrics: the same scores of the laws, by name of the law; empty where the card does not say.
        licence: of the weights, an SPDX identifier.
        versions: of the packages with which it was made.
    """

    name: str
    step_ps: float
    seed: int
    sources: tuple[TrainedSource, ...]
    data_sha256: str
    burgers_angstrom: float
    training: Mapping[str, Any]
    laws: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    baseline_metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    licence: str = LICENCE
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def spread_factor(self) -> float:
        """What the spread of the members is multiplied by to stand for their error, see `glideflow.mobility.spreads`.

        One where the card does not say, and where the members differ by more than they err.
        """
        found = self.metrics.get(ERROR_OVER_SPREAD, math.nan)
        return max(1.0, found) if math.isfinite(found) else 1.0

    def part_of(self, simulation: str) -> Part:
        """What a simulation was used for, ``new`` if it was not known."""
        return next((source.part for source in self.sources if source.simulation == simulation), "new")

    def fitted_laws(self) -> tuple[FittedLaw, ...]:
        """The baselines that were fitted to the same training part."""
        return tuple(
            FittedLaw(name=name, parameters=parameters, burgers_angstrom=self.burgers_angstrom)
            for name, parameters in self.laws.items()
        )


def ensemble_card(
    ensemble: MobilityEnsemble,
    data: StepData,
    split: Split,
    *,
    seed: int,
    training: Mapping[str, Any],
    laws: Sequence[FittedLaw] = (),
    metrics: Mapping[str, float] | None = None,
    baseline_metrics: Mapping[str, Mapping[str, float]] | None = None,
) -> MobilityCard:
    """The card of an ensemble.

    Args:
        ensemble: the networks.
        data: the steps that they were trained on, and others.
        split: which trajectories were used for what.
        seed: of the ensemble.
        training: settings of the training, as JSON.
        laws: baselines fitted to the training part.
        metrics: scores of the test part.
        baseline_metrics: those of the laws, by name of the law.
    """
    parts: dict[int, Part] = {}
    named: tuple[tuple[Part, tuple[int, ...]], ...] = (
        ("train", split.train),
        ("validation", split.validation),
        ("test", split.test),
    )
    for part, numbers in named:
        parts |= dict.fromkeys(numbers, part)
    layers = ensemble.layers
    return MobilityCard(
        name=f"PI-GNN {layers.layers} x {layers.width}, {len(ensemble.members)} members",
        step_ps=ensemble.step_ps,
        seed=seed,
        sources=tuple(_trained_source(data, number, parts[number]) for number in sorted(parts)),
        data_sha256=data.sha256(),
        burgers_angstrom=float(np.mean([source.burgers_angstrom for source in data.sources])),
        training=dict(training),
        laws={law.name: dict(law.parameters) for law in laws},
        metrics=dict(metrics or {}),
        baseline_metrics={name: dict(scores) for name, scores in (baseline_metrics or {}).items()},
        versions={"glideflow": __version__, **{package: metadata.version(package) for package in _PACKAGES}},
    )


def write_ensemble(path: Path, ensemble: MobilityEnsemble, card: MobilityCard) -> None:
    """Write an ensemble with its card.

    Args:
        path: ``*.safetensors``; the card gets the ending ``.json``.
        ensemble: the networks.
        card: what they are.

    Raises:
        StorageError: a file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, member in enumerate(ensemble.members):
        own = {**member.state, **{name: getattr(member, name) for name in _HISTORY}}
        arrays |= {f"{number}/{name}": values for name, values in own.items()}
    described = {
        "features": ensemble.features.model_dump(mode="json"),
        "layers": ensemble.layers.model_dump(mode="json"),
        "inputs": _inputs(),
        "members": [{"seed": member.seed, "best_epoch": member.best_epoch} for member in ensemble.members],
    }
    content = {**dataclasses.asdict(card), "network": described}
    write_with_card(path, arrays, content, schema=SCHEMA, metadata={"name": card.name})


def read_ensemble(path: Path) -> tuple[MobilityEnsemble, MobilityCard]:
    """Read an ensemble.

    Args:
        path: its file, or the folder that `glideflow mobility train` wrote.

    Raises:
        StorageError: a file is missing, damaged or changed; the card belongs to other arrays; or the networks are not
            those of this version, which sees other features.
    """
    file = path / MODEL_FILE if path.is_dir() else path
    arrays, content = read_with_card(file, schema=SCHEMA)
    try:
        network = content.pop("network")
        card = _card(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise no_card(card_path(file), str(error)) from error
    try:
        return _ensemble(network, card, arrays), card
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StorageError(
            f"{file} does not hold the networks that its card describes: {reason:.200}",
            expected="an ensemble as `glideflow mobility train` of this version writes it",
            next_step="get both files again, or train anew",
        ) from error


def _trained_source(data: StepData, number: int, part: Part) -> TrainedSource:
    source = data.sources[number]
    shared = [each.name for each in dataclasses.fields(TrainedSource) if each.name != "part"]
    return TrainedSource(part=part, **{name: getattr(source, name) for name in shared})


_COLD_MEDIUM = {"softening_per_k": 0.0}
"""Of networks that were trained before the medium knew temperatures."""


def _inputs() -> dict[str, list[str]]:
    """What networks of this version see, by which those of another one are told."""
    return {
        "node": [feature.name for feature in NODE_FEATURES],
        "gauss": [feature.name for feature in GAUSS_FEATURES],
    }


def _card(content: dict[str, Any]) -> MobilityCard:
    sources = tuple(TrainedSource(**source) for source in content["sources"])
    metrics = _scores(content["metrics"])
    baselines = {str(name): _scores(scores) for name, scores in content.get("baseline_metrics", {}).items()}
    laws = {str(name): {key: float(value) for key, value in law.items()} for name, law in content["laws"].items()}
    unknown = sorted(laws.keys() - LAWS.keys())
    if unknown:
        raise ValueError(f"no law is called {unknown[0]!r:.80}")
    parsed = {"sources": sources, "metrics": metrics, "baseline_metrics": baselines, "laws": laws}
    return MobilityCard(**{**content, **parsed})


def _scores(content: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): math.nan if value is None else float(value) for name, value in content.items()}


def _ensemble(network: Mapping[str, Any], card: MobilityCard, arrays: Mapping[str, Any]) -> MobilityEnsemble:
    if network["inputs"] != _inputs():
        raise ValueError("they see other features")
    layers = MobilityLayerSettings.model_validate(network["layers"])
    members = [
        _member(found, {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith(f"{number}/")})
        for number, found in enumerate(network["members"])
    ]
    states: list[State] = [member.state for member in members]
    if not states or sum(len(state) + len(_HISTORY) for state in states) != len(arrays):
        raise ValueError(f"{len(arrays)} arrays of {len(states)} members")
    networks_of(layers, states)  # refuses names and shapes of another architecture
    if not all(np.isfinite(values).all() for state in states for values in state.values()):
        raise ValueError("a weight is not finite")
    return MobilityEnsemble(
        features=MobilityFeatureSettings.model_validate(_COLD_MEDIUM | network["features"]),
        layers=layers,
        step_ps=card.step_ps,
        members=tuple(members),
    )


def _member(found: Mapping[str, Any], arrays: dict[str, Any]) -> TrainedMember:
    history = {name: np.asarray(arrays.pop(name), dtype=np.float64) for name in _HISTORY}
    best_epoch = int(found["best_epoch"])
    if not 0 <= best_epoch < len(history["validation_loss"]):
        raise ValueError(f"epoch {best_epoch} of {len(history['validation_loss'])}")
    return TrainedMember(state=arrays, seed=int(found["seed"]), best_epoch=best_epoch, **history)
