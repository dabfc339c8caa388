"""Networks: the paper's layers, symmetry of the compact one, gradients against finite differences, scaling."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from glideflow.config.network import NetworkSettings
from glideflow.transfer.network import (
    InputScaling,
    TransferNetwork,
    fit_scaling,
    network_from,
    new_network,
    outputs_of,
    state_of,
)
from glideflow.transfer.resnet import ImageNetWeights, expected_shapes

COMPACT = NetworkSettings(architecture="compact", channels=(4, 6), latent=8, hidden=8)


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 31, 31, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def features(count: int) -> Tensor:
    return torch.randn(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


class TestPaper:
    def test_layers_have_the_published_sizes(self) -> None:
        with torch.device("meta"):
            network = TransferNetwork(NetworkSettings())
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        resnet = {f"image.resnet.{name}": shape for name, shape in expected_shapes(18, classes=0).items()}
        assert shapes == resnet | {
            "projection.weight": (32, 512),
            "projection.bias": (32,),
            "elastic.weight": (32, 6),
            "elastic.bias": (32,),
            "head.0.weight": (32, 64),
            "head.0.bias": (32,),
            "head.2.weight": (1, 32),
            "head.2.bias": (1,),
        }

    def test_deeper_networks_project_2048_features(self) -> None:
        with torch.device("meta"):
            network = TransferNetwork(NetworkSettings(depth=50))
        assert network.projection.weight.shape == (32, 2048)

    def test_one_channel_repeated_is_the_sum_of_the_kernels(self) -> None:
        network = new_network(NetworkSettings(), seed=1).double().eval()
        resnet = network.image.resnet  # type: ignore[union-attr]
        image = images(1).unsqueeze(1)
        grey = torch.nn.functional.conv2d(image, resnet.conv1.weight.sum(dim=1, keepdim=True), stride=2, padding=3)
        torch.testing.assert_close(resnet.conv1(image.expand(-1, 3, -1, -1)), grey, rtol=1e-12, atol=1e-12)

    def test_imagenet_weights_are_what_it_starts_from(self) -> None:
        other = new_network(NetworkSettings(), seed=2).image.resnet.state_dict()  # type: ignore[union-attr]
        weights = ImageNetWeights(18, "0" * 64, other)
        network = new_network(NetworkSettings(), seed=3, weights=weights)
        loaded = network.image.resnet.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(loaded[name], other[name]) for name in other)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (state_of(new_network(COMPACT, seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["head.0.weight"], other["head.0.weight"])


def test_compact_features_do_not_change_under_translation_of_the_surface() -> None:
    network = new_network(COMPACT, seed=1).double().eval()
    gamma = images(3)
    moved = torch.roll(gamma, (5, -11), dims=(1, 2))
    with torch.no_grad():
        torch.testing.assert_close(network(moved, features(3)), network(gamma, features(3)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("settings", [COMPACT, NetworkSettings()])
def test_gradients_are_those_of_finite_differences(settings: NetworkSettings) -> None:
    network = new_network(settings, seed=4).double().eval()
    gamma, elastic = images(1).requires_grad_(), features(1).requires_grad_()
    network(gamma, elastic).sum().backward()
    along = (images(1, seed=8), torch.randn(1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(9)))
    assert gamma.grad is not None
    assert elastic.grad is not None
    slope = float((gamma.grad * along[0]).sum() + (elastic.grad * along[1]).sum())
    step = 1e-6
    with torch.no_grad():
        ends = [float(network(gamma + sign * step * along[0], elastic + sign * step * along[1])) for sign in (1, -1)]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)
    assert abs(slope) > 1e-4


def test_weights_survive_the_way_through_arrays() -> None:
    network = new_network(COMPACT, seed=4).eval()
    again = network_from(COMPACT, state_of(network))
    gamma, elastic = images(5).float().numpy(), features(5).float().numpy()
    assert np.array_equal(outputs_of(again, gamma, elastic), outputs_of(network, gamma, elastic))


def test_batches_of_any_size_give_the_same() -> None:
    network = new_network(COMPACT, seed=4).double().eval()
    gamma, elastic = images(5).numpy(), features(5).numpy()
    at_once = outputs_of(network, gamma, elastic)
    assert np.allclose(outputs_of(network, gamma, elastic, batch_size=2), at_once, rtol=1e-12)
    sizes = [len(part) for part in np.array_split(np.arange(5), 3)]
    assert all(before >= after for before, after in pairwise(sizes))


class TestScaling:
    @pytest.fixture
    def scaling(self) -> InputScaling:
        generator = np.random.default_rng(0)
        gamma, elastic = generator.uniform(0, 500, (9, 5, 5)), generator.uniform(50, 200, (9, 6))
        elastic[:, 2] = 0.0  # vanishes by symmetry in some slip systems
        self.gamma, self.elastic, self.target = gamma, elastic, generator.normal(1, 0.5, 9)
        return fit_scaling(self.gamma, self.elastic, self.target)

    def test_inputs_have_mean_0_and_variance_1(self, scaling: InputScaling) -> None:
        scaled = scaling.elastic(self.elastic)
        varying = [0, 1, 3, 4, 5]
        assert scaled.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-6)
        assert scaled[:, varying].std(axis=0) == pytest.approx(np.ones(5), abs=1e-6)
        assert scaling.gamma(self.gamma).std() == pytest.approx(1.0, abs=1e-6)

    def test_a_feature_that_never_varies_stays_finite(self, scaling: InputScaling) -> None:
        assert scaling.elastic_scale_gpa[2] == 1.0
        assert np.isfinite(scaling.elastic(self.elastic)).all()

    def test_targets_come_back(self, scaling: InputScaling) -> None:
        assert scaling.log10_mpa(scaling.target(self.target)) == pytest.approx(self.target, abs=1e-6)
