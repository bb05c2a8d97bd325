"""`ct-tissue`: bone, lungs and body on CT, by thresholds, connected components and growing from seeds; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.image import Image
from models.manifest import Manifest
from models.prediction import Prediction, Segmentation
from models.runtimes.ct_tissue_body import coarse_body, fine_body, make_coarse
from models.runtimes.ct_tissue_bone import find_bone
from models.runtimes.ct_tissue_contrast import find_contrast
from models.runtimes.ct_tissue_lungs import coarse_lungs, fine_lung
from models.runtimes.ct_tissue_morphology import Mask, Spacing, block_mean, bounding_box, enlarged
from models.runtimes.patient_frame import patient_frame
from node.store.errors import Refused

STRUCTURES: Final = ("body", "bone", "lung_right", "lung_left")
LARGEST_VOXELS: Final = 60_000_000
"""From this size on, slices thinner than `THIN_MM` are averaged to about `AVERAGED_MM`; the masks are repeated."""
THIN_MM: Final = 1.1
AVERAGED_MM: Final = 1.25
SIDE_UNKNOWN: Final = "lungs were found but not outlined: right and left cannot be told apart on this stack"
CUT_OFF: Final = "the body is cut off by the field of view"


class CtTissue:
    """Thresholds in HU at any table height and in any orientation.

    Parameters
    ----------
    manifest
        Of the model; its structures decide which masks are given.
    weights, device
        Of no use here: nothing is learned.
    """

    def __init__(self, manifest: Manifest, weights: Mapping[str, Path], device: str) -> None:
        del weights, device
        self._keys = tuple(structure.key for structure in manifest.structures)

    def predict(self, image: Image) -> Prediction:
        """Outline body, bone, right and left lung.

        Raises
        ------
        Refused
            For what is not CT, a localizer, a stated unit other than HU, no rescale values, values that cannot be HU, or an
            image without geometry.
        """
        affine = check_ct(image)
        hu = image.array.astype(np.float32, copy=False)
        frame = patient_frame(affine, (hu.shape[0], hu.shape[1], hu.shape[2]))
        turned = np.ascontiguousarray(frame.turn(hu))
        masks, notes = outline(turned, frame.spacing_mm)
        found = {key: frame.turn_back(masks[key]) for key in self._keys if key in masks and masks[key].any()}
        if not found:
            raise Refused("no body was found on this CT: only air or a table", "no-body")
        absent = tuple(key for key in self._keys if key not in found)
        return Prediction(Segmentation(found, absent), notes=notes)


def check_ct(image: Image) -> NDArray[np.float64]:
    """Return the affine of an image whose values are Hounsfield units of a cross-section.

    Raises
    ------
    Refused
        As `CtTissue.predict`.
    """
    header = image.header
    if header.modality != "CT":
        raise Refused(f"reads CT, this is {header.modality or 'of no stated modality'}", "not-ct")
    if "LOCALIZER" in (value.upper() for value in header.image_type):
        raise Refused("this is a localizer, not a cross-section (Image Type)", "localizer")
    if image.affine is None or image.array.ndim != 3:
        raise Refused("the images have no place in the patient, or are not grey", "no-geometry")
    if header.rescale_type.strip().upper() not in {"", "HU", "HU_MOD"}:
        # PS3.3 section C.8.2.1.1.2: an absent Rescale Type of an original CT means HU
        raise Refused("Rescale Type (0028,1054) states a unit other than HU", "not-hounsfield")
    if not header.has_rescale:
        raise Refused("Rescale Slope and Intercept (0028,1053, 0028,1052) are absent: the values are not HU", "no-rescale")
    sample = image.array[:: max(1, image.array.shape[0] // 16), ::4, ::4]
    if not np.isfinite(sample).all():
        raise Refused("the image holds values that are no numbers", "not-hounsfield")
    tissue = float(((sample > -200) & (sample < 300)).mean())
    if sample.min() > -50 or sample.max() < -200 or tissue < 0.002:
        raise Refused(
            f"values from {sample.min():.0f} to {sample.max():.0f} are not those of a CT in HU: fat, water and air are missing",
            "not-hounsfield",
        )
    return image.affine


def outline(hu: NDArray[np.float32], spacing_mm: Spacing) -> tuple[dict[str, Mask], tuple[str, ...]]:
    """Outline all structures on an array whose axes run upwards, backwards and to the left.

    Returns
    -------
    tuple
        Masks by key, of the shape of `hu`, and notes for the radiologist.
    """
    if hu.size > LARGEST_VOXELS and spacing_mm[0] < THIN_MM:
        by = max(2, round(AVERAGED_MM / spacing_mm[0]))
        thick, said = outline(block_mean(hu, (by, 1, 1)), (spacing_mm[0] * by, spacing_mm[1], spacing_mm[2]))
        return {key: enlarged(mask, (by, 1, 1), hu.shape) for key, mask in thick.items()}, said
    coarse = make_coarse(hu, spacing_mm)
    body = coarse_body(coarse)
    masks = {key: np.zeros(hu.shape, dtype=bool) for key in STRUCTURES}
    if not body.any():
        return masks, ()
    notes: list[str] = []
    masks["body"] = fine_body(hu, coarse, body)
    lungs = coarse_lungs(coarse, body)
    if lungs is None:
        notes.append(SIDE_UNKNOWN)
    else:
        right, left = lungs
        masks["lung_right"] = fine_lung(hu, coarse, right, left, spacing_mm) & masks["body"]
        masks["lung_left"] = fine_lung(hu, coarse, left, right, spacing_mm) & masks["body"] & ~masks["lung_right"]
    box = bounding_box(masks["body"], margin=2)
    part = np.ascontiguousarray(hu[box])
    contrast = find_contrast(part, masks["body"][box], spacing_mm, coarse.plane)
    masks["bone"][box] = find_bone(part, masks["body"][box], contrast, spacing_mm, coarse.plane)
    if _cut_off(masks["body"], coarse.plane):
        notes.append(CUT_OFF)
    return masks, tuple(notes)


def _cut_off(body: Mask, plane: tuple[int, int]) -> bool:
    """Whether the body reaches the border of the image over a noticeable stretch."""
    for axis in plane:
        for end in (0, -1):
            if np.take(body, end, axis=axis).mean() > 0.02:
                return True
    return False
