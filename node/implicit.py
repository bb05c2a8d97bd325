"""A data set in Explicit VR Little Endian as Implicit VR Little Endian has it (PS3.5 section A.1), every value byte for byte.

On bytes, for a segmentation of thousands of frames has hundreds of thousands of elements, and the peer waits.
"""

from __future__ import annotations

import struct
from typing import Final

from node.store.errors import NotUnderstood
from node.store.part10 import LONG_FORM

_ITEM: Final = bytes.fromhex("FEFF00E0")
_END_OF_ITEM: Final = bytes.fromhex("FEFF0DE0")
_END_OF_SEQUENCE: Final = bytes.fromhex("FEFFDDE0")
_UNDEFINED: Final = 0xFFFFFFFF
_DEEPEST: Final = 64


def implicit(explicit: bytes) -> bytes:
    """The data set without its value representations; lengths of sequences and items, where stated, are those of what they hold.

    Raises
    ------
    NotUnderstood
        Where it is cut off, holds compressed pixels, or is no data set in Explicit VR Little Endian.
    """
    out = bytearray()
    _elements(explicit, 0, len(explicit), out)
    return bytes(out)


def _elements(data: bytes, position: int, end: int, out: bytearray, depth: int = 0) -> int:
    """Write the elements from `position` to `end`, or to the delimiter of their item; where reading goes on."""
    if depth > _DEEPEST:
        raise NotUnderstood("its sequences are nested too deep")
    while position < end:
        tag, vr = data[position : position + 4], data[position + 4 : position + 6]
        if tag == _END_OF_ITEM:
            return position + 8
        start = position + (12 if vr in LONG_FORM else 8)
        if start > end:
            raise NotUnderstood("the data set ends within an element")
        length = struct.unpack_from("<L", data, start - 4)[0] if vr in LONG_FORM else struct.unpack_from("<H", data, start - 2)[0]
        if vr == b"SQ":
            held = bytearray()
            position = _items(data, start, _stop(start, length, end), held, depth)
            _check_end(data, position, length, _END_OF_SEQUENCE)
            out += tag + struct.pack("<L", length if length == _UNDEFINED else len(held)) + held
            continue
        position = start + length
        if position > end or not vr.isalpha():
            raise NotUnderstood("an element of the data set is no element, or longer than what is there")
        out += tag + struct.pack("<L", length) + data[start:position]
    return position


def _items(data: bytes, position: int, end: int, out: bytearray, depth: int) -> int:
    """Write the items of a sequence; where reading goes on after it."""
    while position < end:
        if position + 8 > end:
            raise NotUnderstood("the data set ends within a sequence")
        tag, (length,) = data[position : position + 4], struct.unpack_from("<L", data, position + 4)
        position += 8
        if tag == _END_OF_SEQUENCE:
            out += tag + bytes(4)
            return position
        if tag != _ITEM:
            raise NotUnderstood("a sequence of the data set holds something else than items")
        held = bytearray()
        position = _elements(data, position, _stop(position, length, end), held, depth + 1)
        _check_end(data, position, length, _END_OF_ITEM)
        if length == _UNDEFINED:
            held += _END_OF_ITEM + bytes(4)
        out += tag + struct.pack("<L", length if length == _UNDEFINED else len(held)) + held
    return position


def _stop(start: int, length: int, end: int) -> int:
    """Where a sequence or item of that length ends at the latest."""
    stop = end if length == _UNDEFINED else start + length
    if stop > end:
        raise NotUnderstood("a sequence of the data set is longer than what is there")
    return stop


def _check_end(data: bytes, position: int, length: int, delimiter: bytes) -> None:
    if length == _UNDEFINED and data[position - 8 : position - 4] != delimiter:
        raise NotUnderstood("a sequence of the data set has no end")
