"""A classifier of films by several levels of features, and an ensemble of such."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from models.networks.squeezenet import LEVELS, SqueezeNet

DESCRIBED: Final = 2 * sum(LEVELS.values())
"""Length of a description: mean and largest of each feature of each level. Early levels see texture, late ones shapes; in
cross-validation all five together parted films better than the last alone."""


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
        """``(n, DESCRIBED)`` of ``(n, 1, row, column)`` films of 0 to 1: mean and largest of each feature, level by level."""
        levels = self.features.levels(grey)
        return torch.cat([part for level in levels for part in (level.mean((2, 3)), level.amax((2, 3)))], 1)

    def rate(self, described: Tensor, views: Tensor) -> Tensor:
        """``(…, view)`` logits of ``(…, view, DESCRIBED)`` descriptions, each by the head that `views` names."""
        scaled = (described - self.mean[views]) / self.spread[views]
        logits: Tensor = (scaled * self.weight[views]).sum(-1) + self.bias[views]
        return logits

    def rate_as(self, described: Tensor, view: int) -> Tensor:
        """``(n,)`` logits of ``(n, DESCRIBED)`` descriptions of one view."""
        return self.rate(described[:, None], torch.tensor([view], device=described.device))[:, 0]

    def strangeness(self, described: Tensor, view: int) -> Tensor:
        """``(n,)``: how far ``(n, DESCRIBED)`` descriptions lie from those of the films learned from: mean, in their spreads.

        About 0.8 for a film like those; it knows nothing of the finding.
        """
        return ((described - self.mean[view]) / self.spread[view]).abs().mean(1)


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
