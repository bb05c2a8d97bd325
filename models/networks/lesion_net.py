"""A network on colour pictures of skin, a linear layer for the kinds of lesion, and a measure of how strange a picture is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from models.networks import efficientnet, squeezenet

DIRECTIONS: Final = 48
"""Directions in which the features of known pictures vary most; what lies across them is strange."""

_DROPPED: Final = 0.2


@dataclass(frozen=True, slots=True)
class Family:
    """A sort of network beneath the linear layer.

    Parameters
    ----------
    make
        Makes one, its weights not yet learned.
    channels
        Of its features.
    side
        In pixels, of the squares that it is shown.
    blue_first
        Whether its published weights expect blue before green and red.
    """

    make: Callable[[], nn.Module]
    channels: int
    side: int
    blue_first: bool

    @property
    def pooled(self) -> int:
        """Pooled features: mean and largest of each channel."""
        return 2 * self.channels


FAMILIES: Final = {
    "squeezenet": Family(squeezenet.SqueezeNet, squeezenet.FEATURES, 160, blue_first=True),
    "efficientnet-lite0": Family(efficientnet.EfficientNetLite, efficientnet.FEATURES, 192, blue_first=False),
}


class LesionNet(nn.Module):
    """Logits of each kind of lesion, all kinds taken to be equally common.

    Parameters
    ----------
    kinds
        Number of kinds.
    family
        One of `FAMILIES`.
    """

    mean: Tensor
    spread: Tensor
    directions: Tensor
    reach: Tensor
    usual: Tensor

    def __init__(self, kinds: int, family: str) -> None:
        super().__init__()
        self.family = FAMILIES[family]
        pooled = self.family.pooled
        self.features = self.family.make()
        self.head = nn.Linear(pooled, kinds)
        self.register_buffer("mean", torch.zeros(pooled))
        self.register_buffer("spread", torch.ones(pooled))
        self.register_buffer("directions", torch.zeros(DIRECTIONS, pooled))
        self.register_buffer("reach", torch.ones(DIRECTIONS))
        self.register_buffer("usual", torch.ones(2))

    def pool(self, features: Tensor) -> Tensor:
        """``(n, pooled)``: mean and largest of each of ``(n, channel, row, column)`` features, of about the same size each."""
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)
        return (pooled - self.mean) / self.spread

    def see(self, colours: Tensor) -> Tensor:
        """``(n, channel, row, column)`` features of ``(n, 3, row, column)`` red, green and blue of 0 to 1."""
        seen: Tensor = self.features(colours.flip(1) if self.family.blue_first else colours)
        return seen

    def forward(self, colours: Tensor) -> Tensor:
        """``(n, kind)`` logits of ``(n, 3, row, column)`` red, green and blue of 0 to 1."""
        logits: Tensor = self.head(dropout(self.pool(self.see(colours)), _DROPPED, self.training))
        return logits

    @torch.no_grad()
    def learn_usual(self, pooled: Tensor) -> None:
        """Keep how ``(n, pooled)`` pooled features of known pictures vary."""
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
