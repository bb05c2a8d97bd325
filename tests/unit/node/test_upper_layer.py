"""PDUs: pynetdicom reads what is written, and any bytes end in a reading or a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF

from node import upper_layer
from node.store.errors import NotUnderstood
from node.upper_layer import Context, associate_request, data_header, data_values, decode_accept, decode_reject, number_contexts


def test_pynetdicom_reads_a_request() -> None:
    contexts = number_contexts(
        [Context("1.2.840.10008.1.1", ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")), Context("1.2.3", ("1.2.4",))]
    )
    request = A_ASSOCIATE_RQ()
    request.decode(associate_request("CALLING", "CALLED", contexts, 16384))
    primitive = request.to_primitive()
    assert (primitive.calling_ae_title, primitive.called_ae_title) == ("CALLING", "CALLED")
    assert primitive.maximum_length_received == 16384
    found = [
        (context.context_id, str(context.abstract_syntax), [str(syntax) for syntax in context.transfer_syntax])
        for context in primitive.presentation_context_definition_list
    ]
    assert found == [(1, "1.2.840.10008.1.1", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]), (3, "1.2.3", ["1.2.4"])]


def test_pynetdicom_reads_the_rest() -> None:
    A_RELEASE_RQ().decode(upper_layer.RELEASE_REQUEST)
    A_ABORT_RQ().decode(upper_layer.ABORT)
    data = P_DATA_TF()
    data.decode(data_header(5, upper_layer.LAST, 4) + b"abcd")
    assert [(value.context_id, value.presentation_data_value) for value in data.presentation_data_value_items] == [(5, b"\2abcd")]


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(2, 40))
def test_data_sets_are_read_as_fragmented(content: bytes, longest_pdu: int, most: int) -> None:
    size = upper_layer.fragment_size(longest_pdu, most)
    assert size % 2 == 0
    assert 2 <= size <= most
    pdus = list(upper_layer.data_pdus(3, content, size))
    values = [value for pdu in pdus for value in data_values(memoryview(pdu)[6:])]
    assert b"".join(bytes(fragment) for _, _, fragment in values) == content
    assert [control for _, control, _ in values] == [0] * (len(values) - 1) + [upper_layer.LAST] * bool(values)
    if longest_pdu >= 8:
        assert all(len(pdu) - 6 <= longest_pdu for pdu in pdus)


def test_more_contexts_than_ids() -> None:
    contexts = [Context(f"1.2.{number}", ("1.2",)) for number in range(129)]
    assert list(number_contexts(contexts[:128])) == list(range(1, 256, 2))
    with pytest.raises(ValueError, match="129"):
        number_contexts(contexts)


@pytest.mark.parametrize(
    "read", [decode_accept, decode_reject, lambda body: list(data_values(memoryview(body)))], ids=["accept", "reject", "data"]
)
@given(body=st.binary(max_size=200))
def test_any_bytes_end_in_a_reading_or_a_reason(read: Callable[[bytes], object], body: bytes) -> None:
    with contextlib.suppress(NotUnderstood):
        assert read(body) is not None


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))))
def test_values_are_read_as_written(values: list[tuple[int, int, bytes]]) -> None:
    body = b"".join(data_header(context_id, control, len(fragment))[6:] + fragment for context_id, control, fragment in values)
    assert [(one, two, bytes(three)) for one, two, three in data_values(memoryview(body))] == values
