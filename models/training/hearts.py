"""How `cine-lv` is trained: a U-Net that sees short-axis slices from far, to find the ventricle, and from near."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, grid_sample, interpolate

from models.runtimes.film import window
from models.runtimes.short_axis import FAR, NEAR, SIDE, even_far, even_near, near_grid
from models.training.augment import regrade
from models.training.tables import Row, read_grey

_SHIFT: Final = 12.0
"""Reference pixels by which the centre from near is off at most, each way."""

_SHIFT_FAR: Final = 40.0
_TINY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Slices:
    """Labelled slices of one size, on the reference grid.

    Parameters
    ----------
    images
        ``(n, 1, row, column)``, 0 to 1.
    masks
        ``(n, 2, row, column)``, 0 or 1: the cavity, and all within the myocardium's outer border.
    drawn
        ``(n, 2)``, 1 where that border was drawn by the reader.
    centres
        ``(n, 2)``: row and column of the cavity's centre.
    """

    images: Tensor
    masks: Tensor
    drawn: Tensor
    centres: Tensor

    def __len__(self) -> int:
        return self.images.shape[0]

    def take(self, rows: Sequence[int]) -> Slices:
        """Some of the slices."""
        chosen = torch.as_tensor(rows, dtype=torch.long)
        return Slices(self.images[chosen], self.masks[chosen], self.drawn[chosen], self.centres[chosen])


def read_slices(folder: Path, rows: Sequence[Row]) -> Slices:
    """Read labelled slices.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    images, masks, drawn = [], [], []
    for row in rows:
        images.append(torch.from_numpy(window(read_grey(folder / row["image"]))))
        outlines = [
            torch.from_numpy(read_grey(folder / row[column]) > 127) if row[column] else None for column in ("endo", "epi")
        ]
        shape = images[-1].shape
        masks.append(torch.stack([torch.zeros(shape) if one is None else one.float() for one in outlines]))
        drawn.append(torch.tensor([float(one is not None) for one in outlines]))
    cavity = torch.stack(masks)[:, 0]
    total = cavity.sum((1, 2))
    index = torch.arange(cavity.shape[1]).float()
    centres = torch.stack([(cavity.sum(2) * index).sum(1) / total, (cavity.sum(1) * index).sum(1) / total], 1)
    return Slices(torch.stack(images)[:, None], torch.stack(masks), torch.stack(drawn), centres)


class HeartRecipe:
    """Batches of turned, scaled, bent and regraded slices, most from near, some from far.

    Parameters
    ----------
    slices
        To learn from.
    held_out
        Slices of other patients that are scored, or None.
    near, far
        Slices of a batch shown from near and from far.
    """

    def __init__(self, slices: Slices, held_out: Slices | None = None, near: int = 6, far: int = 2) -> None:
        self._slices, self._held_out, self._counts = slices, held_out, (near, far)
        self._blurred = avg_pool2d(slices.images, 3, stride=1, padding=1)

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """``(n, 1, SIDE, SIDE)`` images, ``(n, 2, SIDE, SIDE)`` masks and ``(n, 2)``, which of these were drawn."""
        parts = [self._shown(count, bool(index), generator) for index, count in enumerate(self._counts) if count]
        images, masks, drawn = (torch.cat(kind) for kind in zip(*parts, strict=True))
        return images, masks, drawn

    def _shown(self, count: int, far: bool, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        chosen = torch.randint(0, len(self._slices), (count,), generator=generator)
        images = (self._blurred if far else self._slices.images)[chosen]
        size = images.shape[-2], images.shape[-1]
        shift = (torch.rand(count, 2, generator=generator) * 2 - 1) * (_SHIFT_FAR if far else _SHIFT)
        middle = torch.tensor([(side - 1) / 2 for side in size]).expand(count, 2) if far else self._slices.centres[chosen]
        scale = (FAR / NEAR if far else 1.0) * torch.exp((torch.rand(count, generator=generator) * 2 - 1) * 0.28)
        grid = near_grid(middle + shift, size, _turns(scale, generator)) + _bends(count, generator, size)
        masks = grid_sample(self._slices.masks[chosen], grid, align_corners=False)
        varied = _degrade(regrade(grid_sample(images, grid, align_corners=False), generator), generator)
        return (even_far if far else even_near)(varied), (masks > 0.5).float(), self._slices.drawn[chosen]

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy and soft Dice of each border that was drawn."""
        images, masks, drawn = batch
        logits = network(images)
        entropy = binary_cross_entropy_with_logits(logits, masks, reduction="none").mean((2, 3))
        probabilities = torch.sigmoid(logits)
        overlap, total = (probabilities * masks).sum((2, 3)), probabilities.sum((2, 3)) + masks.sum((2, 3))
        losses = 2 * entropy + 1 - (2 * overlap + _TINY) / (total + _TINY)
        loss: Tensor = (losses * drawn).sum() / drawn.sum()
        return loss

    @torch.inference_mode()
    def score(self, network: nn.Module) -> float:
        """Mean Dice of the cavity on held-out slices, from near, looked at where the reader drew it."""
        if self._held_out is None:
            return float("nan")
        scores = []
        for start in range(0, len(self._held_out), 16):
            part = self._held_out.take(range(start, min(start + 16, len(self._held_out))))
            grid = near_grid(part.centres, (part.images.shape[-2], part.images.shape[-1]))
            found = network(even_near(grid_sample(part.images, grid, align_corners=False)))[:, 0] > 0
            truth = grid_sample(part.masks, grid, align_corners=False)[:, 0] > 0.5
            scores.append(2 * (found & truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2))))
        return float(torch.cat(scores).mean())


def _turns(scale: Tensor, generator: torch.Generator) -> Tensor:
    """``(n, 2, 2)`` turns by any angle, half of them mirrored, one side up to a tenth longer than the other."""
    count = len(scale)
    angle = torch.rand(count, generator=generator) * 2 * math.pi
    aspect = torch.exp((torch.rand(count, generator=generator) * 2 - 1) * 0.1)
    sign = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    cos, sin = torch.cos(angle), torch.sin(angle)
    first, second = scale * aspect, scale / aspect * sign
    return torch.stack([torch.stack([cos * first, -sin * second], 1), torch.stack([sin * first, cos * second], 1)], 1)


def _bends(count: int, generator: torch.Generator, size: tuple[int, int]) -> Tensor:
    """Smooth shifts of up to some reference pixels, as `grid_sample` wants them."""
    coarse = torch.randn(count, 2, 5, 5, generator=generator)
    strength = torch.rand(count, 1, 1, 1, generator=generator) * 3.0
    smooth = interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False) * strength
    return smooth.permute(0, 2, 3, 1) * (2 / max(size))


def _degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise, and lose detail in some."""
    count = len(images)
    draw = torch.rand(count, 2, generator=generator)
    soft = avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = torch.where((draw[:, 0] < 0.25).view(-1, 1, 1, 1), soft, images)
    noise = torch.randn(images.shape, generator=generator) * (draw[:, 1] * 0.06).view(-1, 1, 1, 1)
    return (images + noise).clamp(0, 1)
