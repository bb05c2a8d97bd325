"""How many associations and connections are open, over all processes that accept from one listening socket."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from node.listener.open_associations import Full

_KEY: Final = 16
"""Bytes that stand for a source; all zero: the place is free."""
_LOAD: Final = struct.Struct("=L")


class SharedAssociations:
    """`node.listener.open_associations.OpenAssociations` over memory that forked processes share.

    Made before the fork. Nothing is given back for a process that dies: its siblings end with it (`node.listener.crew`).

    Parameters
    ----------
    most
        Associations that may ever be open at once.
    processes
        That accept.
    """

    def __init__(self, most: int, processes: int) -> None:
        self._places = most
        self._loads_at = most * _KEY
        self._processes = processes
        self._descriptor = os.memfd_create("overread-associations", os.MFD_CLOEXEC)
        size = self._loads_at + processes * _LOAD.size
        os.ftruncate(self._descriptor, size)
        self._memory = mmap.mmap(self._descriptor, size)
        self._threads = threading.Lock()

    def enter(self, source: str, most: int, most_of_source: int | None) -> Full | None:
        key = _key(source)
        with self._locked():
            keys = [self._memory[place * _KEY : (place + 1) * _KEY] for place in range(self._places)]
            taken = [one for one in keys if any(one)]
            if len(taken) >= min(most, self._places):
                return Full.TOTAL
            if most_of_source is not None and taken.count(key) >= most_of_source:
                return Full.SOURCE
            self._put(next(place for place, one in enumerate(keys) if not any(one)), key)
            return None

    def leave(self, source: str) -> None:
        key = _key(source)
        with self._locked():
            for place in range(self._places):
                if self._memory[place * _KEY : (place + 1) * _KEY] == key:
                    self._put(place, bytes(_KEY))
                    return

    def set_load(self, process: int, connections: int) -> None:
        """Tell the others how many connections one process has; only that process calls it."""
        _LOAD.pack_into(self._memory, self._loads_at + process * _LOAD.size, connections)

    def is_heavier(self, process: int) -> bool:
        """Whether another process has fewer connections."""
        loads = [int(_LOAD.unpack_from(self._memory, self._loads_at + one * _LOAD.size)[0]) for one in range(self._processes)]
        return loads[process] > min(loads)

    def _put(self, place: int, key: bytes) -> None:
        self._memory[place * _KEY : (place + 1) * _KEY] = key

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among threads, and among processes: their lock goes with the process, should it die."""
        with self._threads:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _key(source: str) -> bytes:
    return hashlib.blake2b(source.encode(), digest_size=_KEY, person=b"association").digest()
