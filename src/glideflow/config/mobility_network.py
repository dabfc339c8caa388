"""Graph networks that learn the mobility of dislocations from trajectories: key ``mobility.network``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from glideflow.config.base import Section
from glideflow.errors import ConfigurationError


class MobilityFeatureSettings(Section):
    """Elastic stress on the lines, and the points of the segments at which the network sees it."""

    shear_modulus_gpa: float = Field(default=64.3, gt=0, le=1e4)
    """Shear modulus of the isotropic medium that stands for the crystal, at 0 K. The default, with the ratio below,
    gives screw and edge of α-iron (Mendelev et al. 2003) the line energies that they have in the crystal."""
    softening_per_k: float = Field(default=2.95e-4, ge=-1e-2, le=1e-2)
    """Share of the shear modulus that is lost with each kelvin. The default is that of the same crystal up to 900 K
    (scripts/hot_medium.py)."""
    poisson_ratio: float = Field(default=0.47, gt=-1, lt=0.5)
    """Its Poisson ratio."""
    core_radius_burgers: float = Field(default=1.0, gt=0, le=100)
    """Core radius of the non-singular stress in Burgers vectors."""
    images: int = Field(default=4, ge=1, le=50)
    """Periodic images on either side whose stress is summed, see `glideflow.mobility.periodic_stress`."""
    gauss_points: int = Field(default=2, ge=1, le=10)
    """Gauss points of a segment."""
    smoothing_passes: int = Field(default=1, ge=0, le=100)
    """How often each node is moved halfway to the middle of its neighbours before features and forces are taken; the
    lines that move and are compared stay as they are. Jitter from node to node is gone before a step is over: a network
    that sees it learns that forces from curvature have little effect."""

    def at(self, temperature_k: float) -> Self:
        """The same with the shear modulus that the medium has at a temperature, and no further change of it.

        Args:
            temperature_k: the temperature.

        Raises:
            ConfigurationError: the medium has no stiffness left.
        """
        left = 1.0 - self.softening_per_k * temperature_k
        if left <= 0:
            raise ConfigurationError(
                f"a medium that loses {self.softening_per_k:g} of its shear modulus per kelvin has none at "
                f"{temperature_k:g} K",
                expected="a stiffness at every temperature",
                next_step="give mobility.network.features.softening_per_k of the metal, or 0",
            )
        return self.model_copy(update={"shear_modulus_gpa": left * self.shear_modulus_gpa, "softening_per_k": 0.0})


class MobilityLayerSettings(Section):
    """Layers of each of the three networks. The defaults are the published ones."""

    layers: int = Field(default=2, ge=1, le=10)
    """Layers of message passing."""
    width: int = Field(default=20, ge=1, le=1024)
    """Neurons of a layer, for each kind of vertex."""
    activation: Literal["silu", "tanh", "relu"] = "silu"
    """Activation behind each layer. The paper does not name it; a smooth one gives a smooth mobility law."""


class MobilityTrainingSettings(Section):
    """How an ensemble learns from trajectories."""

    members: int = Field(default=20, ge=1, le=1000)
    """Networks of an ensemble, alike but for their initial weights."""
    step_ps: float = Field(default=1.0, gt=0, le=1000)
    """Time from a snapshot to the one that is to be predicted from it."""
    stride_ps: float = Field(default=0.5, gt=0, le=1000)
    """Time between the snapshots of a trajectory that are used."""
    startup_ps: float | None = Field(default=None, ge=0, le=1e5)
    """Time at the beginning of a trajectory that is left out. null: what it was simulated with,
    mobility.dynamics.startup_ps. Small loops are over within picoseconds and start near balance, at rest: less will do
    for them."""
    train_fraction: float = Field(default=0.7, gt=0, lt=1)
    """Share of the trajectories that networks are trained on."""
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share that nothing sees before the end; the rest, at least one trajectory, tells when to stop."""
    epochs: int = Field(default=200, ge=1, le=1_000_000)
    """Passes over the training part, at most."""
    patience: int = Field(default=40, ge=1)
    """Epochs without a better validation loss after which a member stops; its best weights are kept."""
    batch_size: int = Field(default=8, ge=1, le=4096)
    """Snapshots per step of the optimiser (Adam)."""
    learning_rate: float = Field(default=3e-3, gt=0, le=10)
    """Learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over the epochs: as it is, or falling to zero along half a cosine."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Weight decay."""
    largest_gradient: float = Field(default=10.0, gt=0)
    """Norm to which the gradient of each member is cut: a frame with a spurious kink is not to throw it off."""
    neighbour_radius_angstrom: float = Field(default=60.0, gt=0, le=1e6)
    """Distance from the place where a node starts up to which segments are looked at for the one nearest to where it
    arrives. A radius beyond the cell makes the loss exact wherever it arrives."""
    batched: bool = True
    """Train all members at once, as one network with stacked weights; else one after the other, each with a checkpoint
    of its own."""
    precision: Literal["float32", "float64"] = "float32"
    """Numbers of the training."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train."""
    threads: int = Field(default=1, ge=1, le=1024)
    """Threads of PyTorch on the CPU; results are the same to the last bit for the same number of them."""
    checkpoint_interval_s: float = Field(default=30.0, ge=0, le=86_400)
    """Seconds between checkpoints, which are written after an epoch; 0: after each."""

    @model_validator(mode="after")
    def _refuse_no_validation(self) -> Self:
        if self.train_fraction + self.test_fraction >= 1:
            raise ValueError("train_fraction and test_fraction that leave trajectories for validation")
        return self


class MobilityNetworkSettings(Section):
    """Learning the mobility of dislocations with physics-informed graph networks."""

    features: MobilityFeatureSettings = MobilityFeatureSettings()
    """What the networks see."""
    layers: MobilityLayerSettings = MobilityLayerSettings()
    """Layers."""
    training: MobilityTrainingSettings = MobilityTrainingSettings()
    """Training."""
