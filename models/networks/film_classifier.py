"""A classifier of films by one or several levels of features, and an ensemble of such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from models.networks import efficientnet, squeezenet


@dataclass(frozen=True, slots=True)
class Family:
    """A sort of network beneath the heads.

    Parameters
    ----------
    make
        Makes one, its weights not yet learned; its ``levels`` gives features of grey films of 0 to 1, level by level.
    channels
        Of all its levels together.
    dropped
        Part of a description that is left out at random while all of the network is tuned.
    """

    make: Callable[[], Any]
    channels: int
    dropped: float

    @property
    def described(self) -> int:
        """Length of a description: mean and largest of each feature of each level."""
        return 2 * self.channels


SQUEEZENET: Final = "squeezenet"
EFFICIENTNET: Final = "efficientnet-lite0"

FAMILIES: Final = {
    # Early levels see texture, late ones shapes; in cross-validation all five together parted films better than the last alone.
    SQUEEZENET: Family(squeezenet.SqueezeNet, sum(squeezenet.LEVELS.values()), 0.0),
    EFFICIENTNET: Family(efficientnet.EfficientNetLite, efficientnet.FEATURES, 0.2),
}


class FilmClassifier(nn.Module):
    """A network, and for each way of showing a film a linear head over the mean and the largest of each feature.

    Parameters
    ----------
    views
        Number of ways of showing a film.
    family
        One of `FAMILIES`.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, views: int, family: str = SQUEEZENET) -> None:
        super().__init__()
        self.family = FAMILIES[family]
        self.features = self.family.make()
        self.register_buffer("mean", torch.zeros(views, self.family.described))
        self.register_buffer("spread", torch.ones(views, self.family.described))
        self.weight = nn.Parameter(torch.zeros(views, self.family.described))
        self.bias = nn.Parameter(torch.zeros(views))

    def describe(self, grey: Tensor) -> Tensor:
        """``(n, described)`` of ``(n, 1, row, column)`` films of 0 to 1: mean and largest of each feature, level by level."""
        levels = self.features.levels(grey)
        return torch.cat([part for level in levels for part in (level.mean((2, 3)), level.amax((2, 3)))], 1)

    def rate(self, described: Tensor, views: Tensor) -> Tensor:
        """``(…, view)`` logits of ``(…, view, described)`` descriptions, each by the head that `views` names."""
        scaled = dropout((described - self.mean[views]) / self.spread[views], self.family.dropped, self.training)
        logits: Tensor = (scaled * self.weight[views]).sum(-1) + self.bias[views]
        return logits

    def rate_as(self, described: Tensor, view: int) -> Tensor:
        """``(n,)`` logits of ``(n, described)`` descriptions of one view."""
        return self.rate(described[:, None], torch.tensor([view], device=described.device))[:, 0]

    def strangeness(self, described: Tensor, view: int) -> Tensor:
        """``(n,)``: how far ``(n, described)`` descriptions lie from those of the films learned from: mean, in their spreads.

        About 0.8 for a film like those; it knows nothing of the finding.
        """
        return ((described - self.mean[view]) / self.spread[view]).abs().mean(1)


class Ensemble(nn.Module):
    """Several classifiers of one kind, each of which learned from other films: their mean answers, their spread says how sure.

    Parameters
    ----------
    members
        Number of classifiers.
    views, family
        As in `FilmClassifier`.
    """

    def __init__(self, members: int, views: int, family: str = SQUEEZENET) -> None:
        super().__init__()
        self.members = nn.ModuleList(FilmClassifier(views, family) for _ in range(members))
