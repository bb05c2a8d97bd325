"""How the lung network learns to tell an upright frontal chest from what it must refuse.

The U-Net stays as it is; a logistic regression is fitted to descriptions of films as they are and of what is made from them:
turned, upside down, inverted, cut to pieces; and of pictures that are no chests at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from models.networks.lung_net import Kind, LungNet
from models.training.augment import Strength, degrade, opacify, random_grid, regrade, sample, surround
from models.training.lungs import Films

_KINDS: Final = tuple(Kind)
_UPRIGHT_VARIANTS: Final = 3
_PENALTY: Final = 1e-3
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class Described:
    """Descriptions to learn from.

    Parameters
    ----------
    descriptions
        ``(n, DESCRIBED)``.
    kinds
        ``(n,)`` indices of `Kind`.
    films
        ``(n,)`` indices of the film each was made from; -1 for pictures that are no chests.
    """

    descriptions: Tensor
    kinds: Tensor
    films: Tensor


@torch.no_grad()
def describe_films(
    network: LungNet, films: Films, others: Tensor, generator: torch.Generator, advance: Callable[[], None]
) -> Described:
    """Describe variants of films, and of `others`, ``(n, 1, SIZE, SIZE)`` pictures that are no chest radiographs."""
    network.eval()
    found: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(images: Tensor, kind: Kind, indices: Tensor) -> None:
        described = network.describe(network.encode(images))
        found.append((described, torch.full((len(images),), _KINDS.index(kind)), indices))

    for part in torch.split(torch.arange(len(films)), _BATCH):
        images, masks = films.images[part], films.masks[part]
        add(images, Kind.UPRIGHT, part)
        for _ in range(_UPRIGHT_VARIANTS):
            add(_vary(images, masks, generator), Kind.UPRIGHT, part)
        for kind in (Kind.UPSIDE_DOWN, Kind.TURNED, Kind.INVERTED, Kind.OTHER):
            add(make(kind, _vary(images, masks, generator), generator), kind, part)
            if kind is not Kind.OTHER:
                add(make(kind, images, generator), kind, part)
        advance()
    if len(others):
        # Pictures that are no chests lie in every direction, and some are inverted.
        turned = torch.cat([torch.rot90(others, turns, (2, 3)) for turns in range(4)])
        for part in torch.split(torch.cat([turned, 1 - turned]), _BATCH):
            add(part, Kind.OTHER, torch.full((len(part),), -1))
    made = synthetic(len(films) // 4, films.images.shape[-1], generator)
    add(made, Kind.OTHER, torch.full((len(made),), -1))
    descriptions, kinds, indices = (torch.cat(column) for column in zip(*found, strict=True))
    return Described(descriptions, kinds, indices)


def _vary(images: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    lungs = masks.sum(1, keepdim=True)
    images = surround(opacify(images, lungs, generator), lungs, generator)
    grid, _ = random_grid(len(images), images.shape[-1], Strength(), generator)
    fill = (torch.rand(len(images), generator=generator) < 0.2).float()
    return degrade(regrade(sample(images, grid, fill), generator), generator)


def make(kind: Kind, images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn upright films into another kind."""
    if kind is Kind.UPSIDE_DOWN:
        return images.flip(2) if torch.rand(1, generator=generator) < 0.5 else torch.rot90(images, 2, (2, 3))
    if kind is Kind.TURNED:
        return torch.rot90(images, 1 if torch.rand(1, generator=generator) < 0.5 else 3, (2, 3))
    if kind is Kind.INVERTED:
        return 1 - images
    if kind is Kind.OTHER:
        return torch.cat([_piece(image[None], generator) for image in images])
    return images


def _piece(image: Tensor, generator: torch.Generator) -> Tensor:
    """A small part of a film, enlarged: too little to be read as a chest."""
    size = image.shape[-1]
    side = int(size * float(torch.rand(1, generator=generator) * 0.2 + 0.25))
    top, left = (int(v) for v in torch.randint(0, size - side, (2,), generator=generator))
    return interpolate(image[:, :, top : top + side, left : left + side], size=(size, size), mode="bilinear")


def synthetic(count: int, size: int, generator: torch.Generator) -> Tensor:
    """``(count, 1, size, size)`` of noise and of smooth blots of all sizes."""
    made = []
    for index in range(count):
        cells = 2 + index % 14
        blots = interpolate(torch.randn(1, 1, cells, cells, generator=generator), size=(size, size), mode="bicubic")
        noise = torch.randn(1, 1, size, size, generator=generator) * float(torch.rand(1, generator=generator))
        mixed = blots + noise
        made.append((mixed - mixed.amin()) / (mixed.amax() - mixed.amin()))
    return torch.cat(made) if made else torch.zeros(0, 1, size, size)


def fit_kinds(described: Described, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weight and bias of the head, fitted to `chosen` descriptions, kinds balanced.

    Returns
    -------
    tuple
        ``(len(Kind), DESCRIBED)`` and ``(len(Kind),)``.
    """
    descriptions = described.descriptions if chosen is None else described.descriptions[chosen]
    kinds = described.kinds if chosen is None else described.kinds[chosen]
    mean, spread = descriptions.mean(0), descriptions.std(0).clamp(min=1e-4)
    scaled = (descriptions - mean) / spread
    balance = 1 / torch.bincount(kinds, minlength=len(_KINDS)).clamp(min=1).float()
    weight = torch.zeros(len(_KINDS), descriptions.shape[1], requires_grad=True)
    bias = torch.zeros(len(_KINDS), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = cross_entropy(scaled @ weight.T + bias, kinds, weight=balance) + _PENALTY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    weight, bias = weight.detach(), bias.detach()
    return weight / spread, bias - (weight / spread) @ mean
