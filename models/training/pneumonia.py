"""How `cxr-pneumonia` is trained: heads on what SqueezeNet sees of each film, shown whole, around the lungs, and lungs only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.networks.squeezenet import FilmClassifier
from models.runtimes.chest_views import SHOWN
from models.runtimes.cxr_pneumonia import LEARNED_SIDE, see
from models.runtimes.film import reduce
from models.runtimes.frontal_chest import FrontalChest
from models.training.tables import Row, read_grey

POSITIVE: Final = "pneumonia"

PENALTY: Final = 0.3
"""Of the squared weights of a head; chosen by cross-validation inside train among 0.003 to 1."""


@torch.no_grad()
def describe_films(
    network: FilmClassifier, folder: Path, rows: Sequence[Row], chest: FrontalChest, advance: Callable[[], None]
) -> Tensor:
    """Pooled features of films, ``(film, 2, view, 1024)``: as they are and mirrored, in each way of showing them.

    On a film without lung fields all of it counts as lung.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    described = []
    for row in rows:
        film = reduce(read_grey(folder / row["image"]), LEARNED_SIDE)
        left, right = chest.look(film).outlines()
        lungs = left | right
        seen = see(network, film, lungs if lungs.any() else np.ones_like(lungs), SHOWN)
        described.append(seen)
        advance()
    return torch.stack(described)


def fit_heads(network: FilmClassifier, features: Tensor, labels: Tensor) -> None:
    """Fit each view's head in place: logistic regression on standardised features.

    Parameters
    ----------
    features
        ``(film, 2, view, 1024)``.
    labels
        ``(film,)``, 0 or 1.
    """
    targets = labels.repeat_interleave(features.shape[1])
    for view in range(len(SHOWN)):
        flat = features[:, :, view].flatten(0, 1)
        mean, spread = flat.mean(0), flat.std(0).clamp(min=1e-2)
        weight, bias = _regress((flat - mean) / spread, targets)
        with torch.no_grad():
            network.mean[view], network.spread[view] = mean, spread
            network.weight[view], network.bias[view] = weight, bias


def _regress(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(features.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = binary_cross_entropy_with_logits(features @ weight + bias, targets) + PENALTY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


@torch.no_grad()
def rate_films(network: FilmClassifier, features: Tensor) -> NDArray[np.float64]:
    """``(film, view)`` logits, the mean of a film and its mirror image."""
    logits = network.rate(features, torch.arange(len(SHOWN))).mean(1)
    answers: NDArray[np.float64] = logits.double().numpy()
    return answers
