from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from node.delivery.waits import JITTER, Waits
from node.store.settings import Limits

WAITS = Waits(first_s=5, longest_s=60, give_up_s=300)


def test_waits_double_up_to_the_longest() -> None:
    assert [WAITS.plain(attempt) for attempt in range(1, 8)] == [5, 10, 20, 40, 60, 60, 60]


def test_gives_up_once_the_waits_add_up() -> None:
    tries = 1
    while WAITS.after(tries) is not None:
        tries += 1
    # 5 + 10 + 20 + 40 + 60 + 60 + 60 + 60 = 315 seconds of waiting, so eight tries are followed by another one.
    assert tries == 9


def test_default_limits_try_for_a_week() -> None:
    waits = Waits.of(Limits())
    tries = next(number for number in range(1, 1000) if waits.after(number) is None)
    assert sum(waits.plain(number) for number in range(1, tries)) >= Limits().delivery_give_up_s


@given(some.integers(1, 100_000))
def test_jitter_stays_within_its_share(attempt: int) -> None:
    endless = Waits(5, 60, float("inf"))
    wait = Waits(5, 60, 1e12).after(min(attempt, 300))
    assert wait is not None
    assert endless.plain(attempt) <= 60
    assert endless.plain(min(attempt, 300)) * (1 - JITTER) <= wait <= endless.plain(min(attempt, 300)) * (1 + JITTER)
