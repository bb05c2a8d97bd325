"""What a chest classifier learns from: films in several views, heads on what a network sees of each, and what those answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.networks.film_classifier import EFFICIENTNET, FilmClassifier
from models.runtimes.chest_finding import as_learned, both
from models.runtimes.chest_views import Shown, View, Views, show, square
from models.runtimes.frontal_chest import FrontalChest
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
    """

    model: str
    positive: str
    views: Views
    learned_side: int = 320
    squashed: bool = False


PNEUMONIA: Final = Subject(
    "cxr-pneumonia",
    "pneumonia",
    Views(
        (
            View(Shown.WHOLE, 224, 0.7),
            View(Shown.LUNGS, 224, 0.15),
            View(Shown.LUNGS, 224, 0.15, EFFICIENTNET),
        )
    ),
)

TUBERCULOSIS: Final = Subject("cxr-tb", "tuberculosis", Views((View(Shown.EVENED, 224, 1.0),)), learned_side=128, squashed=True)

BATCH: Final = 16
Squares = list[Tensor]
"""By view: ``(film, 1, side, side)`` uint8, what the network is shown of each film."""


def show_films(folder: Path, rows: Sequence[Row], chest: FrontalChest, subject: Subject, advance: Callable[[], None]) -> Squares:
    """What the network is shown of films. On a film without lung fields all of it counts as lung.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    shown: list[list[Tensor]] = [[] for _ in subject.views.every]
    for row in rows:
        film = as_learned(read_grey(folder / row["image"]), subject.learned_side, squashed=subject.squashed)
        lungs = both(chest.look(film))
        for squares, view in zip(shown, subject.views.every, strict=True):
            squares.append((square(show(film, lungs, view.shown), view.side)[0] * 255).round().to(torch.uint8))
        advance()
    return [torch.stack(squares) for squares in shown]


def grey(squares: Tensor) -> Tensor:
    """``(n, 1, side, side)`` films of 0 to 1."""
    return squares.float() / 255


@torch.no_grad()
def describe(network: FilmClassifier, squares: Squares, *, mirrored: bool) -> Tensor:
    """``(film, 1 or 2, view, described)``: films as they are and, if so asked, mirrored, in each way of showing them."""
    views = []
    for view in squares:
        ways = [
            torch.cat([network.describe(grey(batch.flip(3) if flip else batch)) for batch in torch.split(view, BATCH)])
            for flip in ((False, True) if mirrored else (False,))
        ]
        views.append(torch.stack(ways, 1))
    return torch.stack(views, dim=2)


def fit_heads(network: FilmClassifier, features: Tensor, labels: Tensor, penalty: float) -> None:
    """Fit each view's head in place: logistic regression on standardised descriptions.

    Parameters
    ----------
    features
        ``(film, 1 or 2, view, described)``, as `describe` gives them.
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
