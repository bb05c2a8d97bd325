"""The segments of a segmentation: which structures were found, and how each is described (PS3.3 section C.8.20.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from models.image import SpacingKind
from models.labels import Structure
from models.manifest import Manifest
from models.prediction import LabelMap, Segmentation
from node.store.errors import Permanent
from workers.encode.concepts import code_item
from workers.encode.equipment import algorithm_item
from workers.encode.identity import ResultIdentity

Box = tuple[slice, slice, slice]
"""A part of a volume, in slices, rows and columns."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """What was outlined, structure by structure in the manifest's order.

    Parameters
    ----------
    found
        Structures with at least one pixel; the first is segment 1.
    absent
        Structures that were looked for and are not in the image.
    boxes
        For each found structure the smallest box, in slices, rows and columns, that holds it.
    presence
        ``(structure, slice)`` boolean array: which found structure has a pixel on which slice.
    """

    found: tuple[Structure, ...]
    absent: tuple[Structure, ...]
    boxes: tuple[Box, ...]
    presence: NDArray[np.bool_]
    _masks: Mapping[str, NDArray[np.bool_]]
    _labels: LabelMap | None

    def plane(self, number: int, index: int) -> NDArray[np.bool_]:
        """``(row, column)`` boolean array of the `number`-th found structure, from 1, on one slice."""
        key = self.found[number - 1].key
        if self._labels is None:
            return np.asarray(self._masks[key][index])
        return np.asarray(self._labels.array[index] == self._labels.keys.index(key) + 1)

    def labelled(self, numbers: Sequence[int], index: int) -> NDArray[np.uint16]:
        """``(row, column)``: for each pixel of a slice the place, from 1, in `numbers` of the structure that holds it, else 0.

        Parameters
        ----------
        numbers
            Of found structures, from 1, that do not overlap.
        """
        if self._labels is None:
            plane = np.zeros(next(iter(self._masks.values())).shape[1:], dtype=np.uint16)
            for place, number in enumerate(numbers, start=1):
                if self.presence[number - 1, index]:
                    plane[self.plane(number, index)] = place
            return plane
        places = np.zeros(len(self._labels.keys) + 1, dtype=np.uint16)
        for place, number in enumerate(numbers, start=1):
            places[self._labels.keys.index(self.found[number - 1].key) + 1] = place
        return np.asarray(places[self._labels.array[index]])

    def layers(self) -> list[tuple[int, ...]]:
        """Numbers, from 1, of the found structures, shared out so that no two of a layer overlap."""
        numbers = tuple(range(1, len(self.found) + 1))
        if self._labels is not None or not numbers:
            return [numbers] if numbers else []
        layers: list[list[int]] = []
        taken: list[NDArray[np.bool_]] = []
        for number, (_, box, mask) in zip(numbers, self.parts(), strict=True):
            free = next((at for at, held in enumerate(taken) if not np.any(held[box] & mask)), len(layers))
            if free == len(layers):
                layers.append([])
                taken.append(np.zeros(self._masks[self.found[0].key].shape, dtype=np.bool_))
            layers[free].append(number)
            taken[free][box] |= mask
        return [tuple(layer) for layer in layers]

    def parts(self) -> Iterator[tuple[Structure, Box, NDArray[np.bool_]]]:
        """Each found structure with its box and ``(slice, row, column)`` boolean array of what is in the box."""
        for structure, box in zip(self.found, self.boxes, strict=True):
            yield structure, box, _part(self._labels, self._masks, structure.key, box)

    @property
    def overlap(self) -> bool:
        """Whether some pixel belongs to two structures."""
        if self._labels is not None or len(self.found) < 2:
            return False
        taken = np.zeros(self._masks[self.found[0].key].shape, dtype=np.bool_)
        for _, box, mask in self.parts():
            if np.any(taken[box] & mask):
                return True
            taken[box] |= mask
        return False


def _part(labels: LabelMap | None, masks: Mapping[str, NDArray[np.bool_]], key: str, box: Box) -> NDArray[np.bool_]:
    if labels is None:
        return np.asarray(masks[key][box])
    return np.asarray(labels.array[box] == labels.keys.index(key) + 1)


def outlines(answer: Segmentation | LabelMap, manifest: Manifest, shape: tuple[int, int, int]) -> Outlines:
    """Sort a model's answer into structures found and absent.

    Parameters
    ----------
    shape
        Of the image, ``(slice, row, column)``; the answer must be on the same grid.

    Raises
    ------
    Permanent
        Where the answer names a structure that the manifest does not, or is on another grid: a defect of the model.
    """
    labels = answer if isinstance(answer, LabelMap) else None
    masks: Mapping[str, NDArray[np.bool_]] = {} if isinstance(answer, LabelMap) else answer.masks
    boxes = _label_boxes(answer, manifest) if isinstance(answer, LabelMap) else {key: _box(mask) for key, mask in masks.items()}
    present = {key: box is not None for key, box in boxes.items()}
    shapes = {answer.array.shape} if isinstance(answer, LabelMap) else {mask.shape for mask in masks.values()}
    known = {structure.key for structure in manifest.structures}
    if unknown := sorted({*present, *answer.absent} - known):
        raise Permanent(f"model {manifest.name} outlined {unknown[0]}, which its manifest does not describe")
    if shapes - {shape}:
        raise Permanent(f"model {manifest.name} answered on a grid of {shapes.pop()} for an image of {shape}")
    found = tuple(structure for structure in manifest.structures if present.get(structure.key))
    held = tuple(box for structure in found if (box := boxes[structure.key]) is not None)
    presence = np.zeros((len(found), shape[0]), dtype=np.bool_)
    for row, structure, box in zip(presence, found, held, strict=True):
        row[box[0]] = _part(labels, masks, structure.key, box).any(axis=(1, 2))
    return Outlines(
        found=found,
        absent=tuple(
            structure
            for structure in manifest.structures
            if present.get(structure.key) is False or (structure.key in answer.absent and not present.get(structure.key))
        ),
        boxes=held,
        presence=presence,
        _masks=masks,
        _labels=labels,
    )


def _label_boxes(answer: LabelMap, manifest: Manifest) -> dict[str, Box | None]:
    largest = int(answer.array.max(initial=0))
    if largest > len(answer.keys):
        raise Permanent(f"model {manifest.name} labelled a structure {largest} that it does not name")
    return dict(zip(answer.keys, ndimage.find_objects(answer.array, len(answer.keys)), strict=True))


def _box(mask: NDArray[np.bool_]) -> Box | None:
    found = ndimage.find_objects(mask.view(np.uint8) if mask.dtype == np.bool_ else mask, 1)
    return found[0] if found else None


REMARKS: Final = {
    SpacingKind.PATIENT: "",
    SpacingKind.CALIBRATED: "Projection image: spacing calibrated for magnification",
    SpacingKind.DETECTOR: "Projection image: spacing at the detector plane",
    SpacingKind.NONE: "No spacing stated: distances are in pixels, not mm",
}
"""What the reader of an outline must know of its distances; at most 64 characters, as Content Description holds."""

MEASURED_AT: Final = {
    SpacingKind.PATIENT: "",
    SpacingKind.CALIBRATED: ", calibrated",
    SpacingKind.DETECTOR: ", at the detector plane",
    SpacingKind.NONE: ", in pixels",
}
"""The same in a few words, to end a name with."""


def tracking_id(structure: Structure, spacing_kind: SpacingKind) -> str:
    """How a structure is named where it is tracked, the same in SEG and measurements: with what its distances mean."""
    return structure.name + MEASURED_AT[spacing_kind]


def segment_item(
    number: int, structure: Structure, manifest: Manifest, identity: ResultIdentity, spacing_kind: SpacingKind
) -> Dataset:
    """One item of the Segment Sequence (PS3.3 section C.8.20.4, table 10-19)."""
    item = Dataset()
    item.SegmentNumber = number
    item.SegmentLabel = structure.name
    if REMARKS[spacing_kind]:
        item.SegmentDescription = REMARKS[spacing_kind]
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = manifest.name
    item.SegmentationAlgorithmIdentificationSequence = [algorithm_item(manifest, identity)]
    item.SegmentedPropertyCategoryCodeSequence = [code_item(structure.category)]
    item.SegmentedPropertyTypeCodeSequence = [code_item(structure.type)]
    if structure.laterality:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [code_item(structure.laterality)]
    if structure.region:
        item.AnatomicRegionSequence = [code_item(structure.region)]
    item.RecommendedDisplayCIELabValue = list(cielab(structure.color))
    item.TrackingID = tracking_id(structure, spacing_kind)
    item.TrackingUID = identity.tracking_uid(structure.key)
    return item


def cielab(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """An sRGB colour as unsigned 16-bit CIELab values relative to D50 (PS3.3 section C.10.7.1.1).

    L* of 0 to 100 becomes 0 to 65535; a* and b* of -128 to 127 become 0 to 65535.
    """
    part = np.asarray(color, dtype=np.float64) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    # sRGB to XYZ, adapted from D65 to D50 by Bradford
    to_xyz = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]])
    ratio = to_xyz @ linear / np.array([0.96422, 1.0, 0.82521])
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    scaled = np.array([lightness / 100, (a + 128) / 255, (b + 128) / 255]) * 65535
    return tuple(int(value) for value in np.clip(np.rint(scaled), 0, 65535))  # type: ignore[return-value]
