import pytest
import torch

from models.networks.film_classifier import EFFICIENTNET, FAMILIES, SQUEEZENET, FilmClassifier

DESCRIBED = FAMILIES[SQUEEZENET].described


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_fresh_classifier_leans_to_neither_side(family: str) -> None:
    network = FilmClassifier(2, family).eval()
    described = network.describe(torch.rand(3, 1, 64, 64))
    assert described.shape == (3, FAMILIES[family].described)
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


def test_what_is_strange_lies_far_from_what_was_learned() -> None:
    network = FilmClassifier(1).eval()
    with torch.no_grad():
        network.mean.fill_(2.0)
        network.spread.fill_(0.5)
    described = torch.full((2, DESCRIBED), 2.5)
    described[1] = -3.0
    assert network.strangeness(described, 0).tolist() == [1.0, 10.0]


def test_descriptions_are_dropped_in_part_while_the_larger_family_learns_and_never_after() -> None:
    network = FilmClassifier(1, EFFICIENTNET)
    network.weight.data.fill_(1.0)
    described = torch.ones(1, 1, FAMILIES[EFFICIENTNET].described)
    kept = [network.eval().rate(described, torch.tensor([0])).item() for _ in range(3)]
    torch.manual_seed(0)
    learning = [network.train().rate(described, torch.tensor([0])).item() for _ in range(3)]
    assert kept == [FAMILIES[EFFICIENTNET].described] * 3
    assert len(set(learning)) == 3
