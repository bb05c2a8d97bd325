"""Small random changes of prepared images of any kind: moved, turned, stretched, brightened; left stays left."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from models.networks.architectures import Reads

_BEND = 0.1
_SHIFT = 0.06
_GRADE = 0.15


def nudge(images: Tensor, labels: Tensor | None, reads: Reads, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Change a batch; masks move with their images, and all frames of a sequence move alike.

    Parameters
    ----------
    images
        As `Reads` says.
    labels
        ``(n, …)`` whole numbers on the images' grid, or None.
    """
    count = images.shape[0]
    flat = images.flatten(0, 1) if reads is Reads.SEQUENCE else images
    axes = flat.ndim - 2
    theta = torch.eye(axes, axes + 1).repeat(count, 1, 1)
    theta[:, :, :axes] += (torch.rand(count, axes, axes, generator=generator) * 2 - 1) * _BEND
    theta[:, :, axes] += (torch.rand(count, axes, generator=generator) * 2 - 1) * _SHIFT
    grid = affine_grid(theta, [count, 1, *flat.shape[2:]], align_corners=False).to(images.device)
    if reads is Reads.SEQUENCE:
        grid = grid.repeat_interleave(images.shape[1], 0)
    moved = grid_sample(flat, grid, padding_mode="border", align_corners=False).view(images.shape)
    shape = (count, *[1] * (images.ndim - 1))
    contrast, light = ((torch.rand(2, count, generator=generator) * 2 - 1) * _GRADE).to(images.device)
    moved = moved * (1 + contrast.view(shape)) + light.view(shape)
    if labels is None:
        return moved, None
    carried = grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="border", align_corners=False)
    return moved, carried[:, 0].long()
