"""The PDUs of an association's requestor, as bytes (PS3.8 section 9.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from node.store.errors import NotUnderstood
from node.store.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

A_ASSOCIATE_RQ: Final = 0x01
A_ASSOCIATE_AC: Final = 0x02
A_ASSOCIATE_RJ: Final = 0x03
P_DATA_TF: Final = 0x04
A_RELEASE_RQ: Final = 0x05
A_RELEASE_RP: Final = 0x06
A_ABORT: Final = 0x07

RELEASE_REQUEST: Final = struct.pack(">BBLL", A_RELEASE_RQ, 0, 4, 0)
RELEASE_REPLY: Final = struct.pack(">BBLL", A_RELEASE_RP, 0, 4, 0)
ABORT: Final = struct.pack(">BBLL", A_ABORT, 0, 4, 0)

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"

COMMAND: Final = 0x01
LAST: Final = 0x02
"""Bits of the message control header (PS3.8 section E.2)."""

MOST_CONTEXTS: Final = 128
"""Presentation contexts on one association: their ids are the odd numbers from 1 to 255 (PS3.8 section 9.3.2.2)."""

_REJECTIONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "it does not support our application context",
    (1, 3): "it does not know our AE title: register it there",
    (1, 7): "it does not answer to that AE title: check how it is called",
    (2, 1): "no reason given",
    (2, 2): "it does not support our protocol version",
    (3, 1): "it is congested: try later",
    (3, 2): "it has as many associations as it allows: try later",
}
"""By source and diagnostic (PS3.8 section 9.3.4)."""


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context that we propose; `as_scp` where we are to be its SCP, though we request the association."""

    sop_class_uid: str
    transfer_syntax_uids: tuple[str, ...]
    as_scp: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an A-ASSOCIATE-AC says.

    Parameters
    ----------
    contexts
        By id: the result (0 accepted, 3 abstract syntax refused, 4 transfer syntaxes refused) and the transfer syntax.
    longest_pdu
        Bytes that the peer takes in one P-DATA-TF PDU after its header; 0: any (PS3.8 section D.1).
    """

    contexts: Mapping[int, tuple[int, str]]
    longest_pdu: int


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def associate_request(calling_ae: str, called_ae: str, contexts: Mapping[int, Context], longest_pdu: int) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 section 9.3.2)."""
    content = _item(0x10, APPLICATION_CONTEXT.encode())
    for context_id, context in contexts.items():
        syntaxes = b"".join(_item(0x40, uid.encode()) for uid in context.transfer_syntax_uids)
        content += _item(0x20, struct.pack(">BBBB", context_id, 0, 0, 0) + _item(0x30, context.sop_class_uid.encode()) + syntaxes)
    user = _item(0x51, struct.pack(">L", longest_pdu))
    user += _item(0x52, IMPLEMENTATION_CLASS_UID.encode()) + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode())
    for uid in dict.fromkeys(context.sop_class_uid for context in contexts.values() if context.as_scp):
        user += _item(0x54, struct.pack(">H", len(uid)) + uid.encode() + b"\0\1")  # PS3.7 section D.3.3.4: SCP, and not SCU
    titles = called_ae.encode("ascii").ljust(16) + calling_ae.encode("ascii").ljust(16)
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + content + _item(0x50, user)
    return struct.pack(">BBL", A_ASSOCIATE_RQ, 0, len(body)) + body


def items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Items of an association PDU, or of an item: type and content (PS3.8 section 9.3.2).

    Raises
    ------
    NotUnderstood
        Where one is cut off.
    """
    position = 0
    while position < len(body):
        if position + 4 > len(body):
            raise NotUnderstood("the peer's answer to our association request ends within an item")
        kind, _, length = struct.unpack_from(">BBH", body, position)
        yield kind, body[position + 4 : position + 4 + length]
        position += 4 + length


def decode_accept(body: bytes) -> Accepted:
    """Read what follows the header of an A-ASSOCIATE-AC (PS3.8 section 9.3.3).

    Raises
    ------
    NotUnderstood
        Where it is not well formed.
    """
    contexts: dict[int, tuple[int, str]] = {}
    longest_pdu = 0
    for kind, value in items(body[68:]):
        if kind == 0x21 and len(value) >= 4:
            syntaxes = [syntax for inner, syntax in items(value[4:]) if inner == 0x40]
            contexts[value[0]] = (value[2], syntaxes[0].decode("ascii", "replace").strip(" \0") if syntaxes else "")
        elif kind == 0x50:
            for inner, content in items(value):
                if inner == 0x51 and len(content) == 4:
                    longest_pdu = struct.unpack(">L", content)[0]
    return Accepted(contexts, longest_pdu)


def decode_reject(body: bytes) -> tuple[bool, str]:
    """Read an A-ASSOCIATE-RJ: whether it may be tried again, and why in words (PS3.8 section 9.3.4)."""
    _, result, source, diagnostic = body[:4].ljust(4, b"\0")
    return result == 2, _REJECTIONS.get((source, diagnostic), f"source {source}, diagnostic {diagnostic}")


def data_values(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Presentation data values of a P-DATA-TF: context id, message control header, fragment (PS3.8 section 9.3.5.1).

    Raises
    ------
    NotUnderstood
        Where a length does not fit.
    """
    position = 0
    while position < len(body):
        if position + 6 > len(body):
            raise NotUnderstood("a P-DATA-TF ends within a presentation data value")
        length, context_id, header = struct.unpack_from(">LBB", body, position)
        if length < 2 or position + 4 + length > len(body):
            raise NotUnderstood("a presentation data value is longer than its P-DATA-TF")
        yield context_id, header, body[position + 6 : position + 4 + length]
        position += 4 + length


def data_header(context_id: int, control: int, fragment_bytes: int) -> bytes:
    """What comes before one fragment that has a P-DATA-TF of its own: both headers, 12 bytes."""
    return struct.pack(">BBLLBB", P_DATA_TF, 0, fragment_bytes + 6, fragment_bytes + 2, context_id, control)


def command_pdu(context_id: int, encoded: bytes) -> bytes:
    """A command set, whole, in a P-DATA-TF of its own."""
    return data_header(context_id, COMMAND | LAST, len(encoded)) + encoded


def data_pdus(context_id: int, content: bytes, fragment_bytes: int) -> Iterator[bytes]:
    """A data set in fragments of at most so many bytes, each in a P-DATA-TF of its own."""
    for start in range(0, len(content), fragment_bytes):
        fragment = content[start : start + fragment_bytes]
        last = LAST if start + fragment_bytes >= len(content) else 0
        yield data_header(context_id, last, len(fragment)) + fragment


def fragment_size(longest_pdu: int, most: int) -> int:
    """Bytes of a fragment for a peer that takes `longest_pdu` bytes in a P-DATA-TF (0: any); even (PS3.8 section 9.3.5.1)."""
    allowed = longest_pdu - 6 if longest_pdu else most
    return max(2, min(most, allowed) // 2 * 2)


def number_contexts(contexts: Sequence[Context]) -> dict[int, Context]:
    """Give each context its id.

    Raises
    ------
    ValueError
        For more than 128.
    """
    if len(contexts) > MOST_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts do not fit on one association")
    return {2 * index + 1: context for index, context in enumerate(contexts)}
