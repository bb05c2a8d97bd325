"""nnU-Net v2's grids: cropping to what is not zero, normalisation, resampling, tiles with Gaussian weights and mirroring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn.functional import pad

from node.store.errors import ConfigurationError, Refused

ANISOTROPIC: Final = 3.0
"""Beyond this ratio of spacings the coarse axis is resampled apart, by nearest neighbour."""
SCHEMES: Final = ("CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization")
Box = tuple[slice, ...]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Volume:
    """Spacings before and after a resampling, mm."""

    spacing: tuple[float, ...]
    target: tuple[float, ...]

    @property
    def apart(self) -> int | None:
        """The axis that is resampled apart from the other two; None: none is."""
        for spacing in (self.spacing, self.target):
            if max(spacing) / min(spacing) > ANISOTROPIC:
                coarse = [axis for axis, step in enumerate(spacing) if step == max(spacing)]
                return coarse[0] if len(coarse) == 1 else None
        return None


def crop_to_nonzero(volume: Floats) -> tuple[Box, NDArray[np.bool_]]:
    """The box around all voxels that are not zero, and the mask of these, holes filled, inside it.

    Raises
    ------
    Refused
        Where all are zero.
    """
    mask = ndimage.binary_fill_holes(volume != 0)
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes or boxes[0] is None:
        raise Refused("the images hold nothing but zeros", "blank")
    return boxes[0], mask[boxes[0]]


def new_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> tuple[int, ...]:
    """Voxels of the same extent at another spacing."""
    return tuple(round(before / after * count) for before, after, count in zip(spacing, target, shape, strict=True))


def normalise(values: Floats, inside: NDArray[np.bool_] | None, scheme: str, intensity: Mapping[str, float]) -> Floats:
    """Scale grey values.

    Parameters
    ----------
    inside
        Voxels that count for the mean and are changed, or None for all (``use_mask_for_norm``).
    scheme
        One of `SCHEMES`.
    intensity
        Of the training data's foreground: ``mean``, ``std``, ``percentile_00_5``, ``percentile_99_5`` (CT only).

    Raises
    ------
    ConfigurationError
        Where the scheme is another.
    """
    if scheme == "CTNormalization":
        clipped = np.clip(values, intensity["percentile_00_5"], intensity["percentile_99_5"])
        return np.asarray((clipped - intensity["mean"]) / max(intensity["std"], 1e-8), dtype=np.float32)
    if scheme == "ZScoreNormalization":
        counted = values if inside is None else values[inside]
        scaled = (values - counted.mean()) / max(counted.std(), 1e-8)
        return np.asarray(scaled if inside is None else np.where(inside, scaled, values), dtype=np.float32)
    if scheme == "RescaleTo01Normalization":
        shifted = values - values.min()
        return np.asarray(shifted / max(float(shifted.max()), 1e-8), dtype=np.float32)
    if scheme == "NoNormalization":
        return values
    raise ConfigurationError(f"normalisation {scheme} is not known; there are {', '.join(SCHEMES)}")


def resample(data: Floats, shape: Sequence[int], volume: Volume, order: int, order_z: int) -> Floats:
    """``(channel, …)`` on another grid over the same box.

    Parameters
    ----------
    shape
        Of the new grid.
    order, order_z
        Of the splines, and of those along the axis that is resampled apart.
    """
    shape = tuple(shape)
    if data.shape[1:] == shape:
        return data
    axis = volume.apart
    if axis is None:
        return np.stack([_zoom(one, shape, order) for one in data])
    across = tuple(side for index, side in enumerate(shape) if index != axis)
    done = []
    for one in data:
        planes = [_zoom(np.take(one, index, axis), across, order) for index in range(one.shape[axis])]
        stacked = np.stack(planes, axis)
        done.append(stacked if stacked.shape == shape else _zoom(stacked, shape, order_z))
    return np.stack(done)


def _zoom(values: NDArray[np.floating], shape: tuple[int, ...], order: int) -> Floats:
    """A spline at the centres of the new grid's voxels; beyond the last centre the edge goes on; within the values' range."""
    if values.shape == shape:
        return np.asarray(values, dtype=np.float32)
    factors = [after / before for after, before in zip(shape, values.shape, strict=True)]
    zoomed = ndimage.zoom(values.astype(np.float64), factors, order=order, mode="nearest", grid_mode=True)
    return np.asarray(np.clip(zoomed, values.min(), values.max()), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Tiles:
    """A window that slides over an image.

    Parameters
    ----------
    size
        Of the window; two sides where each slice is read by itself.
    step
        Part of the window by which it moves, at most.
    mirror_axes
        Axes of the window along which it is also shown mirrored.
    """

    size: tuple[int, ...]
    step: float
    mirror_axes: tuple[int, ...]

    @torch.inference_mode()
    def logits(self, network: nn.Module, data: Tensor, device: str) -> Tensor:
        """``(output, slice, row, column)`` of ``(1, slice, row, column)``, on the CPU."""
        flat = len(self.size) == 2
        window = (1, *self.size) if flat else self.size
        missing = [max(0, side - have) for side, have in zip(window, data.shape[1:], strict=True)]
        before = [gap // 2 for gap in missing]
        margins = [part for gap, low in zip(reversed(missing), reversed(before), strict=True) for part in (low, gap - low)]
        padded = pad(data, margins)
        weight = self._weight().reshape(window).to(device)
        total: Tensor | None = None
        seen = torch.zeros(padded.shape[1:])
        for corner in product(*(self._starts(extent, side) for extent, side in zip(padded.shape[1:], window, strict=True))):
            place = tuple(slice(start, start + side) for start, side in zip(corner, window, strict=True))
            part = padded[(slice(None), *place)][None].to(device)
            answered = self._mirrored(network, part[:, :, 0] if flat else part)[0]
            answered = (answered[:, None] if flat else answered) * weight
            if total is None:
                total = torch.zeros(answered.shape[0], *padded.shape[1:])
            total[(slice(None), *place)] += answered.float().cpu()
            seen[place] += weight.cpu()
        if total is None:
            raise ValueError("the image has no voxels")
        inner = tuple(slice(low, low + have) for low, have in zip(before, data.shape[1:], strict=True))
        return (total / seen)[(slice(None), *inner)]

    def _mirrored(self, network: nn.Module, part: Tensor) -> Tensor:
        ways = [axes for count in range(len(self.mirror_axes) + 1) for axes in combinations(self.mirror_axes, count)]
        answered: list[Tensor] = []
        for way in ways:
            axes = [axis + 2 for axis in way]
            answered.append(network(part.flip(axes)).flip(axes))
        return torch.stack(answered).mean(0)

    def _starts(self, extent: int, side: int) -> list[int]:
        """Evenly spread, the first at the start, the last at the end, no further apart than the step."""
        count = int(np.ceil((extent - side) / (side * self.step))) + 1 if side > 1 else extent
        spread = (extent - side) / (count - 1) if count > 1 else 0.0
        return [round(spread * index) for index in range(count)]

    def _weight(self) -> Tensor:
        """A Gaussian of an eighth of each side, 1 at the centre, nowhere zero."""
        point = np.zeros(self.size)
        point[tuple(side // 2 for side in self.size)] = 1
        weight = ndimage.gaussian_filter(point, [side / 8 for side in self.size], mode="constant")
        weight /= weight.max()
        weight[weight == 0] = weight[weight > 0].min()
        return torch.from_numpy(weight.astype(np.float32))
