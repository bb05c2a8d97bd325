"""A scripted archive that answers a query with what it is told to, right or wrong."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node import command_set, upper_layer
from node.data_set import write_data_set
from node.doubles.peer import Script, accept_all
from node.uids import EXPLICIT_LITTLE_ENDIAN


@dataclass(frozen=True)
class Reply:
    """A response to a C-FIND; `to` is added to the message id that it answers."""

    status: int
    content: bytes = b""
    to: int = 0
    field: int = command_set.C_FIND_RSP


DONE = Reply(0)


def pending(**values: str) -> Reply:
    """A match with these values by keyword."""
    identifier = Dataset()
    for keyword, value in values.items():
        setattr(identifier, keyword, value)
    return Reply(0xFF00, write_data_set(identifier, EXPLICIT_LITTLE_ENDIAN))


GARBAGE = Reply(0xFF00, b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xffHL7|")
"""A match whose identifier ends within a tag."""


def answering(*replies: Reply, endless: Reply | None = None) -> Script:
    """A script: accept every context as proposed, and every question with these, or with `endless` for ever."""

    def script(accepted: socket.socket) -> None:
        stream = accepted.makefile("rb")

        def pdu() -> tuple[int, bytes]:
            kind, _, length = struct.unpack(">BBL", stream.read(6).ljust(6, b"\0"))
            return kind, stream.read(length)

        accepted.sendall(accept_all(pdu()[1]))
        request = command_set.Command({})
        while True:
            kind, body = pdu()
            if kind == upper_layer.A_RELEASE_RQ:
                accepted.sendall(upper_layer.RELEASE_REPLY)
            if kind != upper_layer.P_DATA_TF:
                return
            for context_id, control, fragment in upper_layer.data_values(memoryview(body)):
                if control & upper_layer.COMMAND:
                    request = command_set.decode(bytes(fragment))
                elif control & upper_layer.LAST:
                    said: Iterable[Reply] = itertools.repeat(endless) if endless else replies
                    for reply in said:
                        accepted.sendall(b"".join(_pdus(context_id, request, reply)))

    return script


def _pdus(context_id: int, request: command_set.Command, reply: Reply) -> list[bytes]:
    elements: dict[int, bytes | str | int] = {
        command_set.COMMAND_FIELD: reply.field,
        command_set.MESSAGE_ID_RESPONDED_TO: (request.number(command_set.MESSAGE_ID) or 0) + reply.to,
        command_set.DATA_SET_TYPE: 1 if reply.content else command_set.NO_DATA_SET,
        command_set.STATUS: reply.status,
    }
    return [
        upper_layer.command_pdu(context_id, command_set.encode(elements)),
        *upper_layer.data_pdus(context_id, reply.content, 16384),
    ]
