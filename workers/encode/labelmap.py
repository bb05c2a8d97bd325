"""Label Map Segmentation objects (PS3.3 section A.51, supplement 243): all structures of a slice in one frame, RLE compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from workers.encode.case import Case
from workers.encode.concepts import BACKGROUND, code_item
from workers.encode.files import file_bytes
from workers.encode.frames import frame_groups
from workers.encode.grid import Grid
from workers.encode.identity import Kind
from workers.encode.rle import rle_frame, rle_pixels
from workers.encode.seg import Seg, segmentation_head
from workers.encode.segments import Outlines

MOST_SMALL: Final = 255
"""Segments that labels of eight bits can tell apart."""


@dataclass(frozen=True, slots=True)
class LabelSeg(Seg):
    """One segmentation whose pixels are segment numbers; its frames show all segments, and are of segment 0 in `frames`."""

    def content(self) -> bytearray:
        """The whole file (PS3.10), RLE Lossless."""
        kind = np.uint8 if int(self.dataset.BitsAllocated) == 8 else np.uint16
        frames = [rle_frame(self.found.labelled(self.segments, index).astype(kind)) for _, index in self.frames]
        content = bytearray(file_bytes(self.dataset, RLELossless))
        content += frame_groups(self.frames, self.grid, by_segment=False)
        return content + rle_pixels(frames)


def label_maps(found: Outlines, grid: Grid, case: Case) -> tuple[LabelSeg, ...]:
    """Build the label map of one answer that outlines at least one structure; several where structures overlap.

    A pixel of a label map belongs to one segment. Structures that overlap go into further objects of the same series, so that
    nothing of any is lost. One frame a slice; slices without a pixel of the object's structures are left out.
    """
    layers = found.layers()
    return tuple(_layer(found, grid, case, layer, (part, len(layers))) for part, layer in enumerate(layers, start=1))


def _layer(found: Outlines, grid: Grid, case: Case, segments: tuple[int, ...], part: tuple[int, int]) -> LabelSeg:
    seg = segmentation_head(found, grid, case, segments, part, kind=Kind.LABELMAP)
    seg.SegmentationType = "LABELMAP"
    seg.SegmentsOverlap = "NO"
    seg.BitsAllocated = seg.BitsStored = 8 if len(segments) <= MOST_SMALL else 16
    seg.HighBit = seg.BitsAllocated - 1
    seg.PixelPaddingValue = 0
    # last: OHIF 3.13.2 takes a segment's place in the sequence for its number when it colours (cornerstone3D, pull request 2882)
    seg.SegmentSequence.append(_background())
    shown = found.presence[[number - 1 for number in segments]].any(axis=0)
    frames = tuple((0, int(index)) for index in np.flatnonzero(shown))
    seg.NumberOfFrames = len(frames)
    return LabelSeg(seg, found, grid, segments, frames)


def _background() -> Dataset:
    """What pixels of no structure are: every value that occurs is described (PS3.3 section C.8.20.4)."""
    item = Dataset()
    item.SegmentNumber = 0
    item.SegmentLabel = "Background"
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = "Overread"
    item.SegmentedPropertyCategoryCodeSequence = [code_item(BACKGROUND)]
    item.SegmentedPropertyTypeCodeSequence = [code_item(BACKGROUND)]
    item.RecommendedDisplayCIELabValue = [0, 32896, 32896]
    return item
