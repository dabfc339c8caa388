"""ResNet with the parameter names and shapes of torchvision, so that its ImageNet weights load strictly.

Source: K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, CVPR 2016, table 1 and figure 5.
As in torchvision, the 3 × 3 convolution of a bottleneck carries the stride, which the paper puts on the first 1 × 1.

This module imports PyTorch.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from glideflow.errors import ConfigurationError, StorageError

STEM_CHANNELS = 64
STAGE_CHANNELS = (64, 128, 256, 512)
IMAGE_CHANNELS = 3
IMAGENET_CLASSES = 1000
LARGEST_WEIGHTS_BYTES = 512 * 2**20
"""The largest published file, of depth 152, has 230 MiB."""


@dataclass(frozen=True)
class Layout:
    """What the depth of a ResNet stands for.

    Attributes:
        block: ``basic``, two 3 × 3 convolutions, or ``bottleneck``, 1 × 1, 3 × 3 and 1 × 1 to four times the channels.
        blocks: their number in each of the four stages.
    """

    block: Literal["basic", "bottleneck"]
    blocks: tuple[int, int, int, int]

    @property
    def expansion(self) -> int:
        """Channels that leave a block, per channel of its 3 × 3 convolution."""
        return 1 if self.block == "basic" else 4

    @property
    def features(self) -> int:
        """Length of the feature vector: 512 or 2048."""
        return STAGE_CHANNELS[-1] * self.expansion


LAYOUTS: Mapping[int, Layout] = {
    18: Layout("basic", (2, 2, 2, 2)),
    34: Layout("basic", (3, 4, 6, 3)),
    50: Layout("bottleneck", (3, 4, 6, 3)),
    101: Layout("bottleneck", (3, 4, 23, 3)),
    152: Layout("bottleneck", (3, 8, 36, 3)),
}
"""Standard depths."""

PUBLISHED_SHA256: Mapping[int, tuple[str, ...]] = {
    18: ("f37072fd",),
    34: ("b627a593",),
    50: ("0676ba61", "11ad3fa6"),
    101: ("63fe2227", "cd907fc2"),
    152: ("394f9c45", "f82ba261"),
}
"""First eight hexadecimal digits of the SHA-256 of torchvision's weight files, which are part of their names."""


