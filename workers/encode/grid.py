"""Where the frames of a segmentation are: the source's own grid, or a plane of their own for an image without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import format_number_as_ds

from models.image import Image, SpacingKind
from node.store.errors import Permanent, Refused
from workers.encode.identity import ResultIdentity

Triple = tuple[float, float, float]

POSITION_TOLERANCE_MM: Final = 0.1
"""How far a source's stated position may be from the image's affine before encoding stops, or a tenth of the slice distance where
that is more: slices of a stack are never evenly spaced to the last digit."""


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """The source of one slice.

    Parameters
    ----------
    frame_number
        From 1, for a multi-frame source; None for a single-frame one, or where the frame cannot be told.
    position_mm
        As the source states it, LPS; None where it states none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None
    position_mm: Triple | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """Geometry of a segmentation's frames.

    Parameters
    ----------
    orientation
        Direction cosines of a row, then of a column, LPS (PS3.3 section C.7.6.2.1.1).
    positions_mm
        Centre of the first pixel of each slice, LPS.
    spacing
        Between rows and between columns, mm; pixels where `spacing_kind` is NONE.
    slice_thickness_mm
        Nominal.
    slice_distance_mm
        Between slices along their normal; None for one slice.
    is_projection
        The plane is our own, and no place in the patient.
    phases
        As `models.image.Image.phases`; `positions_mm` and `frames` are those of each phase of each slice.
    """

    rows: int
    columns: int
    frame_of_reference_uid: str
    position_reference_indicator: str
    orientation: tuple[float, float, float, float, float, float]
    positions_mm: tuple[Triple, ...]
    spacing: tuple[float, float]
    slice_thickness_mm: float
    slice_distance_mm: float | None
    is_projection: bool
    spacing_kind: SpacingKind
    frames: tuple[SourceFrame, ...]
    phases: int = 1


def grid_of(
    image: Image, sources: Sequence[Dataset], identity: ResultIdentity, frames: Sequence[tuple[int, int]] | None = None
) -> Grid:
    """Work out the grid and the source of each slice.

    Parameters
    ----------
    sources
        Header datasets in slice order; one for a multi-frame source.
    frames
        For each slice: index into `sources`, and frame number (from 1) in that instance. None: told from the positions.

    Raises
    ------
    Refused
        ``no-frame-of-reference`` where a cross-sectional source has none; ``no-geometry`` where there are several frames and no
        place for any of them.
    Permanent
        Where sources and image do not belong together: a defect of ours.
    """
    if image.affine is None:
        return _projection_grid(image, sources, identity)
    return _patient_grid(image, image.affine, sources, frames)


def _patient_grid(
    image: Image, affine: NDArray[np.float64], sources: Sequence[Dataset], chosen: Sequence[tuple[int, int]] | None
) -> Grid:
    frame_of_reference = str(sources[0].get("FrameOfReferenceUID") or "")
    if not frame_of_reference:
        raise Refused(
            "the images have no Frame of Reference UID, so an outline would have no place in the patient", "no-frame-of-reference"
        )
    rows, columns = image.array.shape[1:3]
    slices, phases = image.slices, image.phases
    step, down, right = affine[:3, 0], affine[:3, 1], affine[:3, 2]
    spacing = float(np.linalg.norm(down)), float(np.linalg.norm(right))
    normal = np.cross(right, down)
    distance = abs(float(step @ normal / np.linalg.norm(normal)))
    tolerance = max(POSITION_TOLERANCE_MM, distance / 10 if slices > 1 else 0)
    expected = [affine[:3, 3] + index * step for index in range(slices) for _ in range(phases)]
    frames = _match(expected, frames_of(sources, chosen), tolerance)
    stated = (_number(sources[0].get("SliceThickness")), distance, image.spacing_mm[0] if image.spacing_mm else 0)
    cosines = [float(value) for value in (*(right / spacing[1]), *(down / spacing[0]))]
    return Grid(
        rows=rows,
        columns=columns,
        frame_of_reference_uid=frame_of_reference,
        position_reference_indicator=str(sources[0].get("PositionReferenceIndicator") or ""),
        orientation=(cosines[0], cosines[1], cosines[2], cosines[3], cosines[4], cosines[5]),
        positions_mm=tuple(_triple(frame.position_mm or place) for frame, place in zip(frames, expected, strict=True)),
        spacing=spacing,
        slice_thickness_mm=next((value for value in stated if value > 0), 1.0),
        slice_distance_mm=distance if slices > 1 else None,
        is_projection=False,
        spacing_kind=SpacingKind.PATIENT,
        frames=frames,
        phases=phases,
    )


