"""What a peer sends on an established association: P-DATA-TF handed on in the pieces in which it arrives (PS3.8 section 9.3.5).

Nothing waits for a whole PDU: a fragment that has not come to its end is handed on as several, of which only the last has the
bit that says so. Who has room for what comes lends it, and long fragments are received there and not copied. Memory is one small
buffer, whatever lengths were agreed.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Protocol

from node import upper_layer
from node.store.errors import NotUnderstood, Retryable

CAPACITY: Final = 1 << 14
"""Bytes read at once where nobody has room for them: headers, commands, and small objects whole."""

UNRECOGNISED_PDU: Final = 1
UNEXPECTED_PDU: Final = 2
INVALID_PARAMETER: Final = 6
"""Reasons of an A-ABORT by the service provider (PS3.8 section 9.3.8)."""

_PDU: Final = struct.Struct(">BBL")
_VALUE: Final = struct.Struct(">LBB")
_BODY: Final = 4
"""Bytes after the header of A-RELEASE-RQ and A-ABORT."""


class ProtocolFault(Retryable):
    """The peer broke the rules of the upper layer; answered with an A-ABORT of that reason."""

    def __init__(self, message: str, reason: int = UNEXPECTED_PDU) -> None:
        super().__init__(message)
        self.reason = reason


class Receive(Protocol):
    """Fills the start of a buffer with what has come; waits for at least one byte."""

    def __call__(self, buffer: memoryview, *, underway: bool) -> int:
        """Return the number of bytes; raises where none come. `underway`: the peer has begun what it owes the rest of."""
        ...


class Piece(NamedTuple):
    """Parameters
    ----------
    kind
        Type of the PDU: P-DATA-TF, A-RELEASE-RQ or A-ABORT.
    context_id, control
        Of a presentation data value (PS3.8 annex E).
    content
        Some of its fragment; valid until the next piece is asked for.
    """

    kind: int
    context_id: int
    control: int
    content: memoryview


_EMPTY: Final = memoryview(b"")


class Inflow:
    """Reads one association to its end.

    Parameters
    ----------
    longest_pdu
        Bytes of a PDU beyond which its length is no length but a fault.
    """

    def __init__(self, receive: Receive, longest_pdu: int) -> None:
        self._receive = receive
        self._longest_pdu = longest_pdu
        self._buffer = bytearray(CAPACITY)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._pdu_left = 0
        self._value_left = 0
        self._context_id = self._control = 0

    @property
    def drained(self) -> bool:
        """Whether all that has come was handed on, to the end of a PDU."""
        return not self._value_left and not self._pdu_left and self._start == self._end

    def next(self, room: memoryview | None = None) -> Piece:
        """The next piece of a data value, or the next PDU of another type.

        Parameters
        ----------
        room
            Where a piece may be received to; one that was is a slice of it, from its start.

        Raises
        ------
        ProtocolFault
            On a PDU that has no place in an association, or is longer than anybody needs.
        NotUnderstood
            Where lengths do not fit.
        """
        while True:
            if self._value_left:
                return self._more(room)
            if self._pdu_left:
                self._begin_value()
                if not self._value_left:
                    return Piece(upper_layer.P_DATA_TF, self._context_id, self._control, _EMPTY)
            else:
                kind = self._begin_pdu()
                if kind != upper_layer.P_DATA_TF:
                    return Piece(kind, 0, 0, _EMPTY)

    def _more(self, room: memoryview | None) -> Piece:
        if self._start < self._end or not room or self._value_left < CAPACITY:
            if self._start == self._end:
                self._fill()
            size = min(self._value_left, self._end - self._start)
            content = self._view[self._start : self._start + size]
            self._start += size
        else:
            size = self._receive(room[: self._value_left], underway=True)
            content = room[:size]
        self._value_left -= size
        self._pdu_left -= size
        control = self._control & ~upper_layer.LAST if self._value_left else self._control
        return Piece(upper_layer.P_DATA_TF, self._context_id, control, content)

    def _begin_value(self) -> None:
        if self._pdu_left < _VALUE.size:
            raise NotUnderstood("a P-DATA-TF ends within a presentation data value")
        self._need(_VALUE.size)
        length, self._context_id, self._control = _VALUE.unpack_from(self._buffer, self._start)
        if length < 2 or length + 4 > self._pdu_left:
            raise NotUnderstood("a presentation data value is longer than its P-DATA-TF")
        self._start += _VALUE.size
        self._pdu_left -= _VALUE.size
        self._value_left = length - 2

    def _begin_pdu(self) -> int:
        self._need(_PDU.size, underway=False)
        kind, _, length = _PDU.unpack_from(self._buffer, self._start)
        if length > self._longest_pdu:
            raise ProtocolFault(f"a PDU of {length} bytes, far more than was agreed", INVALID_PARAMETER)
        self._start += _PDU.size
        if kind == upper_layer.P_DATA_TF:
            self._pdu_left = length
        elif kind in (upper_layer.A_RELEASE_RQ, upper_layer.A_ABORT):
            if length != _BODY:
                raise ProtocolFault(f"a PDU of type {kind:02X} with {length} bytes", INVALID_PARAMETER)
            self._need(_BODY)
            self._start += _BODY
        else:
            reason = UNEXPECTED_PDU if kind in range(1, 8) else UNRECOGNISED_PDU
            raise ProtocolFault(f"a PDU of type {kind:02X} within an association", reason)
        return int(kind)

    def _need(self, size: int, *, underway: bool = True) -> None:
        """Have `size` bytes at the start, contiguous."""
        while self._end - self._start < size:
            self._fill(underway=underway or self._start < self._end)

    def _fill(self, *, underway: bool = True) -> None:
        """Receive into the rest of the buffer; what is left in it, less than a header, moves to its front."""
        left = self._end - self._start
        if self._start:
            self._buffer[:left] = self._buffer[self._start : self._end]
            self._start, self._end = 0, left
        self._end += self._receive(self._view[self._end :], underway=underway)
