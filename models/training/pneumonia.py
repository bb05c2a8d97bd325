"""How `cxr-pneumonia` is trained: heads on what SqueezeNet sees of each film in three views, then all of it, gently."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.networks.squeezenet import FilmClassifier
from models.runtimes.chest_views import SHOWN, show, square
from models.runtimes.cxr_pneumonia import LEARNED_SIDE
from models.runtimes.film import reduce
from models.runtimes.frontal_chest import FrontalChest
from models.training.tables import Row, read_grey

POSITIVE: Final = "pneumonia"

PENALTY: Final = 0.3
"""Of the squared weights of a head; chosen by cross-validation inside train among 0.003 to 1."""


RATE: Final = 5e-5
"""Highest learning rate of the network's weights when all of it is tuned; its heads learn three times as fast."""

BATCH: Final = 16
_SHIFT: Final = 6
"""Pixels by which a film is moved at most, each way, while the network is tuned."""

Squares = list[Tensor]
"""By view, in the order of `SHOWN`: ``(film, 1, side, side)`` uint8, what the network is shown of each film."""


def show_films(folder: Path, rows: Sequence[Row], chest: FrontalChest, advance: Callable[[], None]) -> Squares:
    """What the network is shown of films. On a film without lung fields all of it counts as lung.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    shown: list[list[Tensor]] = [[] for _ in SHOWN]
    for row in rows:
        film = reduce(read_grey(folder / row["image"]), LEARNED_SIDE)
        left, right = chest.look(film).outlines()
        lungs = left | right
        for squares, view in zip(shown, SHOWN, strict=True):
            part = show(film, lungs if lungs.any() else np.ones_like(lungs), view)
            squares.append((square(part, view)[0] * 255).round().to(torch.uint8))
        advance()
    return [torch.stack(squares) for squares in shown]


@torch.no_grad()
def describe(network: FilmClassifier, squares: Squares) -> Tensor:
    """Pooled features, ``(film, 2, view, 1024)``: films as they are and mirrored, in each way of showing them."""
    views = []
    for view in squares:
        batches = [_grey(batch) for batch in torch.split(view, BATCH)]
        views.append(torch.cat([torch.stack([network.pool(one), network.pool(one.flip(3))], 1) for one in batches]))
    return torch.stack(views, dim=2)


def tune(
    network: FilmClassifier, squares: Squares, labels: Tensor, *, epochs: int, seed: int, advance: Callable[[float], None]
) -> FilmClassifier:
    """Tune all weights, gently, and return the network with its weights averaged over the last steps.

    Each step shows a batch of films in one of the views, moved by a few pixels and mirrored at random.

    Parameters
    ----------
    network
        With heads that `fit_heads` fitted.
    labels
        ``(film,)``, 0 or 1.
    advance
        Called after each step with its loss.
    """
    network.train()
    average = copy.deepcopy(network)
    heads = [network.weight, network.bias]
    groups: list[dict[str, Any]] = [{"params": list(network.features.parameters())}, {"params": heads}]
    optimiser = torch.optim.AdamW(groups, lr=RATE, weight_decay=1e-2)
    steps = epochs * tuning_steps(len(labels))
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, [RATE, 3 * RATE], total_steps=steps + 1, pct_start=0.2)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        if step % tuning_steps(len(labels)) == 0:
            order = torch.randperm(len(labels), generator=generator)
        chosen = order[(step % tuning_steps(len(labels))) * BATCH :][:BATCH]
        view = int(torch.randint(len(SHOWN), (), generator=generator))
        pooled = network.pool(_moved(_grey(squares[view][chosen]), generator))
        logits = network.rate(pooled, torch.full((len(chosen),), view))
        loss = binary_cross_entropy_with_logits(logits, labels[chosen] * 0.95 + 0.025)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        cycle.step()
        with torch.no_grad():
            for mean, new in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(new, 0.05)
        advance(loss.item())
    return average.eval()


def tuning_steps(films: int) -> int:
    """Steps in which each of that many films is shown once."""
    return -(-films // BATCH)


def _grey(squares: Tensor) -> Tensor:
    return squares.float() / 255


def _moved(films: Tensor, generator: torch.Generator) -> Tensor:
    rows, columns, mirrored = torch.randint(-_SHIFT, _SHIFT + 1, (3,), generator=generator).tolist()
    moved = torch.roll(films, (rows, columns), (2, 3))
    return moved.flip(3) if mirrored % 2 else moved


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
