"""GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842) with batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167)."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

_INCEPTIONS: Final = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Table 1 of the paper: channels in, 1 x 1, reduced and 3 x 3, reduced and 5 x 5, pooled and projected."""
_POOLED_BEFORE: Final = {"inception4a": 3, "inception5a": 2}
"""Sides of the poolings between the blocks."""


class _Unit(nn.Module):
    def __init__(self, channels_in: int, channels: int, side: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, side, stride=stride, padding=side // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, features: Tensor) -> Tensor:
        normalised: Tensor = self.bn(self.conv(features))
        return normalised.relu()


class Inception(nn.Module):
    """Four ways side by side: 1 x 1, 3 x 3, "5 x 5" and pooling, their outputs stacked."""

    def __init__(self, channels_in: int, *channels: int) -> None:
        super().__init__()
        one, reduced3, three, reduced5, five, pooled = channels
        self.branch1 = _Unit(channels_in, one, 1)
        self.branch2 = nn.Sequential(_Unit(channels_in, reduced3, 1), _Unit(reduced3, three, 3))
        self.branch3 = nn.Sequential(_Unit(channels_in, reduced5, 1), _Unit(reduced5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), _Unit(channels_in, pooled, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Stack the four ways' channels."""
        return torch.cat([self.branch1(features), self.branch2(features), self.branch3(features), self.branch4(features)], 1)


class GoogLeNet(nn.Module):
    """Nine inception blocks and one dense layer, named as the published ImageNet weights of torchvision are.

    As in those weights the third way's kernel is 3 x 3 where the paper has 5 x 5, each convolution is followed by a batch
    normalisation, and the two auxiliary classifiers of training are left out: 6,624,904 parameters for ImageNet. The paper's
    own form has 6,998,552.

    Parameters
    ----------
    channels_in
        Of the image.
    outputs
        Number of logits.
    """

    def __init__(self, channels_in: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _Unit(channels_in, 64, 7, stride=2)
        self.conv2 = _Unit(64, 64, 1)
        self.conv3 = _Unit(64, 192, 3)
        for name, channels in _INCEPTIONS.items():
            self.add_module(name, Inception(*channels))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(1024, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels_in, row, column)``, 32 pixels a side or more, to logits ``(n, outputs)``."""
        pool = nn.functional.max_pool2d
        features = pool(self.conv1(images), 3, stride=2, ceil_mode=True)
        features = pool(self.conv3(self.conv2(features)), 3, stride=2, ceil_mode=True)
        for name in _INCEPTIONS:
            if name in _POOLED_BEFORE:
                features = pool(features, _POOLED_BEFORE[name], stride=2, ceil_mode=True)
            features = self.get_submodule(name)(features)
        logits: Tensor = self.fc(self.dropout(features.mean((2, 3))))
        return logits