def layout_of(depth: int) -> Layout:
    """Layout of a standard depth.

    Raises:
        ConfigurationError: there is none of this depth.
    """
    if depth not in LAYOUTS:
        raise ConfigurationError(
            f"a ResNet of depth {depth}",
            expected=f"one of the depths {', '.join(str(known) for known in LAYOUTS)}",
            next_step="correct the depth of the network",
        )
    return LAYOUTS[depth]


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and a way around them."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _convolution(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _downsample(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H/stride, W/stride)."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        inner = self.bn2(self.conv2(inner))
        return functional.relu(inner + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """A 3 × 3 convolution between two 1 × 1, and a way around them; four times the channels leave it."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        outputs = channels * LAYOUTS[50].expansion
        self.conv1 = _convolution(inputs, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _convolution(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = _convolution(channels, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _downsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 4 C', H/stride, W/stride)."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        return functional.relu(inner + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Features of images: torchvision's ResNet without its last, fully connected layer.

    Args:
        depth: 18, 34, 50, 101 or 152.

    Raises:
        ConfigurationError: there is no ResNet of this depth.
    """

    def __init__(self, depth: int = 18) -> None:
        super().__init__()
        layout = layout_of(depth)
        self.features = layout.features
        self.conv1 = _convolution(IMAGE_CHANNELS, STEM_CHANNELS, 7, 2)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = list(_stages(layout))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to feature vectors (B, 512), or (B, 2048) from depth 50 on."""
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))


def _stages(layout: Layout) -> Iterator[nn.Sequential]:
    block = BasicBlock if layout.block == "basic" else Bottleneck
    inputs = STEM_CHANNELS
    for stage, (channels, count) in enumerate(zip(STAGE_CHANNELS, layout.blocks, strict=True)):
        blocks: list[nn.Module] = []
        for position in range(count):
            blocks.append(block(inputs, channels, 2 if stage > 0 and position == 0 else 1))
            inputs = channels * layout.expansion
        yield nn.Sequential(*blocks)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)


def _downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def _initialise(module: nn.Module) -> None:
    """He's normal distribution for convolutions, as in torchvision."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def expected_shapes(depth: int, *, classes: int = IMAGENET_CLASSES) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a torchvision state dict, derived from the architecture without building the network.

    Args:
        depth: 18, 34, 50, 101 or 152.
        classes: outputs of the last layer ``fc``; 0 leaves it out.

    Raises:
        ConfigurationError: there is no ResNet of this depth.
    """
    layout = layout_of(depth)
    shapes = dict(_convolution_shapes("conv1", "bn1", (STEM_CHANNELS, IMAGE_CHANNELS, 7, 7)))
    inputs = STEM_CHANNELS
    for stage, (channels, count) in enumerate(zip(STAGE_CHANNELS, layout.blocks, strict=True), start=1):
        for position in range(count):
            shapes |= _block_shapes(f"layer{stage}.{position}.", layout, inputs, channels, first=position == 0)
            inputs = channels * layout.expansion
    if classes:
        shapes |= {"fc.weight": (classes, layout.features), "fc.bias": (classes,)}
    return shapes


def _block_shapes(
    prefix: str, layout: Layout, inputs: int, channels: int, *, first: bool
) -> dict[str, tuple[int, ...]]:
    outputs = channels * layout.expansion
    if layout.block == "basic":
        kernels = [(channels, inputs, 3, 3), (channels, channels, 3, 3)]
    else:
        kernels = [(channels, inputs, 1, 1), (channels, channels, 3, 3), (outputs, channels, 1, 1)]
    shapes: dict[str, tuple[int, ...]] = {}
    for number, kernel in enumerate(kernels, start=1):
        shapes |= _convolution_shapes(f"{prefix}conv{number}", f"{prefix}bn{number}", kernel)
    # The first block of a stage changes the resolution or the number of channels, in stage 1 of basic blocks neither.
    if first and (outputs != inputs or channels != STEM_CHANNELS):
        shapes |= _convolution_shapes(f"{prefix}downsample.0", f"{prefix}downsample.1", (outputs, inputs, 1, 1))
    return shapes


def _convolution_shapes(convolution: str, norm: str, kernel: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{convolution}.weight", kernel
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{name}", kernel[:1]
    yield f"{norm}.num_batches_tracked", ()


@dataclass(frozen=True)
class ImageNetWeights:
    """Weights of a ResNet that was trained on ImageNet.

    Attributes:
        depth: of the ResNet.
        sha256: digest of the file, 64 hexadecimal digits.
        state: tensors by torchvision's names, without those of the last layer.
    """

    depth: int
    sha256: str
    state: Mapping[str, Tensor]


def read_imagenet_weights(path: Path, depth: int, *, sha256: str | None = None) -> ImageNetWeights:
    """Read a state dict that torchvision published, from a file that the user has.

    The bytes that are checked are those that are read: the file is opened once. Nothing in it is executed
    (``weights_only``).

    Args:
        path: file such as ``resnet18-f37072fd.pth``.
        depth: of the ResNet that it should hold.
        sha256: first digits of the file's SHA-256, eight at least. Default: what torchvision published for the depth.

    Raises:
        ConfigurationError: the digits given are too few, or there is no ResNet of this depth.
        StorageError: the file cannot be read, is another one, or does not hold the tensors of this depth.
    """
    layout_of(depth)
    content = _bytes_of(path)
    digest = hashlib.sha256(content).hexdigest()
    _refuse_other_file(path, digest, (_digits(sha256),) if sha256 else PUBLISHED_SHA256[depth])
    state = _unpickled(path, content)
    _refuse_other_shapes(path, depth, state)
    return ImageNetWeights(depth, digest, {name: value for name, value in state.items() if not name.startswith("fc.")})


def _bytes_of(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_WEIGHTS_BYTES:
            raise StorageError(f"{path} has {size} bytes", expected=f"at most {LARGEST_WEIGHTS_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"cannot read the ImageNet weights {path}: {error.strerror}",
            expected="a file that torchvision published, e.g. resnet18-f37072fd.pth",
            next_step="check the path, or leave it out: the network is initialised at random then",
        ) from error


def _digits(sha256: str) -> str:
    digits = sha256.lower()
    if len(digits) < 8 or set(digits) - set("0123456789abcdef"):
        raise ConfigurationError(f"the SHA-256 {sha256!r:.80}", expected="8 to 64 hexadecimal digits")
    return digits


def _refuse_other_file(path: Path, digest: str, expected: tuple[str, ...]) -> None:
    if not any(digest.startswith(digits) for digits in expected):
        raise StorageError(
            f"{path} has the SHA-256 {digest}",
            expected=f"one that begins with {' or '.join(expected)}",
            next_step="download the file again; for weights of your own, state their SHA-256",
        )


def _unpickled(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{path} cannot be read as tensors: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            expected="a state dict of tensors, and nothing that would have to be executed",
            next_step="take the file that torchvision published",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise StorageError(f"{path} holds a {type(state).__name__}", expected="a state dict of tensors")
    return state


def _refuse_other_shapes(path: Path, depth: int, state: Mapping[str, Tensor]) -> None:
    found = {name: tuple(value.shape) for name, value in state.items()}
    # Files of before 2018 lack the counters of batches, which nothing uses.
    expected = {
        name: shape
        for name, shape in expected_shapes(depth).items()
        if name in found or not name.endswith("num_batches_tracked")
    }
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if wrong:
        raise StorageError(
            f"{path} is no ResNet-{depth}: {wrong[0]} has the shape {found.get(wrong[0], 'of nothing, it is missing')}",
            expected=f"{expected.get(wrong[0], 'no such tensor')}; {len(wrong)} tensors differ",
            next_step="check the depth of the network and the file",
        )


def load_imagenet(network: ResNet, weights: ImageNetWeights) -> None:
    """Put the weights into a network of the same depth, in place; counters of batches may be missing."""
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict(counters | dict(weights.state), strict=True)
