"""DIMSE command sets as bytes, for the few messages that Overread itself writes and reads (PS3.7 section 9.3).

Command sets are always Implicit VR Little Endian (PS3.7 section 6.3.1). Values are handed on as they came: what is wrong in
them is answered with a status, and never ends an association that other images are on. Only what cannot be answered is not read:
a request without a number to answer to, and a command that does not say whether a data set follows.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.store.errors import NotUnderstood

C_STORE_RQ: Final = 0x0001
C_STORE_RSP: Final = 0x8001
C_GET_RQ: Final = 0x0010
C_GET_RSP: Final = 0x8010
C_FIND_RQ: Final = 0x0020
C_FIND_RSP: Final = 0x8020
C_MOVE_RQ: Final = 0x0021
C_MOVE_RSP: Final = 0x8021
C_ECHO_RQ: Final = 0x0030
C_ECHO_RSP: Final = 0x8030
N_EVENT_REPORT_RQ: Final = 0x0100
N_EVENT_REPORT_RSP: Final = 0x8100
N_SET_RQ: Final = 0x0120
N_ACTION_RQ: Final = 0x0130
N_ACTION_RSP: Final = 0x8130
N_CREATE_RQ: Final = 0x0140

C_CANCEL_RQ: Final = 0x0FFF

NO_DATA_SET: Final = 0x0101

GROUP_LENGTH: Final = 0x00000000
AFFECTED_SOP_CLASS_UID: Final = 0x00000002
REQUESTED_SOP_CLASS_UID: Final = 0x00000003
COMMAND_FIELD: Final = 0x00000100
MESSAGE_ID: Final = 0x00000110
MESSAGE_ID_RESPONDED_TO: Final = 0x00000120
PRIORITY: Final = 0x00000700
DATA_SET_TYPE: Final = 0x00000800
STATUS: Final = 0x00000900
ERROR_COMMENT: Final = 0x00000902
ERROR_ID: Final = 0x00000903
AFFECTED_SOP_INSTANCE_UID: Final = 0x00001000
REQUESTED_SOP_INSTANCE_UID: Final = 0x00001001
EVENT_TYPE_ID: Final = 0x00001002
ACTION_TYPE_ID: Final = 0x00001008
MOVE_DESTINATION: Final = 0x00000600
COMPLETED: Final = 0x00001021
FAILED: Final = 0x00001022
WARNING: Final = 0x00001023
"""Numbers of sub-operations (PS3.7 section 9.3.4.2)."""

LONGEST: Final = 65536
"""Bytes; a command set is a few hundred, so that more is an attempt to fill the memory."""
MEDIUM: Final = 0x0000
HIGH: Final = 0x0001
"""Values of Priority (0000,0700); PS3.7 section E.1."""
_RESPONSE: Final = 0x8000
_NUMBERS: Final = (COMMAND_FIELD, MESSAGE_ID, DATA_SET_TYPE)
_A_NUMBER: Final = b"\0\0"


@dataclass(frozen=True, slots=True)
class Command:
    """A command set.

    Parameters
    ----------
    elements
        Value by tag (group and element as one number), as encoded.
    """

    elements: Mapping[int, bytes]

    def number(self, tag: int) -> int | None:
        """The US value of `tag`, or None where it is absent or of another length."""
        value = self.elements.get(tag, b"")
        return int(struct.unpack("<H", value)[0]) if len(value) == 2 else None

    def text(self, tag: int) -> str:
        """The value of `tag` as ASCII without padding; what is not ASCII becomes a question mark."""
        return self.elements.get(tag, b"").decode("ascii", "replace").replace("\ufffd", "?").strip(" \0")

    @property
    def field(self) -> int | None:
        return self.number(COMMAND_FIELD)

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows (PS3.7 section E.1: any value other than 0101H)."""
        return self.number(DATA_SET_TYPE) != NO_DATA_SET


