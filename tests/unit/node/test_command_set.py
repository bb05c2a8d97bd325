"""Command sets: pydicom reads what is written, and any bytes end in a command or a reason."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from node import command_set
from node.command_set import Command, decode, echo_request, encode, response, store_request
from node.store.errors import NotUnderstood


def test_pydicom_reads_a_request() -> None:
    encoded = store_request(9, "1.2.840.10008.5.1.4.1.1.2", "1.2.3")
    found = read_dataset(io.BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert found.CommandGroupLength == len(encoded) - 12
    assert (found.CommandField, found.MessageID, found.Priority) == (1, 9, 0)
    assert found.CommandDataSetType != 0x0101
    assert (found.AffectedSOPClassUID, found.AffectedSOPInstanceUID) == ("1.2.840.10008.5.1.4.1.1.2", "1.2.3")


def test_pydicom_reads_a_response() -> None:
    request = decode(store_request(9, "1.2.840.10008.5.1.4.1.1.2", "1.2.3"))
    found = read_dataset(io.BytesIO(response(request, 0xC000, "why" * 40)), is_implicit_VR=True, is_little_endian=True)
    assert (found.CommandField, found.MessageIDBeingRespondedTo, found.Status) == (0x8001, 9, 0xC000)
    assert found.CommandDataSetType == 0x0101
    assert len(found.ErrorComment) == 64
    assert found.AffectedSOPInstanceUID == "1.2.3"


def test_an_echo_has_no_data_set() -> None:
    assert not decode(echo_request(1, "1.2.840.10008.1.1")).has_data_set
    assert decode(store_request(1, "1.2", "1.3")).has_data_set


@given(
    st.dictionaries(
        st.integers(0x00000002, 0x0000FFFF).filter(lambda tag: tag not in {0x0100, 0x0110, 0x0800}),
        st.one_of(st.binary(max_size=20).map(lambda b: b + b"\0" * (len(b) % 2))),
    )
)
def test_what_is_written_is_read(elements: dict[int, bytes]) -> None:
    found = dict(decode(encode(elements)).elements)
    found.pop(command_set.GROUP_LENGTH)
    assert found == elements


@given(st.binary(max_size=100))
def test_any_bytes_end_in_a_command_or_a_reason(content: bytes) -> None:
    try:
        command = decode(content)
    except NotUnderstood:
        return
    assert command.field is None or 0 <= command.field <= 0xFFFF
    assert isinstance(command.text(command_set.AFFECTED_SOP_INSTANCE_UID), str)


@pytest.mark.parametrize("value", [b"", b"\1", b"\1\2\3"])
def test_a_number_of_another_length_is_none(value: bytes) -> None:
    assert Command({0x100: value}).number(0x100) is None


@pytest.mark.parametrize("tag", [command_set.COMMAND_FIELD, command_set.MESSAGE_ID, command_set.DATA_SET_TYPE])
@pytest.mark.parametrize("value", [b"", b"\1", b"\1\0\1\0"])
def test_what_every_answer_rests_on_is_one_number(tag: int, value: bytes) -> None:
    """Two Message IDs in one element, for example: an answer to neither would be understood."""
    elements = dict(decode(store_request(9, "1.2", "1.3")).elements)
    with pytest.raises(NotUnderstood, match="not one number"):
        decode(encode({**elements, tag: value}))


def test_a_request_without_a_message_id_cannot_be_answered() -> None:
    elements = dict(decode(store_request(9, "1.2", "1.3")).elements)
    del elements[command_set.MESSAGE_ID]
    with pytest.raises(NotUnderstood, match="Message ID"):
        decode(encode(elements))
    cancel = {command_set.COMMAND_FIELD: command_set.C_CANCEL_RQ, command_set.MESSAGE_ID_RESPONDED_TO: 9}
    assert decode(encode({**cancel, command_set.DATA_SET_TYPE: command_set.NO_DATA_SET})).field == command_set.C_CANCEL_RQ
