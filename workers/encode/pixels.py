"""Packing of one-bit frames (PS3.5 section 8.1.1)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def pack_bits(frames: Iterable[NDArray[np.bool_]]) -> bytes:
    """Pack binary frames one after another, first pixel in the lowest bit.

    Frames are not padded to whole bytes: the next one starts at the next bit (PS3.5 section 8.1.1, section D.2); only the end of
    the value is padded, to an even number of bytes.

    Parameters
    ----------
    frames
        ``(row, column)`` boolean arrays.
    """
    packed = bytearray()
    left = np.empty(0, dtype=np.bool_)
    for frame in frames:
        bits = np.ravel(frame)
        if left.size:
            bits = np.concatenate((left, bits))
        whole = bits.size // 8 * 8
        packed += np.packbits(bits[:whole], bitorder="little").tobytes()
        left = bits[whole:]
    packed += np.packbits(left, bitorder="little").tobytes()
    if len(packed) % 2:
        packed.append(0)
    return bytes(packed)
