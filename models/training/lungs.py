"""How `cxr-lungs` is trained: a U-Net on films with lung masks, then on its own outlines of films without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.runtimes.film import Letterbox, window
from models.runtimes.frontal_chest import Chest, FrontalChest
from models.runtimes.lung_fields import SIZE, LungFinder, split_sides
from models.training.augment import Strength, degrade, opacify, random_grid, regrade, sample, surround
from models.training.tables import Row, read_grey
from node.store.errors import ConfigurationError

_TRUSTED_CONFIDENCE: Final = 0.93


@dataclass(frozen=True, slots=True)
class Films:
    """Films on the network's square.

    Parameters
    ----------
    images
        ``(n, 1, SIZE, SIZE)``, 0 to 1.
    masks
        ``(n, 2, SIZE, SIZE)``, 0 or 1: the lung at the image's left, the one at its right.
    """

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return self.images.shape[0]

    def __add__(self, other: Films) -> Films:
        return Films(torch.cat([self.images, other.images]), torch.cat([self.masks, other.masks]))


def read_films(folder: Path, rows: Sequence[Row]) -> Films:
    """Read labelled films, their masks split into the two sides.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    images, masks = [], []
    for row in rows:
        film = read_grey(folder / row["image"])
        mask = read_grey(folder / row["mask"]) > 127
        box = Letterbox(film.shape[0], film.shape[1], SIZE)
        images.append(box.shrink(window(film)))
        masks.append(torch.cat([box.shrink(side.astype(np.float32)) for side in split_sides(mask)], 1))
    return Films(torch.cat(images), (torch.cat(masks) > 0.5).float())


def outline_films(folder: Path, rows: Sequence[Row], teacher: LungFinder) -> Films:
    """Films without masks, with the outlines a trained network gives them; those that look doubtful are left out."""
    chest = FrontalChest(teacher)
    images, masks = [], []
    for row in rows:
        look = chest.look(read_grey(folder / row["image"]))
        if trusted(look):
            images.append(look.box.shrink(window(look.film)))
            masks.append(torch.from_numpy(np.stack([look.fields.left, look.fields.right])[None].astype(np.float32)))
    if not images:
        raise ConfigurationError(f"{folder.name} has no film whose outlines can be trusted")
    return Films(torch.cat(images), torch.cat(masks))


def trusted(look: Chest) -> bool:
    """Whether outlines are good enough to learn from: sure, of the usual shape, inside the film."""
    signs = look.signs
    usual = min(signs.areas) >= 0.06 and signs.tall >= 1.2 and 0.5 <= signs.taper <= 1.1 and signs.askew <= 0.12
    return usual and signs.confidence >= _TRUSTED_CONFIDENCE and not look.notes


def soft_dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """One minus Dice of probabilities, mean over films and sides."""
    probabilities = torch.sigmoid(logits)
    overlap = (probabilities * masks).sum((2, 3))
    total = probabilities.sum((2, 3)) + masks.sum((2, 3))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


class LungRecipe:
    """Batches of augmented films.

    Parameters
    ----------
    films
        With masks made by people.
    held_out
        Films of train that are scored but not learned from, or None.
    outlined
        Films with a teacher's outlines, or None; half of each batch then comes from them.
    batch_size
        Films of a batch.
    """

    def __init__(self, films: Films, held_out: Films | None = None, outlined: Films | None = None, batch_size: int = 8) -> None:
        self._films, self._held_out, self._outlined, self._size = films, held_out, outlined, batch_size
        self._strength = Strength()

    def _draw(self, films: Films, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(0, len(films), (count,), generator=generator)
        return films.images[chosen], films.masks[chosen]

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """``(n, 1, SIZE, SIZE)`` images and ``(n, 2, SIZE, SIZE)`` masks."""
        if self._outlined is None:
            images, masks = self._draw(self._films, self._size, generator)
        else:
            half = self._size // 2
            parts = (self._draw(self._films, half, generator), self._draw(self._outlined, self._size - half, generator))
            images, masks = (torch.cat(kind) for kind in zip(*parts, strict=True))
        lungs = masks.sum(1, keepdim=True)
        images = surround(opacify(images, lungs, generator), lungs, generator)
        grid, mirrored = random_grid(len(images), SIZE, self._strength, generator)
        fill = (torch.rand(len(images), generator=generator) < 0.2).float()
        images, masks = sample(images, grid, fill), sample(masks, grid)
        masks[mirrored] = masks[mirrored].flip(1)
        return degrade(regrade(images, generator), generator), masks

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy and soft Dice, together."""
        images, masks = batch
        logits = network(images)
        return binary_cross_entropy_with_logits(logits, masks) + soft_dice_loss(logits, masks)

    @torch.inference_mode()
    def score(self, network: nn.Module) -> float:
        """Mean Dice of both lungs together on the held-out films."""
        if self._held_out is None:
            return float("nan")
        scores = []
        for images, masks in zip(torch.split(self._held_out.images, 16), torch.split(self._held_out.masks, 16), strict=True):
            found = network(images).amax(1) > 0
            truth = masks.amax(1) > 0
            scores.append(2 * (found & truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2))))
        return float(torch.cat(scores).mean())
