"""A walk over an encoded data set (PS3.5 chapter 7) that reads headers, skips values, and never decodes pixels.

It tells whether the bytes are a whole data set, and the few attributes that the listener needs. Cost is that of the headers, not
of the bytes: a native frame of any size is one step. The walk is as forgiving as readers are where the end of an element is
certain, and refuses where it is not.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node import uids
from node.listener.source import Filed, Inflating, Readable, Source
from node.store.errors import NotUnderstood
from node.store.part10 import LONG_FORM

SOP_CLASS_UID: Final = 0x00080016
SOP_INSTANCE_UID: Final = 0x00080018
MODALITY: Final = 0x00080060
MANUFACTURER: Final = 0x00080070
CONTRIBUTING_EQUIPMENT: Final = 0x0018A001
STUDY_UID: Final = 0x0020000D
SERIES_UID: Final = 0x0020000E
PIXEL_DATA: Final = 0x7FE00010

_TOP_LEVEL: Final = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID, MODALITY, MANUFACTURER, STUDY_UID, SERIES_UID})
_EQUIPMENT: Final = frozenset({MANUFACTURER})
_NONE: Final[frozenset[int]] = frozenset()

_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_FILE_META: Final = b"\x02\x00"
"""Group 0002 in little endian, as file meta information always is (PS3.10 section 7.1)."""

_SHORT_FORM: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST"}
    | {b"TM", b"UI", b"UL", b"US"}
)
_FRAGMENTED: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
"""Value representations whose undefined length means encapsulated fragments (PS3.5 section A.4)."""

_DEEPEST: Final = 64
"""Sequences within sequences; SR trees reach about twenty."""
_LONGEST_VALUE: Final = 4096
"""Bytes of a wanted value that are read."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What the listener needs of an object; texts without padding, ``""`` where absent.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        ``""`` in objects that some anonymisers write: the command, or the file meta information, says it for them.
    manufacturers
        Of the equipment and of each contributing equipment.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    modality: str
    manufacturers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a transfer syntax encodes data elements (PS3.5 annex A)."""

    implicit: bool = False
    little_endian: bool = True
    deflated: bool = False


_LITTLE: Final = tuple(struct.Struct(f"<{form}") for form in ("HH", "H", "HH2sH", "L"))
_BIG: Final = tuple(struct.Struct(f">{form}") for form in ("HH", "H", "HH2sH", "L"))

_EXPLICIT: Final = Encoding()
_IMPLICIT: Final = Encoding(implicit=True)
_BIG_ENDIAN: Final = Encoding(little_endian=False)
_DEFLATED: Final = Encoding(deflated=True)

_ENCODINGS: Final = {
    uids.IMPLICIT_LITTLE_ENDIAN: (_IMPLICIT,),
    "1.2.840.10008.1.20": (_IMPLICIT,),  # Papyrus 3, retired
    uids.DEFLATED_LITTLE_ENDIAN: (_DEFLATED,),
    uids.EXPLICIT_BIG_ENDIAN: (_BIG_ENDIAN,),
    "1.2.840.10008.1.2.4.95": (_DEFLATED, _EXPLICIT),  # JPIP referenced deflate; not every writer deflates
    "1.2.840.10008.1.2.4.205": (_DEFLATED, _EXPLICIT),
}


def encodings(transfer_syntax_uid: str) -> tuple[Encoding, ...]:
    """The encodings to try for a transfer syntax, likeliest first.

    Standard ones that are not listed are Explicit VR Little Endian. Of a private one nothing is known beforehand.
    """
    if transfer_syntax_uid.startswith("1.2.840.10008."):
        return _ENCODINGS.get(transfer_syntax_uid, (_EXPLICIT,))
    return (_EXPLICIT, _IMPLICIT, _BIG_ENDIAN, Encoding(implicit=True, little_endian=False), _DEFLATED)


def outline(file: Readable, offset: int, transfer_syntax_uid: str) -> Outline:
    """Walk the data set of a file.

    Parameters
    ----------
    file
        The bytes.
    offset
        Where the data set begins, bytes.

    Raises
    ------
    NotUnderstood
        Where it is not a whole data set in that syntax, where nothing in it says that it is a DICOM object, and where it could
        not be told from the head of a file before it.
    OSError
        Where the disk does not give it.
    """
    if file.read(offset, 2) == _FILE_META:
        raise NotUnderstood(
            "the data set begins with group 0002, which is for files: their readers would take it for the file's head"
        )
    faults: list[NotUnderstood] = []
    for encoding in encodings(transfer_syntax_uid):
        try:
            return _outline(file, offset, encoding)
        except NotUnderstood as fault:
            faults.append(fault)  # of a private syntax the next encoding may be the one
    raise faults[0]


def _outline(file: Readable, offset: int, encoding: Encoding) -> Outline:
    source = Inflating(file, offset) if encoding.deflated else Filed(file, offset)
    texts: dict[int, str] = {}
    contributors: list[str] = []

    def found(tag: int, value: bytes, depth: int) -> None:
        text = value.decode("ascii", "replace").replace("\ufffd", "?").strip(" \0")
        if depth:
            contributors.append(text)
        else:
            texts[tag] = text

    try:
        _Walk(source, encoding, found).whole()
    except NotUnderstood as fault:
        if any(texts.values()):
            raise
        # bytes of another kind have no elements to be cut short: "truncated" would send people looking for the wrong fault
        raise NotUnderstood("not a DICOM data set in the agreed transfer syntax") from fault
    if not any(texts.values()):
        raise NotUnderstood("the data set is empty, or names no study, series or instance")
    return Outline(
        sop_class_uid=texts.get(SOP_CLASS_UID, ""),
        sop_instance_uid=texts.get(SOP_INSTANCE_UID, ""),
        study_uid=texts.get(STUDY_UID, ""),
        series_uid=texts.get(SERIES_UID, ""),
        modality=texts.get(MODALITY, "").replace("\0", "")[:16],
        manufacturers=(texts.get(MANUFACTURER, ""), *contributors),
    )


class _Walk:
    """One encoding on its way over a source.

    Parameters
    ----------
    found
        Called with tag, value and depth for each wanted element.
    """

    def __init__(self, source: Source, encoding: Encoding, found: Callable[[int, bytes, int], None]) -> None:
        self._source = source
        self._encoding = encoding
        self._found = found
        self._tag, self._short, self._plain, self._long = _LITTLE if encoding.little_endian else _BIG

    def whole(self) -> None:
        """Walk over the data set to the end of its bytes."""
        while True:
            self._stride()
            head = self._source.take(8)
            if len(head) < 8:
                if head.strip(b"\0"):
                    raise NotUnderstood("the data set is truncated: it ends within the head of an element")
                return  # nothing, or padding to a whole block
            self._element(head, 0, _TOP_LEVEL)

    def _stride(self) -> None:
        """Pass over elements of the top level as long as they are plain; most of a header is, and goes ten times as fast."""
        window, begun = self._source.window()
        position, last = begun, len(window) - 12
        implicit, plain, long = self._encoding.implicit, self._plain, self._long
        while position <= last:
            group, element, vr, length = plain.unpack_from(window, position)
            value = position + 8
            if implicit:
                length = long.unpack_from(window, position + 4)[0]
            elif vr in LONG_FORM:
                length = long.unpack_from(window, value)[0]
                value += 4
            elif vr not in _SHORT_FORM:
                break
            tag = group << 16 | element
            if length == _UNDEFINED or tag == CONTRIBUTING_EQUIPMENT or group == _ITEM >> 16:
                break
            if tag in _TOP_LEVEL and length <= _LONGEST_VALUE:
                if value + length > len(window):
                    break
                self._found(tag, window[value : value + length], 0)
            position = value + length
        self._source.skip(position - begun)

    def _head(self) -> bytes:
        head = self._source.take(8)
        if len(head) < 8:
            raise NotUnderstood("the data set is truncated: a sequence or its pixel data does not end")
        return head

    def _tag_of(self, head: bytes) -> int:
        group, element = self._tag.unpack_from(head)
        return int(group) << 16 | int(element)

    def _length_of(self, head: bytes) -> int:
        return int(self._long.unpack_from(head, 4)[0])

    def _element(self, head: bytes, depth: int, wanted: frozenset[int]) -> None:
        """Walk over the element whose first 8 bytes are `head`."""
        tag = self._tag_of(head)
        vr, length = self._form(head)
        if length == _UNDEFINED:
            self._undefined(tag, vr, depth)
        elif tag in wanted and length <= _LONGEST_VALUE:
            value = self._source.take(length)
            if len(value) < length:
                raise NotUnderstood(f"the data set is truncated: it ends within {tag >> 16:04X},{tag & 0xFFFF:04X}")
            self._found(tag, value, depth)
        elif tag == CONTRIBUTING_EQUIPMENT and depth == 0:
            self._items(depth + 1, _EQUIPMENT, self._source.position + length)
        else:
            self._source.skip(length)

    def _form(self, head: bytes) -> tuple[bytes, int]:
        """Value representation (empty where implicit) and length (PS3.5 section 7.1)."""
        vr = head[4:6]
        if self._encoding.implicit or not (vr.isalpha() and vr.isupper()) or head[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return b"", self._length_of(head)  # some writers fall into implicit VR inside of explicit: readers follow them
        if vr in _SHORT_FORM or (vr not in LONG_FORM and head[6:8] != b"\0\0"):
            return vr, int(self._short.unpack_from(head, 6)[0])
        rest = self._source.take(4)  # a VR of later editions is of the long form (PS3.5 section 6.2)
        if len(rest) < 4:
            raise NotUnderstood("the data set is truncated: it ends within the head of an element")
        return vr, int(self._long.unpack(rest)[0])

    def _undefined(self, tag: int, vr: bytes, depth: int) -> None:
        wanted = _EQUIPMENT if tag == CONTRIBUTING_EQUIPMENT and depth == 0 else _NONE
        if tag == PIXEL_DATA or vr in _FRAGMENTED:
            self._fragments()
        elif vr == b"UN":
            self._unknown(depth, wanted)
        else:
            self._items(depth + 1, wanted, None)

    def _unknown(self, depth: int, wanted: frozenset[int]) -> None:
        """A sequence of VR UN is in Implicit VR Little Endian (PS3.5 section 6.2.2); some writers keep their own encoding."""
        start = self._source.position
        try:
            _Walk(self._source, _IMPLICIT, self._found)._items(depth + 1, wanted, None)
        except NotUnderstood:
            if not self._source.back_to(start):
                raise
            self._items(depth + 1, wanted, None)

    def _items(self, depth: int, wanted: frozenset[int], end: int | None) -> None:
        """Walk over the items of a sequence up to its delimiter, or up to the position `end` (PS3.5 section 7.5)."""
        if depth > _DEEPEST:
            raise NotUnderstood(f"sequences are nested deeper than {_DEEPEST}")
        while end is None or self._source.position < end:
            head = self._head()
            tag, length = self._tag_of(head), self._length_of(head)
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise NotUnderstood(f"{tag >> 16:04X},{tag & 0xFFFF:04X} stands in a sequence where an item must be")
            if length == _UNDEFINED or wanted:
                self._item(depth, wanted, None if length == _UNDEFINED else self._source.position + length)
            else:
                self._source.skip(length)
        if end is not None and self._source.position > end:
            raise NotUnderstood("an item is longer than its sequence")

    def _item(self, depth: int, wanted: frozenset[int], end: int | None) -> None:
        """Walk over the elements of an item up to its delimiter, or up to the position `end`."""
        while end is None or self._source.position < end:
            head = self._head()
            if self._tag_of(head) == _ITEM_END:
                break
            self._element(head, depth, wanted)
        if end is not None and self._source.position > end:
            raise NotUnderstood("an element is longer than its item")

    def _fragments(self) -> None:
        """Walk over encapsulated fragments up to their delimiter (PS3.5 section A.4)."""
        while True:
            head = self._head()
            tag, length = self._tag_of(head), self._length_of(head)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM or length == _UNDEFINED:
                raise NotUnderstood("encapsulated pixel data holds something other than fragments")
            self._source.skip(length)
