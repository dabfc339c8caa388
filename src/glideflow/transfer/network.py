"""The network of the physics-transfer paper: convolutions look at γ, a dense layer at C, a head joins the two.

Source: paper, Methods, Physics-transfer models: a ResNet whose 512 features are projected to 32, a dense network 6 → 32
on the elastic constants, and 64 → 32 → 1 on both together. The paper does not name the activations: ReLU here, as in
ResNet, behind each dense layer but the last.

γ is one number per point, ImageNet has three channels: the image is repeated in each. The first convolution then acts
as the sum of its three kernels, what it does to a grey picture, so that pre-trained weights keep their meaning; and
inputs are scaled to mean 0 and variance 1, as those weights expect.

This module imports PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glideflow.config.network import NetworkPart, NetworkSettings
from glideflow.crystals.lattices import FloatArray, IntArray
from glideflow.transfer.resnet import IMAGE_CHANNELS, ImageNetWeights, ResNet, load_imagenet, read_imagenet_weights

ELASTIC_FEATURES = 6
RANDOM_WEIGHTS = "random"

State = Mapping[str, NDArray[np.generic]]
"""Parameters and statistics of a network by name."""


@dataclass(frozen=True, kw_only=True)
class InputScaling:
    """What turns physical numbers into those that the network sees; fitted to the training part alone.

    Attributes:
        gamma_mean_mj_m2: mean of γ over samples and points.
        gamma_scale_mj_m2: its standard deviation.
        elastic_mean_gpa: (6,) means of the elastic features.
        elastic_scale_gpa: (6,) their standard deviations.
        target_mean: mean of log₁₀ of the stress in MPa.
        target_scale: its standard deviation.
    """

    gamma_mean_mj_m2: float
    gamma_scale_mj_m2: float
    elastic_mean_gpa: FloatArray
    elastic_scale_gpa: FloatArray
    target_mean: float
    target_scale: float

    def gamma(self, gamma_mj_m2: FloatArray) -> NDArray[np.float32]:
        """Scaled γ images of any shape."""
        return np.asarray((gamma_mj_m2 - self.gamma_mean_mj_m2) / self.gamma_scale_mj_m2, dtype=np.float32)

    def elastic(self, elastic_gpa: FloatArray) -> NDArray[np.float32]:
        """Scaled elastic features (..., 6)."""
        return np.asarray((elastic_gpa - self.elastic_mean_gpa) / self.elastic_scale_gpa, dtype=np.float32)

    def target(self, log10_mpa: FloatArray) -> NDArray[np.float32]:
        """Scaled targets."""
        return np.asarray((log10_mpa - self.target_mean) / self.target_scale, dtype=np.float32)

    def log10_mpa(self, output: NDArray[np.floating]) -> FloatArray:
        """log₁₀ of the stress in MPa from what the network gives."""
        return np.asarray(self.target_mean + self.target_scale * output.astype(np.float64))


def fit_scaling(gamma_mj_m2: FloatArray, elastic_gpa: FloatArray, log10_mpa: FloatArray) -> InputScaling:
    """Means and standard deviations of training samples; where nothing varies the scale is 1.

    Args:
        gamma_mj_m2: (m, k, l) γ images.
        elastic_gpa: (m, 6) elastic features.
        log10_mpa: (m,) targets.
    """
    return InputScaling(
        gamma_mean_mj_m2=float(gamma_mj_m2.mean()),
        gamma_scale_mj_m2=float(_scale(gamma_mj_m2.reshape(-1))),
        elastic_mean_gpa=elastic_gpa.mean(axis=0),
        elastic_scale_gpa=_scale(elastic_gpa),
        target_mean=float(log10_mpa.mean()),
        target_scale=float(_scale(log10_mpa)),
    )


def _scale(values: FloatArray) -> FloatArray:
    spread = values.std(axis=0)
    return np.asarray(np.where(spread > 1e-9 * (1 + np.abs(values.mean(axis=0))), spread, 1.0))


class CompactConvolutions(nn.Module):
    """Periodic 3 × 3 convolutions at full resolution and a mean over the points.

    The mean of a periodic map does not change when the image is shifted, so neither do the features.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.features = channels[-1]
        layers: list[nn.Module] = []
        for inputs, outputs in zip((1, *channels[:-1]), channels, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="circular"), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 1, k, l) to features (B, channels)."""
        return torch.as_tensor(self.layers(images).mean(dim=(2, 3)))


class RepeatedChannels(nn.Module):
    """A ResNet for pictures in colour that looks at one channel."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.resnet = ResNet(depth)
        self.features = self.resnet.features

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 1, k, l) to features (B, 512)."""
        return torch.as_tensor(self.resnet(images.expand(-1, IMAGE_CHANNELS, -1, -1)))


class TransferNetwork(nn.Module):
    """From scaled γ images and elastic features to the scaled log₁₀ of the Peierls stress.

    Args:
        settings: the layers. Files that they name are not read here, see `new_network`.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        paper = settings.architecture == "paper"
        self.image = RepeatedChannels(settings.depth) if paper else CompactConvolutions(settings.channels)
        self.projection = nn.Linear(self.image.features, settings.latent)
        self.elastic = nn.Linear(ELASTIC_FEATURES, settings.latent)
        self.head = nn.Sequential(
            nn.Linear(2 * settings.latent, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 1)
        )

    def forward(self, gamma: Tensor, elastic: Tensor) -> Tensor:
        """Map γ images (B, k, l) and elastic features (B, 6) to (B,) outputs."""
        seen = self.projection(self.image(gamma.unsqueeze(1))).relu()
        latent = torch.cat([seen, self.elastic(elastic).relu()], dim=1)  # (B, 64)
        return torch.as_tensor(self.head(latent).squeeze(1))

    def part(self, name: NetworkPart) -> nn.Module:
        """One part of the network by the name that it has in settings."""
        return self.get_submodule(name)


