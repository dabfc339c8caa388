"""Ensembles of networks as files; the format is that of `glideflow.transfer.artifacts`.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glideflow.config.network import FineTuningSettings, NetworkSettings
from glideflow.crystals.lattices import IntArray
from glideflow.errors import PropertyError, StorageError
from glideflow.transfer.artifacts import ModelCard, card_of, parts_of, read_artifact, write_artifact
from glideflow.transfer.calibration import Calibration, calibrate
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.ensemble import NetworkEnsemble
from glideflow.transfer.models import Prediction
from glideflow.transfer.network import InputScaling, network_from
from glideflow.transfer.training import TrainedNetwork
from glideflow.transfer.validation import ValidationRecord

_SCALING = "scaling."
_HISTORY = ("train_loss", "validation_loss")


def ensemble_card(
    ensemble: NetworkEnsemble,
    dataset: TransferDataset,
    indices: IntArray,
    *,
    name: str,
    floor_mpa: float,
    split: str = "",
    metrics: Mapping[str, float] | None = None,
) -> ModelCard:
    """The card of an ensemble that was trained on samples of a data set; `card_of` says what the arguments are."""
    return card_of(
        dataset,
        indices,
        name=name,
        kind="networks",
        floor_mpa=floor_mpa,
        initialised_from=[member.initialised_from for member in ensemble.members],
        split=split,
        metrics=metrics,
    )


def tuned_card(
    base: ModelCard,
    ensemble: NetworkEnsemble,
    dataset: TransferDataset,
    shots: IntArray,
    settings: FineTuningSettings,
) -> ModelCard:
    """The card of an ensemble that was tuned to a few samples: theirs, with what it learned from before.

    Args:
        base: card of the ensemble before.
        ensemble: after.
        dataset: the better samples.
        shots: (m,) those that it was tuned to.
        settings: how.
    """
    card = ensemble_card(ensemble, dataset, shots, name=f"{base.name}, tuned", floor_mpa=base.floor_mpa)
    before = {"name": base.name, "data_sha256": base.data_sha256, "potential_ids": list(base.potential_ids)}
    return replace(card, details={"tuned_from": before, "training": settings.model_dump(mode="json")})


def write_ensemble(path: Path, ensemble: NetworkEnsemble, card: ModelCard) -> None:
    """Write an ensemble with its card.

    Args:
        path: ``*.safetensors``.
        ensemble: the networks.
        card: from `ensemble_card`; what the networks need beside their arrays is added.

    Raises:
        StorageError: a file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, member in enumerate(ensemble.members):
        arrays |= {f"{number}/{name}": values for name, values in _arrays(member).items()}
    details = {
        "network": ensemble.members[0].settings.model_dump(mode="json", exclude={"imagenet_weights"}),
        "members": [_details(member) for member in ensemble.members],
        "calibration": asdict(ensemble.calibration) if ensemble.calibration else None,
    }
    write_artifact(path, arrays, replace(card, kind="networks", details={**card.details, **details}))


def read_ensemble(path: Path) -> tuple[NetworkEnsemble, ModelCard]:
    """Read an ensemble.

    Raises:
        StorageError: as in `glideflow.transfer.artifacts.read_artifact`, or the arrays are not those of such networks.
    """
    arrays, card = read_artifact(path, "networks")
    try:
        settings = NetworkSettings.model_validate(card.details["network"])
        described = card.details["members"]
        members = [
            _member(settings, found, part)
            for found, part in zip(described, parts_of(arrays, len(described)), strict=True)
        ]
        calibration = _calibration(card.details["calibration"])
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StorageError(
            f"{path} does not hold the networks that its card describes: {reason:.200}",
            expected="an ensemble as `glideflow transfer train` writes it",
            next_step="get both files again",
        ) from error
    return NetworkEnsemble(members=tuple(members), calibration=calibration), card


def calibrated_on(
    ensemble: NetworkEnsemble,
    card: ModelCard,
    records: Sequence[ValidationRecord],
    *,
    method: Literal["scaled", "conformal"] = "conformal",
) -> tuple[NetworkEnsemble, ModelCard]:
    """Calibrate an ensemble with the held-out predictions of its own recipe, and note their scores in its card.

    Of several seeds the first is taken: residuals of the same samples are no further residuals.

    Args:
        ensemble: the networks, trained on all samples.
        card: theirs.
        records: validations; that by family of the same model on the same samples is used.
        method: see `glideflow.transfer.calibration.calibrate`.

    Raises:
        PropertyError: there is no such validation, or it has too few samples.
    """
    record = _validation_of(card, records)
    run, scores = record.runs[0], record.scores()[0]
    prediction = Prediction(log10_mpa=run.log10_mpa, spread_log10=run.spread_log10)
    metrics = {name: float(value) for name, value in asdict(scores).items() if isinstance(value, int | float)}
    calibration = calibrate(prediction, record.target, method=method)
    return ensemble.calibrated(calibration), replace(card, split=record.split, metrics=metrics)


def _validation_of(card: ModelCard, records: Sequence[ValidationRecord]) -> ValidationRecord:
    for record in records:
        same = (record.model, record.dataset_sha256) == (card.name, card.data_sha256)
        if same and not record.control and "metal" not in record.split:
            return record
    raise PropertyError(
        f"no validation by family of {card.name!r} on the data that it was trained on",
        expected=f"one among {', '.join(record.record_name for record in records) or 'no validations'}",
        next_step="run `glideflow transfer validate --split family` with this model, data set and number of members",
    )


def _arrays(member: TrainedNetwork) -> dict[str, NDArray[np.generic]]:
    scaling = {f"{_SCALING}{name}": np.asarray(value) for name, value in asdict(member.scaling).items()}
    return {**member.state, **scaling, **{name: getattr(member, name) for name in _HISTORY}}


def _details(member: TrainedNetwork) -> dict[str, Any]:
    names = ("seed", "initialised_from", "held_out_families", "best_epoch")
    return {name: getattr(member, name) for name in names}


def _member(
    settings: NetworkSettings, found: Mapping[str, Any], part: dict[str, NDArray[np.generic]]
) -> TrainedNetwork:
    history = {name: np.asarray(part.pop(name), dtype=np.float64) for name in _HISTORY}
    stored = {name: part.pop(name) for name in list(part) if name.startswith(_SCALING)}
    network_from(settings, part)  # refuses names and shapes of another architecture
    return TrainedNetwork(
        settings=settings,
        scaling=_scaling({name.removeprefix(_SCALING): value for name, value in stored.items()}),
        state=part,
        seed=int(found["seed"]),
        initialised_from=str(found["initialised_from"]),
        held_out_families=tuple(found["held_out_families"]),
        best_epoch=int(found["best_epoch"]),
        train_loss=history["train_loss"],
        validation_loss=history["validation_loss"],
    )


def _scaling(stored: Mapping[str, NDArray[np.generic]]) -> InputScaling:
    numbers = {name: float(np.asarray(value, dtype=np.float64)) for name, value in stored.items() if value.ndim == 0}
    vectors = {name: np.asarray(value, dtype=np.float64) for name, value in stored.items() if value.ndim}
    return InputScaling(**numbers, **vectors)  # type: ignore[arg-type]  # names of fields by their shapes


def _calibration(found: Mapping[str, Any] | None) -> Calibration | None:
    if found is None:
        return None
    factors = (np.inf if factor is None else float(factor) for factor in found["factors"])
    return Calibration(**{**found, "levels": tuple(found["levels"]), "factors": tuple(factors)})
