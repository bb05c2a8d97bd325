"""Explicit into implicit, compared with what pydicom writes and reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from node.implicit import implicit
from node.store.errors import NotUnderstood
from tests.unit.node.listener.encoded import EXPLICIT, IMPLICIT, encode, image

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=20)


def leaves() -> st.SearchStrategy[Dataset]:
    def made(comment: str, numbers: list[int], payload: bytes, undefined: bool) -> Dataset:
        one = Dataset()
        one.ImageComments, one.SimpleFrameList = comment, numbers
        one.EncapsulatedDocument = payload
        one.add_new(0x00091010, "UN", payload)
        one.is_undefined_length_sequence_item = undefined
        return one

    numbers = st.lists(st.integers(0, 2**32 - 1), max_size=4)
    return st.builds(made, TEXT, numbers, st.binary(max_size=6).map(lambda odd: odd + b"\0" * (len(odd) % 2)), st.booleans())


def nested(inner: st.SearchStrategy[Dataset]) -> st.SearchStrategy[Dataset]:
    def made(items: list[Dataset], undefined: bool) -> Dataset:
        one = Dataset()
        one.ReferencedSeriesSequence = items
        one["ReferencedSeriesSequence"].is_undefined_length = undefined
        return one

    return st.builds(made, st.lists(inner, max_size=3), st.booleans())


def written(one: Dataset, *, is_implicit: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, is_implicit
    write_dataset(buffer, one)
    return bytes(buffer.getvalue())


@given(st.recursive(leaves(), nested, max_leaves=8))
def test_it_is_what_pydicom_writes(one: Dataset) -> None:
    assert implicit(written(one, is_implicit=False)) == written(one, is_implicit=True)


def test_pixels_and_patient_are_the_same() -> None:
    one = image()
    assert implicit(encode(one, EXPLICIT)) == encode(one, IMPLICIT)


@pytest.mark.parametrize(("nested", "undefined"), [(False, False), (True, False), (True, True)])
def test_what_is_cut_off_is_no_data_set(nested: bool, undefined: bool) -> None:
    one = Dataset()
    one.EncapsulatedDocument = b"0123456789"
    one.is_undefined_length_sequence_item = undefined
    outer = Dataset()
    outer.ReferencedSeriesSequence = [one]
    outer["ReferencedSeriesSequence"].is_undefined_length = undefined
    whole = written(outer if nested else one, is_implicit=False)
    assert implicit(whole)
    for length in range(1, len(whole)):
        with pytest.raises(NotUnderstood):
            implicit(whole[:length])


def test_compressed_pixels_and_endless_nesting_are_refused() -> None:
    with pytest.raises(NotUnderstood):
        implicit(bytes.fromhex("E07F1000") + b"OB\0\0" + b"\xff\xff\xff\xff" + bytes.fromhex("FEFF00E000000000"))
    with pytest.raises(NotUnderstood, match="too deep"):
        implicit((bytes.fromhex("40004A30") + b"SQ\0\0\xff\xff\xff\xff" + bytes.fromhex("FEFF00E0FFFFFFFF")) * 100)