def imagenet_of(settings: NetworkSettings) -> ImageNetWeights | None:
    """The ImageNet weights that the settings name, None if they name none.

    Raises:
        StorageError: the file cannot be read, or is not what it should be.
    """
    if settings.imagenet_weights is None or settings.architecture != "paper":
        return None
    return read_imagenet_weights(Path(settings.imagenet_weights), settings.depth, sha256=settings.imagenet_sha256)


def initialised_from(weights: ImageNetWeights | None) -> str:
    """What an untrained network starts from, as cards and logs say it."""
    return f"ImageNet ResNet-{weights.depth}, sha256 {weights.sha256}" if weights else RANDOM_WEIGHTS


def new_network(settings: NetworkSettings, seed: int, weights: ImageNetWeights | None = None) -> TransferNetwork:
    """An untrained network; the same seed gives the same weights, and the global random state stays as it is.

    Args:
        settings: the layers.
        seed: of the random initial weights.
        weights: from `imagenet_of`, for the convolutions.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TransferNetwork(settings)
    if weights is not None and isinstance(network.image, RepeatedChannels):
        load_imagenet(network.image.resnet, weights)
    return network


def network_from(settings: NetworkSettings, state: State) -> TransferNetwork:
    """A network with given weights, in evaluation mode.

    Raises:
        RuntimeError: names or shapes are not those of this architecture.
    """
    with torch.device("meta"):
        network = TransferNetwork(settings)
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in state.items()}
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval()


def state_of(network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Copies of all parameters and statistics of a network, on the CPU."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def outputs_of(
    network: nn.Module, gamma: NDArray[np.float32], elastic: NDArray[np.float32], *, batch_size: int = 256
) -> FloatArray:
    """What a network in evaluation mode gives for scaled inputs (m, k, l) and (m, 6): (m,) numbers."""
    device = next(network.parameters()).device
    batches: list[IntArray] = np.array_split(np.arange(len(gamma)), max(1, -(-len(gamma) // batch_size)))
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(gamma[batch]).to(device), torch.from_numpy(elastic[batch]).to(device)).cpu()
            for batch in batches
        ]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)
