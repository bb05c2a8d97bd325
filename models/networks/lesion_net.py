"""SqueezeNet on colour pictures of skin, a linear layer for the kinds of lesion, and a measure of how strange a picture is."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from models.networks.squeezenet import FEATURES, SqueezeNet

POOLED: Final = 2 * FEATURES
DIRECTIONS: Final = 48
"""Directions in which the features of known pictures vary most; what lies across them is strange."""

_DROPPED: Final = 0.2


class LesionNet(nn.Module):
    """Logits of each kind of lesion, all kinds taken to be equally common.

    Parameters
    ----------
    kinds
        Number of kinds.
    """

    mean: Tensor
    spread: Tensor
    directions: Tensor
    reach: Tensor
    usual: Tensor

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.features = SqueezeNet()
        self.head = nn.Linear(POOLED, kinds)
        self.register_buffer("mean", torch.zeros(POOLED))
        self.register_buffer("spread", torch.ones(POOLED))
        self.register_buffer("directions", torch.zeros(DIRECTIONS, POOLED))
        self.register_buffer("reach", torch.ones(DIRECTIONS))
        self.register_buffer("usual", torch.ones(2))

    def pool(self, features: Tensor) -> Tensor:
        """``(n, 1024)``: mean and largest of each of ``(n, 512, row, column)`` features, of about the same size each."""
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return (pooled - self.mean) / self.spread

    def see(self, colours: Tensor) -> Tensor:
        """``(n, 512, row, column)`` features of ``(n, 3, row, column)`` red, green and blue of 0 to 1."""
        # the published weights expect blue first
        seen: Tensor = self.features(colours.flip(1))
        return seen

    def forward(self, colours: Tensor) -> Tensor:
        """``(n, kind)`` logits of ``(n, 3, row, column)`` red, green and blue of 0 to 1."""
        logits: Tensor = self.head(dropout(self.pool(self.see(colours)), _DROPPED, self.training))
        return logits

    @torch.no_grad()
    def learn_usual(self, pooled: Tensor) -> None:
        """Keep how ``(n, 1024)`` pooled features of known pictures vary."""
        centred = pooled - pooled.mean(0)
        _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
        count = min(DIRECTIONS, len(sizes))
        self.directions.zero_()
        self.directions[:count] = directions[:count]
        self.reach.fill_(1)
        self.reach[:count] = sizes[:count].clamp(min=float(sizes[0]) * 1e-2) / len(pooled) ** 0.5
        self.usual.copy_(torch.stack([part.mean() for part in self._parts(pooled)]))

    def strangeness(self, pooled: Tensor) -> Tensor:
        """``(n,)``: 1 for the usual known picture, more for what is unlike it, along the known directions or across them."""
        along, across = self._parts(pooled)
        return torch.maximum(along / self.usual[0], across / self.usual[1])

    def _parts(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        placed = pooled @ self.directions.T
        across = pooled - placed @ self.directions
        return (placed / self.reach).square().mean(1).sqrt(), across.square().mean(1).sqrt()
