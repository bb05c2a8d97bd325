"""The ledger keeps order, batches, and outlasts a catalog that is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from node.doubles.intake import MemoryIntake
from node.listener.ledger import Ledger
from node.store.records import Arrival, Association

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def arrival(number: int) -> Arrival:
    return Arrival("1.2", "1.3", f"1.4.{number}", "1.5", "1.6", "CT", f"in/{number}", 1, 10, "A", "B", NOW, own_result=False)


def association(name: str) -> Association:
    return Association(name, "listener", "A", "B", "host", NOW)


def test_order_is_kept_and_arrivals_are_batched() -> None:
    intake = MemoryIntake()
    ledger = Ledger(intake)
    ledger.opened(association("one"))
    for number in range(300):
        ledger.arrived(arrival(number))
    ledger.closed("one", "released")
    ledger.start()
    assert ledger.stop(5)
    assert [what for what, _ in intake.log] == ["opened", *["arrived"] * 300, "closed"]
    assert len(intake.batches) == 1


def test_a_lone_arrival_is_written_within_a_tenth_of_a_second() -> None:
    intake = MemoryIntake()
    ledger = Ledger(intake)
    ledger.start()
    began = time.monotonic()
    ledger.arrived(arrival(1))
    while not intake.arrivals:
        time.sleep(0.001)
        assert time.monotonic() - began < 2
    ledger.stop(5)
    assert intake.batches == [1]


class Flaky(MemoryIntake):
    """Fails a few times, as a catalog that is locked or restarted."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("database is locked")
        super().arrived(arrivals)


def test_nothing_is_lost_while_the_catalog_is_away() -> None:
    intake = Flaky(failures=2)
    ledger = Ledger(intake)
    ledger.opened(association("one"))
    for number in range(5):
        ledger.arrived(arrival(number))
    ledger.closed("one", "lost")
    ledger.start()
    assert ledger.flush(10)
    assert [what for what, _ in intake.log] == ["opened", *["arrived"] * 5, "closed"]
    ledger.stop(5)


def test_stop_gives_up_on_a_catalog_that_stays_away_and_says_so() -> None:
    ledger = Ledger(Flaky(failures=10**9))
    ledger.start()
    ledger.arrived(arrival(1))
    began = time.monotonic()
    assert not ledger.stop(0.3)
    assert time.monotonic() - began < 3
    assert not any(thread.name == "ledger" and thread.is_alive() for thread in threading.enumerate())


def test_own_results_are_recognised_off_the_answering_thread() -> None:
    intake = MemoryIntake()
    intake.made.add("1.4.2")
    ledger = Ledger(intake)
    ledger.start()
    for number in (1, 2):
        ledger.arrived(arrival(number))
    ledger.event("kind", "detail", "1.2")
    ledger.stop(5)
    assert [one.own_result for one in intake.arrivals.values()] == [False, True]
    assert intake.events == [("kind", "detail", "1.2")]


class Picky(MemoryIntake):
    """Takes everything but one instance, whatever is wrong with it."""

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        if any(arrival.path == "in/3" for arrival in arrivals):
            raise ValueError("no such thing")
        super().arrived(arrivals)


def test_one_row_that_is_never_taken_holds_nobody_up() -> None:
    intake = Picky()
    ledger = Ledger(intake)
    ledger.opened(association("one"))
    for number in range(6):
        ledger.arrived(arrival(number))
    ledger.closed("one", "released")
    ledger.start()
    assert ledger.flush(20)
    assert sorted(intake.arrivals) == ["in/0", "in/1", "in/2", "in/4", "in/5"]
    assert intake.ended == {"one": "released"}
    assert {kind for kind, _, _ in intake.events} == {"not taken"}
    ledger.stop(5)
