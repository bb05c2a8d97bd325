from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.networks.squeezenet import DESCRIBED, FilmClassifier, SqueezeNet, load_imagenet, pooled
from node.store.errors import ConfigurationError


def published(network: SqueezeNet) -> dict[str, torch.Tensor]:
    """The network's weights under the published names, with the layer of ImageNet's classes."""
    named = {name.replace(".conv", "/conv"): tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    return {**named, "conv_final.weight": torch.zeros(1000, 512, 1, 1), "conv_final.bias": torch.zeros(1000)}


def test_levels_are_an_eighth_of_the_film_and_the_last_a_sixteenth() -> None:
    levels = SqueezeNet().eval()(torch.rand(2, 1, 96, 64))
    assert [tuple(level.shape) for level in levels] == [
        (2, 256, 12, 8),
        (2, 384, 12, 8),
        (2, 384, 12, 8),
        (2, 512, 12, 8),
        (2, 512, 6, 4),
    ]


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
    described = network.describe(torch.rand(3, 1, 64, 64))
    assert described.shape == (3, DESCRIBED)
    assert torch.equal(network.rate(described, torch.tensor([0, 1, 1])), torch.zeros(3))


def test_each_view_is_rated_by_its_own_head() -> None:
    network = FilmClassifier(2).eval()
    with torch.no_grad():
        network.bias[1] = 2.0
        network.weight[0, 0] = 1.0
        network.spread[0, 0] = 4.0
    described = torch.zeros(5, 2, DESCRIBED)
    described[:, :, 0] = 8.0
    assert torch.equal(network.rate(described, torch.tensor([0, 1])), torch.tensor([2.0, 2.0]).expand(5, -1))


def test_contributions_and_bias_add_up_to_the_logit() -> None:
    torch.manual_seed(0)
    network = FilmClassifier(2).eval()
    with torch.no_grad():
        for tensor in (network.weight, network.mean, network.bias):
            tensor.normal_()
        network.spread.uniform_(0.5, 1.5)
        levels = network.features(torch.rand(3, 1, 96, 64))
        maps = network.contributions(levels, 1)
        logits = network.rate(pooled(levels), torch.ones(3, dtype=torch.long))
    assert [one.shape for one in maps] == [(3, *level.shape[2:]) for level in levels]
    assert torch.allclose(sum(one.sum((1, 2)) for one in maps) + network.bias[1], logits, atol=1e-3)


def test_the_largest_of_a_feature_counts_where_it_is() -> None:
    network = FilmClassifier(1).eval()
    first_largest = 256  # the means of the first level come before its largest
    with torch.no_grad():
        network.weight[0, first_largest] = 1.0
    levels = [torch.zeros(1, channels, 4, 4) for channels in (256, 384, 384, 512, 512)]
    levels[0][0, 0, 2, 3] = 5.0
    first, *others = network.contributions(levels, 0)
    assert first[0, 2, 3] == 5
    assert first.sum() == 5
    assert not any(other.any() for other in others)
