"""How many associations are open, in total and of each source: one small interface, and its version for one process.

Where several processes accept from one listening socket, a version over memory that they share takes its place; admission asks
nothing else.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import StrEnum
from typing import Protocol


class Full(StrEnum):
    """Which limit is reached."""

    TOTAL = "total"
    SOURCE = "source"


class OpenAssociations(Protocol):
    """Counts what is open over all processes that accept. Calls may come from many threads."""

    def enter(self, source: str, most: int, most_of_source: int | None) -> Full | None:
        """Count one more of a source, unless that would be more than `most` in all or than `most_of_source` of it."""
        ...

    def leave(self, source: str) -> None:
        """Count one less; called once for each that entered."""
        ...


class InProcess:
    """`OpenAssociations` of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = 0
        self._by_source: Counter[str] = Counter()

    def enter(self, source: str, most: int, most_of_source: int | None) -> Full | None:
        with self._lock:
            if self._total >= most:
                return Full.TOTAL
            if most_of_source is not None and self._by_source[source] >= most_of_source:
                return Full.SOURCE
            self._total += 1
            self._by_source[source] += 1
            return None

    def leave(self, source: str) -> None:
        with self._lock:
            self._total -= 1
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]  # peers come and go; their counters must not stay
