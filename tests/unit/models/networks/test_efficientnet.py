from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import batch_norm, conv2d

from models.networks.efficientnet import FEATURES, EfficientNetLite, ScaledConvolution, load_imagenet
from node.store.errors import ConfigurationError

PARTS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}


def published(network: EfficientNetLite) -> dict[str, torch.Tensor]:
    """Weights of the network's shapes, drawn at random, under the published names; with a layer that is left behind."""
    torch.manual_seed(1)
    named: dict[str, torch.Tensor] = {"_fc.bias": torch.zeros(1000)}
    layers = [(network.stem, "_conv_stem", "_bn0")]
    for number, block in enumerate(network.blocks):
        for part, (convolution, normalisation) in PARTS.items():
            layer = getattr(block, part)
            if layer is not None:
                layers.append((layer, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{normalisation}"))
    for layer, convolution, normalisation in layers:
        count = layer.scale.numel()
        named[f"{convolution}.weight"] = torch.randn(layer.weight.shape)
        named[f"{normalisation}.weight"], named[f"{normalisation}.running_var"] = torch.rand(count) + 0.5, torch.rand(count) + 0.5
        named[f"{normalisation}.bias"], named[f"{normalisation}.running_mean"] = torch.randn(count), torch.randn(count)
    return named


def test_the_published_network_less_what_is_left_out() -> None:
    """4,652,008 parameters as published; less the seventh stage, the layer of 1280 channels and the classes of ImageNet."""
    seventh = 192 * 1152 + 2 * 1152 + 1152 * 9 + 2 * 1152 + 1152 * 320 + 2 * 320
    behind = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    network = EfficientNetLite()
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008 - seventh - behind
    assert network.eval()(torch.rand(2, 3, 96, 70)).shape == (2, FEATURES, 3, 3)


def test_convolution_and_normalisation_are_the_published_two(tmp_path: Path) -> None:
    network = EfficientNetLite()
    tensors = published(network)
    save_file(tensors, str(tmp_path / "imagenet.safetensors"))
    torch.save(tensors, tmp_path / "imagenet.pth")
    images = torch.randn(1, 3, 8, 8)
    filled = torch.nn.functional.pad(images, (0, 1, 0, 1))
    wanted = batch_norm(
        conv2d(filled, tensors["_conv_stem.weight"], stride=2),
        tensors["_bn0.running_mean"],
        tensors["_bn0.running_var"],
        tensors["_bn0.weight"],
        tensors["_bn0.bias"],
        eps=1e-3,
    )
    for name in ("imagenet.safetensors", "imagenet.pth"):
        other = EfficientNetLite()
        load_imagenet(other, tmp_path / name)
        torch.testing.assert_close(other.stem(images), wanted, rtol=1e-4, atol=1e-4)
        assert torch.equal(other.get_parameter("blocks.14.project.weight"), tensors["_blocks.14._project_conv.weight"])


@pytest.mark.parametrize(("side", "filled"), [(8, (0, 1)), (7, (1, 1))])
def test_borders_with_a_stride_are_filled_on_the_far_side_first(side: int, filled: tuple[int, int]) -> None:
    layer = ScaledConvolution(2, 4, 3, 2)
    images = torch.randn(1, 2, side, side)
    wanted = conv2d(torch.nn.functional.pad(images, (*filled, *filled)), layer.weight, stride=2)
    torch.testing.assert_close(layer(images), wanted)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(ConfigurationError, match=r"other\.safetensors does not hold the weights of EfficientNet-Lite0"):
        load_imagenet(EfficientNetLite(), tmp_path / "other.safetensors")
