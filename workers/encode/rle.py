"""Frames compressed by RLE Lossless, as Pixel Data (PS3.5 sections A.4, G)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.encoders.base import RLELosslessEncoder

_PIXEL_DATA: Final = bytes.fromhex("E07F1000") + b"OB\0\0" + b"\xff\xff\xff\xff"
_ITEM: Final = bytes.fromhex("FEFF00E0")
_END: Final = bytes.fromhex("FEFFDDE0") + bytes(4)


def rle_frame(plane: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """One ``(row, column)`` frame of 8 or 16 bits a pixel, compressed and padded to an even number of bytes."""
    bits = plane.dtype.itemsize * 8
    frame: bytes = RLELosslessEncoder.encode(
        np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("<")).tobytes(),
        encoding_plugin="pylibjpeg",
        rows=plane.shape[0],
        columns=plane.shape[1],
        samples_per_pixel=1,
        bits_allocated=bits,
        bits_stored=bits,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        number_of_frames=1,
    )
    return frame + b"\0" * (len(frame) % 2)


def rle_pixels(frames: Sequence[bytes]) -> bytes:
    """The Pixel Data element in Explicit VR Little Endian: a Basic Offset Table, then each frame in one fragment."""
    offsets = np.cumsum([0, *(len(frame) + 8 for frame in frames[:-1])], dtype="<u4")
    fragments = (part for frame in frames for part in (_ITEM, struct.pack("<L", len(frame)), frame))
    return b"".join((_PIXEL_DATA, _ITEM, struct.pack("<L", offsets.nbytes), offsets.tobytes(), *fragments, _END))
