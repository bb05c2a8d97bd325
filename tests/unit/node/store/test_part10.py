"""Heads of files: pydicom reads what is written, and what pydicom writes is read."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from node.store.errors import NotUnderstood
from node.store.part10 import FileHead, encode_head, read_head

HEAD = FileHead(0, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2.1", "SOURCE", "RECEIVER7")


def test_pydicom_reads_it() -> None:
    found = pydicom.dcmread(io.BytesIO(encode_head(HEAD))).file_meta
    assert found.FileMetaInformationGroupLength == len(encode_head(HEAD)) - 128 - 4 - 12
    assert found.FileMetaInformationVersion == b"\0\1"
    assert found.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert found.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (found.SourceApplicationEntityTitle, found.ReceivingApplicationEntityTitle) == ("SOURCE", "RECEIVER7")
    assert found.ImplementationClassUID.is_valid
    assert len(found.ImplementationVersionName) <= 16


uids = st.from_regex(r"[1-9][0-9]{0,10}(\.[1-9][0-9]{0,8}){1,4}", fullmatch=True)
titles = st.from_regex(r"[A-Z0-9_]{0,16}", fullmatch=True)


@given(uids, uids, uids, titles, titles, st.binary(max_size=50))
def test_what_is_written_is_read(sop_class: str, instance: str, syntax: str, source: str, receiver: str, data_set: bytes) -> None:
    head = FileHead(0, sop_class, instance, syntax, source, receiver)
    encoded = encode_head(head)
    file = io.BytesIO(encoded + b"\x08\0" + data_set)
    assert read_head(file) == FileHead(len(encoded), sop_class, instance, syntax, source, receiver)
    assert file.tell() == len(encoded)


def test_a_group_length_that_lies_or_is_missing_does_no_harm() -> None:
    path = get_testdata_file("no_meta_group_length.dcm", download=False)
    assert isinstance(path, str)
    with Path(path).open("rb") as file:
        head = read_head(file)
        assert head.transfer_syntax_uid == "1.2.840.10008.1.2"
        assert file.read(2) == b"\x08\0"


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(128) + b"DICX", b"\x89PNG" * 100, bytes(132)])
def test_what_is_no_dicom_file(content: bytes) -> None:
    with pytest.raises(NotUnderstood, match="DICM"):
        read_head(io.BytesIO(content))


def test_truncated_anywhere() -> None:
    encoded = encode_head(HEAD)
    refused = 0
    for cut in range(132, len(encoded)):
        try:
            head = read_head(io.BytesIO(encoded[:cut]))
        except NotUnderstood:
            refused += 1
        else:
            assert head.transfer_syntax_uid == HEAD.transfer_syntax_uid, "what follows the transfer syntax may be missing"
    assert refused > 100


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_head_or_a_reason(content: bytes) -> None:
    try:
        assert read_head(io.BytesIO(bytes(128) + b"DICM" + content)).transfer_syntax_uid
    except NotUnderstood:
        return
