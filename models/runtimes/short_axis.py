"""Where the left ventricle is on a short-axis slice: found on the whole slice, then outlined from near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, pad

from models.networks.unet import UNet

OUTPUTS: Final = 2
"""The cavity, and all that lies within the outer border of the myocardium (the cavity with it)."""

REFERENCE_MM: Final = 1.3
"""Side of a pixel of the grid that slices are brought to first: that of the images that were learned from."""

FIELD_MM: Final = 256 * REFERENCE_MM
"""What the longer side of a picture that states no spacing is taken to be."""

SIDE: Final = 128
"""Side, in pixels, of what the network is shown from near."""

NEAR: Final = 108 / SIDE
"""Reference pixels in one pixel from near."""

FAR: Final = 2
"""Reference pixels in one pixel of the whole slice."""

_LEAST: Final = 0.3
"""Probability from which a place counts while the ventricle is looked for; half of the highest where that is less."""

_FAINTEST: Final = 0.02
"""Highest probability below which nothing was found from far; from near the networks judge anew."""

Grey = NDArray[np.float32]


def make_networks(count: int) -> nn.ModuleList:
    """`count` U-Nets whose answers are averaged."""
    return nn.ModuleList(UNet(OUTPUTS) for _ in range(count))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the networks say of one slice.

    Parameters
    ----------
    probabilities
        ``(2, row, column)`` on the grid of the slice; 0 far from the ventricle.
    spread
        Standard deviation of the cavity's area over networks and variants, as a part of its mean.
    """

    probabilities: Grey
    spread: float


def to_reference(slices: Tensor, spacing_mm: tuple[float, float] | None) -> Tensor:
    """Bring ``(n, 1, row, column)`` slices to square pixels of `REFERENCE_MM`.

    Parameters
    ----------
    spacing_mm
        Between rows and between columns; None where it is not known.
    """
    rows, columns = slices.shape[-2:]
    step = (FIELD_MM / max(rows, columns),) * 2 if spacing_mm is None else spacing_mm
    size = max(32, round(rows * step[0] / REFERENCE_MM)), max(32, round(columns * step[1] / REFERENCE_MM))
    if size == (rows, columns):
        return slices
    return interpolate(slices, size=size, mode="bilinear", antialias=True, align_corners=False)


def near_grid(centres: Tensor, size: tuple[int, int], theta: Tensor | None = None) -> Tensor:
    """Where the pixels from near lie, as `grid_sample` wants it, ``(n, SIDE, SIDE, 2)``.

    Parameters
    ----------
    centres
        ``(n, 2)``: row and column in the reference grid.
    size
        Rows and columns of the reference grid.
    theta
        ``(n, 2, 2)`` turns, scales and mirrors offsets of row and column; None: nothing but `NEAR`.
    """
    axis = torch.arange(SIDE) - (SIDE - 1) / 2
    offsets = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1) * NEAR
    places = offsets.expand(len(centres), SIDE, SIDE, 2)
    if theta is not None:
        places = torch.einsum("nrci,nji->nrcj", places, theta)
    places = places + centres[:, None, None]
    half = torch.tensor(size) / 2
    return ((places + 0.5) / half - 1).flip(-1)


def spread_out(near: Tensor, centre: Sequence[float], size: tuple[int, int], shape: tuple[int, int]) -> Tensor:
    """Bring ``(n, c, SIDE, SIDE)`` answers from near back to a slice of `shape`; 0 outside of what was seen."""
    places = []
    for count, reference, middle in zip(shape, size, centre, strict=True):
        there = (torch.arange(count) + 0.5) * (reference / count) - 0.5
        places.append((there - middle) / NEAR / (SIDE / 2))
    grid = torch.stack(torch.meshgrid(*places, indexing="ij"), -1).flip(-1)
    return grid_sample(near, grid.expand(len(near), -1, -1, -1), align_corners=False)


class VentricleFinder:
    """Networks that find and outline the ventricle.

    Parameters
    ----------
    networks
        As `make_networks` makes them, with weights.
    device
        As torch spells it.
    """

    def __init__(self, networks: nn.ModuleList, device: str = "cpu") -> None:
        self._networks = networks.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def far(self, slices: Tensor) -> Tensor:
        """``(n, 2, row, column)`` probabilities on every second pixel of ``(n, 1, row, column)`` reference slices of 0 to 1."""
        small = avg_pool2d(slices, FAR, ceil_mode=True)
        rows, columns = small.shape[-2:]
        multiple = 32
        padded = pad(small, (0, -columns % multiple, 0, -rows % multiple))
        answers = [torch.sigmoid(network(padded.to(self._device))).cpu() for network in self._networks]
        return torch.stack(answers).mean(0)[..., :rows, :columns]

    def locate(self, slices: Tensor) -> Tensor:
        """``(n, 2)`` row and column of the cavity's centre in ``(n, 1, row, column)`` reference slices; NaN: there is none."""
        return torch.stack([_centre(one[0].numpy()) for one in self.far(slices)])

    @torch.inference_mode()
    def near(self, slices: Tensor, centres: Tensor) -> Tensor:
        """``(variant, n, 2, SIDE, SIDE)`` probabilities from near: each network's for each of four turns and mirrors."""
        size = slices.shape[-2], slices.shape[-1]
        squares = grid_sample(slices, near_grid(centres, size), align_corners=False).to(self._device)
        found = []
        for turns, mirrored in ((0, False), (1, True), (2, False), (3, True)):
            shown = torch.rot90(squares.flip(3) if mirrored else squares, turns, (2, 3))
            for network in self._networks:
                back = torch.rot90(torch.sigmoid(network(shown)), -turns, (2, 3))
                found.append((back.flip(3) if mirrored else back).cpu())
        return torch.stack(found)

    def outline(
        self, slices: Tensor, spacing_mm: tuple[float, float] | None, centres: Tensor | None = None
    ) -> list[Answer | None]:
        """Answers for ``(n, 1, row, column)`` slices of 0 to 1; None where no ventricle was found.

        Parameters
        ----------
        centres
            ``(n, 2)`` rows and columns of the reference grid to look at; None: where each slice itself says.
        """
        reference = to_reference(slices, spacing_mm)
        size = reference.shape[-2], reference.shape[-1]
        shape = slices.shape[-2], slices.shape[-1]
        where = self.locate(reference) if centres is None else centres
        answers: list[Answer | None] = []
        for index, centre in enumerate(where):
            if bool(torch.isnan(centre).any()):
                answers.append(None)
                continue
            near = self.near(reference[index : index + 1], centre[None])[:, 0]
            areas = near[:, 0].sum((1, 2))
            probabilities = spread_out(near.mean(0, keepdim=True), centre.tolist(), size, shape)[0]
            answers.append(Answer(probabilities.numpy(), float(areas.std() / areas.mean().clamp(min=1e-6))))
        return answers


def _centre(probabilities: Grey) -> Tensor:
    """Centre of the component with most probability in it, in reference pixels."""
    most = float(probabilities.max())
    if most < _FAINTEST:
        return torch.full((2,), torch.nan)
    labels, count = ndimage.label(probabilities > min(_LEAST, most / 2))
    sums = ndimage.sum_labels(probabilities, labels, np.arange(1, count + 1))
    best = int(np.argmax(sums)) + 1
    middle = ndimage.center_of_mass(probabilities, labels, best)
    return torch.tensor([(one + 0.5) * FAR - 0.5 for one in middle], dtype=torch.float32)
