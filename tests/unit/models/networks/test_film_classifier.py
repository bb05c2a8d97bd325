import torch

from models.networks.film_classifier import DESCRIBED, FilmClassifier, pooled


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
        levels = network.features.levels(torch.rand(3, 1, 96, 64))
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
