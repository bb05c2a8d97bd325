"""Arrays turned to the patient's axes and back, by permuting and flipping only: no value is interpolated."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from node.store.errors import Refused

Values = TypeVar("Values", bound=np.generic)

TOWARDS_LPS = {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}
"""Letter of a patient direction (PS3.3 section C.7.6.1.1.1, head and feet as S and I): its LPS axis and sign."""


@dataclass(frozen=True, slots=True)
class PatientFrame:
    """How an array's axes lie in the patient, to the nearest axis.

    Parameters
    ----------
    order
        Axis of the source array that becomes the first, second and third one.
    flipped
        Whether that axis then runs backwards.
    affine
        ``(4, 4)``: indices of the turned array to LPS mm.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Length of one step along each axis of the turned array, mm."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    def turn(self, array: NDArray[Values]) -> NDArray[Values]:
        """The array in this frame (a view)."""
        return np.flip(np.transpose(array, self.order), _axes(self.flipped))

    def turn_back(self, array: NDArray[Values]) -> NDArray[Values]:
        """An array of this frame on the source's axes, contiguous."""
        back = [self.order.index(axis) for axis in range(3)]
        return np.ascontiguousarray(np.transpose(np.flip(array, _axes(self.flipped)), back))


def patient_frame(affine: NDArray[np.float64], shape: tuple[int, int, int], directions: str = "SPL") -> PatientFrame:
    """Find the turn that makes the axes run along `directions` as nearly as they can.

    Parameters
    ----------
    affine
        ``(4, 4)``, indices of the source array to LPS mm.
    shape
        Of the source array.
    directions
        Where each axis of the turned array shall lead: ``"SPL"`` gives ``(slice upwards, row backwards, column to the left)``,
        an axial stack as it is shown.
    """
    wanted = [TOWARDS_LPS[letter] for letter in directions]
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order = max(
        permutations(range(3)),
        key=lambda axes: sum(abs(unit[axis, source]) for (axis, _), source in zip(wanted, axes, strict=True)),
    )
    flipped = tuple(bool(unit[axis, source] * sign < 0) for (axis, sign), source in zip(wanted, order, strict=True))
    turned = np.eye(4)
    turned[:3, 3] = affine[:3, 3]
    for target, source in enumerate(order):
        step = affine[:3, source]
        turned[:3, target] = -step if flipped[target] else step
        if flipped[target]:
            turned[:3, 3] += step * (shape[source] - 1)
    return PatientFrame((order[0], order[1], order[2]), (flipped[0], flipped[1], flipped[2]), turned)


def turned_volume(image: Image, directions: str) -> tuple[PatientFrame, NDArray[np.float32]]:
    """The frame of a grey volume along `directions` (see `patient_frame`), and its values in it (a view).

    Raises
    ------
    Refused
        Where the image is no grey volume in the patient, or holds values that are no numbers.
    """
    if image.affine is None or image.array.ndim != 3:
        raise Refused("reads grey volumes, these images have no place in the patient or are coloured", "no-geometry")
    if not np.isfinite(image.array).all():
        raise Refused("the image holds values that are no numbers", "not-finite")
    shape = (image.array.shape[0], image.array.shape[1], image.array.shape[2])
    frame = patient_frame(image.affine, shape, directions)
    return frame, frame.turn(image.array.astype(np.float32, copy=False))


def _axes(flipped: tuple[bool, bool, bool]) -> tuple[int, ...]:
    return tuple(axis for axis, is_flipped in enumerate(flipped) if is_flipped)
