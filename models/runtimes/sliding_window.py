"""A network over a volume too large for it, window by window, the answers blended; only one window's depth of them is in memory.

Windows, overlap and weights are those that nnU-Net and MONAI use (Isensee et al. 2021): starts in steps of the window's unshared
part, the last window flush with the end, answers weighted by a Gaussian. What is different is what is kept: windows are visited
plane by plane, and planes that no later window reaches are handed on at once, so that answers of the whole volume never exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

Shape = tuple[int, int, int]
Finish = Callable[[int, Tensor], None]
"""Called with the first plane's number and blended answers ``(classes, planes, row, column)``, from first plane to last."""

SIGMA: Final = 0.125
"""Of the Gaussian, as a share of the window's side."""
LEAST_WEIGHT: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Window:
    """How a volume is cut.

    Parameters
    ----------
    shape
        Of a window: slices, rows, columns.
    overlap
        Share of a side that neighbouring windows have in common, 0 to less than 1.
    gaussian
        Whether a window's middle weighs more than its borders; otherwise all its voxels weigh the same.
    """

    shape: Shape
    overlap: float = 0.25
    gaussian: bool = True


def slide(network: Callable[[Tensor], Tensor], volume: Tensor, window: Window, finish: Finish, body: Tensor | None = None) -> int:
    """Blend the network's answers and hand them on in planes.

    Parameters
    ----------
    network
        In evaluation mode; answers a window on the CPU, ``(1, channels, slice, row, column)``, with logits on its grid.
    volume
        ``(channels, slice, row, column)`` float32. Sides shorter than the window's are filled with zeros on both ends.
    finish
        Takes the planes; what it is given is overwritten afterwards. Not called where no window has any body.
    body
        ``(slice, row, column)`` bool: windows without any of it are left out, and answers that no window gave are zero.

    Returns
    -------
    int
        How often the network was run. Windows of one single value, as air that was clipped, are answered once.
    """
    padded, before = _padded(volume, window.shape)
    shape = (padded.shape[1], padded.shape[2], padded.shape[3])
    weights = importance(window.shape) if window.gaussian else torch.ones(window.shape)
    inside = None if body is None else functional.pad(body, _sides(volume.shape[1:], window.shape))
    starts = [_starts(side, length, window.overlap) for side, length in zip(shape, window.shape, strict=True)]
    blend = _Blend(shape, window.shape, weights, lambda first, planes: _handed(finish, first, planes, before, volume.shape))
    known: dict[tuple[float, ...], Tensor] = {}
    runs = 0
    with torch.inference_mode():
        for z in starts[0]:
            blend.advance(z)
            for y, x in product(starts[1], starts[2]):
                at = (slice(z, z + window.shape[0]), slice(y, y + window.shape[1]), slice(x, x + window.shape[2]))
                if inside is not None and not inside[at].any():
                    continue
                part = padded[(slice(None), *at)]
                value = _single_value(part)
                answer = known.get(value) if value is not None else None
                if answer is None:
                    answer = network(part[None].contiguous(memory_format=torch.channels_last_3d))[0]
                    runs += 1
                    if value is not None:
                        known[value] = answer
                blend.add(answer, y, x)
        blend.advance(shape[0])
    return runs


def importance(shape: Shape) -> Tensor:
    """Weights of a window's voxels: a Gaussian about its middle, nowhere below `LEAST_WEIGHT`."""
    sides = []
    for length in shape:
        distance = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        sides.append(torch.exp(-(distance**2) / (2 * (SIGMA * length) ** 2)))
    whole = sides[0][:, None, None] * sides[1][None, :, None] * sides[2][None, None, :]
    return whole.clamp(min=max(float(whole.min()), LEAST_WEIGHT))


class _Blend:
    """Sums of weighted answers for as many planes as a window is deep; finished planes are handed on."""

    def __init__(self, shape: Shape, window: Shape, weights: Tensor, finish: Finish) -> None:
        self._window, self._weights, self._finish = window, weights, finish
        self._depth, self._first = shape[0], 0
        self._sums: Tensor | None = None
        self._total = torch.zeros((window[0], *shape[1:]))

    def add(self, answer: Tensor, y: int, x: int) -> None:
        """A window's answers, ``(classes, …)``, for the planes that the blend stands at."""
        if self._sums is None:
            self._sums = torch.zeros((answer.shape[0], *self._total.shape))
        at = (slice(y, y + self._window[1]), slice(x, x + self._window[2]))
        for index, one in enumerate(answer):
            self._sums[(index, slice(None), *at)].addcmul_(one, self._weights)
        self._total[(slice(None), *at)] += self._weights

    def advance(self, first: int) -> None:
        """Hand on the planes before `first`, and make room for as many after the last."""
        count = min(first - self._first, self._window[0], self._depth - self._first)
        if count and self._sums is not None:
            total = self._total[:count].clamp(min=1e-12)
            self._finish(self._first, self._sums[:, :count].div_(total))
        if count:
            for sums in (*(() if self._sums is None else self._sums), self._total):
                # forwards in memory: source and target may overlap, so plane by plane
                for plane in range(self._window[0] - count):
                    sums[plane].copy_(sums[plane + count])
                sums[self._window[0] - count :] = 0
        self._first = first


def _handed(finish: Finish, first: int, planes: Tensor, before: Shape, wanted: torch.Size) -> None:
    """Cut off what was filled in."""
    start, stop = max(first, before[0]), min(first + planes.shape[1], before[0] + wanted[1])
    if stop > start:
        cut = planes[:, start - first : stop - first, before[1] : before[1] + wanted[2], before[2] : before[2] + wanted[3]]
        finish(start - before[0], cut)


def _padded(volume: Tensor, window: Shape) -> tuple[Tensor, Shape]:
    sides = _sides(volume.shape[1:], window)
    return functional.pad(volume, sides) if any(sides) else volume, (sides[4], sides[2], sides[0])


def _sides(shape: torch.Size, window: Shape) -> list[int]:
    """What is filled in at both ends of each axis, the last axis first."""
    sides: list[int] = []
    for side, length in reversed(list(zip(shape, window, strict=True))):
        lacking = max(0, length - side)
        sides += [lacking // 2, lacking - lacking // 2]
    return sides


def _starts(side: int, length: int, overlap: float) -> list[int]:
    if side == length:
        return [0]
    step = max(1, int(length * (1 - overlap)))
    return list(dict.fromkeys(min(start, side - length) for start in _until(side - length, step)))


def _until(last: int, step: int) -> Iterator[int]:
    start = 0
    while start < last:
        yield start
        start += step
    yield last


def _single_value(part: Tensor) -> tuple[float, ...] | None:
    """The value of each channel where it is the same everywhere."""
    corner = part[:, 0, 0, 0]
    if not bool((part[:, 0] == corner[:, None, None]).all()):  # most windows differ in their first plane already
        return None
    same = bool((part == corner[:, None, None, None]).all())
    return tuple(corner.tolist()) if same else None
