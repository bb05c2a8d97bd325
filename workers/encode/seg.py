"""Segmentation objects (PS3.3 section A.51): BINARY, on the source grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from workers.encode.case import Case
from workers.encode.concepts import SEGMENTATION, SOURCE_IMAGE, code_item
from workers.encode.equipment import clip, put_equipment, put_series
from workers.encode.grid import Grid, SourceFrame, decimal
from workers.encode.identity import Kind, ResultIdentity
from workers.encode.patient import is_legal
from workers.encode.pixels import pack_bits
from workers.encode.segments import REMARKS, Outlines, segment_item


def segmentation(
    found: Outlines,
    grid: Grid,
    case: Case,
) -> Dataset:
    """Build the SEG of one answer that outlines at least one structure.

    One frame per structure and slice; frames without a pixel of the structure are left out. Frames run segment by segment, each
    in slice order.
    """
    manifest, identity = case.manifest, case.identity
    names = ", ".join(structure.name for structure in found.found)
    seg = Dataset()
    seg.update(case.subject.attributes)
    seg.SOPClassUID = SegmentationStorage
    put_series(seg, identity, Kind.SEG, f"Overread {manifest.name}: {names}")
    put_equipment(seg, manifest, identity)
    seg.FrameOfReferenceUID = grid.frame_of_reference_uid
    seg.PositionReferenceIndicator = grid.position_reference_indicator
    _put_image(seg, grid, case.sources[0])
    seg.SegmentationType = "BINARY"
    seg.SegmentsOverlap = "YES" if found.overlap else "NO"
    seg.ContentLabel = "OVERREAD"
    seg.ContentDescription = REMARKS[grid.spacing_kind] or clip(manifest.title)
    seg.ContentCreatorName = None
    seg.SegmentSequence = [
        segment_item(number, structure, manifest, identity, grid.spacing_kind)
        for number, structure in enumerate(found.found, start=1)
    ]
    _put_references(seg, grid, case)
    _put_dimensions(seg, identity)
    seg.SharedFunctionalGroupsSequence = [_shared_groups(grid)]
    _put_frames(seg, found, grid)
    return seg


def _put_image(seg: Dataset, grid: Grid, source: Dataset) -> None:
    """General Image, Image Pixel and Segmentation Image modules (PS3.3 sections C.7.6.1, C.7.6.3, C.8.20.2)."""
    seg.ImageType = ["DERIVED", "PRIMARY"]
    if grid.is_projection:
        # without Image Orientation (Patient) of the patient, this is what tells left from right
        seg.PatientOrientation = _legal_orientation(source)
    seg.SamplesPerPixel = 1
    seg.PhotometricInterpretation = "MONOCHROME2"
    seg.Rows, seg.Columns = grid.rows, grid.columns
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = seg.PixelRepresentation = 0
    seg.BurnedInAnnotation = "NO"
    seg.LossyImageCompression = "01" if source.get("LossyImageCompression") == "01" else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if seg.LossyImageCompression == "01" and source.get(keyword) and is_legal(source[keyword]):
            setattr(seg, keyword, source[keyword].value)


def _legal_orientation(source: Dataset) -> list[str] | None:
    stated = source.get("PatientOrientation")
    if not stated or isinstance(stated, str) or len(stated) != 2:
        return None
    values = [str(value) for value in stated]
    return values if all(value and set(value) <= set("ALPRHF") for value in values) else None


def _put_references(seg: Dataset, grid: Grid, case: Case) -> None:
    """Common Instance Reference: the series and every instance that was read (PS3.3 section C.12.2)."""
    series = Dataset()
    series.SeriesInstanceUID = case.sources[0].SeriesInstanceUID
    instances = dict.fromkeys((frame.sop_class_uid, frame.sop_instance_uid) for frame in grid.frames)
    series.ReferencedInstanceSequence = [_instance_item(*instance) for instance in instances]
    seg.ReferencedSeriesSequence = [series]


def _instance_item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _put_dimensions(seg: Dataset, identity: ResultIdentity) -> None:
    """Frames are told apart by segment, then by position (PS3.3 section C.7.6.17)."""
    uid = identity.dimension_uid(Kind.SEG)
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    seg.DimensionOrganizationSequence = [organization]
    seg.DimensionIndexSequence = []
    for pointer, group, label in (
        (0x0062000B, 0x0062000A, "Segment Number"),
        (0x00200032, 0x00209113, "Image Position (Patient)"),
    ):
        index = Dataset()
        index.DimensionOrganizationUID = uid
        index.DimensionIndexPointer = pointer
        index.FunctionalGroupPointer = group
        index.DimensionDescriptionLabel = label
        seg.DimensionIndexSequence.append(index)


def _shared_groups(grid: Grid) -> Dataset:
    """Orientation and spacing, which all frames share (PS3.3 sections C.7.6.16.2.1, C.7.6.16.2.4)."""
    orientation = Dataset()
    orientation.ImageOrientationPatient = [decimal(value) for value in grid.orientation]
    measures = Dataset()
    measures.PixelSpacing = [decimal(value) for value in grid.spacing]
    measures.SliceThickness = decimal(grid.slice_thickness_mm)
    if grid.slice_distance_mm is not None:
        measures.SpacingBetweenSlices = decimal(grid.slice_distance_mm)
    shared = Dataset()
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    return shared


def _put_frames(seg: Dataset, found: Outlines, grid: Grid) -> None:
    used: list[tuple[int, int]] = []

    def frames() -> Iterator[NDArray[np.bool_]]:
        for number, (_, mask) in enumerate(found.masks(), start=1):
            for index in np.flatnonzero(mask.any(axis=(1, 2))):
                used.append((number, int(index)))
                yield mask[index]

    seg.PixelData = pack_bits(frames())
    seg["PixelData"].VR = "OB"
    rank = {index: place for place, index in enumerate(sorted({index for _, index in used}), start=1)}
    seg.NumberOfFrames = len(used)
    seg.PerFrameFunctionalGroupsSequence = [_frame_groups(number, rank[index], grid, index) for number, index in used]


def _frame_groups(segment_number: int, place: int, grid: Grid, index: int) -> Dataset:
    """What one frame shows, where it is and what it was made from (PS3.3 section C.7.6.16)."""
    content = Dataset()
    content.DimensionIndexValues = [segment_number, place]
    position = Dataset()
    position.ImagePositionPatient = [decimal(value) for value in grid.positions_mm[index]]
    segment = Dataset()
    segment.ReferencedSegmentNumber = segment_number
    derivation = Dataset()
    derivation.DerivationCodeSequence = [code_item(SEGMENTATION)]
    derivation.SourceImageSequence = [_source_item(grid.frames[index])]
    groups = Dataset()
    groups.DerivationImageSequence = [derivation]
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [position]
    groups.SegmentIdentificationSequence = [segment]
    return groups


def _source_item(frame: SourceFrame) -> Dataset:
    item = _instance_item(frame.sop_class_uid, frame.sop_instance_uid)
    if frame.frame_number is not None:
        item.ReferencedFrameNumber = frame.frame_number
    item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_IMAGE)]
    item.SpatialLocationsPreserved = "YES"
    return item
