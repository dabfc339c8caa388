"""ResNet: torchvision's names, shapes and published numbers of parameters, and an independent forward pass."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from glideflow.errors import ConfigurationError, StorageError
from glideflow.transfer.resnet import (
    LAYOUTS,
    PUBLISHED_SHA256,
    ResNet,
    expected_shapes,
    load_imagenet,
    read_imagenet_weights,
)

PUBLISHED_PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
"""`num_params` of the weights in torchvision's documentation, last layer included."""

PUBLISHED_SHAPES_18 = {
    "conv1.weight": (64, 3, 7, 7),
    "bn1.running_var": (64,),
    "bn1.num_batches_tracked": (),
    "layer1.0.conv1.weight": (64, 64, 3, 3),
    "layer1.1.bn2.bias": (64,),
    "layer2.0.conv1.weight": (128, 64, 3, 3),
    "layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "layer2.0.downsample.1.running_mean": (128,),
    "layer3.1.conv2.weight": (256, 256, 3, 3),
    "layer4.0.downsample.0.weight": (512, 256, 1, 1),
    "fc.weight": (1000, 512),
    "fc.bias": (1000,),
}
PUBLISHED_SHAPES_50 = {
    "layer1.0.conv3.weight": (256, 64, 1, 1),
    "layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "layer2.0.conv1.weight": (128, 256, 1, 1),
    "layer2.0.conv2.weight": (128, 128, 3, 3),
    "layer4.2.bn3.weight": (2048,),
    "fc.weight": (1000, 2048),
}


@pytest.mark.parametrize("depth", LAYOUTS)
def test_numbers_of_parameters_are_the_published_ones(depth: int) -> None:
    shapes = expected_shapes(depth)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(torch.Size(shape).numel() for name, shape in shapes.items() if not name.endswith(buffers))
    assert count == PUBLISHED_PARAMETERS[depth]


@pytest.mark.parametrize(("depth", "published"), [(18, PUBLISHED_SHAPES_18), (50, PUBLISHED_SHAPES_50)])
def test_names_and_shapes_are_the_published_ones(depth: int, published: dict[str, tuple[int, ...]]) -> None:
    shapes = expected_shapes(depth)
    assert {name: shapes.get(name) for name in published} == published
    assert "layer1.0.downsample.0.weight" in shapes if depth == 50 else "layer1.0.downsample.0.weight" not in shapes
    assert len(expected_shapes(18)) == 122


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_the_network_has_exactly_these_tensors(depth: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth)
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found == expected_shapes(depth, classes=0)
    assert list(found) == [name for name in expected_shapes(depth) if name in found]


