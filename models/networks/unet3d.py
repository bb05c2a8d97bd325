"""The three-dimensional U-Net (Cicek et al. 2016, arXiv:1606.06650, figure 2), padded so that the grid stays."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool3d

LEVELS: Final = 4
MULTIPLE: Final = 2 ** (LEVELS - 1)
"""Each side of a volume must be a multiple of it."""


def _unit(channels_in: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(channels_in, channels, 3, padding=1), nn.BatchNorm3d(channels), nn.ReLU(inplace=True))


class UNet3d(nn.Module):
    """Logits of each class for each voxel; 19,069,955 weights as published (3 channels in, 3 classes, width 32).

    Parameters
    ----------
    channels_in
        Of the volume.
    outputs
        Number of classes.
    width
        Channels of the first convolution; they double at each of the four levels.
    """

    def __init__(self, channels_in: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        wide = [2 * width * 2**level for level in range(LEVELS)]
        self.encoder = nn.ModuleList(
            nn.Sequential(_unit(before, after // 2), _unit(after // 2, after))
            for before, after in zip([channels_in, *wide[:-1]], wide, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(lower, lower, 2, stride=2, bias=False) for _, lower in pairwise(wide))
        self.decoder = nn.ModuleList(
            nn.Sequential(_unit(upper + lower, upper), _unit(upper, upper)) for upper, lower in pairwise(wide)
        )
        self.head = nn.Conv3d(wide[0], outputs, 1)

    def forward(self, volumes: Tensor) -> Tensor:
        """``(n, channels_in, slice, row, column)``, sides multiples of `MULTIPLE`, to logits on that grid."""
        levels: list[Tensor] = []
        features = volumes
        for depth, block in enumerate(self.encoder):
            features = block(features if depth == 0 else max_pool3d(features, 2))
            levels.append(features)
        for depth in range(LEVELS - 2, -1, -1):
            features = self.decoder[depth](torch.cat([levels[depth], self.up[depth](features)], 1))
        logits: Tensor = self.head(features)
        return logits
