from __future__ import annotations

import pytest

from node.listener import patience
from node.listener.patience import Patience


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(patience, "time", made)
    return made


def drip(clock: Clock, every_s: float, count: int, total: int, idle_s: float = 60.0) -> int:
    """Bytes that a peer gets across which sends `count` every `every_s` seconds."""
    watched, sent = Patience(idle_s), 0
    while sent < total:
        clock.now += every_s
        sent += count
        if not watched.received(count):
            break
    return sent


def test_four_megabytes_over_a_bad_line_are_waited_for(clock: Clock) -> None:
    began = clock.now
    assert drip(clock, every_s=5.0, count=1460, total=4 << 20) >= 4 << 20
    assert clock.now - began > 4 * 3600 - 60, "hours, and never cut"


def test_a_few_bytes_every_second_are_progress(clock: Clock) -> None:
    assert drip(clock, every_s=1.0, count=2, total=5000) >= 5000


def test_a_byte_now_and_then_is_none(clock: Clock) -> None:
    assert drip(clock, every_s=50.0, count=1, total=5000) < 5


def test_who_slows_down_is_noticed_later(clock: Clock) -> None:
    watched = Patience(60.0)
    assert watched.received(1 << 20)
    clock.now += 61
    assert watched.received(1), "the megabyte was within the same minute"
    clock.now += 61
    assert not watched.received(1)
