"""What can be measured in an outline: volume or area, and the intensities inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.image import Image, SpacingKind
from models.labels import Structure
from workers.encode.diameter import largest_diameters
from workers.encode.segments import Outlines


class Quantity(StrEnum):
    """What a number says of a structure."""

    VOLUME = "volume"
    AREA = "area"
    MEAN = "mean"
    STANDARD_DEVIATION = "standard deviation"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    SLICE_DIAMETER = "largest diameter on a slice"
    DIAMETER = "largest diameter in space"


class Unit(StrEnum):
    """In what it is counted; the value is the unit as a person writes it."""

    MILLILITER = "ml"
    SQUARE_MILLIMETER = "mm2"
    MILLIMETER = "mm"
    PIXELS = "pixels"
    HOUNSFIELD = "HU"
    ARBITRARY = "arbitrary units"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number about one structure.

    Parameters
    ----------
    value
        In `unit`, rounded to what the pixels can carry: at most five significant digits.
    spacing_kind
        What an area or a diameter is measured at; PATIENT for everything else.
    """

    structure: Structure
    quantity: Quantity
    value: float
    unit: Unit
    spacing_kind: SpacingKind = SpacingKind.PATIENT


def measures(found: Outlines, image: Image) -> tuple[Measure, ...]:
    """Measure each structure that was found.

    Several slices: volume in ml. One slice in the patient: area in mm2, as the thickness of one slice is no height of a
    structure. A projection: area in mm2 at the plane that the spacing is stated for, or the number of pixels where none is.
    Mean, standard deviation, minimum and maximum of the grey values for CT and MR: in HU for CT whose rescale values are
    stated and whose Rescale Type is HU or absent, else in arbitrary units; a projection's grey values are left out, as its
    processing decides them. Largest diameters in mm, on a slice and, for several slices, in space, wherever a spacing is stated.
    """
    taken = []
    for structure, box, mask in found.parts():
        taken.append(_extent(structure, int(np.count_nonzero(mask)), image))
        if image.affine is not None and image.array.ndim == 3 and image.header.modality in ("CT", "MR"):
            taken.extend(_intensities(structure, image.array[box][mask], image))
        taken.extend(_diameters(structure, mask, image))
    return tuple(taken)


def _extent(structure: Structure, pixels: int, image: Image) -> Measure:
    if image.affine is not None and image.array.shape[0] > 1:
        volume_ml = pixels * abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000
        return Measure(structure, Quantity.VOLUME, rounded(volume_ml), Unit.MILLILITER)
    size, unit, kind = pixel_area(image)
    return Measure(structure, Quantity.AREA, rounded(pixels * size) if unit is not Unit.PIXELS else float(pixels), unit, kind)


def pixel_area(image: Image) -> tuple[float, Unit, SpacingKind]:
    """Area of one pixel, its unit, and what it is measured at; one pixel where no spacing is stated."""
    if image.affine is not None:
        across = np.cross(image.affine[:3, 1], image.affine[:3, 2])
        return float(np.linalg.norm(across)), Unit.SQUARE_MILLIMETER, SpacingKind.PATIENT
    if image.spacing_mm is None or image.spacing_kind is SpacingKind.NONE:
        return 1.0, Unit.PIXELS, SpacingKind.NONE
    return image.spacing_mm[1] * image.spacing_mm[2], Unit.SQUARE_MILLIMETER, image.spacing_kind


def _diameters(structure: Structure, mask: NDArray[np.bool_], image: Image) -> Sequence[Measure]:
    kind = SpacingKind.PATIENT if image.affine is not None else image.spacing_kind
    if image.affine is not None:
        axes_mm = image.affine[:3, :3]
    elif image.spacing_mm is None or kind is SpacingKind.NONE:
        return ()
    else:
        axes_mm = np.diag(image.spacing_mm)
    on_slice, in_space = largest_diameters(mask, axes_mm)
    taken = [Measure(structure, Quantity.SLICE_DIAMETER, rounded(on_slice), Unit.MILLIMETER, kind)]
    if image.array.shape[0] > 1 and image.affine is not None:
        taken.append(Measure(structure, Quantity.DIAMETER, rounded(in_space), Unit.MILLIMETER, kind))
    return taken


def _intensities(structure: Structure, values: NDArray[np.float32] | NDArray[np.uint8], image: Image) -> Sequence[Measure]:
    header = image.header
    hounsfield = header.modality == "CT" and header.has_rescale and header.rescale_type.strip().upper() in ("", "HU")
    unit = Unit.HOUNSFIELD if hounsfield else Unit.ARBITRARY
    mean, deviation = np.mean(values, dtype=np.float64), np.std(values, dtype=np.float64)
    return (
        Measure(structure, Quantity.MEAN, rounded(float(mean)), unit),
        Measure(structure, Quantity.STANDARD_DEVIATION, rounded(float(deviation)), unit),
        Measure(structure, Quantity.MINIMUM, rounded(float(np.min(values))), unit),
        Measure(structure, Quantity.MAXIMUM, rounded(float(np.max(values))), unit),
    )


def rounded(value: float) -> float:
    """At most five significant digits: what the pixels can carry."""
    return float(f"{value:.5g}")
