"""The segments of a segmentation: which structures were found, and how each is described (PS3.3 section C.8.20.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.image import SpacingKind
from models.labels import Structure
from models.manifest import Manifest
from models.prediction import LabelMap, Segmentation
from node.store.errors import Permanent
from workers.encode.concepts import code_item
from workers.encode.equipment import algorithm_item
from workers.encode.identity import ResultIdentity


@dataclass(frozen=True, slots=True)
class Outlines:
    """What was outlined, structure by structure in the manifest's order.

    Parameters
    ----------
    found
        Structures with at least one pixel; the first is segment 1.
    absent
        Structures that were looked for and are not in the image.
    """

    found: tuple[Structure, ...]
    absent: tuple[Structure, ...]
    _masks: Mapping[str, NDArray[np.bool_]]
    _labels: LabelMap | None

    def mask(self, structure: Structure) -> NDArray[np.bool_]:
        """``(slice, row, column)`` boolean array of a found structure."""
        if self._labels is None:
            return self._masks[structure.key]
        return np.asarray(self._labels.array == self._labels.keys.index(structure.key) + 1)

    def masks(self) -> Iterator[tuple[Structure, NDArray[np.bool_]]]:
        """Each found structure with its mask; only one mask of a label map is in memory at a time."""
        for structure in self.found:
            yield structure, self.mask(structure)

    @property
    def overlap(self) -> bool:
        """Whether some pixel belongs to two structures."""
        if self._labels is not None or len(self.found) < 2:
            return False
        taken = np.zeros(self.mask(self.found[0]).shape, dtype=np.bool_)
        for _, mask in self.masks():
            if np.any(taken & mask):
                return True
            taken |= mask
        return False


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
    if isinstance(answer, LabelMap):
        counts = np.bincount(answer.array.ravel(), minlength=len(answer.keys) + 1)
        if len(counts) > len(answer.keys) + 1:
            raise Permanent(f"model {manifest.name} labelled a structure {len(counts) - 1} that it does not name")
        present = {key: int(counts[number]) > 0 for number, key in enumerate(answer.keys, start=1)}
        shapes = {answer.array.shape}
        masks: Mapping[str, NDArray[np.bool_]] = {}
    else:
        present = {key: bool(np.any(mask)) for key, mask in answer.masks.items()}
        shapes = {mask.shape for mask in answer.masks.values()}
        masks = answer.masks
    known = {structure.key for structure in manifest.structures}
    if unknown := sorted({*present, *answer.absent} - known):
        raise Permanent(f"model {manifest.name} outlined {unknown[0]}, which its manifest does not describe")
    if shapes - {shape}:
        raise Permanent(f"model {manifest.name} answered on a grid of {shapes.pop()} for an image of {shape}")
    return Outlines(
        found=tuple(structure for structure in manifest.structures if present.get(structure.key)),
        absent=tuple(
            structure
            for structure in manifest.structures
            if present.get(structure.key) is False or (structure.key in answer.absent and not present.get(structure.key))
        ),
        _masks=masks,
        _labels=labels,
    )


REMARKS: Final = {
    SpacingKind.PATIENT: "",
    SpacingKind.CALIBRATED: "Projection image: spacing calibrated for magnification",
    SpacingKind.DETECTOR: "Projection image: spacing at the detector plane",
    SpacingKind.NONE: "No spacing stated: distances are in pixels, not mm",
}
"""What the reader of an outline must know of its distances; at most 64 characters, as Content Description holds."""

_AT: Final = {
    SpacingKind.PATIENT: "",
    SpacingKind.CALIBRATED: ", calibrated",
    SpacingKind.DETECTOR: ", at the detector plane",
    SpacingKind.NONE: ", in pixels",
}


def tracking_id(structure: Structure, spacing_kind: SpacingKind) -> str:
    """How a structure is named where it is tracked, the same in SEG and measurements: with what its distances mean."""
    return structure.name + _AT[spacing_kind]


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
