"""Segmentations of a byte a pixel, for viewers that lose their way in BINARY ones: FRACTIONAL, all or nothing, RLE compressed.

BINARY frames follow each other bit by bit (PS3.5 section 8.1.1), so that a frame whose pixels are no multiple of eight ends
within a byte. Reading them then takes care that not all software takes; a frame of bytes begins where it begins for everyone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.uid import RLELossless

from workers.encode.case import Case
from workers.encode.files import file_bytes
from workers.encode.frames import frame_groups
from workers.encode.grid import Grid
from workers.encode.identity import Kind
from workers.encode.rle import rle_frame, rle_pixels
from workers.encode.seg import MOST_BYTES, Seg, binary_frames, segmentation_head, shared_out
from workers.encode.segments import Outlines

WHOLE: Final = 255
"""A pixel that lies in the structure, as Maximum Fractional Value: white wherever the frames are looked at as images."""


@dataclass(frozen=True, slots=True)
class FractionalSeg(Seg):
    """One segmentation whose pixels are 0 or `WHOLE`."""

    def content(self) -> bytearray:
        """The whole file (PS3.10), RLE Lossless."""
        inside = ((self.segments[number - 1], index) for number, index in self.frames)
        frames = [rle_frame(self.found.plane(number, index).astype(np.uint8) * np.uint8(WHOLE)) for number, index in inside]
        content = bytearray(file_bytes(self.dataset, RLELossless))
        content += frame_groups(self.frames, self.grid)
        return content + rle_pixels(frames)


def fractional_segmentations(found: Outlines, grid: Grid, case: Case, most_bytes: int = MOST_BYTES) -> tuple[FractionalSeg, ...]:
    """Build the segmentation of one answer that outlines at least one structure, with the frames and segments of the BINARY one.

    Parameters
    ----------
    most_bytes
        Of pixels, as they are before compression, in one object. One structure is never divided.
    """
    parts = shared_out(found.presence.sum(axis=1), max(1, most_bytes // (grid.rows * grid.columns)))
    return tuple(_part(found, grid, case, segments, (part, len(parts))) for part, segments in enumerate(parts, start=1))


def _part(found: Outlines, grid: Grid, case: Case, segments: tuple[int, ...], part: tuple[int, int]) -> FractionalSeg:
    seg = segmentation_head(found, grid, case, segments, part, kind=Kind.FRACTIONAL)
    seg.SegmentationType = "FRACTIONAL"
    seg.SegmentationFractionalType = "OCCUPANCY"  # each pixel is taken up by the structure wholly or not at all
    seg.MaximumFractionalValue = WHOLE
    seg.SegmentsOverlap = "YES" if found.overlap else "NO"
    seg.BitsAllocated = seg.BitsStored = 8
    seg.HighBit = 7
    frames = binary_frames(found, segments)
    seg.NumberOfFrames = len(frames)
    return FractionalSeg(seg, found, grid, segments, frames)
