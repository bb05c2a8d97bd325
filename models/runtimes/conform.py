"""A head as FreeSurfer conforms it: 256 voxels of 1 mm a side, greys from 0 to 1; and labels back to the grid they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.runtimes.patient_frame import patient_frame

SIDE: Final = 256
DIRECTIONS: Final = "LIA"
"""Axes of a conformed volume lead to the patient's left, downwards and to the front, exactly along the patient's axes."""
TOWARDS: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""LPS mm of one step along each axis, as columns."""
BRIGHT_SHARE: Final = 0.999
"""Share of the voxels above zero that keeps its differences; what is brighter is as bright as the brightest of these."""


@dataclass(frozen=True, slots=True)
class Conformed:
    """A volume on the grid that the networks were trained on.

    Parameters
    ----------
    volume
        ``(256, 256, 256)`` float32 from 0 to 1, axes to the left, downwards and to the front: of the patient in the
        scanner, or of the head as it was laid.
    affine
        ``(4, 4)``: its indices to LPS mm in the scanner.
    """

    volume: NDArray[np.float32]
    affine: NDArray[np.float64]


def conform(array: NDArray[np.float32], affine: NDArray[np.float64], laying: NDArray[np.float64] | None = None) -> Conformed:
    """Resample linearly to 1 mm, once, and scale the greys.

    The source may lie in any direction, oblique too; it is turned to the patient's axes before anything is computed, so that the
    same voxels stored along other axes give the same volume.

    Parameters
    ----------
    array
        ``(slice, row, column)``, MR.
    affine
        Its indices to LPS mm.
    laying
        ``(4, 4)``: a rigid motion, LPS mm in the scanner to LPS mm as the head shall lie, the middle of the grid at the origin
        (see `models.runtimes.head_pose`); None: as it lies, around the middle of the source.
    """
    place = affine if laying is None else laying @ affine
    shape = (array.shape[0], array.shape[1], array.shape[2])
    frame = patient_frame(place, shape, directions=DIRECTIONS)
    turned = np.ascontiguousarray(frame.turn(array), dtype=np.float32)
    middle = np.zeros(3)
    if laying is None:
        middle = (frame.affine @ np.array([*(np.array(turned.shape) - 1) / 2.0, 1.0]))[:3]
    target = np.eye(4)
    target[:3, :3] = TOWARDS
    target[:3, 3] = middle - TOWARDS @ np.full(3, (SIDE - 1) / 2.0)
    pull = np.linalg.inv(frame.affine) @ target
    darkest = float(turned.min())
    # voxels have an extent: the outermost ones reach half a voxel beyond their middles
    padded = np.pad(turned, 1, mode="edge")
    volume = ndimage.affine_transform(
        padded, pull[:3, :3], pull[:3, 3] + 1.0, output_shape=(SIDE,) * 3, order=1, mode="constant", cval=darkest
    )
    there = target if laying is None else np.linalg.inv(laying) @ target
    return Conformed(_scaled(volume, turned, darkest), there)


def labels_on_source(
    labels: NDArray[np.uint8], conformed: Conformed, affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The label nearest to each voxel of the source; 0 outside the conformed volume.

    Parameters
    ----------
    labels
        On the conformed grid.
    affine, shape
        Of the source.
    """
    pull = np.linalg.inv(conformed.affine) @ affine
    found = np.zeros(shape, dtype=np.uint8)
    rows, columns = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    # the middle of two voxels belongs to the same one of them whichever way the source runs
    plane = pull[:3, 1, None, None] * rows + pull[:3, 2, None, None] * columns + pull[:3, 3, None, None] + 0.5
    for number in range(shape[0]):
        index = np.floor(plane + (pull[:3, 0] * number)[:, None, None] + 1e-6).astype(np.intp)
        inside = ((index >= 0) & (index < SIDE)).all(axis=0)
        found[number][inside] = labels[tuple(index[:, inside])]
    return found


def _scaled(volume: NDArray[np.float32], source: NDArray[np.float32], darkest: float) -> NDArray[np.float32]:
    """From the darkest value of the source (0) to the one below which nearly all of what is no air lies (1)."""
    lit = source[source > max(0.0, darkest)]
    brightest = float(np.quantile(lit, BRIGHT_SHARE)) if lit.size else darkest
    if not brightest > darkest:
        return np.zeros_like(volume)
    return np.asarray(np.clip((volume - darkest) / (brightest - darkest), 0.0, 1.0), dtype=np.float32)
