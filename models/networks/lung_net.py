"""The lung network: a U-Net for the two fields, and a linear head that says what kind of picture its encoder saw."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import torch
from torch import Tensor, nn

from models.networks.unet import WIDTHS, UNet

SIDES: Final = 2
"""Outputs of the U-Net: the lung at the left of the image, the lung at its right."""

DESCRIBED: Final = 2 * (WIDTHS[-1] + WIDTHS[-2])
"""Length of a description: mean and largest of each feature of the two coarsest levels."""


class Kind(StrEnum):
    """What a picture may be; the order is that of the head's outputs."""

    UPRIGHT = "upright"
    UPSIDE_DOWN = "upside-down"
    TURNED = "turned"
    INVERTED = "inverted"
    OTHER = "other"


class LungNet(UNet):
    """`UNet` with a second answer."""

    def __init__(self) -> None:
        super().__init__(SIDES)
        self.kind = nn.Linear(DESCRIBED, len(Kind))

    @staticmethod
    def describe(levels: list[Tensor]) -> Tensor:
        """``(n, DESCRIBED)`` of what `encode` gave."""
        return torch.cat([pooled for level in levels[-2:] for pooled in (level.mean((2, 3)), level.amax((2, 3)))], 1)

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the fields, ``(n, 2, row, column)``, and of the kinds, ``(n, len(Kind))``."""
        levels = self.encode(images)
        return self.decode(levels), self.kind(self.describe(levels))
