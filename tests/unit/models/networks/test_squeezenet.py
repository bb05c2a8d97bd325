from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.networks.squeezenet import FilmClassifier, SqueezeNet, load_imagenet
from node.store.errors import ConfigurationError


def published(network: SqueezeNet) -> dict[str, torch.Tensor]:
    """The network's weights under the published names, with the layer of ImageNet's classes."""
    named = {name.replace(".conv", "/conv"): tensor.half() for name, tensor in network.state_dict().items()}
    return {**named, "conv_final.weight": torch.zeros(1000, 512, 1, 1), "conv_final.bias": torch.zeros(1000)}


def test_features_are_a_sixteenth_of_the_film() -> None:
    assert SqueezeNet().eval()(torch.rand(2, 1, 96, 64)).shape == (2, 512, 6, 4)


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


def test_a_fresh_classifier_leans_to_neither_side() -> None:
    network = FilmClassifier(2).eval()
    pooled = network.pool(torch.rand(3, 1, 64, 64))
    assert pooled.shape == (3, 1024)
    assert torch.equal(network.rate(pooled, torch.tensor([0, 1, 1])), torch.zeros(3))


def test_each_view_is_rated_by_its_own_head() -> None:
    network = FilmClassifier(2).eval()
    with torch.no_grad():
        network.bias[1] = 2.0
        network.weight[0, 0] = 1.0
        network.spread[0, 0] = 4.0
    pooled = torch.zeros(5, 2, 1024)
    pooled[:, :, 0] = 8.0
    assert torch.equal(network.rate(pooled, torch.tensor([0, 1])), torch.tensor([2.0, 2.0]).expand(5, -1))
