"""However a stream is cut, the pieces put together are what was sent."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import upper_layer
from node.listener.inflow import CAPACITY, Inflow, ProtocolFault
from node.store.errors import NotUnderstood

Value = tuple[int, int, bytes]


class Ended(Exception):
    """The stream is over."""


def receiver(stream: bytes, sizes: Iterable[int]) -> tuple[object, list[bool]]:
    """Hands a stream out in pieces of these sizes at most; then raises. Notes whether each was said to be underway."""
    position, asked, left = 0, [], iter(sizes)

    def receive(buffer: memoryview, *, underway: bool) -> int:
        nonlocal position
        asked.append(underway)
        size = min(next(left, len(buffer)), len(buffer), len(stream) - position)
        if not size:
            raise Ended
        buffer[:size] = stream[position : position + size]
        position += size
        return size

    return receive, asked


def p_data(values: list[Value]) -> bytes:
    body = b"".join(struct.pack(">LBB", len(fragment) + 2, context, control) + fragment for context, control, fragment in values)
    return struct.pack(">BBL", upper_layer.P_DATA_TF, 0, len(body)) + body


def read(stream: bytes, sizes: Iterable[int] = (), longest: int = 1 << 20) -> tuple[list[Value], int]:
    """The values of a stream, whole again, and the type of the PDU that ended it; 0 where it just ended."""
    receive, _ = receiver(stream, sizes)
    inflow = Inflow(receive, longest)  # type: ignore[arg-type]
    values: list[Value] = []
    begun: list[Value] = []
    while True:
        try:
            kind, context, control, content = inflow.next()
        except Ended:
            assert not begun, "a value was begun and not ended"
            return values, 0
        if kind != upper_layer.P_DATA_TF:
            return values, kind
        begun.append((context, control, bytes(content)))
        if control & upper_layer.LAST or not control & 0x80:
            whole = b"".join(piece for _, _, piece in begun)
            assert len({one for one, _, _ in begun}) == 1
            values.append((context, control & 0x7F, whole))
            begun = []


def marked(values: list[Value]) -> list[Value]:
    """The same, all with the bit for the last, so that `read` sees where each ends; bit 7 is ours."""
    return [(context, control | upper_layer.LAST | 0x80, fragment) for context, control, fragment in values]


VALUES = st.tuples(st.integers(1, 255), st.integers(0, 1), st.binary(max_size=300))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=1, max_size=4), max_size=5), st.lists(st.integers(1, 50), max_size=60), st.booleans())
def test_pieces_put_together_are_what_was_sent(pdus: list[list[Value]], sizes: list[int], released: bool) -> None:
    end = upper_layer.RELEASE_REQUEST if released else upper_layer.ABORT
    stream = b"".join(p_data(marked(values)) for values in pdus) + end
    expected = [(context, control | upper_layer.LAST, fragment) for values in pdus for context, control, fragment in values]
    got, kind = read(stream, sizes)
    assert [(context, control & 0x7F, fragment) for context, control, fragment in got] == expected
    assert kind == (upper_layer.A_RELEASE_RQ if released else upper_layer.A_ABORT)


def test_only_the_final_piece_is_the_last() -> None:
    receive, _ = receiver(p_data([(1, 2, b"x" * 100)]), [30, 40, 50])
    inflow = Inflow(receive, 1000)  # type: ignore[arg-type]
    pieces = [inflow.next() for _ in range(3)]
    assert [(piece.control, len(piece.content)) for piece in pieces] == [(0, 18), (0, 40), (2, 42)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 3 * CAPACITY), min_size=1, max_size=4),
    st.lists(st.integers(1, 40_000), max_size=30),
    st.integers(1, 70_000),
)
def test_what_is_received_into_lent_room_is_the_same(lengths: list[int], sizes: list[int], lent: int) -> None:
    fragments = [bytes([number + 1]) * length for number, length in enumerate(lengths)]
    receive, _ = receiver(p_data([(1, 2, fragment) for fragment in fragments]) + upper_layer.RELEASE_REQUEST, sizes)
    inflow = Inflow(receive, 1 << 20)  # type: ignore[arg-type]
    got, room, lengths_got = b"", memoryview(bytearray(lent)), []
    while True:
        piece = inflow.next(room)
        if piece.kind != upper_layer.P_DATA_TF:
            break
        got += piece.content
        if piece.control & upper_layer.LAST:
            lengths_got.append(len(got))
    assert got == b"".join(fragments)
    assert lengths_got == [sum(lengths[: number + 1]) for number in range(len(lengths))]


def test_a_fragment_without_bytes_is_a_fragment() -> None:
    assert read(p_data([(1, 2, b""), (3, 2, b"")]))[0] == [(1, 2, b""), (3, 2, b"")]


def test_a_pdu_longer_than_the_buffer() -> None:
    content = bytes(range(256)) * (CAPACITY // 128)
    assert read(p_data([(1, 2 | 0x80, content)]), longest=1 << 30)[0] == [(1, 2, content)]


def test_a_pdu_without_values_is_passed_over() -> None:
    assert read(p_data([]) + p_data([(1, 2, b"a")]))[0] == [(1, 2, b"a")]


def test_waiting_for_a_pdu_is_not_waiting_within_one() -> None:
    pdu = p_data([(1, 2, b"abcd")])
    receive, asked = receiver(pdu + pdu, [len(pdu), 3, 5, 100])
    inflow = Inflow(receive, 1000)  # type: ignore[arg-type]
    inflow.next()
    inflow.next()
    assert asked == [False, False, True, True]


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (struct.pack(">BBL", 4, 0, 5000), ProtocolFault),
        (struct.pack(">BBL", 4, 0, 3) + b"abc", NotUnderstood),
        (p_data([(1, 2, b"abcd")])[:6] + struct.pack(">LBB", 1, 1, 2) + b"abcd", NotUnderstood),
        (p_data([(1, 2, b"abcd")])[:6] + struct.pack(">LBB", 7, 1, 2) + b"abcd", NotUnderstood),
        (struct.pack(">BBL", 0x42, 0, 0), ProtocolFault),
        (struct.pack(">BBL", 1, 0, 4) + b"abcd", ProtocolFault),
        (struct.pack(">BBL", 5, 0, 400), ProtocolFault),
    ],
)
def test_what_breaks_the_rules_is_a_fault(stream: bytes, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        read(stream, longest=4999)
