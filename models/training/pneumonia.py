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
from models.runtimes.chest_views import SIDE, Shown, show, square
from models.runtimes.cxr_pneumonia import LEARNED_SIDE
from models.runtimes.film import Grey, reduce
from models.runtimes.frontal_chest import FrontalChest
from models.runtimes.lung_fields import Mask
from models.training.augment import Strength, degrade, random_grid, regrade, sample
from models.training.metrics import roc_auc
from models.training.tables import Row, read_grey

POSITIVE: Final = "pneumonia"
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
    shown: Sequence[Shown],
    variants: int,
    generator: torch.Generator,
    advance: Callable[[], None],
) -> Stems:
    """Stem features of `variants` versions of each film in each way of showing it."""
    stems = []
    for film, lungs in films:
        squares = torch.cat([square(show(film, lungs, one)) for one in shown])
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
        Of films of train that are scored.
    batch_size
        Films of a batch.
    """

    def __init__(self, stems: Stems, held_out: Stems | None, shown: int, batch_size: int = 24, smoothing: float = 0.05) -> None:
        self._stems, self._held_out, self._shown = stems, held_out, shown
        self._size, self._smoothing = batch_size, smoothing
        self._order: list[int] = []

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Stem features and labels of films in a shuffled order, each in a random variant."""
        while len(self._order) < self._size:
            self._order += torch.randperm(len(self._stems.labels), generator=generator).tolist()
        films, self._order = self._order[: self._size], self._order[self._size :]
        variants = torch.randint(0, self._stems.features.shape[1], (self._size,), generator=generator)
        return self._stems.features[films, variants].float(), self._stems.labels[films]

    def loss(self, network: FilmClassifier, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy with smoothed labels: the reports that the labels were read from are not always right."""
        features, labels = batch
        targets = labels * (1 - self._smoothing) + self._smoothing / 2
        return binary_cross_entropy_with_logits(network.rate(features)[:, 0], targets)

    def score(self, network: FilmClassifier) -> float:
        """AUROC on the held-out films."""
        if self._held_out is None:
            return float("nan")
        logits = rate_stems(network, self._held_out, self._shown).mean(1)
        return roc_auc(self._held_out.labels.numpy() > 0.5, logits)


@torch.inference_mode()
def rate_stems(network: FilmClassifier, stems: Stems, shown: int) -> NDArray[np.float64]:
    """``(film, shown)`` logits of the unvaried films, one for each way of showing them."""
    clean = stems.features[:, :shown]
    logits = [network.rate(part.flatten(0, 1).float())[:, 0].view(-1, shown) for part in torch.split(clean, 16)]
    answers: NDArray[np.float64] = torch.cat(logits).double().numpy()
    return answers
