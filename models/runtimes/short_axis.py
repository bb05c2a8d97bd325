"""Where the left ventricle is on a short-axis slice: found on the whole slice, then outlined from near."""

from __future__ import annotations

import math
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

_FAINT: Final = 0.1
"""Probability from which a place is looked at from near, though another is likelier."""

_PLACES: Final = 3
"""Most found from far that are looked at from near, each on `_LOOKED_AT` phases at most; the middle of the slice is too."""

_LOOKED_AT: Final = 4

_BY_MASS: Final = 0.02
"""What a place gains from near by having e times more probability in it from far."""

_MIDDLE: Final = 150.0
"""What the middle of the slice counts as having of probability in it from far: slices are planned around the heart."""

_SAME: Final = 10.0
"""Reference pixels from the middle of the slice within which a place found alone is taken: the middle would show the same."""

_CUT: Final = 20.0
"""Reference pixels from the middle of a view from near beyond which it would cut off a large heart; it is moved there then."""

_ABOUT: Final = 25.0
"""Reference pixels from the middle of the slice within which the cavity's centre lies, but for few."""

_BY_DISTANCE: Final = 0.083
_MOST_OFF: Final = 0.36

_BATCH: Final = 16

_DARKEST, _BRIGHTEST_FAR, _BRIGHTEST_NEAR = 0.01, 0.95, 0.99
"""Parts of the pixels below which black and white lie; from far bright fat is all white, for a dark heart not to be all black."""

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]


def even_far(slices: Tensor) -> Tensor:
    """Window ``(n, 1, row, column)`` slices to 0 to 1, each by what it shows as a whole."""
    return _even(slices, _BRIGHTEST_FAR)


def even_near(squares: Tensor) -> Tensor:
    """Window ``(n, 1, SIDE, SIDE)`` views from near to 0 to 1, each by what it shows: the heart and what lies about it."""
    return _even(squares, _BRIGHTEST_NEAR)


