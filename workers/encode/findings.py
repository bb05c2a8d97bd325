"""Findings with their place (PS3.16 TID 1500, TID 1501): outlines and discs on the images, each with what was measured there.

Each measurement rests on one SCOORD of its own (TID 300, TID 320) and has nothing else below it, and each group is tracked under
the name of a tool: that is the shape in which OHIF shows a measurement and takes it over as one that a person may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from highdicom.sr import (
    CoordinatesForMeasurement,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
    TimePointContext,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from models.image import Image, Region
from models.labels import Structure
from models.prediction import Cycle, Located, Moment, Prediction
from node.store.errors import Permanent
from workers.encode import concepts
from workers.encode.case import Case
from workers.encode.concepts import as_code
from workers.encode.contours import Polygon, area, contours, thinned
from workers.encode.document import algorithm_identification, document, instances_of, observation_context
from workers.encode.grid import SourceFrame
from workers.encode.identity import Kind
from workers.encode.measure import pixel_area, rounded
from workers.encode.measurements import UNITS, sites_of
from workers.encode.segments import MEASURED_AT, Outlines
from workers.encode.verdict import Verdict, verdict

SMALLEST_PIXELS: Final = 4
"""Outlines of fewer pixels are left out, as in presentation states."""
MOST_OUTLINES: Final = 8
"""Of one structure on one slice, the largest first; all of them are in the SEG."""
MOST_CORNERS: Final = 8000
"""Of one outline: the coordinates of more do not fit the 64 KiB of their element (PS3.5 section 7.1.2)."""

_TOOL: Final = "Cornerstone3DTools@^0.1.0:"

Number = tuple[Code, float, Code]
"""What was measured, its value, its unit."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """One measurement group: a place on an image, what it is, and numbers about it.

    Parameters
    ----------
    key
        Of its tracking identity in this stack.
    graphic
        ``POLYLINE`` or ``CIRCLE``.
    points
        ``(n, 2)`` columns and rows as SCOORD counts them, from the top left corner of the image (PS3.3 section C.18.6.1.2).
    """

    key: str
    index: int
    graphic: str
    points: Polygon
    numbers: tuple[Number, ...]
    finding: Code | None = None
    structure: Structure | None = None
    moment: Moment | None = None


def located_findings(
    prediction: Prediction, found: Outlines | None, image: Image, *, frames: Sequence[SourceFrame], case: Case
) -> Dataset | None:
    """Build the document; None where nothing that the model said has a place on one image.

    Found structures of a two-dimensional image are outlined, a cycle's at its end-diastolic and end-systolic phase, and located
    findings are marked. Outlines in volumes are in the SEG alone. Areas are those within an outer border: of a structure with
    holes they are more than its own, which the measurement report has.

    Parameters
    ----------
    frames
        The source of each slice.

    Raises
    ------
    Permanent
        Where the prediction places something outside the image: a defect of the model.
    """
    marks = list(_located(prediction.located, image, case))
    if found and image.array.shape[0] == 1:
        for structure in found.found:
            marks.extend(_outlined(found, structure, 0, structure.key, image))
    if found and prediction.cycle:
        marks.extend(_cycle(prediction, prediction.cycle, found, image))
    if not marks:
        return None
    at = MEASURED_AT[pixel_area(image)[2]]
    root = MeasurementReport(
        observation_context=observation_context(case),
        procedure_reported=concepts.procedure_reported(str(case.sources[0].get("Modality") or "")),
        imaging_measurements=[_group(mark, frames[mark.index], case) for mark in marks],
    )
    return document(
        root[0],
        case,
        kind=Kind.FINDINGS,
        sop_class_uid=Comprehensive3DSRStorage,
        description=f"AI findings ({case.manifest.name}), not verified{at}",
        evidence=instances_of(case.sources),
    )


def _located(located: Sequence[Located], image: Image, case: Case) -> Iterator[_Mark]:
    """Each place with its area and the probability; a finding is named only where it is reported as present."""
    slices, rows, columns = image.array.shape[:3]
    for number, one in enumerate(located, start=1):
        finding = case.manifest.finding(one.key)
        graphic, points, pixels = _placed(one.place)
        if not (0 <= one.index < slices and np.all(points >= 0) and np.all(points <= (columns, rows))):
            raise Permanent(f"model {case.manifest.name} placed {one.key} outside the image")
        present = verdict(finding, one.probability) is Verdict.PRESENT
        likely = (concepts.PROBABILITY, round(one.probability * 100, 1), concepts.PERCENT)
        yield _Mark(
            f"{one.key}/place/{number}",
            one.index,
            graphic,
            points,
            (_area(pixels, image), likely),
            finding=as_code(finding.code) if present else None,
        )


def _placed(place: Region | Polygon) -> tuple[str, Polygon, float]:
    """Graphic type, points and enclosed pixels of a place."""
    if isinstance(place, Region):
        middle = np.array([place.column + 0.5, place.row + 0.5])
        return "CIRCLE", np.stack((middle, middle + np.array([place.radius, 0]))), float(np.pi * place.radius**2)
    corners = np.asarray(place, dtype=np.float64)[:, ::-1] + 0.5
    closed = np.concatenate((corners, corners[:1]))
    return "POLYLINE", closed, abs(area(closed))


def _cycle(prediction: Prediction, cycle: Cycle, found: Outlines, image: Image) -> Iterator[_Mark]:
    """Outlines of the followed structure at both moments; the model's numbers beside the largest outline of their moment."""
    structure = next((one for one in found.found if one.key == cycle.structure), None)
    if structure is None:
        return
    for moment, phase in cycle.phases.items():
        numbers = tuple(
            (as_code(one.code), one.value, as_code(one.unit)) for one in prediction.measurements if one.moment is moment
        )
        marks = [
            mark
            for place in cycle.slices
            for mark in _outlined(found, structure, place * image.phases + phase, f"{structure.key}/{moment}/{place}", image)
        ]
        first = max(range(len(marks)), key=lambda at: marks[at].numbers[0][1], default=0)
        for at, mark in enumerate(marks):
            yield _Mark(
                mark.key,
                mark.index,
                mark.graphic,
                mark.points,
                (*mark.numbers, *(numbers if at == first else ())),
                structure=structure,
                moment=moment,
            )


