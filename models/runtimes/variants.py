"""An image changed so little that the answer should stay: how much it does not is how unsure it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from models.networks.architectures import Reads

_CHANGES: Final = ((0.06, 0.0, 1.05, 1.08), (-0.06, 0.0, 0.95, 0.92), (0.0, 0.06, 0.95, 1.08), (0.0, -0.06, 1.05, 0.92))
"""Shift along columns and along rows (2 is the whole side), part of the extent that is shown, and contrast: within what
`models.training.nudge` changes while a network learns. No mirror image: left stays left."""


def variants(batch: Tensor, reads: Reads) -> Iterator[Tensor]:
    """Four variants of a prepared image.

    Parameters
    ----------
    batch
        A batch of one, as `reads` says.
    """
    flat = batch.flatten(0, 1) if reads is Reads.SEQUENCE else batch
    axes = flat.ndim - 2
    for columns, rows, extent, contrast in _CHANGES:
        theta = torch.eye(axes, axes + 1) * extent
        theta[0, axes], theta[1, axes] = columns, rows
        grid = affine_grid(theta.expand(len(flat), -1, -1), [len(flat), 1, *flat.shape[2:]], align_corners=False)
        yield grid_sample(flat, grid, padding_mode="border", align_corners=False).view(batch.shape) * contrast
