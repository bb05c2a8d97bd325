"""The frames of an image object, single-frame or enhanced, as slices with their place in the patient."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from node.store.attributes import item, number, numbers, text
from node.store.errors import Refused
from node.store.geometry import Slice, parse_plane

CROSS_SECTIONAL_MODALITIES: Final = frozenset({"CT", "MR", "PT"})
"""Their images are slices of the patient; without a place in the patient they cannot be read."""
PROJECTION_MODALITIES: Final = frozenset({"CR", "DX", "RG", "MG", "IO", "PX", "XA", "RF", "DR", "RTIMAGE"})
"""Their images are shadows: no pixel has a place in the patient, whatever attributes are there."""

FRAME_TYPES: Final = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
"""Macros that say of a frame what Image Type says of an image (PS3.3 sections C.8.13.5.1, C.8.15.3.1 and C.8.22.5.1)."""


def frame_count(dataset: Dataset) -> int:
    """Number of Frames, 1 where absent or invalid."""
    count = number(dataset, "NumberOfFrames")
    return int(count) if count and count >= 1 else 1


def is_enhanced(dataset: Dataset) -> bool:
    """Whether frames are described by functional groups (PS3.3 section C.7.6.16)."""
    return any(item(dataset, f"{scope}FunctionalGroupsSequence") is not None for scope in ("PerFrame", "Shared"))


def functional_group(dataset: Dataset, frame: int, macro: str) -> Dataset | None:
    """The item of a functional group macro for one frame (from 0): its own, else the shared one, else None."""
    own = item(item(dataset, "PerFrameFunctionalGroupsSequence", frame), macro)
    return own if own is not None else item(item(dataset, "SharedFunctionalGroupsSequence"), macro)


def frame_type(dataset: Dataset, frame: int) -> Dataset | None:
    """The item with the Frame Type of one frame (from 0), whatever the object's modality; None where there is none."""
    groups = (functional_group(dataset, frame, macro) for macro in FRAME_TYPES)
    return next((group for group in groups if group is not None), None)


def is_cross_sectional(dataset: Dataset) -> bool:
    """Whether the object's frames are slices of the patient rather than shadows or photographs.

    CT, MR and PET always are, also when they have lost their position (and are then refused); others where they state one, such
    as volumes that an angiography system made (PS3.3 section A.53).
    """
    modality = text(dataset, "Modality").upper()
    if modality in CROSS_SECTIONAL_MODALITIES:
        return True
    if not is_enhanced(dataset) and (modality in PROJECTION_MODALITIES or frame_count(dataset) > 1):
        return False
    return read_slices(dataset, "image")[0].plane is not None


def read_slices(dataset: Dataset, name: str) -> tuple[Slice, ...]:
    """One slice for each frame, in the order of the object.

    Parameters
    ----------
    dataset
        With or without its pixel data.
    name
        How a person finds the object, e.g. ``"instance 12"``.
    """
    enhanced, count = is_enhanced(dataset), frame_count(dataset)
    if not enhanced:
        # frames of a cine share the one position that the object states, if any: they are told apart by time, not by place
        return (_slice(dataset, dataset, dataset, dataset, name),) * count
    return tuple(
        _slice(
            dataset,
            functional_group(dataset, frame, "PlanePositionSequence"),
            functional_group(dataset, frame, "PlaneOrientationSequence"),
            functional_group(dataset, frame, "PixelMeasuresSequence"),
            f"frame {frame + 1} of {name}" if count > 1 else name,
        )
        for frame in range(count)
    )


def _slice(dataset: Dataset, position: Dataset | None, orientation: Dataset | None, measures: Dataset | None, name: str) -> Slice:
    plane, fault = None, ""
    try:
        plane = parse_plane(
            numbers(position, "ImagePositionPatient") or None, numbers(orientation, "ImageOrientationPatient") or None
        )
    except Refused as refusal:
        fault = refusal.reason
    spacing = numbers(measures, "PixelSpacing")
    thickness = number(measures, "SliceThickness")
    return Slice(
        name=name,
        plane=plane,
        pixel_spacing_mm=(spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
        thickness_mm=thickness if thickness and thickness > 0 else None,
        rows=int(number(dataset, "Rows") or 0),
        columns=int(number(dataset, "Columns") or 0),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        fault=fault,
    )
