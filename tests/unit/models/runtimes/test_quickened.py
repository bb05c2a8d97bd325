"""Quickened networks answer as they did."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from models.networks.unet import UNet
from models.networks.unet3d import UNet3d
from models.runtimes.quickened import ByOneDnn, quickened


def unet(channels_in: int = 1, width: int = 4) -> UNet3d:
    """Normalisations as after a training: nothing is 0 or 1."""
    torch.manual_seed(2)
    network = UNet3d(channels_in, 3, width)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return network.eval()


def answers(network: nn.Module, part: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        before: Tensor = network(part)
        after: Tensor = quickened(network)(part)
    return before, after


@pytest.mark.parametrize(("channels_in", "width", "shape"), [(1, 4, (16, 24, 8)), (2, 5, (8, 8, 8)), (3, 8, (16, 16, 40))])
def test_a_unet_keeps_its_answers(channels_in: int, width: int, shape: tuple[int, int, int]) -> None:
    part = torch.randn(2, channels_in, *shape)

    before, after = answers(unet(channels_in, width), part)

    assert float(before.std()) > 0.1, "answers that say something"
    assert torch.allclose(after, before, atol=1e-4)


def test_nothing_is_normalised_risen_or_convolved_as_before() -> None:
    quick = quickened(unet())

    assert not any(isinstance(module, nn.BatchNorm3d) for module in quick.modules())
    risers = [module for module in quick.modules() if isinstance(module, nn.ConvTranspose3d)]
    assert [one.kernel_size for one in risers] == [(4, 4, 4)] * 3
    by_onednn = [module.convolution for module in quick.modules() if isinstance(module, ByOneDnn)]
    assert len(by_onednn) == sum(isinstance(module, nn.Conv3d) for module in quick.modules()) == 8 + 6 + 1


def test_another_network_with_branches_keeps_its_answers() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Conv3d(2, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm3d(6), nn.ReLU())
            self.other = nn.Conv3d(2, 6, (1, 3, 3), stride=2, padding="valid")
            self.mixing = nn.Conv3d(6, 6, 3, padding=4, dilation=4, groups=3)
            self.mirrored = nn.Conv3d(6, 2, 3, padding=1, padding_mode="reflect")

        def forward(self, part: Tensor) -> Tensor:
            mixed: Tensor = self.mixing(self.one(part) + nn.functional.pad(self.other(part), (0, 1, 0, 1)))
            mirrored: Tensor = self.mirrored(mixed)
            return mirrored

    torch.manual_seed(4)
    before, after = answers(Branches().eval(), torch.randn(1, 2, 16, 16, 16))

    assert torch.allclose(after, before, atol=1e-5)


def test_other_than_single_floats_are_computed_by_torch() -> None:
    network = unet().double()
    part = torch.randn(1, 1, 8, 8, 8, dtype=torch.float64)

    before, after = answers(network, part)

    assert torch.allclose(after, before, atol=1e-12)


def test_channels_stay_last_from_the_first_convolution_on() -> None:
    quick = quickened(unet())
    seen: list[Tensor] = []
    for module in quick.modules():
        if isinstance(module, ByOneDnn):
            module.register_forward_hook(lambda _module, _inputs, answer: seen.append(answer))

    with torch.inference_mode():
        quick(torch.rand(1, 1, 16, 16, 16).contiguous(memory_format=torch.channels_last_3d))

    assert len(seen) == 15
    assert all(answer.is_contiguous(memory_format=torch.channels_last_3d) for answer in seen)


def test_a_network_in_training_keeps_its_normalisations() -> None:
    network = unet().train()

    kept = quickened(deepcopy(network))

    assert sum(isinstance(module, nn.BatchNorm3d) for module in kept.modules()) > 0


def test_a_network_of_pictures_stays_as_it_is() -> None:
    torch.manual_seed(5)
    network = UNet(2, (4, 4, 8, 8, 8)).eval()

    before, after = answers(network, torch.randn(1, 1, 32, 32))

    assert torch.equal(after, before)
