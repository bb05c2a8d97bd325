"""SqueezeNet 1.0 (Iandola et al. 2016, arXiv:1602.07360) with the names of the published ImageNet weights, and heads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from models.networks.weights import read_weights
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
_POOLED_BEFORE: Final = ("fire5", "fire9")
LEVELS: Final = ("fire5", "fire6", "fire7", "fire8", "fire9")
"""Fire modules whose features are read; early ones see texture, late ones shapes, and together they part films best."""

DESCRIBED: Final = 2 * sum(2 * expand for name, _, _, expand in _FIRES if name in LEVELS)
"""Length of a description: mean and largest of each feature of each level."""

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

    def forward(self, grey: Tensor) -> list[Tensor]:
        """``(n, 1, row, column)`` of 0 to 1 to the features of each of `LEVELS`, the last ``(n, 512, row / 16, column / 16)``."""
        colour = (grey.expand(-1, 3, -1, -1) * 255 - self.mean).contiguous(memory_format=torch.channels_last)
        features, levels = _halve(self.conv1(colour).relu()), []
        for name, *_ in _FIRES:
            features = self.get_submodule(name)(_halve(features) if name in _POOLED_BEFORE else features)
            if name in LEVELS:
                levels.append(features)
        return levels


def load_imagenet(network: SqueezeNet, path: Path) -> None:
    """Put the published ImageNet weights into `network`; the classes of ImageNet are left behind.

    Raises
    ------
    ConfigurationError
        Where the file holds another network.
    """
    tensors = {name.replace("/", "."): tensor for name, tensor in read_weights(path).items() if not name.startswith("conv_final")}
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


class FilmClassifier(nn.Module):
    """SqueezeNet, and for each way of showing a film a linear head over the mean and the largest of each feature.

    Parameters
    ----------
    views
        Number of ways of showing a film.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, views: int) -> None:
        super().__init__()
        self.features = SqueezeNet()
        self.register_buffer("mean", torch.zeros(views, DESCRIBED))
        self.register_buffer("spread", torch.ones(views, DESCRIBED))
        self.weight = nn.Parameter(torch.zeros(views, DESCRIBED))
        self.bias = nn.Parameter(torch.zeros(views))

    def describe(self, grey: Tensor) -> Tensor:
        """``(n, DESCRIBED)`` of ``(n, 1, row, column)`` films of 0 to 1."""
        return pooled(self.features(grey))

    def rate(self, described: Tensor, views: Tensor) -> Tensor:
        """``(…, view)`` logits of ``(…, view, DESCRIBED)`` descriptions, each by the head that `views` names."""
        scaled = (described - self.mean[views]) / self.spread[views]
        logits: Tensor = (scaled * self.weight[views]).sum(-1) + self.bias[views]
        return logits

    def strangeness(self, described: Tensor, view: int) -> Tensor:
        """``(n,)``: how far ``(n, DESCRIBED)`` descriptions lie from those of the films learned from: mean, in their spreads.

        About 0.8 for a film like those; it knows nothing of the finding.
        """
        return ((described - self.mean[view]) / self.spread[view]).abs().mean(1)

    def contributions(self, levels: list[Tensor], view: int) -> list[Tensor]:
        """What each place adds to the logit of one view: with the head's bias they add up to it.

        A place that is as such places are on average over the films that were learned from adds nothing, whatever it shows. This
        is a class activation map (Zhou 2016) of all levels, with the largest of a feature counted where it is.

        Parameters
        ----------
        levels
            What `features` gave, each ``(n, channel, row, column)``.

        Returns
        -------
        list of Tensor
            By level, ``(n, row, column)``.
        """
        scale = self.weight[view] / self.spread[view]
        maps, start = [], 0
        for level in levels:
            channels, places = level.shape[1], level.shape[2] * level.shape[3]
            mean, largest = slice(start, start + channels), slice(start + channels, start + 2 * channels)
            start += 2 * channels
            flat = level.flatten(2)
            added = (flat - self.mean[view, mean, None]) * scale[mean, None] / places
            most, where = flat.max(2, keepdim=True)
            peaks = (most - self.mean[view, largest, None]) * scale[largest, None]
            added = added.scatter_add(2, where, peaks)
            maps.append(added.sum(1).view(-1, level.shape[2], level.shape[3]))
        return maps


def pooled(levels: list[Tensor]) -> Tensor:
    """``(n, DESCRIBED)``: mean and largest of each feature, level by level."""
    return torch.cat([part for level in levels for part in (level.mean((2, 3)), level.amax((2, 3)))], 1)


class Ensemble(nn.Module):
    """Several classifiers of one kind, each of which learned from other films: their mean answers, their spread says how sure.

    Parameters
    ----------
    members
        Number of classifiers.
    views
        As in `FilmClassifier`.
    """

    def __init__(self, members: int, views: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(FilmClassifier(views) for _ in range(members))
