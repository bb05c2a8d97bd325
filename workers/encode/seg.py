"""Segmentation objects on the source grid (PS3.3 section A.51), BINARY; what those with label maps share with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from workers.encode.case import Case
from workers.encode.equipment import clip, put_equipment, put_series
from workers.encode.files import file_bytes
from workers.encode.frames import Frame, frame_groups, pixel_bytes, write_pixels
from workers.encode.grid import Grid, SourceFrame, decimal, legal_orientation
from workers.encode.identity import Kind
from workers.encode.patient import is_legal
from workers.encode.references import instance_item
from workers.encode.segments import REMARKS, Outlines, segment_item

MOST_BYTES: Final = 1 << 30
"""Bytes of pixels in one object; more structures go into further objects of the same series."""

LABELMAP_STORAGE: Final = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""Label Map Segmentation Storage, which pydicom does not name yet."""

_PIXEL_HEAD: Final = 12


@dataclass(frozen=True, slots=True)
class Seg:
    """One segmentation object.

    Parameters
    ----------
    dataset
        All of it but the functional groups of its frames and its pixels, which `content` adds.
    segments
        Number in `found`, from 1, of each segment of this object.
    frames
        Segment number in this object and slice of each frame, in order.
    """

    dataset: Dataset
    found: Outlines
    grid: Grid
    segments: tuple[int, ...]
    frames: tuple[Frame, ...]

    def frame_numbers(self, segment_number: int) -> list[int]:
        """Numbers, from 1, of the frames that show a segment."""
        return [place for place, (number, _) in enumerate(self.frames, start=1) if number == segment_number]

    def source_of(self, frame_number: int) -> SourceFrame:
        """What a frame, counted from 1, was made from."""
        return self.grid.frames[self.frames[frame_number - 1][1]]

    @property
    def in_whole_bytes(self) -> bool:
        """Whether every frame begins with a byte, and the pixels end with one that needs no padding.

        Where not, OHIF 3.13.2 shows it wrong or never: it takes the bits of frames that begin within a byte in the wrong order;
        it refuses pixels that are padded, then asks for single frames, and Orthanc 1.10.1 gives none that are BINARY.
        """
        bits = self.grid.rows * self.grid.columns
        return bits % 8 == 0 and len(self.frames) * bits % 16 == 0

    def content(self) -> bytearray:
        """The whole file (PS3.10)."""
        head = file_bytes(self.dataset) + frame_groups(self.frames, self.grid)
        content = bytearray(len(head) + _PIXEL_HEAD + pixel_bytes(len(self.frames), self.grid))
        content[: len(head)] = head
        inside = [(self.segments[number - 1], index) for number, index in self.frames]
        write_pixels(memoryview(content)[len(head) :], inside, self.found, self.grid)
        return content


