"""Byte streams of associations, right and wrong, and what pynetdicom makes of them: the reference of the differential tests."""

from __future__ import annotations

import itertools
import random
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from node import command_set, upper_layer

Value = tuple[int, int, bytes]
"""Context id, message control header, fragment."""


@dataclass(frozen=True, slots=True)
class Told:
    """One DIMSE message as pynetdicom read it."""

    context_id: int
    field: int
    message_id: int
    sop_instance_uid: str
    data_set: bytes


def pdu(values: list[Value]) -> bytes:
    body = b"".join(struct.pack(">LBB", len(fragment) + 2, context, control) + fragment for context, control, fragment in values)
    return struct.pack(">BBL", upper_layer.P_DATA_TF, 0, len(body)) + body


def cut(content: bytes, places: list[int]) -> list[bytes]:
    """The content in pieces; a place that comes twice makes an empty one."""
    edges = [0, *sorted(min(place, len(content)) for place in places), len(content)]
    return [content[start:end] for start, end in itertools.pairwise(edges)]


def values_of(context_id: int, command: bytes, data_set: bytes | None, cuts: tuple[list[int], list[int]]) -> list[Value]:
    """A message as presentation data values, command and data set cut at these places."""
    values = []
    for kind, content, places in ((upper_layer.COMMAND, command, cuts[0]), (0, data_set, cuts[1])):
        if content is not None:
            pieces = cut(content, places)
            last = len(pieces) - 1
            values += [(context_id, kind | (upper_layer.LAST if at == last else 0), piece) for at, piece in enumerate(pieces)]
    return values


def read_by_pynetdicom(stream: bytes) -> tuple[list[Told], str]:
    """Every whole message up to where pynetdicom cannot read on, the stream ends, or something other than P-DATA comes.

    Returns also what stopped pynetdicom; empty where nothing did.
    """
    told: list[Told] = []
    message = DIMSEMessage()
    for one in _pdus(stream):
        try:
            read = P_DATA_TF()
            read.decode(one)
            for value in read.to_primitive().presentation_data_value_list:
                single = P_DATA()  # one at a time: pynetdicom drops what follows the end of a message in a PDU
                single.presentation_data_value_list = [list(value)]
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if not message.decode_msg(single):
                        continue
                    told.append(_told(message))  # a UID that is none is warned of when it is read
                message = DIMSEMessage()
        except Exception as fault:  # noqa: BLE001 - whatever it raises, it reads no further
            return told, f"{type(fault).__name__} {fault}"
    return told, ""


def _told(message: DIMSEMessage) -> Told:
    command = message.command_set
    return Told(
        message.context_id,
        int(command.CommandField),
        int(command.get("MessageID") or 0),
        str(command.get("AffectedSOPInstanceUID", "")),
        bytes(message.data_set.getvalue()),
    )


def _pdus(stream: bytes) -> Iterator[bytes]:
    """The P-DATA-TF PDUs; the first that is not in order, or is cut off, with the values before that and as the last one."""
    position = 0
    while position + 6 <= len(stream) and stream[position] == upper_layer.P_DATA_TF:
        length = 6 + int.from_bytes(stream[position + 2 : position + 6], "big")
        body = stream[position + 6 : position + length]
        whole = _whole_values(body)
        yield struct.pack(">BBL", upper_layer.P_DATA_TF, 0, len(whole)) + whole
        if len(whole) < length - 6:
            return
        position += length


def _whole_values(body: bytes) -> bytes:
    position = 0
    while position + 6 <= len(body):
        length = int.from_bytes(body[position : position + 4], "big")
        if length < 2 or position + 4 + length > len(body):
            break
        position += 4 + length
    return body[:position]


def mutated(stream: bytes, chance: random.Random) -> bytes:
    """The stream with one to four faults: bits, bytes, runs of them, lengths."""
    broken = bytearray(stream)
    for _ in range(chance.randint(1, 4)):
        if not broken:
            break
        place = chance.randrange(min(len(broken), chance.choice((40, 400, len(broken)))))
        run = chance.choice((1, 1, 2, 4, 30, 300))
        match chance.randrange(8):
            case 0:
                broken[place] ^= 1 << chance.randrange(8)
            case 1:
                broken[place] = chance.choice((0, 1, 2, 3, 4, 5, 7, 0x7F, 0x80, 0xFF))
            case 2:
                del broken[place : place + run]
            case 3:
                broken[place:place] = broken[place : place + run]
            case 4:
                broken[place:place] = chance.randbytes(run)
            case 5:
                del broken[place:]
            case 6:
                broken[place : place + 4] = chance.choice((0, 1, 2, 6, 0x7FFFFFFF, 0xFFFFFFFF, len(broken))).to_bytes(4, "big")
            case 7:
                other = chance.randrange(len(broken))
                broken[place : place + run], broken[other : other + run] = (
                    broken[other : other + run],
                    broken[place : place + run],
                )
    return bytes(broken)


def store_stream(contents: list[tuple[int, str, str, bytes]], chance: random.Random) -> bytes:
    """C-STOREs one after the other, cut and put into PDUs by chance.

    Parameters
    ----------
    contents
        Context id, SOP class, SOP instance and data set of each.
    """
    stream = b""
    for message_id, (context_id, sop_class, uid, data_set) in enumerate(contents, 1):
        command = command_set.store_request(message_id, sop_class, uid)
        cuts = [[chance.randrange(len(part) + 1) for _ in range(chance.randrange(4))] for part in (command, data_set)]
        values = values_of(context_id, command, data_set, (cuts[0], cuts[1]))
        while values:
            count = chance.randint(1, len(values))
            stream += pdu(values[:count])
            values = values[count:]
    return stream
