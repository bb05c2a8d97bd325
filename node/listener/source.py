"""Encoded data sets as something to read forward over: as they lie in a file, or inflated on the way."""

from __future__ import annotations

import mmap
import zlib
from typing import Final, Protocol

from node.store.errors import NotUnderstood

_MOST_INFLATED: Final = 8 << 30
"""Bytes that a deflated data set may inflate to."""
_PIECE: Final = 1 << 18


class Source(Protocol):
    """Bytes to walk over. Positions count from the start of the data set, inflated."""

    position: int

    def take(self, length: int) -> bytes:
        """The next bytes; fewer at the end."""
        ...

    def skip(self, length: int) -> None:
        """Pass over bytes; raises `NotUnderstood` where the end comes first."""
        ...

    def back_to(self, position: int) -> bool:
        """Return to an earlier position; False where that is not possible."""
        ...


class Mapped:
    """Bytes of a mapped file from an offset to its end; skipping costs nothing."""

    def __init__(self, mapped: mmap.mmap, offset: int) -> None:
        self._mapped = mapped
        self._offset = offset
        self._size = len(mapped) - offset
        self.position = 0

    def take(self, length: int) -> bytes:
        start = self._offset + self.position
        piece = self._mapped[start : start + length]
        self.position += len(piece)
        return piece

    def skip(self, length: int) -> None:
        self.position += length
        if self.position > self._size:
            raise NotUnderstood("the data set is truncated: an element runs past its end")

    def back_to(self, position: int) -> bool:
        self.position = position
        return True


class Inflating:
    """Inflates piece by piece (PS3.5 section A.5), so that memory stays small whatever the data set inflates to."""

    def __init__(self, mapped: mmap.mmap, offset: int) -> None:
        self._mapped = mapped
        self._next = offset
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""
        self.position = 0

    def take(self, length: int) -> bytes:
        while len(self._ready) < length and self._more():
            pass
        piece, self._ready = self._ready[:length], self._ready[length:]
        self.position += len(piece)
        return piece

    def skip(self, length: int) -> None:
        self.position += length
        while length > len(self._ready):
            length -= len(self._ready)
            self._ready = b""
            if not self._more():
                raise NotUnderstood("the data set is truncated: an element runs past its end")
        self._ready = self._ready[length:]

    def back_to(self, position: int) -> bool:
        return position == self.position

    def _more(self) -> bool:
        if self._inflater.eof:
            return False
        if self.position > _MOST_INFLATED:
            raise NotUnderstood(f"the deflated data set inflates to more than {_MOST_INFLATED >> 30} GiB")
        piece = self._inflater.unconsumed_tail
        if not piece:
            piece = self._mapped[self._next : self._next + _PIECE]
            self._next += len(piece)
        try:
            inflated = self._inflater.decompress(piece, _PIECE)
        except zlib.error as broken:
            raise NotUnderstood("the data set is not deflated as its transfer syntax says") from broken
        if not piece and not inflated:
            raise NotUnderstood("the deflated data set is truncated")
        self._ready += inflated
        return True