def segmentations(found: Outlines, grid: Grid, case: Case, most_bytes: int = MOST_BYTES) -> tuple[Seg, ...]:
    """Build the SEG of one answer that outlines at least one structure; several where one would grow too large.

    One frame per structure and slice; frames without a pixel of the structure are left out. Frames run segment by segment, each
    in slice order.

    Parameters
    ----------
    most_bytes
        Of pixels in one object. One structure is never divided.
    """
    parts = shared_out(found.presence.sum(axis=1), max(1, most_bytes * 8 // (grid.rows * grid.columns)))
    return tuple(_part(found, grid, case, segments, (part, len(parts))) for part, segments in enumerate(parts, start=1))


def shared_out(frames: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """Segment numbers, from 1, of each object, so that none holds more than `most` frames unless a single segment does."""
    objects: list[list[int]] = [[]]
    used = 0
    for number, count in enumerate(frames, start=1):
        if objects[-1] and used + count > most:
            objects.append([])
            used = 0
        objects[-1].append(number)
        used += int(count)
    return [tuple(segments) for segments in objects]


def binary_frames(found: Outlines, segments: tuple[int, ...]) -> tuple[Frame, ...]:
    """A frame for each segment and slice on which it has a pixel: segment by segment, each in slice order."""
    return tuple(
        (place, int(index))
        for place, number in enumerate(segments, start=1)
        for index in np.flatnonzero(found.presence[number - 1])
    )


def _part(found: Outlines, grid: Grid, case: Case, segments: tuple[int, ...], part: tuple[int, int]) -> Seg:
    seg = segmentation_head(found, grid, case, segments, part, kind=Kind.SEG)
    seg.SegmentationType = "BINARY"
    seg.SegmentsOverlap = "YES" if found.overlap else "NO"
    seg.BitsAllocated = seg.BitsStored = 1
    seg.HighBit = 0
    frames = binary_frames(found, segments)
    seg.NumberOfFrames = len(frames)
    return Seg(seg, found, grid, segments, frames)


def segmentation_head(
    found: Outlines, grid: Grid, case: Case, segments: tuple[int, ...], part: tuple[int, int], *, kind: Kind
) -> Dataset:
    """All of a segmentation but what its type decides, its frames and its pixels.

    Parameters
    ----------
    segments
        Number in `found`, from 1, of each segment.
    part
        Which object of how many.
    kind
        ``SEG``, ``FRACTIONAL`` or ``LABELMAP``.
    """
    manifest, identity = case.manifest, case.identity
    structures = [found.found[number - 1] for number in segments]
    names = ", ".join(structure.name for structure in structures)
    which = f" ({part[0]} of {part[1]})" if part[1] > 1 else ""
    seg = Dataset()
    seg.update(case.subject.attributes)
    seg.SOPClassUID = LABELMAP_STORAGE if kind is Kind.LABELMAP else SegmentationStorage
    put_series(
        seg,
        identity,
        kind,
        f"Overread {manifest.name}: {names}" if part[1] == 1 else f"Overread {manifest.name}",
        part=part[0],
    )
    put_equipment(seg, manifest, identity)
    seg.FrameOfReferenceUID = grid.frame_of_reference_uid
    seg.PositionReferenceIndicator = grid.position_reference_indicator
    put_image(seg, grid, case.sources[0])
    seg.ContentLabel = "OVERREAD"
    seg.ContentDescription = REMARKS[grid.spacing_kind] or clip(manifest.title + which)
    seg.ContentCreatorName = None
    seg.SegmentSequence = [
        segment_item(number, structure, manifest, identity, grid.spacing_kind)
        for number, structure in enumerate(structures, start=1)
    ]
    put_references(seg, grid, case)
    put_dimensions(seg, identity.dimension_uid(kind), by_segment=kind is not Kind.LABELMAP, cycle=grid.phases > 1)
    seg.SharedFunctionalGroupsSequence = [shared_groups(grid)]
    return seg


def put_image(seg: Dataset, grid: Grid, source: Dataset) -> None:
    """General Image, Image Pixel and Segmentation Image modules (PS3.3 sections C.7.6.1, C.7.6.3, C.8.20.2)."""
    seg.ImageType = ["DERIVED", "PRIMARY"]
    if grid.is_projection:
        # without Image Orientation (Patient) of the patient, this is what tells left from right
        seg.PatientOrientation = legal_orientation(source)
    seg.SamplesPerPixel = 1
    seg.PhotometricInterpretation = "MONOCHROME2"
    seg.Rows, seg.Columns = grid.rows, grid.columns
    seg.PixelRepresentation = 0
    seg.BurnedInAnnotation = "NO"
    seg.LossyImageCompression = "01" if source.get("LossyImageCompression") == "01" else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if seg.LossyImageCompression == "01" and source.get(keyword) and is_legal(source[keyword]):
            setattr(seg, keyword, source[keyword].value)


def put_references(seg: Dataset, grid: Grid, case: Case) -> None:
    """Common Instance Reference: the series and every instance that was read (PS3.3 section C.12.2)."""
    series = Dataset()
    series.SeriesInstanceUID = case.sources[0].SeriesInstanceUID
    instances = dict.fromkeys((frame.sop_class_uid, frame.sop_instance_uid) for frame in grid.frames)
    series.ReferencedInstanceSequence = [instance_item(*instance) for instance in instances]
    seg.ReferencedSeriesSequence = [series]


def put_dimensions(seg: Dataset, uid: str, *, by_segment: bool, cycle: bool) -> None:
    """Frames are told apart by segment, then by position, then, in a cycle, by phase (PS3.3 section C.7.6.17)."""
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    seg.DimensionOrganizationSequence = [organization]
    seg.DimensionIndexSequence = []
    for pointer, group, label in (
        *(((0x0062000B, 0x0062000A, "Segment Number"),) if by_segment else ()),
        (0x00200032, 0x00209113, "Image Position (Patient)"),
        *(((0x00209128, 0x00209111, "Temporal Position Index"),) if cycle else ()),
    ):
        index = Dataset()
        index.DimensionOrganizationUID = uid
        index.DimensionIndexPointer = pointer
        index.FunctionalGroupPointer = group
        index.DimensionDescriptionLabel = label
        seg.DimensionIndexSequence.append(index)


def shared_groups(grid: Grid) -> Dataset:
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