def decode(encoded: bytes) -> Command:
    """Read a command set.

    Raises
    ------
    NotUnderstood
        Where an element is longer than what is there, or one that every answer rests on is no number (PS3.7 section E.1).
    """
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(encoded):
        if position + 8 > len(encoded):
            raise NotUnderstood("the command set ends within an element")
        group, element, length = struct.unpack_from("<HHL", encoded, position)
        position += 8
        if position + length > len(encoded):
            raise NotUnderstood(f"command element {group:04X},{element:04X} is longer than its command set")
        elements[group << 16 | element] = encoded[position : position + length]
        position += length
    for tag in _NUMBERS:
        if len(elements.get(tag, _A_NUMBER)) != len(_A_NUMBER):
            raise NotUnderstood(f"command element {tag >> 16:04X},{tag & 0xFFFF:04X} is not one number of two bytes")
    command = Command(elements)
    field = command.field
    if field is not None and field & _RESPONSE == 0 and field != C_CANCEL_RQ and MESSAGE_ID not in elements:
        raise NotUnderstood("the command set has no Message ID to answer to")
    return command


def encode(elements: Mapping[int, bytes | str | int]) -> bytes:
    """Write a command set with its group length; numbers as US, texts padded to even length (PS3.5 section 9.1)."""
    body = b""
    for tag in sorted(elements):
        value = elements[tag]
        if isinstance(value, int):
            value = struct.pack("<H", value)
        elif isinstance(value, str):
            value = value.encode("ascii", "replace")
            if len(value) % 2:
                value += b" " if tag == ERROR_COMMENT else b"\0"
        body += struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def response(request: Command, status: int, comment: str = "", beside: Mapping[int, bytes | str | int] | None = None) -> bytes:
    """The response to `request`, without a data set; C-STORE-RSP for example (PS3.7 section 9.3.1.2).

    Parameters
    ----------
    comment
        Error Comment (0000,0902), LO: cut to 64 characters; without patient data.
    beside
        Further elements. The SOP class and instance that a request names come back as affected, as they do where it calls them
        requested (N-SET, N-ACTION: PS3.7 section 10.1).
    """
    elements: dict[int, bytes | str | int] = {
        COMMAND_FIELD: 0x8000 | (request.field or 0),
        MESSAGE_ID_RESPONDED_TO: request.number(MESSAGE_ID) or 0,
        DATA_SET_TYPE: NO_DATA_SET,
        STATUS: status,
    }
    for tag, requested in (
        (AFFECTED_SOP_CLASS_UID, REQUESTED_SOP_CLASS_UID),
        (AFFECTED_SOP_INSTANCE_UID, REQUESTED_SOP_INSTANCE_UID),
    ):
        if tag in request.elements or requested in request.elements:
            elements[tag] = request.elements.get(tag, request.elements.get(requested, b""))
    elements.update(beside or {})
    if comment:
        elements[ERROR_COMMENT] = comment[:64].replace("\\", "/")
    return encode(elements)


def store_request(message_id: int, sop_class_uid: str, sop_instance_uid: str, priority: int = MEDIUM) -> bytes:
    """A C-STORE-RQ (PS3.7 section 9.3.1.1) of priority `MEDIUM` or `HIGH`."""
    return encode(
        {
            AFFECTED_SOP_CLASS_UID: sop_class_uid,
            COMMAND_FIELD: C_STORE_RQ,
            MESSAGE_ID: message_id,
            PRIORITY: priority,
            DATA_SET_TYPE: 0x0001,
            AFFECTED_SOP_INSTANCE_UID: sop_instance_uid,
        }
    )


def echo_request(message_id: int, sop_class_uid: str) -> bytes:
    """A C-ECHO-RQ (PS3.7 section 9.3.5.1)."""
    return encode(
        {
            AFFECTED_SOP_CLASS_UID: sop_class_uid,
            COMMAND_FIELD: C_ECHO_RQ,
            MESSAGE_ID: message_id,
            DATA_SET_TYPE: NO_DATA_SET,
        }
    )
