"""How `skin-7` is trained: turned, scaled and recoloured pictures, rare kinds shown more often than they come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from models.networks.lesion_net import LesionNet
from models.runtimes.lesion_views import square, turned
from models.training.tables import Row, read_colour

KEPT_SIDE: Final = 224
"""Side of the squares that are kept in memory."""

LEARNED_SIDE: Final = 160
"""Side of the squares that are learned from: the picture, or a part of it, at about the size in which the network is shown it."""

PENALTY: Final = 0.02
"""Of the squared weights of the first head."""

_EVENING: Final = 0.5
"""Kinds are drawn in proportion to their number to this power: 1 as they come, 0 all equally often."""

_SMOOTHING: Final = 0.05


def read_squares(folder: Path, rows: Sequence[Row]) -> Tensor:
    """``(n, 3, KEPT_SIDE, KEPT_SIDE)`` uint8 red, green and blue.

    Raises
    ------
    ConfigurationError
        Where a picture is missing.
    """
    squares = [square(read_colour(folder / row["image"]), KEPT_SIDE) for row in rows]
    return (torch.cat(squares) * 255).round().to(torch.uint8)


def shown(squares: Tensor, side: int) -> Tensor:
    """Kept squares as a network is shown them in the hospital, ``(n, 3, side, side)``."""
    return torch.cat([square(one.permute(1, 2, 0).numpy(), side) for one in squares])


@torch.inference_mode()
def describe(network: LesionNet, squares: Tensor) -> Tensor:
    """Pooled features, ``(n, pooled)``, of kept squares as they are; not yet of about the same size each in a new network."""
    return torch.cat([network.pool(network.see(shown(part, network.family.side))) for part in torch.split(squares, 16)])


@torch.inference_mode()
def rate(network: LesionNet, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, ``(n, kind)``, and strangeness, ``(n,)``, each the mean over turns and mirrors."""
    logits, strange = [], []
    for part in torch.split(squares, 8):
        pooled = network.pool(network.see(turned(shown(part, network.family.side))))
        logits.append(network.head(pooled).view(-1, len(part), network.head.out_features).mean(0))
        strange.append(network.strangeness(pooled).view(-1, len(part)).mean(0))
    return torch.cat(logits), torch.cat(strange)


def fit_head(network: LesionNet, pooled: Tensor, kinds: Tensor) -> None:
    """Fit the head in place to what the network sees: logistic regression, all kinds counting alike."""
    with torch.no_grad():
        network.mean.copy_(pooled.mean(0))
        network.spread.copy_(pooled.std(0).clamp(min=1e-2))
    features = (pooled - network.mean) / network.spread
    weights = 1 / torch.bincount(kinds, minlength=network.head.out_features).clamp(min=1).float()
    optimiser = torch.optim.LBFGS(network.head.parameters(), max_iter=60, line_search_fn="strong_wolfe")
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = cross_entropy(network.head(features), kinds, weights) + PENALTY * network.head.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]


class LesionRecipe:
    """Batches of varied pictures.

    Parameters
    ----------
    squares
        As `read_squares` gives them, to learn from.
    kinds
        ``(n,)`` index of the kind of each.
    side
        Of the whole square as the network is shown it (`models.networks.lesion_net.Family`).
    held_out
        Squares and kinds that are scored, or None.
    batch_size
        Pictures of a batch.
    """

    def __init__(
        self, squares: Tensor, kinds: Tensor, side: int, held_out: tuple[Tensor, Tensor] | None = None, batch_size: int = 16
    ) -> None:
        self._squares, self._kinds, self._held_out, self._size = squares, kinds, held_out, batch_size
        self._part = LEARNED_SIDE / side
        counts = torch.bincount(kinds).clamp(min=1).float()
        self._chances = (counts ** (_EVENING - 1))[kinds]
        drawn = counts**_EVENING
        # what the draw leaves uneven is put into the logits while learning (Menon 2020): without it all kinds count alike
        self._shift = (drawn / drawn.sum()).log()

    def batch(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """``(n, 3, LEARNED_SIDE, LEARNED_SIDE)`` pictures of 0 to 1 and ``(n,)`` kinds."""
        chosen = torch.multinomial(self._chances, self._size, replacement=True, generator=generator)
        pictures = self._squares[chosen].float() / 255
        return recolour(_placed(pictures, self._part, generator), generator), self._kinds[chosen]

    def loss(self, network: LesionNet, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy, for kinds that come as often as they were drawn."""
        pictures, kinds = batch
        return cross_entropy(network(pictures) + self._shift, kinds, label_smoothing=_SMOOTHING)

    @torch.inference_mode()
    def score(self, network: LesionNet) -> float:
        """Balanced accuracy on what was held out, without turns."""
        if self._held_out is None:
            return float("nan")
        squares, kinds = self._held_out
        called = network.head(describe(network, squares)).argmax(1)
        return float(
            torch.stack(
                [
                    (called[kinds == one] == one).float().mean()
                    for one in range(network.head.out_features)
                    if bool((kinds == one).any())
                ]
            ).mean()
        )


def _placed(pictures: Tensor, part: float, generator: torch.Generator) -> Tensor:
    """That part of them, about: turned, mirrored, scaled and moved; what lies outside is filled from within by reflection."""
    count = len(pictures)
    angle = torch.rand(count, generator=generator) * 2 * math.pi
    scale = part * torch.exp((torch.rand(count, generator=generator) * 2 - 1) * 0.22)
    aspect = torch.exp((torch.rand(count, generator=generator) * 2 - 1) * 0.1)
    sign = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = torch.cos(angle) * scale * aspect * sign, -torch.sin(angle) * scale * aspect
    theta[:, 1, 0], theta[:, 1, 1] = torch.sin(angle) * scale / aspect * sign, torch.cos(angle) * scale / aspect
    theta[:, :, 2] = (torch.rand(count, 2, generator=generator) * 2 - 1) * 0.12
    grid = affine_grid(theta, [count, 3, LEARNED_SIDE, LEARNED_SIDE], align_corners=False)
    return grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def recolour(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Change the light's colour, brightness, contrast and saturation of ``(n, 3, row, column)`` pictures of 0 to 1."""
    count = len(pictures)

    def drawn(size: float, *shape: int) -> Tensor:
        values = torch.rand(count, *shape, generator=generator) * 2 - 1
        return torch.exp(values * size).view(count, -1, 1, 1)

    grey = pictures.mean(1, keepdim=True)
    pictures = grey + (pictures - grey) * drawn(0.25)
    level = pictures.mean((1, 2, 3), keepdim=True)
    pictures = (level + (pictures - level) * drawn(0.2)) * drawn(0.2) * drawn(0.08, 3)
    return pictures.clamp(0, 1)
