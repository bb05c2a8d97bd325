"""How `cxr-pneumonia` is trained: SqueezeNet's later half, on many variants of each film, shown whole, cropped and lungs only."""

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

from models.networks.squeezenet import FilmClassifier, SqueezeNet
from models.runtimes.chest_views import SHOWN, SIDE, combine, show, square
from models.runtimes.cxr_pneumonia import LEARNED_SIDE
from models.runtimes.film import Grey, reduce
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import Mask
from models.training.augment import Strength, degrade, random_grid, regrade, sample
from models.training.metrics import roc_auc
from models.training.tables import Row, read_grey

POSITIVE: Final = "pneumonia"

PENALTY: Final = 0.1
"""Of the squared weights of a head; chosen by cross-validation inside train among 0.003 to 1."""
_STRENGTH: Final = Strength(rotation_deg=10, scale=(0.88, 1.15), shift=0.05, mirror=0.5)


@dataclass(frozen=True, slots=True)
class Stems:
    """Stem features of the variants of films, computed once: the stem is not trained.

    Parameters
    ----------
    features
        ``(film, variant, 256, row, column)``, half precision; variant 0 is the film as it is.
    labels
        ``(film,)``, 0 or 1.
    """

    features: Tensor
    labels: Tensor

    def take(self, films: NDArray[np.bool_]) -> Stems:
        """Those of some films."""
        chosen = torch.from_numpy(films)
        return Stems(self.features[chosen], self.labels[chosen])


def outline(folder: Path, rows: Sequence[Row], chest: FrontalChest, advance: Callable[[], None]) -> list[tuple[Grey, Mask]]:
    """Films and both lungs on them; where no lungs are found, the whole film."""
    films = []
    for row in rows:
        film = reduce(read_grey(folder / row["image"]), LEARNED_SIDE)
        left, right = chest.look(film).outlines()
        lungs = left | right
        films.append((film, lungs if lungs.any() else np.ones_like(lungs)))
        advance()
    return films


@torch.no_grad()
def compute_stems(
    network: SqueezeNet,
    films: Sequence[tuple[Grey, Mask]],
    labels: Sequence[bool],
    *,
    variants: int,
    generator: torch.Generator,
    advance: Callable[[], None],
) -> Stems:
    """Stem features of `variants` versions of each film in each way of showing it, view by view."""
    stems = []
    for film, lungs in films:
        squares = torch.cat([square(show(film, lungs, one)) for one in SHOWN])
        versions = [squares] + [vary(squares, generator) for _ in range(variants - 1)]
        stems.append(network.stem(torch.cat(versions).to(memory_format=torch.channels_last)).half().contiguous())
        advance()
    return Stems(torch.stack(stems), torch.tensor(labels, dtype=torch.float32))


def vary(images: Tensor, generator: torch.Generator) -> Tensor:
    """One random variant of each image."""
    grid, _ = random_grid(len(images), SIDE, _STRENGTH, generator)
    varied = sample(images, grid, fill=torch.full((len(images),), 0.5))
    mixed = 0.5 * varied + 0.5 * regrade(varied, generator)
    return degrade(mixed, generator)


class PneumoniaRecipe:
    """Batches of stem features.

    Parameters
    ----------
    stems
        Of the films that are learned from.
    held_out
        Of films of train that are scored, or None.
    batch_size
        Films of a batch.
    smoothing
        How far targets are moved from 0 and 1: the reports that the labels were read from are not always right.
    """

    def __init__(self, stems: Stems, held_out: Stems | None, batch_size: int, smoothing: float = 0.05) -> None:
        self._stems, self._held_out = stems, held_out
        self._size, self._smoothing = batch_size, smoothing
        self._order: list[int] = []

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Stem features, their views, and labels of films in a shuffled order, each in a random variant and view."""
        while len(self._order) < self._size:
            self._order += torch.randperm(len(self._stems.labels), generator=generator).tolist()
        films, self._order = self._order[: self._size], self._order[self._size :]
        versions = torch.randint(0, self._stems.features.shape[1], (self._size,), generator=generator)
        return self._stems.features[films, versions].float(), versions % len(SHOWN), self._stems.labels[films]

    def loss(self, network: FilmClassifier, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy with smoothed labels."""
        features, views, labels = batch
        targets = labels * (1 - self._smoothing) + self._smoothing / 2
        return binary_cross_entropy_with_logits(network.rate(features, views), targets)

    def score(self, network: FilmClassifier) -> float:
        """AUROC on the held-out films as they are."""
        if self._held_out is None:
            return float("nan")
        clean = Stems(self._held_out.features[:, : len(SHOWN)], self._held_out.labels)
        return roc_auc(clean.labels.numpy() > 0.5, combine(rate_stems(network, clean)))


@torch.no_grad()
def pool_stems(network: FilmClassifier, stems: Stems, advance: Callable[[], None]) -> Tensor:
    """``(film, version, 1024)`` pooled features of all versions."""
    pooled = []
    for film in stems.features:
        pooled.append(network.pool(film.float().contiguous(memory_format=torch.channels_last)))
        advance()
    return torch.stack(pooled)


def fit_heads(network: FilmClassifier, pooled: Tensor, labels: Tensor) -> None:
    """Fit each view's head in place: logistic regression on the pooled features of all variants, features standardised.

    Parameters
    ----------
    pooled
        ``(film, version, 1024)``.
    labels
        ``(film,)``, 0 or 1.
    """
    for view in range(len(SHOWN)):
        features = pooled[:, view :: len(SHOWN)]
        targets = labels.repeat_interleave(features.shape[1])
        flat = features.flatten(0, 1)
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
def rate_stems(network: FilmClassifier, stems: Stems) -> NDArray[np.float64]:
    """``(film, view)`` logits, the mean over all variants in `stems`."""
    network.eval()
    films, versions = stems.features.shape[:2]
    views = torch.arange(versions) % len(SHOWN)
    logits = torch.stack([network.rate(film.float(), views) for film in stems.features])
    answers: NDArray[np.float64] = logits.view(films, -1, len(SHOWN)).mean(1).double().numpy()
    return answers
