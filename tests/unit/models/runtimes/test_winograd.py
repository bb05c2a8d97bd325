"""Fewer products give what a plain convolution gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.runtimes.winograd import convolve_in_place


@pytest.mark.parametrize("dilation", [1, 2, 3, 16])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, 11, 37])
def test_is_a_plain_convolution(depth: int, dilation: int) -> None:
    torch.manual_seed(depth)
    volume = torch.randn(depth, 9, 13, 5)
    weight, bias = torch.randn(5, 5, 3, 3, 3) / 135**0.5, torch.randn(5)
    plain = functional.conv3d(volume.double().permute(3, 0, 1, 2)[None], weight.double(), bias.double(), 1, dilation, dilation)
    wanted = functional.elu(plain)[0].permute(1, 2, 3, 0).float()

    convolve_in_place(volume, weight, bias, dilation, nn.ELU(inplace=True))

    assert torch.allclose(volume, wanted, atol=5e-5)


def test_an_activation_need_not_work_in_place() -> None:
    volume = torch.randn(6, 4, 4, 2)
    weight, bias = torch.zeros(2, 2, 3, 3, 3), torch.tensor([-1.0, 3.0])

    convolve_in_place(volume, weight, bias, 2, nn.ReLU())

    assert torch.allclose(volume, torch.tensor([0.0, 3.0]).expand(6, 4, 4, 2))
