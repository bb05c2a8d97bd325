"""An image as a network of `models.networks.architectures` is shown it, in training as in the hospital; and the way back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from models.image import Image
from models.networks.architectures import Reads
from models.runtimes.film import Letterbox, window
from models.runtimes.patient_frame import PatientFrame, patient_frame
from node.store.errors import ConfigurationError, Refused

INPUT: Final = frozenset({"size", "channels", "scale", "window", "mean", "deviation", "frames"})
"""Parameters that describe a `Preparation`."""
Parameter = float | int | str | bool | list[float] | list[int] | list[str]


class Scale(StrEnum):
    """How stored values become 0 to 1."""

    PERCENTILES = "percentiles"  # of the image itself: whatever depth and offset it was stored with
    WINDOW = "window"  # between two stated values, e.g. HU
    COLOUR = "colour"  # 0 to 255


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a prepared image came from.

    Parameters
    ----------
    tensor
        As a batch of one, see `models.networks.architectures.Reads`.
    shape
        ``(slice, row, column)`` of the source.
    box
        Place of each picture in its square, or None for volumes.
    frame
        Axes of the volume, or None for pictures.
    frames
        Of a sequence: which of its pictures were taken.
    """

    tensor: Tensor
    shape: tuple[int, int, int]
    box: Letterbox | None = None
    frame: PatientFrame | None = None
    frames: tuple[int, ...] = ()

    def label_map(self, logits: Tensor) -> NDArray[np.uint8]:
        """The likeliest output of each voxel on the source's grid, ``(slice, row, column)``; 0 is the first output.

        Parameters
        ----------
        logits
            ``(1, output, …)`` on the grid of `tensor`, on the CPU.
        """
        if self.box is not None:
            best_of: NDArray[np.uint8] = self.box.grow(logits).argmax(0).astype(np.uint8)[np.newaxis]
            return best_of
        if self.frame is None:
            raise ValueError("the image has no grid to go back to")
        turned = tuple(self.shape[axis] for axis in self.frame.order)
        best = torch.full(turned, -torch.inf)
        labels = torch.zeros(turned, dtype=torch.uint8)
        for output in range(logits.shape[1]):  # one at a time: all together would be gigabytes for a long CT
            grown = interpolate(logits[:, output : output + 1].float(), size=turned, mode="trilinear", align_corners=False)[0, 0]
            labels[grown > best] = output
            torch.maximum(best, grown, out=best)
        return self.frame.turn_back(labels.numpy())

    def spread_out(self, places: Tensor) -> NDArray[np.float32]:
        """A map of coarse places on the source's grid, ``(slice, row, column)``, interpolated.

        Pictures of a sequence that the network was not shown get the map of the nearest that it was.

        Parameters
        ----------
        places
            ``(row, column)`` of a picture, ``(slice, row, column)`` of a volume, ``(frame, row, column)`` of a sequence, over
            the extent of `tensor`.
        """
        if self.box is not None:
            sides = (self.box.size, self.box.size)
            stack = places if self.frames else places[None]
            count = len(self.frames) if self.frames else 1
            square = interpolate(stack[None, None].float(), size=(count, *sides), mode="trilinear", align_corners=False)[0]
            grown = self.box.grow(square)
            if not self.frames:
                return grown
            distances = np.abs(np.arange(self.shape[0])[:, np.newaxis] - np.asarray(self.frames))
            nearest: NDArray[np.float32] = grown[distances.argmin(1)]
            return nearest
        if self.frame is None:
            raise ValueError("the image has no grid to go back to")
        turned = tuple(self.shape[axis] for axis in self.frame.order)
        grown = interpolate(places[None, None].float(), size=turned, mode="trilinear", align_corners=False)[0, 0].numpy()
        return self.frame.turn_back(grown)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Grid and scale that a network was trained with; from the manifest's parameters.

    Parameters
    ----------
    reads
        What one input is.
    size
        Side of the square for pictures and sequences; slices, rows and columns for volumes, whose whole extent is scaled to it,
        its axes turned to run upwards, backwards and to the patient's left.
    channels
        1 for grey, 3 for colour.
    scale
        How values become 0 to 1.
    window
        The two values of `Scale.WINDOW`.
    mean, deviation
        Subtracted and divided by after that, for each channel.
    frames
        Pictures taken evenly out of a sequence.
    """

    reads: Reads
    size: tuple[int, ...]
    channels: int = 1
    scale: Scale = Scale.PERCENTILES
    window: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    frames: int = 16

    def __post_init__(self) -> None:
        wanted = 3 if self.reads is Reads.VOLUME else 1
        if len(self.size) != wanted or min(self.size) < 1:
            raise ConfigurationError(f"size must be {wanted} whole number(s) above 0 for a {self.reads}")
        if self.channels not in {1, 3} or (self.channels == 3 and self.reads is Reads.VOLUME):
            raise ConfigurationError(f"channels must be 1{'' if self.reads is Reads.VOLUME else ' or 3'} for a {self.reads}")
        if (self.scale is Scale.COLOUR) != (self.channels == 3):
            raise ConfigurationError("scale colour and 3 channels go together")
        if not self.window[0] < self.window[1]:
            raise ConfigurationError("window must be two numbers, the lower one first")
        if len(self.mean) != self.channels or len(self.deviation) != self.channels or min(self.deviation) <= 0:
            raise ConfigurationError(f"mean and deviation must be {self.channels} number(s), deviations above 0")
        if self.frames < 1:
            raise ConfigurationError("frames must be at least 1")

    @classmethod
    def from_parameters(cls, reads: Reads, given: Mapping[str, Parameter]) -> Preparation:
        """Of a ``model.toml``: parameters ``size``, ``channels``, ``scale``, ``window``, ``mean``, ``deviation``, ``frames``.

        Raises
        ------
        ConfigurationError
            Where one is missing or makes no sense.
        """
        try:
            window_ends = _numbers(given.get("window", [0.0, 1.0]))
            return cls(
                reads=reads,
                size=tuple(int(side) for side in _numbers(given["size"])),
                channels=int(_numbers(given.get("channels", 1))[0]),
                scale=Scale(str(given.get("scale", Scale.PERCENTILES))),
                window=(window_ends[0], window_ends[1]),
                mean=_numbers(given.get("mean", 0.0)),
                deviation=_numbers(given.get("deviation", 1.0)),
                frames=int(_numbers(given.get("frames", 16))[0]),
            )
        except (KeyError, ValueError, TypeError, IndexError) as unfit:
            raise ConfigurationError(f"parameters of the network's input: {unfit}") from unfit

    def parameters(self) -> dict[str, Parameter]:
        """As `from_parameters` reads them."""
        found: dict[str, Parameter] = {
            "size": list(self.size),
            "channels": self.channels,
            "scale": str(self.scale),
            "mean": list(self.mean),
            "deviation": list(self.deviation),
        }
        if self.scale is Scale.WINDOW:
            found["window"] = list(self.window)
        if self.reads is Reads.SEQUENCE:
            found["frames"] = self.frames
        return found

    def place(self, image: Image) -> Placed:
        """Show `image` to a network.

        Raises
        ------
        Refused
            With code ``colour``, ``slices``, ``no-geometry``, ``not-finite`` or ``blank``.
        """
        scaled = self._scaled(image)
        shape = (image.array.shape[0], image.array.shape[1], image.array.shape[2])
        if self.reads is Reads.VOLUME:
            if image.affine is None:
                raise Refused("reads volumes, these images have no place in the patient", "no-geometry")
            frame = patient_frame(image.affine, shape)
            turned = torch.from_numpy(np.ascontiguousarray(frame.turn(scaled)))[None, None]
            return Placed(self._normal(resized(turned, self.size), 1), shape, frame=frame)
        if self.reads is Reads.PICTURE and shape[0] != 1:
            raise Refused(f"reads one image at a time, this stack has {shape[0]}", "slices")
        box = Letterbox(shape[1], shape[2], self.size[0])
        if self.reads is Reads.PICTURE:
            return Placed(self._normal(_square(scaled[0], box), 1), shape, box=box)
        chosen = np.linspace(0, shape[0] - 1, self.frames).round().astype(int)
        frames = torch.stack([_square(scaled[one], box) for one in chosen], 1)
        return Placed(self._normal(frames, 2), shape, box=box, frames=tuple(int(one) for one in chosen))

    def place_labels(self, labels: NDArray[np.uint8], placed: Placed, outputs: int) -> Tensor:
        """A label map of the same source on the grid of `placed`, ``(1, …)`` of 0 to `outputs` - 1.

        Raises
        ------
        ConfigurationError
            Where it is not on the source's grid.
        """
        if labels.shape != placed.shape:
            raise ConfigurationError(f"a mask of {labels.shape} does not lie on an image of {placed.shape}")
        shares = []
        for output in range(outputs):
            part = (labels == output).astype(np.float32)
            if placed.box is not None:
                shares.append(placed.box.shrink(part[0], fill=float(output == 0)))
            elif placed.frame is not None:
                turned = torch.from_numpy(np.ascontiguousarray(placed.frame.turn(part)))[None, None]
                shares.append(resized(turned, self.size))
        return torch.cat(shares, 1).argmax(1)

    def _scaled(self, image: Image) -> NDArray[np.float32]:
        colour = image.array.ndim == 4
        if colour != (self.channels == 3):
            raise Refused(f"reads {'colour' if self.channels == 3 else 'grey'} images, these are not", "colour")
        if not np.isfinite(image.array).all():
            raise Refused("the image holds values that are no numbers", "not-finite")
        if self.scale is Scale.COLOUR:
            return image.array.astype(np.float32) / np.float32(255)
        grey = image.array.astype(np.float32, copy=False)
        if grey.min() == grey.max():
            raise Refused("blank image: all pixels have one value", "blank")
        if self.scale is Scale.WINDOW:
            low, high = self.window
            clipped: NDArray[np.float32] = np.clip((grey - np.float32(low)) / np.float32(high - low), 0, 1)
            return clipped
        rows = grey.reshape(-1, grey.shape[-1])
        return window(rows).reshape(grey.shape)

    def _normal(self, tensor: Tensor, channel_axis: int) -> Tensor:
        shape = [1] * tensor.ndim
        shape[channel_axis] = self.channels
        return (tensor - torch.tensor(self.mean).view(shape)) / torch.tensor(self.deviation).view(shape)


def resized(volume: Tensor, size: tuple[int, ...]) -> Tensor:
    """``(n, c, slice, row, column)`` on another grid over the same box: averaged where it shrinks, else interpolated."""
    shrinks = all(2 * target <= source for target, source in zip(size, volume.shape[2:], strict=True))
    if shrinks:
        return interpolate(volume, size=size, mode="area")
    return interpolate(volume, size=size, mode="trilinear", align_corners=False)


def _square(picture: NDArray[np.float32], box: Letterbox) -> Tensor:
    """``(1, channel, side, side)`` of ``(row, column)`` or ``(row, column, 3)``."""
    planes = [picture] if picture.ndim == 2 else [picture[..., channel] for channel in range(picture.shape[-1])]
    return torch.cat([box.shrink(plane) for plane in planes], 1)


def _numbers(given: Parameter) -> tuple[float, ...]:
    if isinstance(given, list):
        return tuple(float(value) for value in given)
    return (float(given),)


def check_known(name: str, given: Mapping[str, Parameter], known: Collection[str]) -> None:
    """Refuse parameters that nobody reads: a misspelt one would change answers unseen.

    Raises
    ------
    ConfigurationError
        With the first one.
    """
    odd = sorted(given.keys() - set(known))
    if odd:
        raise ConfigurationError(f"model {name}: no parameter {odd[0]}; there are {', '.join(sorted(known))}")


def check_grid(multiple: int, smallest: int, size: tuple[int, ...]) -> None:
    """Refuse a grid that a network cannot work on.

    Raises
    ------
    ConfigurationError
        Where a side is too short or not a multiple.
    """
    for side in size:
        if side < smallest or side % multiple:
            raise ConfigurationError(f"size {side} does not fit the network: {smallest} or more, a multiple of {multiple}")
