from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.networks.squeezenet import SqueezeNet, load_imagenet
from node.store.errors import ConfigurationError


def published(network: SqueezeNet) -> dict[str, torch.Tensor]:
    """The network's weights under the published names, with the layer of ImageNet's classes."""
    named = {name.replace(".conv", "/conv"): tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    return {**named, "conv_final.weight": torch.zeros(1000, 512, 1, 1), "conv_final.bias": torch.zeros(1000)}


def test_levels_are_an_eighth_of_the_film_and_the_last_a_sixteenth() -> None:
    network, films = SqueezeNet().eval(), torch.rand(2, 1, 96, 64)
    levels = network.levels(films)
    assert [tuple(level.shape) for level in levels] == [
        (2, 256, 12, 8),
        (2, 384, 12, 8),
        (2, 384, 12, 8),
        (2, 512, 12, 8),
        (2, 512, 6, 4),
    ]
    assert torch.equal(network(films), levels[-1])


def test_published_weights_fit_by_name(tmp_path: Path) -> None:
    source, target = SqueezeNet(), SqueezeNet()
    assert not torch.equal(source.conv1.weight, target.conv1.weight)
    save_file(published(source), str(tmp_path / "imagenet.safetensors"))
    load_imagenet(target, tmp_path / "imagenet.safetensors")
    assert torch.equal(target.conv1.weight, source.conv1.weight.half().float())
    assert torch.equal(
        target.get_parameter("fire9.conv3x3_2.weight"), source.get_parameter("fire9.conv3x3_2.weight").half().float()
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(ConfigurationError, match=r"other\.safetensors does not hold the weights of SqueezeNet"):
        load_imagenet(SqueezeNet(), tmp_path / "other.safetensors")