def _even(images: Tensor, brightest: float) -> Tensor:
    flat = images.flatten(1)
    bounds = torch.quantile(flat[:, :: max(1, flat.shape[1] // 8192)], torch.tensor([_DARKEST, brightest]), dim=1)
    low, high = (bound.view(-1, 1, 1, 1) for bound in bounds)
    evened: Tensor = ((images - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)
    return evened


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
        small = even_far(avg_pool2d(slices, FAR, ceil_mode=True))
        rows, columns = small.shape[-2:]
        multiple = 32
        padded = pad(small, (0, -columns % multiple, 0, -rows % multiple))
        answers = [torch.sigmoid(network(padded.to(self._device))).cpu() for network in self._networks]
        return torch.stack(answers).mean(0)[..., :rows, :columns]

    def locate(self, phases: Tensor) -> tuple[float, float] | None:
        """Where to outline the ventricle from: row and column in ``(n, 1, row, column)`` reference slices, phases of one place.

        Each place that may be it from far is looked at from near, and so is the middle of the slice, for slices are planned
        around the heart; the one of which the networks are surest is taken, one near the middle rather than one farther off.
        None: most phases show no ventricle.
        """
        seen = torch.cat([self.far(part)[:, 0] for part in torch.split(phases, _BATCH)])
        # a slice of which most phases show no ventricle lies beyond it
        if 2 * int((seen.amax((1, 2)) >= _FAINTEST).sum()) < len(seen):
            return None
        middle = ((phases.shape[-2] - 1) / 2, (phases.shape[-1] - 1) / 2)
        found = places(seen.mean(0).numpy())
        if len(found) == 1 and math.dist(found[0][1], middle) < _SAME:
            return found[0][1]
        found.append((_MIDDLE, middle))
        some = phases[:: math.ceil(len(phases) / _LOOKED_AT)]
        looks = [(mass, centre, *self._look(some, centre)) for mass, centre in found]
        *_, centre = max(looks, key=lambda look: look[2] + _BY_MASS * math.log(look[0]) - _off(math.dist(look[1], middle)))
        return centre

    def _look(self, phases: Tensor, centre: tuple[float, float]) -> tuple[float, tuple[float, float]]:
        """How sure the networks are of a cavity there, and where to outline it from: there, or where no view cuts it off.

        Sure: the mean probability within it, less what its area varies between them.
        """
        near = self.near(phases, torch.tensor([centre], dtype=torch.float32).expand(len(phases), 2))[:, :, 0]
        mean = near.mean(0)
        inside = mean > 0.5
        if not bool(inside.any()):
            return -1.0, centre
        areas = near.sum((2, 3))
        spread = areas.std(0) / areas.mean(0).clamp(min=1e-6)
        sure = float(mean[inside].mean()) - float(spread.mean())
        cavity = largest(mean.mean(0).numpy() > 0.5)
        if not cavity.any():
            return sure, centre
        down, right = (float(off) * NEAR for off in np.argwhere(cavity).mean(0) - (SIDE - 1) / 2)
        return sure, (centre[0] + down, centre[1] + right) if math.hypot(down, right) > _CUT else centre

    @torch.inference_mode()
    def near(self, slices: Tensor, centres: Tensor) -> Tensor:
        """``(variant, n, 2, SIDE, SIDE)`` probabilities from near: each network's for each of four turns and mirrors."""
        size = slices.shape[-2], slices.shape[-1]
        squares = even_near(grid_sample(slices, near_grid(centres, size), align_corners=False)).to(self._device)
        found = []
        for turns, mirrored in ((0, False), (1, True), (2, False), (3, True)):
            shown = torch.rot90(squares.flip(3) if mirrored else squares, turns, (2, 3))
            for network in self._networks:
                back = torch.rot90(torch.sigmoid(network(shown)), -turns, (2, 3))
                found.append((back.flip(3) if mirrored else back).cpu())
        return torch.stack(found)

    def outline(self, phases: Tensor, spacing_mm: tuple[float, float] | None) -> list[Answer | None]:
        """Answers for ``(n, 1, row, column)`` slices of 0 to 1, phases of one place; all None where no ventricle is."""
        reference = to_reference(phases, spacing_mm)
        size = reference.shape[-2], reference.shape[-1]
        shape = phases.shape[-2], phases.shape[-1]
        centre = self.locate(reference)
        if centre is None:
            return [None] * len(phases)
        answers: list[Answer | None] = []
        for slice_ in torch.split(reference, 1):
            near = self.near(slice_, torch.tensor([centre], dtype=torch.float32))[:, 0]
            areas = near[:, 0].sum((1, 2))
            probabilities = spread_out(near.mean(0, keepdim=True), centre, size, shape)[0]
            answers.append(Answer(probabilities.numpy(), float(areas.std() / areas.mean().clamp(min=1e-6))))
        return answers


def _off(distance: float) -> float:
    """What a place loses by its distance, in reference pixels, from the middle of the slice."""
    return min(_MOST_OFF, _BY_DISTANCE * (distance / _ABOUT) ** 2)


def places(probabilities: Grey) -> list[tuple[float, tuple[float, float]]]:
    """Where from far the cavity may be, at most `_PLACES`: the sum of its probabilities and its centre in reference pixels."""
    sure = probabilities > min(_LEAST, float(probabilities.max()) / 2)
    faint = (probabilities > _FAINT) & ~ndimage.binary_dilation(sure, iterations=2)
    found = []
    for mask in (sure, faint):
        labels, count = ndimage.label(mask)
        for number in range(1, count + 1):
            row, column = ndimage.center_of_mass(probabilities, labels, number)
            total = float(probabilities[labels == number].sum())
            found.append((total, ((row + 0.5) * FAR - 0.5, (column + 0.5) * FAR - 0.5)))
    return sorted(found, reverse=True)[:_PLACES]


def largest(mask: Mask) -> Mask:
    """The largest component of a mask, its holes filled."""
    labels, count = ndimage.label(mask)
    if count > 1:
        mask = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    filled: Mask = ndimage.binary_fill_holes(mask)
    return filled
