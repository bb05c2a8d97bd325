"""Pictures of what came back: a source image as a viewer shows it, the delivered segments' outlines over it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset

SIDE: Final = 640
"""Length of a picture's longer side, pixels."""

MOST: Final = 4
"""Pictures of one segmentation."""

Pixels = NDArray[np.uint8]
Masks = dict[int, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and what stands beside it.

    Parameters
    ----------
    pixels
        ``(row, column, 3)`` sRGB.
    caption
        What it is of.
    legend
        Colour (red, green, blue) and name of each outline.
    """

    pixels: Pixels
    caption: str
    legend: tuple[tuple[tuple[int, int, int], str], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A source image: SOP Instance UID and number of the frame, from 1."""

    sop_instance_uid: str
    frame: int


def outlined(seg: Dataset, image_of: Callable[[str], Dataset | None]) -> list[Picture]:
    """The images on which a segment is largest, `MOST` at most, with the outline of every segment on them.

    Parameters
    ----------
    seg
        A segmentation as it came back, on the grid of its sources. Of others than BINARY ones there are no pictures.
    image_of
        The image that was sent, of a SOP Instance UID; None where it was not, and there is no picture of it.
    """
    if seg.get("SegmentationType") != "BINARY":
        return []
    masks = _masks(seg)
    names = {int(one.SegmentNumber): (_colour(one), str(one.SegmentLabel)) for one in seg.SegmentSequence}
    made = []
    for place in _largest(masks)[:MOST]:
        source = image_of(place.sop_instance_uid)
        if source is None or (source.Rows, source.Columns) != (seg.Rows, seg.Columns):
            continue
        legend = tuple(names[number] for number in sorted(masks[place]))
        layers = [(masks[place][number], names[number][0]) for number in sorted(masks[place])]
        made.append(Picture(_with_outlines(plain(source, place.frame), layers, source), _caption(source, place), legend))
    return made


def unmarked(source: Dataset) -> Picture:
    """The image of which nothing came back, its middle frame."""
    frame = (int(source.get("NumberOfFrames") or 1) + 1) // 2
    return Picture(_scaled(plain(source, frame), source), _caption(source, Place(str(source.SOPInstanceUID), frame)))


def plain(source: Dataset, frame: int = 1) -> Pixels:
    """An image in the shades in which its header wants it shown (PS3.3 sections C.11.1, C.11.2): ``(row, column, 3)`` sRGB.

    Where no window is stated, black and white are the 0.5th and the 99.5th percentile of the values.
    """
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    stored = pixel_array(source, index=frame - 1 if int(source.get("NumberOfFrames") or 1) > 1 else None)
    if stored.ndim == 3:
        return np.asarray(stored, dtype=np.uint8)
    values = apply_modality_lut(stored, source)
    if "WindowCenter" in source or "VOILUTSequence" in source:
        values = apply_voi_lut(values, source)
        low, high = float(values.min()), float(values.max())
    else:
        low, high = (float(one) for one in np.percentile(values, (0.5, 99.5)))
    shades = np.clip((np.asarray(values, dtype=np.float64) - low) / max(high - low, 1e-9), 0, 1) * 255
    if source.PhotometricInterpretation == "MONOCHROME1":
        shades = 255 - shades
    return np.repeat(shades.astype(np.uint8)[..., np.newaxis], 3, axis=-1)


def _masks(seg: Dataset) -> dict[Place, Masks]:
    """``(row, column)`` masks by source image and segment number."""
    planes = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns) > 0
    found: dict[Place, Masks] = defaultdict(dict)
    for plane, groups in zip(planes, seg.PerFrameFunctionalGroupsSequence, strict=True):
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        place = Place(str(source.ReferencedSOPInstanceUID), _first(source.get("ReferencedFrameNumber")) or 1)
        found[place][int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] = plane
    return dict(found)


def _first(value: Any) -> int:
    if value is None:
        return 0
    return int(value[0]) if isinstance(value, Sequence) or hasattr(value, "__getitem__") else int(value)


def _largest(masks: Mapping[Place, Masks]) -> list[Place]:
    """For each segment the image on which it has most pixels, each image once, that with most segments first."""
    numbers = sorted({number for found in masks.values() for number in found})
    best = [
        max((place for place in masks if number in masks[place]), key=lambda one: int(masks[one][number].sum()))
        for number in numbers
    ]
    return sorted(dict.fromkeys(best), key=lambda place: -len(masks[place]))


def _colour(segment: Dataset) -> tuple[int, int, int]:
    """The colour that the segment recommends (PS3.3 section C.8.20.2)."""
    from highdicom.color import CIELabColor

    red, green, blue = CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb()
    return int(red), int(green), int(blue)


def _with_outlines(picture: Pixels, layers: Sequence[tuple[NDArray[np.bool_], tuple[int, int, int]]], source: Dataset) -> Pixels:
    """Draw the inner edge of each mask, two pixels of the picture wide."""
    from PIL import Image
    from scipy import ndimage

    drawn = _scaled(picture, source)
    for mask, colour in layers:
        size = (drawn.shape[1], drawn.shape[0])
        large = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0
        drawn[large & ~ndimage.binary_erosion(large, iterations=2, border_value=0)] = colour
    return drawn


def _scaled(picture: Pixels, source: Dataset) -> Pixels:
    """The picture with pixels as high as they are wide, its longer side `SIDE` long."""
    from PIL import Image

    spacing = [float(one) for one in source.get("PixelSpacing") or source.get("ImagerPixelSpacing") or (1, 1)]
    ratio = spacing[0] / spacing[1] if min(spacing) > 0 else 1.0
    height, width = picture.shape[0] * ratio, float(picture.shape[1])
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def _caption(source: Dataset, place: Place) -> str:
    frames = int(source.get("NumberOfFrames") or 1)
    which = f", frame {place.frame} of {frames}" if frames > 1 else ""
    number = f", image {source.InstanceNumber}" if source.get("InstanceNumber") not in (None, "") else ""
    return f"{source.get('Modality', '')} series {source.get('SeriesNumber', '') or 'without number'}{number}{which}"
