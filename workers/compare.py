"""How a model's outlines agree with a labelled volume, voxel by voxel on the grid of the images that were read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from models.prediction import LabelMap, Prediction
from models.training.grids import at_voxels
from models.training.metrics import dice
from models.training.nifti import read_nifti
from node.store.errors import ConfigurationError, Refused

LEAST_COVERED: Final = 0.5
"""Part of the images' voxels that must lie within the reference: less is a reference of something else."""

Labels = Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one structure.

    Parameters
    ----------
    key
        `models.labels.Structure.key`.
    dice
        Of all voxels of the images; 1.0 where neither has any.
    found, labelled, both
        Voxels that the model outlined, that the reference has, and that both have.
    by_slice
        Dice of each slice on which either has any.
    """

    key: str
    dice: float
    found: int
    labelled: int
    both: int
    by_slice: tuple[float, ...]

    @property
    def in_words(self) -> str:
        """``bone: Dice 0.813 (…)``; no Dice where there is nothing to compare."""
        if not self.found and not self.labelled:
            return f"{self.key}: neither outlined nor in the reference"
        return f"{self.key}: Dice {self.dice:.3f} ({self.found} voxels outlined, {self.labelled} in the reference)"


class Reference:
    """A label map as NIfTI-1, which may lie on another grid than the images.

    Parameters
    ----------
    path
        The file, compressed or not.
    labels
        Values of the file that make up each structure.

    Raises
    ------
    ConfigurationError
        Where the file cannot be read.
    """

    def __init__(self, path: Path, labels: Labels) -> None:
        self._name, self._labels = path.name, labels
        self._values, self._affine = read_nifti(path)

    def compare(self, image: Image, prediction: Prediction) -> tuple[Agreement, ...]:
        """One `Agreement` for each structure.

        Raises
        ------
        ConfigurationError
            Where the model has no outline of that name.
        Refused
            ``not-comparable``: images without a place in the patient, a cycle, or a reference that lies elsewhere.
        """
        return tuple(_agreement(*pair) for pair in self.pairs(image, prediction))

    def pairs(self, image: Image, prediction: Prediction) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
        """Each structure's key, its outline and its label on the grid of the image, ``(slice, row, column)``.

        Raises
        ------
        ConfigurationError, Refused
            As `compare`.
        """
        if image.affine is None or image.phases > 1:
            raise Refused("a reference is compared with one volume that has a place in the patient", "not-comparable")
        there = self._at(image.affine, (image.array.shape[0], image.array.shape[1], image.array.shape[2]))
        for key, values in self._labels.items():
            yield key, _outline(prediction, key, there.shape), np.isin(there, sorted(values))

    def _at(self, affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.int64]:
        """The reference's values at the images' voxels, that of the nearest voxel; 0 outside of it."""
        there, covered = at_voxels(self._values, np.linalg.inv(self._affine) @ affine, shape)
        part = float(covered.mean())
        if part < LEAST_COVERED:
            raise Refused(f"{self._name} lies elsewhere: it covers {part:.0%} of the images' voxels", "not-comparable")
        return np.rint(there).astype(np.int64)


def _agreement(key: str, found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Agreement:
    slices = tuple(dice(one, other) for one, other in zip(found, truth, strict=True) if one.any() or other.any())
    return Agreement(key, dice(found, truth), int(found.sum()), int(truth.sum()), int((found & truth).sum()), slices)


def _outline(prediction: Prediction, key: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    outlines = prediction.segmentation
    known = () if outlines is None else outlines.keys if isinstance(outlines, LabelMap) else tuple(outlines.masks)
    if outlines is None or key not in (*known, *outlines.absent):
        raise ConfigurationError(f"--labels names {key}; the model outlined {', '.join(sorted(known)) or 'nothing'}")
    if key not in known:
        return np.zeros(shape, dtype=bool)
    if isinstance(outlines, LabelMap):
        return np.asarray(outlines.array == outlines.keys.index(key) + 1)
    return outlines.masks[key]


def read_labels(given: Sequence[str]) -> Labels:
    """Values by structure of ``bone=25-50,69`` and the like.

    Raises
    ------
    ConfigurationError
        Where one is not written so, or a structure is named twice.
    """
    labels: dict[str, frozenset[int]] = {}
    for one in given:
        key, _, listed = one.partition("=")
        try:
            ends = [[int(end) for end in part.split("-")] for part in listed.split(",")]
            values = frozenset(value for first, *last in ends for value in range(first, (last or [first])[0] + 1))
        except ValueError as wrong:
            raise ConfigurationError(f"--labels {one!r} is not STRUCTURE=NUMBERS, e.g. bone=25-50,69") from wrong
        if not key or not values or key in labels:
            raise ConfigurationError(f"--labels {one!r}: a structure, once, and at least one number")
        labels[key] = values
    return labels
