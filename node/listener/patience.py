"""How long a peer is waited for that sends slowly: as long as it gets on."""

from __future__ import annotations

import time
from typing import Final

SLOWEST: Final = 1
"""Bytes a second. Any line that works is hundreds of times faster; what is slower holds an association for nothing."""


class Patience:
    """Watches one transfer: every `idle_s` seconds, so much must have come as the slowest peer would have sent.

    However long a PDU is and however its bytes drip, a peer that gets on is waited for; one that sends a byte now and then, just
    to be waited for, is not.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._least = max(1, int(SLOWEST * idle_s))
        self._until = time.monotonic() + idle_s
        self._received = 0

    def received(self, count: int) -> bool:
        """Take note of bytes that came; False where too few came for too long."""
        self._received += count
        now = time.monotonic()
        if now < self._until:
            return True
        if self._received < self._least:
            return False
        self._until, self._received = now + self._idle_s, 0
        return True
