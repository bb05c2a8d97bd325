"""SqueezeNet 1.0 (Iandola et al. 2016, arXiv:1602.07360) with the names of the published ImageNet weights, and heads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from models.networks.checkpoint import read_published
from node.store.errors import ConfigurationError

_FIRES: Final = (
    ("fire2", 96, 16, 64),
    ("fire3", 128, 16, 64),
    ("fire4", 128, 32, 128),
    ("fire5", 256, 32, 128),
    ("fire6", 256, 48, 192),
    ("fire7", 384, 48, 192),
    ("fire8", 384, 64, 256),
    ("fire9", 512, 64, 256),
)
FEATURES: Final = 512
"""Channels of the last fire module."""

_POOLED_BEFORE: Final = ("fire5", "fire9")
LEVELS: Final = {name: 2 * expand for name, _, _, expand in _FIRES if name >= "fire5"}
"""Channels of the fire modules whose features `SqueezeNet.levels` gives."""

IMAGENET_MEAN: Final = (104.0, 117.0, 123.0)
"""Blue, green and red of ImageNet, of 0 to 255: what the published weights expect to be subtracted."""


def _halve(features: Tensor) -> Tensor:
    return max_pool2d(features, 3, stride=2, ceil_mode=True)


class Fire(nn.Module):
    """A squeeze to few channels, then an expansion by 1 x 1 and 3 x 3 kernels side by side."""

    def __init__(self, channels_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(channels_in, squeeze, 1)
        self.conv1x1_2 = nn.Conv2d(squeeze, expand, 1)
        self.conv3x3_2 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = self.conv1x1_1(features).relu()
        return torch.cat([self.conv1x1_2(squeezed), self.conv3x3_2(squeezed)], 1).relu()


class SqueezeNet(nn.Module):
    """Features of colour images; for grey ones the three channels are the same."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2, padding=3)
        for name, channels_in, squeeze, expand in _FIRES:
            self.add_module(name, Fire(channels_in, squeeze, expand))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        # Channels last in memory: the same answer in 0.4 of the time on a processor.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, grey: Tensor) -> Tensor:
        """``(n, 1, row, column)`` of 0 to 1 to ``(n, 512, row / 16, column / 16)``."""
        return self.levels(grey)[-1]

    def levels(self, grey: Tensor) -> list[Tensor]:
        """As `forward`, of each of `LEVELS`: all but the last have twice its rows and columns."""
        pixels = (grey.expand(-1, 3, -1, -1) * 255 - self.mean).contiguous(memory_format=torch.channels_last)
        features, levels = _halve(self.conv1(pixels).relu()), []
        for name, *_ in _FIRES:
            features = self.get_submodule(name)(_halve(features) if name in _POOLED_BEFORE else features)
            if name in LEVELS:
                levels.append(features)
        return levels


def load_imagenet(network: SqueezeNet, path: Path) -> None:
    """Put the published ImageNet weights, a checkpoint or safetensors, into `network`; the classes of ImageNet are left behind.

    Raises
    ------
    ConfigurationError
        Where the file holds another network.
    """
    published = read_published(path).items()
    tensors = {name.replace("/", "."): tensor for name, tensor in published if not name.startswith("conv_final")}
    try:
        network.load_state_dict(tensors)
    except RuntimeError as unfit:
        raise ConfigurationError(f"{path.name} does not hold the weights of SqueezeNet 1.0: {unfit}") from unfit


class SqueezeNetClassifier(nn.Module):
    """SqueezeNet 1.0 with the head of its paper: 1,248,424 parameters for ImageNet.

    Parameters
    ----------
    channels_in
        1 or 3; a grey image is shown as three equal channels.
    outputs
        Number of logits.
    """

    def __init__(self, channels_in: int, outputs: int) -> None:
        super().__init__()
        if channels_in not in {1, 3}:
            raise ValueError(f"pictures of 1 or 3 channels are read, not of {channels_in}")
        self.features = SqueezeNet()
        self.dropout = nn.Dropout(0.5)
        self.conv_final = nn.Conv2d(FEATURES, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``(n, channels_in, row, column)``, 0 to 1, red first, to logits ``(n, outputs)``."""
        features = self.features(images.flip(1))  # the published weights want blue first
        logits: Tensor = self.conv_final(self.dropout(features)).mean((2, 3))
        return logits