def _projection_grid(image: Image, sources: Sequence[Dataset], identity: ResultIdentity) -> Grid:
    slices, rows, columns = image.array.shape[:3]
    if slices != 1 or len(sources) != 1:
        raise Refused(f"{slices} frames without a place in the patient cannot be outlined as one", "no-geometry")
    known = image.spacing_mm is not None and image.spacing_kind is not SpacingKind.NONE
    spacing = (image.spacing_mm[1], image.spacing_mm[2]) if known and image.spacing_mm else (1.0, 1.0)
    source = sources[0]
    return Grid(
        rows=rows,
        columns=columns,
        frame_of_reference_uid=identity.frame_of_reference_uid(str(source.SOPInstanceUID)),
        position_reference_indicator="",
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        positions_mm=((0.0, 0.0, 0.0),),
        spacing=spacing,
        slice_thickness_mm=1.0,
        slice_distance_mm=None,
        is_projection=True,
        spacing_kind=image.spacing_kind if known else SpacingKind.NONE,
        frames=(SourceFrame(str(source.SOPClassUID), str(source.SOPInstanceUID)),),
    )


def frames_of(sources: Sequence[Dataset], chosen: Sequence[tuple[int, int]] | None) -> list[SourceFrame]:
    """The chosen frames in their order, else every frame of every source, with their stated positions.

    Parameters
    ----------
    chosen
        For each slice: index into `sources`, and frame number (from 1) in that instance.
    """
    every = [_frames_of(source) for source in sources]
    if chosen is None:
        return [frame for frames in every for frame in frames]
    return [every[index][number - 1] for index, number in chosen]


def _frames_of(source: Dataset) -> list[SourceFrame]:
    names = str(source.SOPClassUID), str(source.SOPInstanceUID)
    groups = source.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        count = int(_number(source.get("NumberOfFrames")) or 1)
        numbers = range(1, count + 1) if count > 1 else (None,)  # frames that follow each other in time share their place
        return [SourceFrame(*names, number, _position(source)) for number in numbers]
    frames = []
    shared = source.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for number, group in enumerate(groups, start=1):
        place = group.get("PlanePositionSequence") or shared[0].get("PlanePositionSequence") or [Dataset()]
        frames.append(SourceFrame(*names, number, _position(place[0])))
    return frames


def _position(item: Dataset) -> Triple | None:
    stated = item.get("ImagePositionPatient")
    return _triple(stated) if stated and len(stated) == 3 else None


def _number(stated: object) -> float:
    """A stated number, or 0 where it is none."""
    try:
        return float(str(stated or 0))
    except ValueError:
        return 0.0


def _triple(values: Sequence[float] | NDArray[np.float64]) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])


def _match(expected: Sequence[NDArray[np.float64]], frames: list[SourceFrame], tolerance_mm: float) -> tuple[SourceFrame, ...]:
    """The source frame of each slice: in the given order where that fits, else the only one at that place."""
    in_order = len(frames) == len(expected)
    if in_order and all(_near(frame, place, tolerance_mm) for frame, place in zip(frames, expected, strict=True)):
        return tuple(frames)
    matched = []
    for index, place in enumerate(expected):
        near = [frame for frame in frames if frame.position_mm and _near(frame, place, tolerance_mm)]
        if not near or (len(near) > 1 and near[0].frame_number is None):
            raise Permanent(f"slice {index + 1} of {len(expected)} is not where one of its source images is")
        # one place, several frames (time points, b-values): the instance is known, the frame is not
        matched.append(near[0] if len(near) == 1 else SourceFrame(near[0].sop_class_uid, near[0].sop_instance_uid))
    return tuple(matched)


def _near(frame: SourceFrame, place: NDArray[np.float64], tolerance_mm: float) -> bool:
    return frame.position_mm is None or float(np.linalg.norm(np.subtract(frame.position_mm, place))) <= tolerance_mm


def legal_orientation(source: Dataset) -> list[str] | None:
    """Patient Orientation (PS3.3 section C.7.6.1.1.1) where the source states a legal one: of a row, then of a column."""
    stated = source.get("PatientOrientation")
    if not stated or isinstance(stated, str) or len(stated) != 2:
        return None
    values = [str(value) for value in stated]
    return values if all(value and set(value) <= set("ALPRHF") for value in values) else None


def decimal(value: float) -> str:
    """A number as a Decimal String of at most 16 characters (PS3.5 section 6.2)."""
    return str(format_number_as_ds(float(value) + 0.0))
