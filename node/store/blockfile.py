"""A file that is written once, from start to end, in whole blocks past the system's page cache where that is possible.

What is received is not read again soon, and by another process. Without the page cache its bytes are copied once less, no memory
has to be found and cleared for them, and nothing is left to be written when the sync comes. Small files, and the last bytes that
fill no block, go the usual way.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from typing import Final

from node.store import writeout

CAPACITY: Final = 1 << 18
"""Bytes gathered before they are written; so many cost the least, and the sender need not pause meanwhile."""
BLOCK: Final = 4096
"""What direct writes are multiples of; no disk has larger logical blocks."""
_DIRECT_FROM: Final = 1 << 16
"""Bytes from which a write past the page cache pays."""
_HEAD: Final = 1 << 16
"""Bytes from the start that stay in memory: most of what is asked for again is there."""
_SPARE: Final = 64


class Shelf:
    """Buffers that are not in use; threads may share it."""

    def __init__(self) -> None:
        self._spare: list[mmap.mmap] = []
        self.direct = hasattr(os, "O_DIRECT")
        """False once the file system has said that it cannot."""

    def take(self) -> mmap.mmap:
        try:
            return self._spare.pop()
        except IndexError:
            return mmap.mmap(-1, CAPACITY)  # begins at a page, as direct writes demand

    def give(self, buffer: mmap.mmap) -> None:
        if len(self._spare) < _SPARE:
            self._spare.append(buffer)


class BlockFile:
    """Parameters
    ----------
    descriptor
        Of a new file, open for reading and writing; closed by whoever opened it.
    """

    def __init__(self, descriptor: int, shelf: Shelf) -> None:
        self._descriptor = descriptor
        self._shelf = shelf
        self._buffer: mmap.mmap | None = shelf.take()
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._written = 0
        self._head = b""
        self._is_direct = False

    @property
    def size_bytes(self) -> int:
        return self._written + self._filled

    def room(self) -> memoryview:
        """Where the next bytes may be put, from its start, before `append` takes them; never empty."""
        return self._view[self._filled :]

    def append(self, content: bytes | bytearray | memoryview) -> None:
        """Take bytes; raises OSError where the disk does not take those that came before.

        A slice from the start of `room` is in its place already.
        """
        left = memoryview(content)
        if left.obj is self._buffer:
            self._filled += len(left)
            if self._filled == CAPACITY:
                self._write(CAPACITY)
            return
        while left:
            size = min(len(left), CAPACITY - self._filled)
            self._view[self._filled : self._filled + size] = left[:size]
            self._filled += size
            left = left[size:]
            if self._filled == CAPACITY:
                self._write(CAPACITY)

    @property
    def whole(self) -> memoryview | None:
        """All of the file, until `finish`; None where some of it has left the memory already."""
        return None if self._written else self._view[: self._filled]

    def finish(self) -> None:
        """Hand to the system what is still here; syncing is the caller's. Raises OSError where the disk does not take it."""
        whole = self._filled // BLOCK * BLOCK
        if self._is_direct or whole >= _DIRECT_FROM:
            self._write(whole)
        self._set_direct(False)
        self._write(self._filled, soon=False)  # a sync follows, or nothing that is in haste

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file, fewer at its end. Raises OSError where the disk does not give them."""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        if offset >= self._written:
            start = offset - self._written
            return bytes(self._view[start : min(start + length, self._filled)])
        size = min(length, self._written - offset)
        with open(f"/proc/self/fd/{self._descriptor}", "rb", buffering=0) as again:  # noqa: PTH123 - a descriptor of its own, not direct
            found = os.pread(again.fileno(), size, offset)
        return found + self.read(self._written, length - size) if size < length and len(found) == size else found

    def release(self) -> None:
        """Give the buffer back; nothing can be done with the file afterwards."""
        if self._buffer is not None:
            self._view.release()
            self._shelf.give(self._buffer)
            self._buffer = None

    def _write(self, count: int, *, soon: bool = True) -> None:
        """Write the first `count` bytes of the buffer, and have the rest at its front."""
        if not count:
            return
        if not self._written:
            self._head = bytes(self._view[: min(count, _HEAD)])
        if count >= _DIRECT_FROM and count % BLOCK == 0 and self._written % BLOCK == 0:
            self._set_direct(self._shelf.direct)
        done = 0
        while done < count:
            done += self._write_some(self._view[done:count])
        if soon and not self._is_direct:
            writeout.begin(self._descriptor, self._written, count)
        self._written += count
        self._filled -= count
        if self._filled:
            self._view[: self._filled] = bytes(self._view[count : count + self._filled])

    def _write_some(self, some: memoryview) -> int:
        try:
            return os.write(self._descriptor, some)
        except OSError as fault:
            if fault.errno != errno.EINVAL or not self._is_direct:
                raise
        self._shelf.direct = False
        self._set_direct(False)
        return os.write(self._descriptor, some)

    def _set_direct(self, wanted: bool) -> None:
        if wanted == self._is_direct:
            return
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT)
        except OSError:
            if not wanted:
                raise
            self._shelf.direct = False
            return
        self._is_direct = wanted
