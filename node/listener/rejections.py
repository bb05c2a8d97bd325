"""What was turned away, told once to log and catalog and then counted, so that a misconfigured peer floods neither."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

from node.store.events import Rejection
from node.store.log import get_logger

log = get_logger(__name__)

WITHIN_S: Final = 3600.0
"""Seconds within which the same again only counts."""
FLUSH_S: Final = 30.0
"""Seconds after which what was counted is written."""
MOST: Final = 200
"""Different ones that are told apart within that time; a peer that makes up new titles fills nothing."""
_OTHERS: Final = "more peers and reasons than are listed one by one: look at what else was turned away, and at the network"


class Tally(Protocol):
    """Takes counts on their way to the catalog, as `node.listener.ledger.Ledger.tally` does."""

    def __call__(self, kind: str, detail: str, count: int) -> None: ...


class Rejections:
    """Keeps count; may be told from many threads.

    Parameters
    ----------
    tally
        Takes what the catalog shall know: the first of each at once, then counts.
    """

    def __init__(self, tally: Tally, flush_s: float = FLUSH_S) -> None:
        self._tally = tally
        self._flush_s = flush_s
        self._lock = threading.Lock()
        self._told: dict[tuple[Rejection, str], float] = {}
        self._pending: dict[tuple[Rejection, str], int] = {}
        self._timer: threading.Timer | None = None

    def note(self, kind: Rejection, detail: str) -> None:
        """Something was turned away; `detail` says for a person who, why and what to change, without patient data."""
        now = time.monotonic()
        with self._lock:
            key = self._known_as(kind, detail, now)
            if key in self._told:
                self._pending[key] = self._pending.get(key, 0) + 1
                self._wake()
                return
            self._told[key] = now
        log.warning(str(kind), detail=key[1])
        self._tally(kind, key[1], 1)

    def flush(self) -> None:
        """Write what was counted since."""
        with self._lock:
            pending, self._pending = self._pending, {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for (kind, detail), count in pending.items():
            log.warning(str(kind), detail=detail, again=count)
            self._tally(kind, detail, count)

    def _known_as(self, kind: Rejection, detail: str, now: float) -> tuple[Rejection, str]:
        self._told = {key: at for key, at in self._told.items() if now - at < WITHIN_S}
        key = (kind, "".join(sign if sign.isprintable() else "?" for sign in detail))  # titles hold what the peer likes
        return key if key in self._told or len(self._told) < MOST else (kind, _OTHERS)

    def _wake(self) -> None:
        """Have the counts written in a while; a timer only while there are any, for most nodes turn nobody away."""
        if self._timer is None:
            self._timer = threading.Timer(self._flush_s, self.flush)
            self._timer.daemon = True
            self._timer.start()