def independent_forward(state: dict[str, Tensor], image: Tensor) -> Tensor:
    """ResNet in evaluation mode from its state dict alone, by walking through the names of its tensors."""

    def normed(x: Tensor, name: str) -> Tensor:
        scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 1e-5).sqrt()
        shift = state[f"{name}.bias"] - state[f"{name}.running_mean"] * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def convolved(x: Tensor, name: str, stride: int = 1) -> Tensor:
        """As a product of matrices, not by the library's convolution."""
        kernel = state[f"{name}.weight"]
        size = kernel.shape[-1]
        height, width = ((length + 2 * (size // 2) - size) // stride + 1 for length in x.shape[-2:])
        columns = functional.unfold(x, size, padding=size // 2, stride=stride)
        return (kernel.flatten(1) @ columns).unflatten(-1, (height, width))

    x = normed(convolved(image, "conv1", 2), "bn1").clamp(min=0)
    x = functional.max_pool2d(x, 3, 2, 1)
    names = sorted({tuple(name.split(".")[:2]) for name in state if name.startswith("layer")})
    for stage, block in names:
        prefix = f"{stage}.{block}."
        stride = 2 if (stage != "layer1" and block == "0") else 1
        convolutions = [n for n in (1, 2, 3) if f"{prefix}conv{n}.weight" in state]
        inner = x
        for number in convolutions:
            strided = number == convolutions[-2]  # the 3 × 3 of a bottleneck, the first one of a basic block
            inner = convolved(inner, f"{prefix}conv{number}", stride if strided else 1)
            inner = normed(inner, f"{prefix}bn{number}")
            inner = inner.clamp(min=0) if number != convolutions[-1] else inner
        if f"{prefix}downsample.0.weight" in state:
            x = normed(convolved(x, f"{prefix}downsample.0", stride), f"{prefix}downsample.1")
        x = (inner + x).clamp(min=0)
    return x.flatten(2).mean(dim=2)


def random_state(depth: int) -> dict[str, Tensor]:
    """Weights of He's size and statistics that are not the initial ones, in double precision."""
    generator = torch.Generator().manual_seed(depth)
    state = {}
    for name, shape in expected_shapes(depth).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3)
        elif len(shape) == 4:
            spread = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
            state[name] = spread * torch.randn(shape, generator=generator, dtype=torch.float64)
        else:
            state[name] = 0.5 + torch.rand(shape, generator=generator, dtype=torch.float64)
    return state


@pytest.mark.parametrize("depth", [18, 50])
def test_the_output_is_that_of_an_independent_forward_pass(depth: int) -> None:
    state = {name: value for name, value in random_state(depth).items() if not name.startswith("fc.")}
    with torch.device("meta"):
        network = ResNet(depth).eval()
    network.load_state_dict(state, strict=True, assign=True)
    image = torch.randn(1, 3, 31, 31, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = network(image)
        reference = independent_forward(state, image)
    assert features.shape == (1, LAYOUTS[depth].features)
    torch.testing.assert_close(features, reference, rtol=1e-10, atol=1e-10 * float(reference.abs().max()))


def test_an_unknown_depth_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="18, 34, 50, 101, 152"):
        ResNet(20)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {name: value.float() if value.is_floating_point() else value for name, value in random_state(18).items()}


@pytest.fixture(scope="module")
def file(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(state, path)
    return path


class TestImageNetWeights:
    def test_weights_load_strictly(self, file: Path, state: dict[str, Tensor]) -> None:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        weights = read_imagenet_weights(file, 18, sha256=digest[:12].upper())
        network = ResNet(18)
        load_imagenet(network, weights)
        assert weights.sha256 == digest
        assert not {"fc.weight", "fc.bias"} & set(weights.state)
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())

    def test_old_files_without_counters_load(self, state: dict[str, Tensor], tmp_path: Path) -> None:
        file = tmp_path / "old.pth"
        torch.save({name: value for name, value in state.items() if not name.endswith("tracked")}, file)
        weights = read_imagenet_weights(file, 18, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        load_imagenet(ResNet(18), weights)

    def test_another_file_is_refused_by_its_digest(self, file: Path) -> None:
        with pytest.raises(StorageError, match=f"begins with {PUBLISHED_SHA256[18][0]}"):
            read_imagenet_weights(file, 18)

    def test_too_few_digits_are_refused(self, file: Path) -> None:
        with pytest.raises(ConfigurationError, match="8 to 64"):
            read_imagenet_weights(file, 18, sha256="f370")

    def test_another_depth_is_refused(self, file: Path) -> None:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        with pytest.raises(StorageError, match="no ResNet-34"):
            read_imagenet_weights(file, 34, sha256=digest)

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="initialised at random"):
            read_imagenet_weights(tmp_path / "none.pth", 18)

    def test_pickled_code_is_not_executed(self, tmp_path: Path) -> None:
        witness = tmp_path / "executed"

        class Hostile:
            def __reduce__(self) -> tuple[object, ...]:
                return (Path.touch, (witness,))

        file = tmp_path / "hostile.pth"
        torch.save({"conv1.weight": Hostile()}, file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        with pytest.raises(StorageError, match="cannot be read as tensors"):
            read_imagenet_weights(file, 18, sha256=digest)
        assert not witness.exists()

    @pytest.mark.parametrize("content", [b"", b"no tensors", pickle.dumps([1, 2], 2), pickle.dumps({"a": 1}, 2)])
    def test_what_is_no_state_dict_is_refused(self, content: bytes, tmp_path: Path) -> None:
        file = tmp_path / "weights.pth"
        file.write_bytes(content)
        with pytest.raises(StorageError):
            read_imagenet_weights(file, 18, sha256=hashlib.sha256(content).hexdigest())
