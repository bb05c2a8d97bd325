"""How a chest classifier is trained: heads on what SqueezeNet sees of each film in several views, then all of it, gently."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.networks.film_classifier import FilmClassifier
from models.runtimes.chest_finding import as_learned, both
from models.runtimes.chest_views import Shown, Views, show, square
from models.runtimes.frontal_chest import FrontalChest
from models.training.augment import regrade
from models.training.tables import Row, read_grey


@dataclass(frozen=True, slots=True)
class Subject:
    """What is learned.

    Parameters
    ----------
    model
        Name of the model.
    positive
        Label of the rows that have the finding.
    views
        What the classifier is shown.
    learned_side, squashed
        What the films are reduced to (`models.runtimes.chest_finding.as_learned`).
    penalty
        Of the squared weights of a head, chosen by cross-validation inside train.
    """

    model: str
    positive: str
    views: Views
    penalty: float
    learned_side: int = 320
    squashed: bool = False


PNEUMONIA: Final = Subject("cxr-pneumonia", "pneumonia", Views((Shown.WHOLE, Shown.LUNGS), (224, 224), (0.7, 0.3)), 0.3)

TUBERCULOSIS: Final = Subject(
    "cxr-tb", "tuberculosis", Views((Shown.EVENED,), (224,), (1.0,)), 0.3, learned_side=128, squashed=True
)

RATE: Final = 5e-5
"""Highest learning rate of the network's weights when all of it is tuned; its heads learn three times as fast."""

BATCH: Final = 16
_SHIFT: Final = 6
"""Pixels by which a film is moved at most, each way, while the network is tuned."""

Squares = list[Tensor]
"""By view: ``(film, 1, side, side)`` uint8, what the network is shown of each film."""


def show_films(folder: Path, rows: Sequence[Row], chest: FrontalChest, subject: Subject, advance: Callable[[], None]) -> Squares:
    """What the network is shown of films. On a film without lung fields all of it counts as lung.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    shown: list[list[Tensor]] = [[] for _ in subject.views.shown]
    for row in rows:
        film = as_learned(read_grey(folder / row["image"]), subject.learned_side, squashed=subject.squashed)
        lungs = both(chest.look(film))
        for squares, view, side in zip(shown, subject.views.shown, subject.views.sides, strict=True):
            squares.append((square(show(film, lungs, view), side)[0] * 255).round().to(torch.uint8))
        advance()
    return [torch.stack(squares) for squares in shown]


@torch.no_grad()
def describe(network: FilmClassifier, squares: Squares, *, mirrored: bool) -> Tensor:
    """``(film, 1 or 2, view, DESCRIBED)``: films as they are and, if so asked, mirrored, in each way of showing them."""
    views = []
    for view in squares:
        ways = [
            torch.cat([network.describe(_grey(batch.flip(3) if flip else batch)) for batch in torch.split(view, BATCH)])
            for flip in ((False, True) if mirrored else (False,))
        ]
        views.append(torch.stack(ways, 1))
    return torch.stack(views, dim=2)


def tune(
    network: FilmClassifier, squares: Squares, labels: Tensor, *, epochs: int, seed: int, advance: Callable[[float], None]
) -> FilmClassifier:
    """Tune all weights, gently, and return the network with its weights averaged over the last steps.

    Each step shows a batch of films in one of the views, moved by a few pixels, mirrored and regraded at random.

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
        view = int(torch.randint(len(squares), (), generator=generator))
        described = network.describe(_varied(_grey(squares[view][chosen]), generator))
        logits = network.rate(described, torch.full((len(chosen),), view))
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


def _varied(films: Tensor, generator: torch.Generator) -> Tensor:
    rows, columns, mirrored, regraded = torch.randint(-_SHIFT, _SHIFT + 1, (4,), generator=generator).tolist()
    varied = torch.roll(films, (rows, columns), (2, 3))
    varied = varied.flip(3) if mirrored % 2 else varied
    return regrade(varied, generator) if regraded % 2 else varied


def fit_heads(network: FilmClassifier, features: Tensor, labels: Tensor, penalty: float) -> None:
    """Fit each view's head in place: logistic regression on standardised descriptions.

    Parameters
    ----------
    features
        ``(film, 1 or 2, view, DESCRIBED)``, as `describe` gives them.
    labels
        ``(film,)``, 0 or 1.
    penalty
        Of the mean squared weight, times the number of them.
    """
    targets = labels.repeat_interleave(features.shape[1])
    for view in range(features.shape[2]):
        flat = features[:, :, view].flatten(0, 1)
        mean, spread = flat.mean(0), flat.std(0).clamp(min=1e-2)
        weight, bias = _regress((flat - mean) / spread, targets, penalty)
        with torch.no_grad():
            network.mean[view], network.spread[view] = mean, spread
            network.weight[view], network.bias[view] = weight, bias


def _regress(features: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights and bias. Solved among films, not features: there are fewer, and the best weights are a sum of films."""
    kernel = features @ features.T
    parts = torch.zeros(len(features), requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    scale = features.shape[1] ** -0.5  # keeps the steps of the search of about one size
    optimiser = torch.optim.LBFGS([parts, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        answers = kernel @ parts * scale
        squared = (parts * scale) @ answers
        value: Tensor = binary_cross_entropy_with_logits(answers + bias, targets) + penalty * squared
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return (features.T @ parts).detach() * scale, bias.detach()


@torch.no_grad()
def strangeness(network: FilmClassifier, features: Tensor) -> NDArray[np.float64]:
    """``(film,)`` strangeness of films as they are, the mean over views."""
    views = [network.strangeness(features[:, 0, view], view) for view in range(features.shape[2])]
    strange: NDArray[np.float64] = torch.stack(views).mean(0).double().numpy()
    return strange


@torch.no_grad()
def rate_films(network: FilmClassifier, features: Tensor) -> NDArray[np.float64]:
    """``(film, view)`` logits, the mean of a film and its mirror image."""
    logits = network.rate(features, torch.arange(features.shape[2])).mean(1)
    answers: NDArray[np.float64] = logits.double().numpy()
    return answers
