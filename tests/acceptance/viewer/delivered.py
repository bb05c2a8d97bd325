"""What lies in the archive of a study, and what of it must be seen on the screen: told from the objects, not from the viewer."""

from __future__ import annotations

import io
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy import ndimage

from tests.acceptance.viewer.ohif import FILL
from tests.integration.orthanc_peer import Orthanc


@dataclass(frozen=True, slots=True)
class Place:
    """A pixel of a source image, and which segments lie on it, by number; none on the background."""

    sop_instance_uid: str
    frame: int
    row: int
    column: int
    segments: tuple[int, ...]


def objects(orthanc: Orthanc, study_uid: str) -> list[Dataset]:
    """Everything that the archive has of a study."""
    found = orthanc.post("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}})
    made = []
    for one in found:
        with urllib.request.urlopen(f"http://127.0.0.1:{orthanc.http}/instances/{one}/file", timeout=60) as answer:
            made.append(dcmread(io.BytesIO(answer.read())))
    return made


def texts(report: Dataset) -> list[str]:
    """Every text of a structured report (PS3.3 section C.17.3), in its order."""
    found = [str(report.TextValue)] if "TextValue" in report else []
    for item in report.get("ContentSequence", ()):
        found += texts(item)
    return found


def drawn_areas(report: Dataset) -> list[float]:
    """Every area of a findings report that was drawn: of the numbers named Area (SCT 42798000), those with coordinates (TID 300)."""
    found = []
    for item in report.get("ContentSequence", ()):
        kinds = [str(part.ValueType) for part in item.get("ContentSequence", ())]
        if item.ValueType == "NUM" and "SCOORD" in kinds and item.ConceptNameCodeSequence[0].CodeValue == "42798000":
            found.append(float(item.MeasuredValueSequence[0].NumericValue))
        found += drawn_areas(item)
    return sorted(found)


def places(seg: Dataset) -> list[Place]:
    """For each segment the pixel that lies deepest in it, alone in it where it has such a pixel; and one outside all segments."""
    masks = _masks(seg)
    numbers = sorted({number for found in masks.values() for number in found})
    chosen = [_deepest(masks, number) for number in numbers]
    image = (chosen[0].sop_instance_uid, chosen[0].frame)
    outside = ~np.any(list(masks[image].values()), axis=0)
    row, column = np.unravel_index(ndimage.distance_transform_edt(np.pad(outside, 1))[1:-1, 1:-1].argmax(), outside.shape)
    return [*chosen, Place(*image, int(row), int(column), ())]


def colour(grey: NDArray[np.float64], place: Place, seg: Dataset) -> NDArray[np.float64]:
    """What must be on the screen at a place that showed `grey`; where segments overlap, OHIF mixes their colours in equal parts."""
    if not place.segments:
        return grey
    shown = [
        shown_as(one.RecommendedDisplayCIELabValue) for one in seg.SegmentSequence if int(one.SegmentNumber) in place.segments
    ]
    left = (1 - FILL) ** len(shown)
    return np.asarray(left * grey + (1 - left) * np.mean(shown, axis=0))


def shown_as(stored: Sequence[int]) -> NDArray[np.float64]:
    """Red, green and blue, 0 to 255, that OHIF makes of a Recommended Display CIELab Value (PS3.3 section C.10.7.1.1).

    It takes the white of the values for that of the screen (D65), where the standard has that of printing (D50): strong blues lose
    some red. That is its own doing; what matters here is that the value stored reaches the screen.
    """
    lightness, a, b = stored[0] / 65535 * 100, stored[1] / 65535 * 255 - 128, stored[2] / 65535 * 255 - 128
    middle = (lightness + 16) / 116
    parts = np.array([middle + a / 500, middle, middle - b / 200])
    linear = np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29)) * (0.95047, 1.0, 1.08883)
    red_green_blue = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]) @ linear
    bent = np.where(
        red_green_blue > 0.0031308, 1.055 * np.maximum(red_green_blue, 0) ** (1 / 2.4) - 0.055, 12.92 * red_green_blue
    )
    return np.asarray(np.clip(bent, 0, 1) * 255)


def _masks(seg: Dataset) -> dict[tuple[str, int], dict[int, NDArray[np.bool_]]]:
    """Source image and frame to segment number to ``(row, column)`` mask."""
    found: dict[tuple[str, int], dict[int, NDArray[np.bool_]]] = defaultdict(dict)
    planes = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for plane, groups in zip(planes, seg.PerFrameFunctionalGroupsSequence, strict=True):
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image = (str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber") or 1))
        if seg.SegmentationType == "LABELMAP":
            found[image].update({int(number): plane == number for number in np.unique(plane[plane > 0])})
            continue
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[image][number] = plane > 0
    return found


def _deepest(masks: dict[tuple[str, int], dict[int, NDArray[np.bool_]]], number: int) -> Place:
    best: tuple[float, Any] = (0.0, None)
    for alone in (True, False):
        for image, planes in masks.items():
            if number not in planes:
                continue
            others = [mask for other, mask in planes.items() if other != number]
            free = planes[number] & ~np.any(others, axis=0) if alone and others else planes[number]
            depth = ndimage.distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1]
            if depth.max() > best[0]:
                best = float(depth.max()), (image, np.unravel_index(depth.argmax(), depth.shape))
        if best[0] >= 3:
            break
    image, (row, column) = best[1]
    covering = tuple(other for other, mask in sorted(masks[image].items()) if mask[row, column])
    return Place(*image, int(row), int(column), covering)
