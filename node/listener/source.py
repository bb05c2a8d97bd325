"""Encoded data sets as something to read forward over: as they lie in a file, or inflated on the way."""

from __future__ import annotations

import os
import zlib
from typing import Final, Protocol

from node.store.errors import NotUnderstood

_MOST_INFLATED: Final = 8 << 30
"""Bytes that a deflated data set may inflate to."""
_PIECE: Final = 1 << 18
_WINDOW: Final = 1 << 14
"""Bytes read at once to walk over: most headers fit, pixels are skipped unread."""
_NEAR_ITS_END: Final = 256
"""Bytes of a window that are too few to begin with."""


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

    def window(self) -> tuple[bytes, int]:
        """Some of what comes next, to look at without taking it: the bytes, and where in them the position is."""
        ...


class Readable(Protocol):
    """Something whose bytes can be read anywhere."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there, fewer at the end; raises OSError where the disk does not give them."""
        ...


class OpenFile:
    """A file that is open for reading, as `Readable`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)


class Filed:
    """Bytes from an offset to the end; skipping costs nothing.

    Read and not mapped: a disk that fails then raises an error, where a mapping would end the process, and nothing has to be
    unmapped in the face of other threads.
    """

    def __init__(self, file: Readable, offset: int) -> None:
        self._file = file
        self._offset = offset
        self._size = file.size_bytes - offset
        self._window = b""
        self._window_at = 0
        self.position = 0

    def take(self, length: int) -> bytes:
        start = self.position - self._window_at
        if not 0 <= start <= len(self._window) - length:
            self._read(max(length, _WINDOW))
            start = 0
        piece = self._window[start : start + length]
        self.position += len(piece)
        return piece

    def skip(self, length: int) -> None:
        self.position += length
        if self.position > self._size:
            raise NotUnderstood("the data set is truncated: an element runs past its end")

    def back_to(self, position: int) -> bool:
        self.position = position
        return True

    def window(self) -> tuple[bytes, int]:
        start = self.position - self._window_at
        if not 0 <= start < len(self._window) - _NEAR_ITS_END:
            self._read(_WINDOW)
            start = 0
        return self._window, start

    def _read(self, length: int) -> None:
        self._window = self._file.read(self._offset + self.position, length) if self.position < self._size else b""
        self._window_at = self.position


class Inflating:
    """Inflates piece by piece (PS3.5 section A.5), so that memory stays small whatever the data set inflates to."""

    def __init__(self, file: Readable, offset: int) -> None:
        self._file = file
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

    def window(self) -> tuple[bytes, int]:
        return self._ready, 0

    def _more(self) -> bool:
        if self._inflater.eof:
            return False
        if self.position > _MOST_INFLATED:
            raise NotUnderstood(f"the deflated data set inflates to more than {_MOST_INFLATED >> 30} GiB")
        piece = self._inflater.unconsumed_tail
        if not piece:
            piece = self._file.read(self._next, _PIECE)
            self._next += len(piece)
        try:
            inflated = self._inflater.decompress(piece, _PIECE)
        except zlib.error as broken:
            raise NotUnderstood("the data set is not deflated as its transfer syntax says") from broken
        if not piece and not inflated:
            raise NotUnderstood("the deflated data set is truncated")
        self._ready += inflated
        return True
