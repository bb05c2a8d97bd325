from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from node.data_set import read_data_set, write_data_set
from node.store.errors import NotUnderstood
from node.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN


def encoded(syntax: str) -> bytes:
    one = Dataset()
    one.QueryRetrieveLevel, one.StudyInstanceUID, one.NumberOfStudyRelatedInstances = "STUDY", "1.2.3", 3
    item = Dataset()
    item.ReferencedSOPInstanceUID, item.FailureReason = "1.2.3.4", 0x0112
    one.FailedSOPSequence = [item]
    return write_data_set(one, syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN])
def test_what_is_written_is_read(syntax: str) -> None:
    read = read_data_set(encoded(syntax), syntax)
    assert (read.StudyInstanceUID, read.FailedSOPSequence[0].FailureReason) == ("1.2.3", 0x0112)


@given(
    syntax=st.sampled_from([IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    length=st.integers(0, 200),
)
def test_bytes_that_are_no_data_set_are_said_to_be_none(syntax: str, changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(encoded(syntax))
    for place, value in changes:
        content[place % len(content)] = value
    with contextlib.suppress(NotUnderstood):  # any other error would end a thread that serves a peer
        read_data_set(bytes(content[:length]), syntax)


def test_a_sequence_that_ends_within_a_tag_is_no_data_set() -> None:
    with pytest.raises(NotUnderstood):
        read_data_set(b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xffHL7|", EXPLICIT_LITTLE_ENDIAN)
