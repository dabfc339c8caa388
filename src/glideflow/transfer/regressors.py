"""Every model by the name that settings and tables give it."""

from __future__ import annotations

from glideflow.config.transfer import TransferSettings
from glideflow.errors import ConfigurationError
from glideflow.transfer.baselines import BASELINES, baseline
from glideflow.transfer.models import Regressor


def regressor(name: str, settings: TransferSettings) -> Regressor:
    """The recipe of a model.

    Args:
        name: its name.
        settings: the floor of the target, and what else a model reads of the configuration.

    Raises:
        ConfigurationError: there is no such model.
    """
    if name in BASELINES:
        return baseline(name, settings.floor_mpa)
    raise ConfigurationError(
        f"the model {name!r} is unknown",
        expected=f"one of {', '.join(BASELINES)}",
        next_step="correct --model, or transfer.validation.models of the configuration",
    )
