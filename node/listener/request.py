"""Plain A-ASSOCIATE-RQs, read in a fraction of the time that pynetdicom takes (PS3.8 section 9.3.2).

Plain is what nearly every peer sends: the standard's application context, presentation contexts, and the user items that name
lengths and implementations. Whatever else there is, well formed or not, is None here, and pynetdicom's to judge; tests hold that
both read the same where this one reads at all.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.upper_layer import A_ASSOCIATE_RQ, APPLICATION_CONTEXT, MOST_CONTEXTS

_HEAD: Final = struct.Struct(">BBLHH16s16s32s")
_ITEM: Final = struct.Struct(">BBH")
_APPLICATION: Final = 0x10
_CONTEXT: Final = 0x20
_ABSTRACT: Final = 0x30
_TRANSFER: Final = 0x40
_USER: Final = 0x50
_LONGEST_PDU: Final = 0x51
_IMPLEMENTATION_CLASS: Final = 0x52
_IMPLEMENTATION_VERSION: Final = 0x55
_UID: Final = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_TITLE: Final = re.compile(rb"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])? *")
_VERSION: Final = re.compile(rb"[\x21-\x5b\x5d-\x7e]{1,16}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context as proposed."""

    context_id: int
    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """Parameters
    ----------
    calling_ae, called_ae
        Without padding.
    longest_pdu
        Bytes that the peer takes in one P-DATA-TF; 0: any.
    """

    calling_ae: str
    called_ae: str
    proposals: tuple[Proposal, ...]
    longest_pdu: int


class _NotPlain(Exception):
    """Something that this reader leaves to pynetdicom."""


def decode(pdu: bytes) -> Request | None:
    """Read a whole A-ASSOCIATE-RQ with its header; None where it is not plain."""
    try:
        return _decode(pdu)
    except (_NotPlain, struct.error):
        return None


def _decode(pdu: bytes) -> Request:
    kind, _, length, version, _, called, calling, _ = _HEAD.unpack_from(pdu)
    if kind != A_ASSOCIATE_RQ or length != len(pdu) - 6 or version != 1:
        raise _NotPlain
    proposals: list[Proposal] = []
    user: bytes | None = None
    applications = 0
    for item, content in _items(pdu[_HEAD.size :]):
        if item == _CONTEXT:
            proposals.append(_proposal(content))
        elif item == _APPLICATION and content == APPLICATION_CONTEXT.encode():
            applications += 1
        elif item == _USER and user is None:
            user = content
        else:
            raise _NotPlain
    if applications != 1 or user is None or not 0 < len(proposals) <= MOST_CONTEXTS:
        raise _NotPlain
    if len({proposal.context_id for proposal in proposals}) != len(proposals):
        raise _NotPlain
    return Request(_title(calling), _title(called), tuple(proposals), _longest_pdu(user))


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(content):
        kind, _, length = _ITEM.unpack_from(content, position)
        position += _ITEM.size + length
        if position > len(content):
            raise _NotPlain
        yield kind, content[position - length : position]


def _proposal(content: bytes) -> Proposal:
    if len(content) < 4 or not content[0] % 2:
        raise _NotPlain
    abstract, syntaxes = "", []
    for kind, uid in _items(content[4:]):
        if kind == _TRANSFER:
            syntaxes.append(_uid(uid))
        elif kind == _ABSTRACT and not abstract:
            abstract = _uid(uid)
        else:
            raise _NotPlain
    if not abstract or not syntaxes:
        raise _NotPlain
    return Proposal(content[0], abstract, tuple(syntaxes))


def _longest_pdu(user: bytes) -> int:
    found: dict[int, bytes] = {}
    for kind, content in _items(user):
        if kind in found:
            raise _NotPlain
        found[kind] = content
    if (
        not {_LONGEST_PDU, _IMPLEMENTATION_CLASS}
        <= found.keys()
        <= {_LONGEST_PDU, _IMPLEMENTATION_CLASS, _IMPLEMENTATION_VERSION}
    ):
        raise _NotPlain
    _uid(found[_IMPLEMENTATION_CLASS])
    if not _VERSION.fullmatch(found.get(_IMPLEMENTATION_VERSION, b"-")) or len(found[_LONGEST_PDU]) != 4:
        raise _NotPlain
    return int.from_bytes(found[_LONGEST_PDU], "big")


def _uid(encoded: bytes) -> str:
    if len(encoded) > 64 or not _UID.fullmatch(encoded):
        raise _NotPlain
    return encoded.decode("ascii")


def _title(encoded: bytes) -> str:
    if not _TITLE.fullmatch(encoded):
        raise _NotPlain
    return encoded.decode("ascii").rstrip(" ")
