import pytest
import torch

from models.networks.lesion_net import LesionNet


def test_shapes_and_that_colours_are_told_apart() -> None:
    torch.manual_seed(0)
    network = LesionNet(7).eval()
    colours = torch.rand(2, 3, 96, 96)
    assert network(colours).shape == (2, 7)
    assert network.see(colours).shape == (2, 512, 6, 6)
    assert not torch.allclose(network(colours), network(colours.flip(1)))


def test_what_lies_far_off_or_across_is_strange() -> None:
    torch.manual_seed(0)
    network = LesionNet(3)
    flat = torch.randn(200, 4) @ torch.randn(4, 1024)
    known = flat - flat.mean(0) + 0.01 * torch.randn(200, 1024)
    network.learn_usual(known)
    usual = network.strangeness(known)
    assert float(usual.mean()) == pytest.approx(1, abs=0.5)
    assert float(network.strangeness(known[:1] * 10)) > float(usual.max())
    assert float(network.strangeness(known[:1] + torch.randn(1, 1024))) > float(usual.max())
