"""Section ``transfer``: which samples of a strength library models learn from, and how they are validated."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from glideflow.config.base import Section
from glideflow.config.network import EnsembleSettings

Protocol = Literal["reference", "series", "paper", "size_s"]
Source = Literal["EAM/MEAM", "machine-learned", "other"]
Group = Literal["fcc", "bcc", "hcp", "joint"]
SplitName = Literal["family", "metal"]
BaselineName = Literal[
    "metal_median",
    "metal_mean",
    "ridge",
    "forest",
    "forest_pn",
    "classical_pn",
    "classical_pn_fit",
    "semidiscrete_pn",
    "semidiscrete_pn_fit",
]
Shots = Annotated[int, Field(ge=0, le=1000)]
ModelName = Literal[BaselineName, "best", "paper", "compact"]


class TransferDataSettings(Section):
    """Which samples a data set has."""

    protocol: Protocol = "reference"
    """How the Peierls stresses were computed: ``reference``, converged in the reference cell; ``series``, the limit of
    large cells; ``paper`` and ``size_s``, fixed strain steps in the reference cell and in 244 atoms."""
    slip_systems: tuple[str, ...] = ()
    """Names of slip systems, at most one of each structure; of a structure without, the first in the configuration of
    the library."""
    sources: tuple[Source, ...] = ()
    """Kinds of potentials, ``EAM/MEAM`` and ``machine-learned``; an empty list takes all."""
    exclude_flags: tuple[str, ...] = ("Born-unstable", "negative γ", "not a number")
    """Potentials with any of these quality flags are left out, by name and reason; `glideflow library flags` explains
    them."""
    one_per_family: bool = True
    """Of near-copies and relatives for one metal, take only the first by id that has all numbers."""


class TransferValidationSettings(Section):
    """How models are validated."""

    models: tuple[ModelName, ...] = (*get_args(BaselineName), "best")
    """Models that are validated, see docs/transfer.md."""
    splits: tuple[SplitName, ...] = ("family", "metal")
    """What is held out together: ``family``, near-copies and relatives; ``metal``, every potential of a metal and all
    relatives of these."""
    folds: int = Field(default=0, ge=0, le=1000)
    """Folds of the split by family, families drawn at random for each seed; 0 leaves one family out at a time."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1, max_length=100)
    """Seeds of models and folds: everything is repeated with each."""
    curve_models: tuple[ModelName, ...] = ("ridge", "forest_pn", "semidiscrete_pn_fit")
    """Models of which a learning curve is made: the error against the number of families trained on."""
    curve_families: tuple[int, ...] = Field(default=(4, 8, 16, 32, 64, 128), min_length=1, max_length=50)
    """Numbers of families; those that the data set does not have are left out."""
    curve_folds: int = Field(default=5, ge=2, le=1000)
    """Folds by family of a learning curve."""
    training_models: tuple[ModelName, ...] = ("best", "forest_pn", "ridge")
    """Models that are trained on all structures together and on each apart, to compare both."""
    training_folds: int = Field(default=10, ge=2, le=1000)
    """Folds by family of that comparison."""


class TransferSettings(Section):
    """From elastic constants and γ surfaces to Peierls stresses: data sets and validation."""

    library: str = Field(default="shipped", min_length=1)
    """Library that the samples come from: ``shipped``, the one of this package; ``run``, the one that this run of the
    workflow computes; or a file."""
    groups: tuple[Group, ...] = ("fcc", "bcc", "hcp", "joint")
    """Data sets that are made: one per structure, and ``joint`` of all."""
    floor_mpa: float = Field(default=0.1, gt=0, le=100)
    """Stresses below count as this one, in targets and in scores: how soft a soft dislocation is, is not resolved."""
    data: TransferDataSettings = TransferDataSettings()
    """Which samples a data set has."""
    validation: TransferValidationSettings = TransferValidationSettings()
    """How models are validated."""
    shots: tuple[Shots, ...] = Field(default=(0, 1, 2, 4, 8), min_length=1, max_length=50)
    """Numbers of machine-learned potentials that a model is tuned to, for the curve of error against them."""
    shot_draws: int = Field(default=5, ge=1, le=1000)
    """Most draws of such potentials for each one that is held out, and for each number."""
    networks: EnsembleSettings = EnsembleSettings()
    """Ensembles of networks: the models ``paper`` and ``compact``, and ``glideflow transfer train``."""
