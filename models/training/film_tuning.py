"""Two ways to tune a network whose heads are fitted: gently, all of it, or long, its first layers kept as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.networks.efficientnet import EARLY
from models.networks.film_classifier import FilmClassifier
from models.training.augment import Strength, random_grid, regrade, sample
from models.training.finding import BATCH, Squares, grey
from models.training.fit import Plan, fit

RATE: Final = 5e-5
"""Highest learning rate of the network's weights when all of it is tuned; its heads learn three times as fast."""

_SHIFT: Final = 6
"""Pixels by which a film is moved at most, each way, while the network is tuned."""

PASSES: Final = 8
"""How often `tune_long` shows each film where `tune_gently` shows it once."""

LONG_RATE: Final = 5e-4
"""Highest learning rate of `tune_long`."""

_STRENGTH: Final = Strength(rotation_deg=10, scale=(0.85, 1.2), shift=0.05, mirror=0.5)
_HIDDEN: Final = 128
"""What the grey of hidden places is in squares of 8 bits."""


def smoothed(labels: Tensor) -> Tensor:
    """Labels that are taken to be wrong now and then: they were read from reports by a program."""
    return labels * 0.95 + 0.025


def tune_gently(
    network: FilmClassifier, squares: Squares, labels: Tensor, *, epochs: int, seed: int, advance: Callable[[float], None]
) -> FilmClassifier:
    """Tune all weights for few steps, and return the network with its weights averaged over the last steps.

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
    pass_steps, steps = gentle_steps(len(labels), 1), gentle_steps(len(labels), epochs)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, [RATE, 3 * RATE], total_steps=steps + 1, pct_start=0.2)
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        if step % pass_steps == 0:
            order = torch.randperm(len(labels), generator=generator)
        chosen = order[(step % pass_steps) * BATCH :][:BATCH]
        view = int(torch.randint(len(squares), (), generator=generator))
        described = network.describe(_varied(grey(squares[view][chosen]), generator))
        logits = network.rate(described, torch.full((len(chosen),), view))
        loss = binary_cross_entropy_with_logits(logits, smoothed(labels[chosen]))
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


def gentle_steps(films: int, epochs: int) -> int:
    """Steps of `tune_gently`: each film is shown once an epoch."""
    return epochs * -(-films // BATCH)


def _varied(films: Tensor, generator: torch.Generator) -> Tensor:
    rows, columns, mirrored, regraded = torch.randint(-_SHIFT, _SHIFT + 1, (4,), generator=generator).tolist()
    varied = torch.roll(films, (rows, columns), (2, 3))
    varied = varied.flip(3) if mirrored % 2 else varied
    return regrade(varied, generator) if regraded % 2 else varied


def long_steps(films: int, epochs: int) -> int:
    """Steps of `tune_long`."""
    return -(-PASSES * epochs * films // BATCH)


def tune_long(
    network: FilmClassifier, squares: Squares, labels: Tensor, *, epochs: int, seed: int, advance: Callable[[float], None]
) -> FilmClassifier:
    """Tune all but the first layers of an EfficientNet-Lite0 for many steps; parameters as those of `tune_gently`.

    Films are turned, scaled, moved, mirrored and regraded; what is hidden of them stays as it is.
    """
    for name in EARLY:
        network.features.get_submodule(name).requires_grad_(requires_grad=False)
    plan = Plan(long_steps(len(labels), epochs), LONG_RATE, decay=1e-2, seed=seed)
    tuned, _ = fit(network, FilmRecipe(squares, labels), plan, report=lambda _step, loss: advance(loss))
    return tuned


class FilmRecipe:
    """Batches of varied films, each in one of its views.

    Parameters
    ----------
    squares
        By view.
    labels
        ``(film,)``, 0 or 1.
    """

    def __init__(self, squares: Squares, labels: Tensor) -> None:
        self._squares, self._labels = torch.stack(squares), labels
        self._order: list[int] = []

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """``(n, 1, side, side)`` films of 0 to 1, ``(n,)`` the view of each, ``(n,)`` labels."""
        if len(self._order) < BATCH:
            self._order = torch.randperm(len(self._labels), generator=generator).tolist()
        films, self._order = torch.tensor(self._order[:BATCH]), self._order[BATCH:]
        views = torch.randint(len(self._squares), (len(films),), generator=generator)
        return varied(self._squares[views, films], generator), views, self._labels[films]

    def loss(self, network: FilmClassifier, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy of each film in its view."""
        films, views, labels = batch
        described = network.describe(films)[:, None].expand(-1, len(self._squares), -1)
        logits = network.rate(described, torch.arange(len(self._squares)))
        return binary_cross_entropy_with_logits(logits.gather(1, views[:, None])[:, 0], smoothed(labels))

    def score(self, network: FilmClassifier) -> float:  # noqa: ARG002 - as every recipe
        """None: how long to train was chosen once, not by the films of a fold."""
        return float("nan")


def varied(squares: Tensor, generator: torch.Generator) -> Tensor:
    """``(n, 1, side, side)`` films of 0 to 1, turned, scaled, moved, mirrored and regraded.

    What is as grey as hidden places is left alone: those, and the few pixels of a lung that happen to be.
    """
    count, side = len(squares), squares.shape[-1]
    grid, _ = random_grid(count, side, _STRENGTH, generator)
    middle = torch.full((count,), _HIDDEN / 255)
    films = sample(grey(squares), grid, middle)
    hidden = (films * 255).round() == _HIDDEN
    return torch.where(hidden, films, regrade(films, generator))
