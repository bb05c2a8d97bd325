from __future__ import annotations

from datetime import UTC, datetime, timedelta

from node.store.clock import FakeClock, SystemClock


def test_the_systems_clock_shows_utc() -> None:
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_fake_clock_moves_when_told_to() -> None:
    clock = FakeClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(1.5)
    assert clock.now() - before == timedelta(seconds=1.5)
