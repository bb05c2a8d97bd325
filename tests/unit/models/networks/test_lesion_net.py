import pytest
import torch
from torch.nn.functional import cross_entropy

from models.networks.lesion_net import FAMILIES, LesionNet

SEEN = {"squeezenet": (512, 6, 6), "efficientnet-lite0": (192, 3, 3)}


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_that_colours_are_told_apart(family: str) -> None:
    torch.manual_seed(0)
    network = LesionNet(7, family).eval()
    colours = torch.rand(2, 3, 96, 96)
    assert network(colours).shape == (2, 7)
    assert network.see(colours).shape == (2, *SEEN[family])
    assert network.pool(network.see(colours)).shape == (2, network.head.in_features)
    assert not torch.allclose(network(colours), network(colours.flip(1)))


@pytest.mark.parametrize("family", FAMILIES)
def test_one_batch_can_be_learned_by_heart(family: str) -> None:
    torch.manual_seed(0)
    network = LesionNet(4, family)
    colours = 0.7 * torch.rand(8, 3, 1, 1) + 0.3 * torch.rand(8, 3, 48, 48)
    kinds = torch.arange(8) % 4
    with torch.no_grad():
        pooled = network.pool(network.see(colours))
        network.mean.copy_(pooled.mean(0))
        network.spread.copy_(pooled.std(0).clamp(min=1e-2))
    optimiser = torch.optim.Adam(network.parameters(), 3e-4)
    for _ in range(80):
        optimiser.zero_grad()
        cross_entropy(network(colours), kinds).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    network.eval()
    with torch.inference_mode():
        assert float(cross_entropy(network(colours), kinds)) < 0.1


def test_what_lies_far_off_or_across_is_strange() -> None:
    torch.manual_seed(0)
    network = LesionNet(3, "squeezenet")
    flat = torch.randn(200, 4) @ torch.randn(4, 1024)
    known = flat - flat.mean(0) + 0.01 * torch.randn(200, 1024)
    network.learn_usual(known)
    usual = network.strangeness(known)
    assert float(usual.mean()) == pytest.approx(1, abs=0.5)
    assert float(network.strangeness(known[:1] * 10)) > float(usual.max())
    assert float(network.strangeness(known[:1] + torch.randn(1, 1024))) > float(usual.max())
