"""The frames of a segmentation as bytes: thousands of functional groups and bit planes, of which little varies.

Group items are joined from parts that are each encoded once (a slice's place and source, a segment's number), and pixels are
packed straight into the file's buffer: as datasets, the groups of a hundred structures on a thousand slices take tens of seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from workers.encode.concepts import SEGMENTATION, code_item
from workers.encode.grid import Grid, SourceFrame, decimal
from workers.encode.pixels import pack_bits
from workers.encode.references import source_item
from workers.encode.segments import Outlines

Frame = tuple[int, int]
"""Segment number, from 1, and index of the slice."""

_PER_FRAME: Final = bytes.fromhex("00523092") + b"SQ\0\0"
_PIXEL_DATA: Final = bytes.fromhex("E07F1000") + b"OB\0\0"
_ITEM: Final = bytes.fromhex("FEFF00E0")


def frame_groups(frames: Sequence[Frame], grid: Grid, *, by_segment: bool = True) -> bytes:
    """The Per-frame Functional Groups Sequence (PS3.3 section C.7.6.16) as an element in Explicit VR Little Endian.

    Parameters
    ----------
    frames
        In the order in which their pixels follow.
    by_segment
        Whether a frame shows one segment; those of a label map show all, and none is named.
    """
    phases = grid.phases
    slices = sorted({index for _, index in frames})
    rank = {place: number for number, place in enumerate(sorted({index // phases for index in slices}), start=1)}
    derivations = {index: _encoded(_derivation(grid.frames[index])) for index in slices}
    places = {index: _encoded(_position(grid, index)) for index in slices}
    numbers = {number: _encoded(_segment(number)) if by_segment else b"" for number in {number for number, _ in frames}}
    indices = 1 + by_segment + (phases > 1)
    # without the Dimension Index Values, which stand last and vary from frame to frame
    contents = [_encoded(_content(phase, phases, indices))[: -4 * indices] for phase in range(phases)]
    items = []
    for number, index in frames:
        place, phase = divmod(index, phases)
        which = ((number,) if by_segment else ()) + (rank[place],) + ((phase + 1,) if phases > 1 else ())
        values = struct.pack(f"<{indices}L", *which)
        item = b"".join((derivations[index], contents[phase], values, places[index], numbers[number]))
        items.append(_ITEM + struct.pack("<L", len(item)) + item)
    value = b"".join(items)
    return _PER_FRAME + struct.pack("<L", len(value)) + value


def pixel_bytes(frames: int, grid: Grid) -> int:
    """Bytes of the Pixel Data value: frames follow each other bit by bit, the end is padded to an even number of bytes."""
    size = -(-frames * grid.rows * grid.columns // 8)
    return size + size % 2


def write_pixels(target: memoryview, frames: Sequence[Frame], found: Outlines, grid: Grid) -> None:
    """Write the Pixel Data element into `target`, which is 12 bytes longer than `pixel_bytes`."""
    size = len(target) - 12
    target[:12] = _PIXEL_DATA + struct.pack("<L", size)
    bits = grid.rows * grid.columns
    if bits % 8:
        packed = pack_bits(found.plane(number, index) for number, index in frames)
        target[12 : 12 + len(packed)] = packed
        return
    pixels = np.frombuffer(target, dtype=np.uint8, offset=12)
    for place, (number, index) in enumerate(frames):
        packed_plane = np.packbits(found.plane(number, index).ravel(), bitorder="little")
        pixels[place * bits // 8 : (place + 1) * bits // 8] = packed_plane


def _encoded(dataset: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _content(phase: int, phases: int, indices: int) -> Dataset:
    """Frame Content (PS3.3 section C.7.6.16.2.2): of a cycle also which phase this is."""
    content = Dataset()
    if phases > 1:
        content.TemporalPositionIndex = phase + 1
    content.DimensionIndexValues = [0] * indices
    groups = Dataset()
    groups.FrameContentSequence = [content]
    return groups


def _position(grid: Grid, index: int) -> Dataset:
    position = Dataset()
    position.ImagePositionPatient = [decimal(value) for value in grid.positions_mm[index]]
    groups = Dataset()
    groups.PlanePositionSequence = [position]
    return groups


def _segment(number: int) -> Dataset:
    segment = Dataset()
    segment.ReferencedSegmentNumber = number
    groups = Dataset()
    groups.SegmentIdentificationSequence = [segment]
    return groups


def _derivation(frame: SourceFrame) -> Dataset:
    """What a frame was made from, and how (PS3.3 section C.7.6.16.2.6)."""
    source = source_item(frame)
    source.SpatialLocationsPreserved = "YES"
    derivation = Dataset()
    derivation.DerivationCodeSequence = [code_item(SEGMENTATION)]
    derivation.SourceImageSequence = [source]
    groups = Dataset()
    groups.DerivationImageSequence = [derivation]
    return groups
