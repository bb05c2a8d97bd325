"""The head of a DICOM file: preamble, prefix and file meta information (PS3.10 section 7.1), as bytes."""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from node.store.errors import NotUnderstood
from node.store.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

PREFIX_OFFSET: Final = 128
PREFIX: Final = b"DICM"

_VERSION: Final = 0x00020001
_SOP_CLASS: Final = 0x00020002
_SOP_INSTANCE: Final = 0x00020003
_TRANSFER_SYNTAX: Final = 0x00020010
_IMPLEMENTATION_CLASS: Final = 0x00020012
_IMPLEMENTATION_VERSION: Final = 0x00020013
_SENDING_AE: Final = 0x00020017
_RECEIVING_AE: Final = 0x00020018
_SOURCE_AE: Final = 0x00020016

LONG_FORM: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations with two reserved bytes and a length of four (PS3.5 section 7.1.2)."""
_LONGEST: Final = 1 << 20
"""Bytes of file meta information that are read at most; private information there may be long, but not this long."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """What the file meta information says.

    Parameters
    ----------
    offset
        Where the data set begins, in bytes from the start of the file.
    source_ae
        Source Application Entity Title (0002,0016): who sent the object to the one that wrote the file.
    receiving_ae
        Receiving Application Entity Title (0002,0018): how that one was called.
    """

    offset: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae: str = ""
    receiving_ae: str = ""


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b" " if vr in (b"SH", b"AE") else b"\0"
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    return head + (struct.pack("<HL", 0, len(value)) if vr in LONG_FORM else struct.pack("<H", len(value))) + value


def encode_head(head: FileHead) -> bytes:
    """Write preamble, prefix and file meta information, in Explicit VR Little Endian as always (`head.offset` is not used)."""
    before, after = _around_instance(head.sop_class_uid, head.transfer_syntax_uid, head.source_ae, head.receiving_ae)
    instance = _element(_SOP_INSTANCE, b"UI", head.sop_instance_uid.encode())
    length = struct.pack("<L", len(before) + len(instance) + len(after))
    return b"".join((bytes(PREFIX_OFFSET), PREFIX, _element(0x00020000, b"UL", length), before, instance, after))


@functools.lru_cache(maxsize=256)
def _around_instance(sop_class_uid: str, transfer_syntax_uid: str, source_ae: str, receiving_ae: str) -> tuple[bytes, bytes]:
    """What comes before the SOP Instance UID and after it: the same for all objects of a series."""
    before = _element(_VERSION, b"OB", b"\0\1") + _element(_SOP_CLASS, b"UI", sop_class_uid.encode())
    after = _element(_TRANSFER_SYNTAX, b"UI", transfer_syntax_uid.encode())
    after += _element(_IMPLEMENTATION_CLASS, b"UI", IMPLEMENTATION_CLASS_UID.encode())
    after += _element(_IMPLEMENTATION_VERSION, b"SH", IMPLEMENTATION_VERSION_NAME.encode())
    for tag, title in ((_SOURCE_AE, source_ae), (_RECEIVING_AE, receiving_ae)):
        if title:
            after += _element(tag, b"AE", title.encode("ascii", "replace"))
    return before, after


def read_head(file: BinaryIO) -> FileHead:
    """Read the head of the file that `file` stands at the start of, and leave it at the data set.

    The group length is not trusted: elements of group 0002 are read until another group begins.

    Raises
    ------
    NotUnderstood
        Where it is no DICOM file, or the file meta information is broken or names no transfer syntax.
    """
    if file.read(PREFIX_OFFSET + 4)[PREFIX_OFFSET:] != PREFIX:
        raise NotUnderstood("not a DICOM file: the prefix DICM is missing")
    values: dict[int, bytes] = {}
    offset = PREFIX_OFFSET + 4
    while offset < _LONGEST:
        start = file.read(8)
        if len(start) < 8 or start[:2] != b"\x02\x00":
            break
        group, element, vr, length = struct.unpack("<HH2sH", start)
        offset += 8
        if vr in LONG_FORM:
            rest = file.read(4)
            length = struct.unpack("<L", rest)[0] if len(rest) == 4 else _LONGEST
            offset += 4
        value = file.read(length) if length < _LONGEST else b""
        if len(value) != length:
            raise NotUnderstood("the file ends within its file meta information")
        offset += length
        values[group << 16 | element] = value
    file.seek(offset)
    if not _text(values, _TRANSFER_SYNTAX):
        raise NotUnderstood("the file meta information names no transfer syntax")
    return FileHead(
        offset=offset,
        sop_class_uid=_text(values, _SOP_CLASS),
        sop_instance_uid=_text(values, _SOP_INSTANCE),
        transfer_syntax_uid=_text(values, _TRANSFER_SYNTAX),
        source_ae=_text(values, _SOURCE_AE) or _text(values, _SENDING_AE),
        receiving_ae=_text(values, _RECEIVING_AE),
    )


def _text(values: dict[int, bytes], tag: int) -> str:
    return values.get(tag, b"").decode("ascii", "replace").strip(" \0")
