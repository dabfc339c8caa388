"""Every model by the name that settings and tables give it."""

from __future__ import annotations

from glideflow.config.transfer import TransferSettings
from glideflow.errors import ConfigurationError
from glideflow.packages import refuse_without_torch
from glideflow.transfer.baselines import BASELINES, baseline
from glideflow.transfer.best import BestRegressor
from glideflow.transfer.models import Regressor

NETWORKS = ("paper", "compact")
BEST = "best"


def regressor(name: str, settings: TransferSettings) -> Regressor:
    """The recipe of a model.

    Args:
        name: its name.
        settings: the floor of the target, and what else a model reads of the configuration.

    Raises:
        ConfigurationError: there is no such model.
        DependencyError: it is a network, and PyTorch is not installed.
    """
    if name in BASELINES:
        return baseline(name, settings.floor_mpa)
    if name == BEST:
        return BestRegressor(settings.floor_mpa)
    if name in NETWORKS:
        return _network(name, settings)
    raise ConfigurationError(
        f"the model {name!r} is unknown",
        expected=f"one of {', '.join((*BASELINES, BEST, *NETWORKS))}",
        next_step="correct --model, or transfer.validation.models of the configuration",
    )


def _network(name: str, settings: TransferSettings) -> Regressor:
    refuse_without_torch()
    from glideflow.transfer.ensemble import NetworkRegressor

    wanted = settings.networks
    return NetworkRegressor(
        network=wanted.network.model_copy(update={"architecture": name}),
        training=wanted.training,
        members=wanted.members,
        floor_mpa=settings.floor_mpa,
    )
