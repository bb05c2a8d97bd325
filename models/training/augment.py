"""Random variants of films, made a batch at a time: what other machines, patients and archives would have done to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d, pad


@dataclass(frozen=True, slots=True)
class Strength:
    """How far variants go.

    Parameters
    ----------
    rotation_deg
        Largest rotation to either side.
    scale
        Smallest and largest size.
    shift
        Largest shift, as a part of the side.
    mirror
        Probability of a mirrored film.
    """

    rotation_deg: float = 15.0
    scale: tuple[float, float] = (0.65, 1.3)
    shift: float = 0.1
    mirror: float = 0.5


def _uniform(generator: torch.Generator, n: int, low: float, high: float) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def random_grid(n: int, size: int, strength: Strength, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A ``(n, size, size, 2)`` sampling grid, and a ``(n,)`` boolean: which of them are mirrored."""
    angle = _uniform(generator, n, -1, 1) * math.radians(strength.rotation_deg)
    scale = torch.exp(_uniform(generator, n, math.log(strength.scale[0]), math.log(strength.scale[1])))
    aspect = torch.exp(_uniform(generator, n, -0.12, 0.12))
    mirrored = torch.rand(n, generator=generator) < strength.mirror
    sign = torch.where(mirrored, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) / scale * aspect * sign
    theta[:, 0, 1] = -torch.sin(angle) / scale * aspect
    theta[:, 1, 0] = torch.sin(angle) / scale / aspect * sign
    theta[:, 1, 1] = torch.cos(angle) / scale / aspect
    theta[:, :, 2] = torch.stack([_uniform(generator, n, -1, 1), _uniform(generator, n, -1, 1)], 1) * strength.shift * 2
    return affine_grid(theta, [n, 1, size, size], align_corners=False), mirrored


def sample(images: Tensor, grid: Tensor, fill: Tensor | None = None) -> Tensor:
    """Sample ``(n, c, row, column)`` images at `grid`; outside lies `fill`, ``(n,)``, 0 by default."""
    if fill is None:
        return grid_sample(images, grid, align_corners=False)
    shift = fill.view(-1, 1, 1, 1)
    return grid_sample(images - shift, grid, align_corners=False) + shift


def _smooth_field(n: int, size: int, cells: int, generator: torch.Generator) -> Tensor:
    coarse = torch.randn(n, 1, cells, cells, generator=generator)
    return interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)


def regrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change gamma, contrast, brightness and evenness of ``(n, 1, row, column)`` images of 0 to 1; stays within 0 to 1."""
    n, size = images.shape[0], images.shape[-1]
    gamma = torch.exp(torch.randn(n, generator=generator) * 0.35).view(-1, 1, 1, 1)
    contrast = torch.exp(torch.randn(n, generator=generator) * 0.2).view(-1, 1, 1, 1)
    brightness = (torch.randn(n, generator=generator) * 0.08).view(-1, 1, 1, 1)
    uneven = _smooth_field(n, size, 4, generator) * _uniform(generator, n, 0, 0.1).view(-1, 1, 1, 1)
    graded = (images.clamp(0, 1) ** gamma - 0.5) * contrast + 0.5 + brightness + uneven
    return graded.clamp(0, 1)


def opacify(images: Tensor, lungs: Tensor, generator: torch.Generator, probability: float = 0.3) -> Tensor:
    """Brighten a part of the lungs (``(n, 1, row, column)``, 0 to 1) smoothly, as a consolidation or an effusion does."""
    n, size = images.shape[0], images.shape[-1]
    chosen = (torch.rand(n, generator=generator) < probability).view(-1, 1, 1, 1)
    where = torch.sigmoid(4 * _smooth_field(n, size, 5, generator) - 1) * lungs
    strength = _uniform(generator, n, 0.3, 0.8).view(-1, 1, 1, 1) * chosen
    bright = images.flatten(1).quantile(0.85, dim=1).view(-1, 1, 1, 1)
    return images + where * strength * (bright - images).clamp(min=0)


def surround(images: Tensor, lungs: Tensor, generator: torch.Generator, probability: float = 0.3) -> Tensor:
    """Let unattenuated beam, as dark as lung or darker, begin at a random distance from the lungs, as beside a thin body."""
    size = images.shape[-1]
    reach = 2 * int(torch.randint(size // 16, size // 6, (1,), generator=generator)) + 1
    body = max_pool2d(lungs, (reach, 1), stride=1, padding=(reach // 2, 0))
    body = max_pool2d(body, (1, reach), stride=1, padding=(0, reach // 2))
    body = avg_pool2d(body, 13, stride=1, padding=6, count_include_pad=False)
    chosen = (torch.rand(len(images), generator=generator) < probability).view(-1, 1, 1, 1)
    darkness = _uniform(generator, len(images), 0, 0.15).view(-1, 1, 1, 1)
    return torch.where(chosen, images * body + darkness * (1 - body), images)


def degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add what archives and detectors add: noise, loss of detail, markers, the frame of a collimator."""
    n, size = images.shape[0], images.shape[-1]
    images = images + torch.randn(images.shape, generator=generator) * _uniform(generator, n, 0, 0.05).view(-1, 1, 1, 1)
    for index in range(n):
        draw = torch.rand(4, generator=generator)
        if draw[0] < 0.25:
            small = int(size * float(_uniform(generator, 1, 0.3, 0.8)))
            coarse = interpolate(images[index : index + 1], size=(small, small), mode="bilinear", antialias=True)
            images[index : index + 1] = interpolate(coarse, size=(size, size), mode="bilinear")
        if draw[1] < 0.4:
            top, left = (int(v) for v in torch.randint(0, size, (2,), generator=generator))
            high, wide = (int(v) for v in torch.randint(size // 40, size // 8, (2,), generator=generator))
            images[index, :, top : top + high, left : left + wide] = float(torch.rand(1, generator=generator) > 0.2)
        if draw[2] < 0.25:
            edge = [int(v) for v in torch.randint(0, size // 12, (4,), generator=generator)]
            value = float(draw[3] > 0.7)
            inner = images[index, :, edge[0] : size - edge[1], edge[2] : size - edge[3]]
            images[index] = pad(inner, (edge[2], edge[3], edge[0], edge[1]), value=value)
    return images.clamp(0, 1)
