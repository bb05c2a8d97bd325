from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from node.delivery.waits import JITTER, Waits, jitter
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


@given(some.integers(1, 100_000), some.integers(1, 100_000))
def test_waits_never_shrink_and_stay_below_the_longest(one: int, other: int) -> None:
    earlier, later = sorted((one, other))
    assert WAITS.plain(earlier) <= WAITS.plain(later) <= WAITS.longest_s


def test_jitter_stays_within_its_share_and_varies() -> None:
    factors = {jitter() for _ in range(200)}
    assert len(factors) > 100
    assert all(1 - JITTER <= factor <= 1 + JITTER for factor in factors)
    assert WAITS.after(2, 1.2) == 12
