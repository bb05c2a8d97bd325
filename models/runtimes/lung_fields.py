"""Lung fields on an upright frontal film: what the network answers, and the two regions that are kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models.networks.lung_net import SIDES, LungNet
from models.networks.weights import load_weights
from models.runtimes.film import Grey, Letterbox, window

SIZE: Final = 192
"""Side of the square that the network sees, in pixels."""

BRIGHTER: Final = 0.6
"""Gamma of `Look.BRIGHTENED`: what is dark, lung and the part of it under the dome, gets more of the grey scale."""

EVENING: Final = 1 / 8
"""Standard deviation of the Gaussian neighbourhood of `Look.EVENED`, as a part of the film's longer side."""

CONTRAST: Final = 0.22
"""Standard deviation of grey values in every such neighbourhood of `Look.EVENED`, of 1."""

_FLAT: Final = 0.05
"""Added to the deviation that is divided by: where there is nothing, noise is not blown up."""

Mask = NDArray[np.bool_]


class Look(StrEnum):
    """How the grey values of a film are shown to the network."""

    WINDOWED = "windowed"
    BRIGHTENED = "brightened"
    EVENED = "evened"  # mean and contrast about the same everywhere, whatever the exposure


def show(square: torch.Tensor, box: Letterbox, look: Look) -> torch.Tensor:
    """A windowed film in one look.

    Parameters
    ----------
    square
        ``(1, 1, SIZE, SIZE)``, 0 to 1.
    box
        Where the film lies in it; what lies outside stays 0.
    """
    if look is Look.WINDOWED:
        return square
    if look is Look.BRIGHTENED:
        return square**BRIGHTER
    (top, left), (rows, columns) = box.offset, box.inner
    film = square[0, 0, top : top + rows, left : left + columns].numpy()
    width = EVENING * max(rows, columns)
    mean = ndimage.gaussian_filter(film, width)
    deviation = np.sqrt(ndimage.gaussian_filter(np.square(film - mean), width))
    shown = torch.zeros_like(square)
    even = np.clip(0.5 + CONTRAST * (film - mean) / (deviation + np.float32(_FLAT)), 0, 1)
    shown[0, 0, top : top + rows, left : left + columns] = torch.from_numpy(even)
    return shown


def split_sides(mask: Mask) -> tuple[Mask, Mask]:
    """Divide a mask of both lungs, as labelled data have it, into the image's left and right one.

    Components go to the side of the midline their centroid lies on; a component that spans both sides is cut at the column
    near the midline in which it is thinnest.

    Parameters
    ----------
    mask
        ``(row, column)``, both lungs.
    """
    left, right = np.zeros_like(mask), np.zeros_like(mask)
    columns = np.flatnonzero(mask.any(axis=0))
    if not columns.size:
        return left, right
    middle = (columns[0] + columns[-1]) / 2
    labels, count = ndimage.label(mask)
    for index in range(1, count + 1):
        part = labels == index
        extent = np.flatnonzero(part.any(axis=0))
        reach = 0.25 * (columns[-1] - columns[0])
        if extent[0] < middle - reach and extent[-1] > middle + reach:
            near = np.arange(int(middle - reach / 2), int(middle + reach / 2) + 1)
            cut = near[int(np.argmin(part[:, near].sum(axis=0)))]
            left[:, :cut] |= part[:, :cut]
            right[:, cut:] |= part[:, cut:]
        elif ndimage.center_of_mass(part)[1] < middle:
            left |= part
        else:
            right |= part
    return left, right


@dataclass(frozen=True, slots=True)
class LungFields:
    """What the network found on one film.

    Parameters
    ----------
    left, right
        Masks of the lung at the left and at the right of the image, ``(size, size)`` of the square.
    confidence
        Mean probability inside the masks, 0 to 1; 0 where there are none.
    """

    left: Mask
    right: Mask
    confidence: float


@dataclass(frozen=True, slots=True)
class LungAnswer:
    """What the network says of one film.

    Parameters
    ----------
    film
        ``(SIZE, SIZE)``, windowed to 0 to 1; 0 around the film.
    probabilities
        ``(2, SIZE, SIZE)``: the lung at the left of the film, the lung at its right.
    kinds
        Probability of each kind of picture, in the order of `Kind`.
    box
        Where the film lies in the square.
    """

    film: Grey
    probabilities: NDArray[np.float32]
    kinds: tuple[float, ...]
    box: Letterbox


class LungFinder:
    """The lung network, loaded.

    Parameters
    ----------
    weights
        A safetensors file that `overread train cxr-lungs` wrote.
    device
        As torch spells it.
    looks
        In which a film is shown; the fields are the mean of what the network says of each.
    """

    def __init__(self, weights: Path, device: str = "cpu", looks: tuple[Look, ...] = (Look.WINDOWED,)) -> None:
        self._network = LungNet()
        load_weights(self._network, weights)
        self._network.eval().to(device)
        if looks != (Look.WINDOWED,):
            # Takes two thirds of the time. Other models see the windowed film alone: what was measured of them stays, to the bit.
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device, self._looks = device, looks

    def answer(self, film: Grey) -> LungAnswer:
        """Both lungs and the kind of picture, each the mean of the film's and its mirror image's.

        The kind is that of the windowed film, whatever the looks: the head that tells it learned from such films only.

        Parameters
        ----------
        film
            ``(row, column)``, any scale, higher is brighter as displayed.
        """
        box = Letterbox(film.shape[0], film.shape[1], SIZE)
        square = box.shrink(window(film))
        with torch.inference_mode():
            levels = self._encode(square)
            kinds = self._network.kind(self._network.describe(levels))
            fields = torch.stack([self._fields(square, box, look, levels) for look in self._looks]).mean(0)
        likely = torch.softmax(kinds, 1).mean(0).cpu()
        return LungAnswer(square[0, 0].numpy(), fields.numpy(), tuple(likely.tolist()), box)

    def _encode(self, square: torch.Tensor) -> list[torch.Tensor]:
        pair = torch.cat([square, square.flip(3)]).to(self._device)
        return self._network.encode(pair)

    def _fields(self, square: torch.Tensor, box: Letterbox, look: Look, levels: list[torch.Tensor]) -> torch.Tensor:
        """``(2, SIZE, SIZE)`` probabilities in one look; `levels` are those of the windowed film."""
        seen = levels if look is Look.WINDOWED else self._encode(show(square, box, look))
        fields = torch.sigmoid(self._network.decode(seen)).cpu()
        # Mirrored, the lung at the left is the other one: its output changes place with the mirror.
        return (fields[0] + fields[1].flip(2).flip(0)) / 2


def tidy(mask: Mask, keep: float = 0.15) -> Mask:
    """Keep components of at least `keep` of the largest one's area, and fill holes."""
    labels, count = ndimage.label(mask)
    if count > 1:
        areas = np.bincount(labels.ravel())[1:]
        mask = np.isin(labels, 1 + np.flatnonzero(areas >= keep * areas.max()))
    filled: Mask = ndimage.binary_fill_holes(mask)
    return filled


def find_fields(probabilities: NDArray[np.float32], threshold: float = 0.5) -> LungFields:
    """Turn ``(2, row, column)`` probabilities into two masks that do not overlap."""
    side = np.argmax(probabilities, axis=0)
    inside = probabilities.max(axis=0) >= threshold
    left, right = (tidy(inside & (side == index)) for index in range(SIDES))
    right &= ~left
    both = left | right
    confidence = float(probabilities.max(axis=0)[both].mean()) if both.any() else 0.0
    return LungFields(left, right, confidence)
