"""A small two-dimensional U-Net after Ronneberger et al. 2015 (arXiv:1505.04597).

An encoder that halves, a decoder that doubles, and skips between them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pixel_unshuffle

WIDTHS: Final = (24, 32, 48, 64, 96)
"""Channels of each level; level 0 works at half the input's resolution."""


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Logits of `outputs` structures for each pixel of an image.

    The image's 2 x 2 neighbourhoods become channels first and the logits are doubled bilinearly at the end, which costs a
    quarter of the time and, for structures as large as lungs, nothing that can be measured.

    Parameters
    ----------
    outputs
        Number of structures.
    widths
        Channels of each level.
    channels_in
        Of the image.
    """

    def __init__(self, outputs: int, widths: tuple[int, ...] = WIDTHS, channels_in: int = 1) -> None:
        super().__init__()
        before = (4 * channels_in, *widths)
        self.encoder = nn.ModuleList(_block(upper, lower) for upper, lower in zip(before, widths, strict=False))
        self.decoder = nn.ModuleList(_block(lower + upper, lower) for lower, upper in pairwise(widths))
        self.head = nn.Conv2d(widths[0], outputs, 1)
        self.multiple = 2 ** len(widths)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        images
            ``(n, channels_in, row, column)`` floats, both sides multiples of `multiple`.

        Returns
        -------
        Tensor
            ``(n, outputs, row, column)``.
        """
        return self.decode(self.encode(images))

    def encode(self, images: Tensor) -> list[Tensor]:
        """Features of each level, finest first."""
        features = pixel_unshuffle(images, 2)
        levels: list[Tensor] = []
        for depth, block in enumerate(self.encoder):
            features = block(features if depth == 0 else max_pool2d(features, 2))
            levels.append(features)
        return levels

    def decode(self, levels: list[Tensor]) -> Tensor:
        """Logits, ``(n, outputs, row, column)``, from what `encode` gave."""
        features = levels[-1]
        for depth in range(len(levels) - 2, -1, -1):
            doubled = interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = self.decoder[depth](torch.cat([levels[depth], doubled], dim=1))
        logits: Tensor = interpolate(self.head(features), scale_factor=2, mode="bilinear", align_corners=False)
        return logits


def unet(channels_in: int, outputs: int, width: int = WIDTHS[0]) -> UNet:
    """`UNet` with `width` channels at its finest level and the other levels in proportion."""
    return UNet(outputs, tuple(round(level * width / WIDTHS[0]) for level in WIDTHS), channels_in)