def _outlined(found: Outlines, structure: Structure, index: int, key: str, image: Image) -> Iterator[_Mark]:
    """The outer borders of a structure on one slice, largest first."""
    number = found.found.index(structure) + 1
    borders = [(area(border), border) for border in contours(found.plane(number, index), SMALLEST_PIXELS)]
    outer = sorted((one for one in borders if one[0] > 0), key=lambda one: -one[0])[:MOST_OUTLINES]
    for place, (pixels, border) in enumerate(outer, start=1):
        points = thinned(border, MOST_CORNERS)
        yield _Mark(f"{key}/outline/{place}", index, "POLYLINE", points, (_area(pixels, image),), structure=structure)


def _area(pixels: float, image: Image) -> Number:
    size, unit, _ = pixel_area(image)
    return concepts.AREA, rounded(pixels * size), UNITS[unit]


def _group(mark: _Mark, frame: SourceFrame, case: Case) -> MeasurementsAndQualitativeEvaluations:
    source = SourceImageForRegion(
        frame.sop_class_uid, frame.sop_instance_uid, None if frame.frame_number is None else [frame.frame_number]
    )
    tool = "CircleROI" if mark.graphic == "CIRCLE" else "PlanarFreehandROI"
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(case.identity.tracking_uid(mark.key), _TOOL + tool),
        finding_type=as_code(mark.structure.type) if mark.structure else mark.finding,
        finding_sites=sites_of(mark.structure) if mark.structure else None,
        algorithm_id=algorithm_identification(case.manifest),
        measurements=[
            Measurement(name, value, unit, referenced_coordinates=[CoordinatesForMeasurement(mark.graphic, mark.points, source)])
            for name, value, unit in mark.numbers
        ],
        time_point_context=TimePointContext(time_point=mark.moment) if mark.moment else None,
    )
