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


def test_stem_and_body_make_the_whole_network() -> None:
    network = SqueezeNet().eval()
    grey = torch.rand(2, 1, 96, 64)
    with torch.no_grad():
        stem = network.stem(grey)
        assert stem.shape == (2, 256, 12, 8)
        assert torch.equal(network.body(stem), network(grey))


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
    assert torch.equal(FilmClassifier(2).eval()(torch.rand(3, 1, 64, 64), torch.tensor([0, 1, 1])), torch.zeros(3))


def test_each_view_is_rated_by_its_own_head() -> None:
    network = FilmClassifier(2).eval()
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        network.bias[1] = 2.0
        assert network(grey.expand(2, -1, -1, -1), torch.tensor([0, 1])).tolist() == [0.0, 2.0]
