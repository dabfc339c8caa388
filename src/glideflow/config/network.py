"""Networks that learn the Peierls stress from elastic constants and γ surface, and how they are trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from glideflow.config.base import Section

NetworkPart = Literal["image", "projection", "elastic", "head"]
"""Parts of the network: convolutions, their features to the latent space, the elastic features to it, and the rest."""


class NetworkSettings(Section):
    """Layers of the network. The defaults are the published ones."""

    architecture: Literal["paper", "compact"] = "paper"
    """``paper``: a ResNet looks at the γ surface. ``compact``: a few periodic convolutions do, at a fraction of the
    cost; their features do not change when the surface is shifted."""
    depth: Literal[18, 34, 50, 101, 152] = 18
    """Layers of the ResNet."""
    channels: tuple[Annotated[int, Field(ge=1, le=512)], ...] = Field(default=(8, 16, 32), min_length=1, max_length=6)
    """Channels of the convolutions of ``compact``."""
    latent: int = Field(default=32, ge=1, le=1024)
    """Numbers into which each of the two inputs is condensed; the head starts with both."""
    hidden: int = Field(default=32, ge=1, le=1024)
    """Hidden neurons of the head."""
    imagenet_weights: str | None = Field(default=None, max_length=4096)
    """File of ImageNet weights for the ResNet, as published by torchvision. None: initialised at random."""
    imagenet_sha256: str | None = Field(default=None, pattern=r"^[0-9A-Fa-f]{8,64}$")
    """First digits of the SHA-256 of that file. None: those that torchvision published for this depth."""


class TrainingSettings(Section):
    """How networks are trained.

    Learning rates and optimiser are the published ones; what was not published, batch size, momentum and length of the
    training, is a choice of this package.
    """

    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    """Optimiser."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """Learning rate of the dense layers."""
    fine_tuning_learning_rate: float = Field(default=1e-4, gt=0, le=10)
    """Learning rate of the convolutions, which ``paper`` fine-tunes."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of ``sgd``."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Weight decay."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rates over the epochs: as they are, or falling to zero along half a cosine."""
    batch_size: int = Field(default=16, ge=2, le=4096)
    """Samples per step. Batches of an epoch are of equal size to within one."""
    epochs: int = Field(default=300, ge=1, le=1_000_000)
    """Passes over the training part, at most."""
    validation_fraction: float = Field(default=0.15, ge=0, le=0.5)
    """Share of the samples, in whole families, that training does not see and that tells when to stop. 0: never, the
    number of epochs is fixed."""
    patience: int = Field(default=60, ge=1)
    """Epochs without a better validation loss after which training stops; the best weights are kept."""
    loss: Literal["squared", "huber"] = "squared"
    """Loss of the difference between predicted and true log10 of the stress, in standard deviations of the target."""
    censored: Literal["one_sided", "bound"] = "one_sided"
    """Samples whose stress is an upper bound or below the floor: predictions below the bound count as right, or the
    bound is taken for the value."""
    augmentation: Literal["none", "symmetry", "shifted"] = "symmetry"
    """What of a γ surface an epoch shows: the same image always; one of its equivalents under the symmetry of the
    crystal and in the frames that describe the same dislocation; or that with its origin at a random point."""
    frozen: tuple[NetworkPart, ...] = ()
    """Parts that keep their weights and statistics."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of PyTorch on the CPU; results are the same to the last bit for the same number of them."""
    batched: bool = False
    """Whether the members of an ensemble are trained as one network with stacked weights. On a CPU this costs a ResNet
    two thirds of its speed and gains nothing for ``compact`` (`benchmarks/bench_transfer_networks.py`)."""
    checkpoint_interval_s: float = Field(default=30.0, ge=0, le=86_400)
    """Seconds between checkpoints, which are written after an epoch; 0: after each."""


class FineTuningSettings(TrainingSettings):
    """How trained networks are tuned to a few samples of better physics: few steps on the dense layers."""

    epochs: int = Field(default=100, ge=1, le=1_000_000)
    """Passes over the samples."""
    learning_rate: float = Field(default=1e-4, gt=0, le=10)
    """Learning rate of the dense layers."""
    fine_tuning_learning_rate: float = Field(default=1e-5, gt=0, le=10)
    """Learning rate of the convolutions, unless they are frozen."""
    validation_fraction: float = Field(default=0.0, ge=0, le=0.5)
    """Share of the samples, in whole families, that tells when to stop. 0: all epochs."""
    frozen: tuple[NetworkPart, ...] = ("image",)
    """Parts that keep their weights and statistics."""


class EnsembleSettings(Section):
    """Ensembles of networks: how many, which, and how they are trained and tuned."""

    members: int = Field(default=5, ge=1, le=1000)
    """Networks of an ensemble; their spread tells how much the data leave open."""
    network: NetworkSettings = NetworkSettings()
    """Layers."""
    training: TrainingSettings = TrainingSettings()
    """Training."""
    fine_tuning: FineTuningSettings = FineTuningSettings()
    """Tuning of trained networks to a few samples of better physics."""
