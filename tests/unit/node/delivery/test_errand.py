from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from node.delivery.breaker import OPENS_AFTER, Breaker
from node.delivery.errand import Errand
from node.delivery.waits import Waits
from node.store.clock import FakeClock
from node.store.errors import Permanent, Retryable
from node.store.states import DeliveryState
from tests.unit.node.delivery.outbox import MemoryOutbox


@dataclass(frozen=True)
class Answered:
    path: Path
    status: int | None
    reason: str = ""
    retryable: bool = True
    heard: bool = False
    again_after_s: float | None = None
    note: str = ""


class Script:
    """A sender that answers by a table of statuses, file name to status, and may break off or raise."""

    def __init__(self, statuses: dict[str, int | None], *, error: Exception | None = None, slow_s: float = 0.0) -> None:
        self.statuses, self.error, self.slow_s = statuses, error, slow_s
        self.sent: list[str] = []
        self.closed = False

    def __call__(self, urgent: bool = False) -> Script:
        self.urgent = urgent
        return self

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        if self.error:
            raise self.error
        try:
            for path in paths:
                if path.name not in self.statuses:
                    return
                time.sleep(self.slow_s)
                self.sent.append(path.name)
                yield Answered(path, self.statuses[path.name], "connection refused")
        finally:
            self.closed = True


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def made(outbox: MemoryOutbox, folder: Path, *names: str) -> list[int]:
    for name in names:
        (folder / name).write_bytes(b"x")
    return [outbox.put(folder / name) for name in names]


def errand(outbox: MemoryOutbox, script: Script, clock: FakeClock, lease_s: float = 60.0) -> Errand:
    waits = Waits(5, 60, 100)
    breaker = Breaker("pacs", outbox.breakers, waits, clock)
    return Errand("pacs", outbox, script, waits=waits, breaker=breaker, clock=clock, deliverer="me", lease_s=lease_s)


def test_each_object_has_its_own_fate(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    stored, warned, later, never = made(outbox, tmp_path, "a", "b", "c", "d")
    script = Script({"a": 0x0000, "b": 0xB000, "c": 0xA700, "d": 0xA900})
    assert errand(outbox, script, clock).deliver(threading.Event()) == 4
    assert [outbox.state(one) for one in (stored, warned, later, never)] == [
        DeliveryState.SENT,
        DeliveryState.SENT,
        DeliveryState.DUE,
        DeliveryState.FAILED,
    ]
    assert outbox.rows[warned].statuses == [0xB000]
    assert "out of resources" in outbox.rows[later].reasons[0]
    assert "A900" in outbox.rows[never].reasons[0]


def test_another_destination_is_left_alone(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    (tmp_path / "a").write_bytes(b"x")
    other = outbox.put(tmp_path / "a", destination="elsewhere")
    assert errand(outbox, Script({"a": 0}), clock).deliver(threading.Event()) == 0
    assert outbox.state(other) is DeliveryState.DUE


def test_retry_waits_longer_each_time_then_gives_up(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    (number,) = made(outbox, tmp_path, "a")
    one = errand(outbox, Script({"a": 0xA700}), clock)
    waits = []
    while outbox.state(number) is DeliveryState.DUE:
        assert one.deliver(threading.Event()) == 1
        waits.append((outbox.rows[number].due_at - clock.now()).total_seconds())
        assert one.deliver(threading.Event()) == 0 or outbox.state(number) is DeliveryState.FAILED
        clock.advance(100)
    assert outbox.state(number) is DeliveryState.FAILED
    assert 4 <= waits[0] <= 6
    assert 8 <= waits[1] <= 12
    assert "given up after 6 tries" in outbox.rows[number].reasons[-1]


def test_unreachable_destination_is_tried_again_with_the_reason(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    numbers = made(outbox, tmp_path, "a", "b")
    errand(outbox, Script({}, error=Retryable("PACS@host:104 does not answer")), clock).deliver(threading.Event())
    assert {outbox.state(one) for one in numbers} == {DeliveryState.DUE}
    assert outbox.rows[1].reasons == ["PACS@host:104 does not answer"]
    assert outbox.rows[1].due_at > clock.now()
    assert outbox.rows[1].due_at == outbox.rows[2].due_at


def test_rejection_is_no_reason_to_lose_a_result(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    (number,) = made(outbox, tmp_path, "a")
    errand(outbox, Script({}, error=Permanent("calling AE title not recognised")), clock).deliver(threading.Event())
    assert outbox.state(number) is DeliveryState.DUE
    assert outbox.rows[number].reasons == ["calling AE title not recognised"]


def test_association_that_ends_early_settles_what_was_answered_and_retries_the_rest(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    first, second = made(outbox, tmp_path, "a", "b")
    errand(outbox, Script({"a": 0}), clock).deliver(threading.Event())
    assert outbox.state(first) is DeliveryState.SENT
    assert outbox.state(second) is DeliveryState.DUE
    assert "without an answer" in outbox.rows[second].reasons[0]


def test_no_status_means_again(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    (number,) = made(outbox, tmp_path, "a")
    errand(outbox, Script({"a": None}), clock).deliver(threading.Event())
    assert outbox.state(number) is DeliveryState.DUE
    assert outbox.rows[number].reasons == ["connection refused"]


def test_refused_context_is_for_good(tmp_path: Path, clock: FakeClock) -> None:
    class Refusing(Script):
        def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
            yield Answered(paths[0], None, "accepts no Segmentation Storage: enable it", retryable=False, heard=True)
            yield Answered(paths[1], 0)

    outbox = MemoryOutbox(clock)
    refused, stored = made(outbox, tmp_path, "a", "b")
    errand(outbox, Refusing({}), clock).deliver(threading.Event())
    assert outbox.state(refused) is DeliveryState.FAILED
    assert outbox.rows[refused].reasons == ["accepts no Segmentation Storage: enable it"]
    assert outbox.state(stored) is DeliveryState.SENT


def test_missing_file_fails_alone(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    gone, there = made(outbox, tmp_path, "a", "b")
    (tmp_path / "a").unlink()
    script = Script({"b": 0})
    errand(outbox, script, clock).deliver(threading.Event())
    assert outbox.state(gone) is DeliveryState.FAILED
    assert outbox.state(there) is DeliveryState.SENT
    assert script.sent == ["b"]
    assert outbox.refused == [], "the destination refused nothing: what goes in place of a refused kind stays here"


def test_a_refusal_is_told_from_what_is_ours(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    (refused,) = made(outbox, tmp_path, "a")
    errand(outbox, Script({"a": 0xA900}), clock).deliver(threading.Event())
    assert outbox.refused == [refused]


def test_stop_puts_the_rest_back_and_closes_the_association(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    first, second = made(outbox, tmp_path, "a", "b")
    stop = threading.Event()
    stop.set()
    script = Script({"a": 0, "b": 0})
    errand(outbox, script, clock).deliver(stop)
    assert outbox.state(first) is DeliveryState.SENT
    assert outbox.state(second) is DeliveryState.DUE
    assert outbox.rows[second].due_at == clock.now()
    assert script.closed


def test_leases_are_prolonged_while_sending(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    made(outbox, tmp_path, "a", "b")
    errand(outbox, Script({"a": 0, "b": 0}, slow_s=0.2), clock, lease_s=0.15).deliver(threading.Event())
    assert outbox.beats >= 4


def test_after_a_crash_the_lease_brings_it_back(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    (number,) = made(outbox, tmp_path, "a")
    (lost,) = outbox.claim("pacs", "dead", 60, 10)
    one = errand(outbox, Script({"a": 0}), clock)
    assert one.deliver(threading.Event()) == 0
    clock.advance(timedelta(seconds=61).total_seconds())
    assert one.deliver(threading.Event()) == 1
    assert outbox.state(number) is DeliveryState.SENT
    assert not outbox.stored(lost, 0)


def test_what_is_down_is_tried_with_a_little_after_waits_and_then_gets_all(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    down = Script({}, error=Retryable("PACS@host:104 does not answer"))
    way = errand(outbox, down, clock)
    for number in range(OPENS_AFTER):
        made(outbox, tmp_path, f"early{number}")
        assert way.deliver(threading.Event()) > 0
        clock.advance(7)
    assert outbox.breakers.story == ["pacs down"]
    made(outbox, tmp_path, "late1", "late2")
    assert way.deliver(threading.Event()) == 1, "one is enough to find out"
    assert way.deliver(threading.Event()) == 0, "the rest waits, untried"
    assert "does not answer" in outbox.breakers.down["pacs"].reason
    clock.advance(100)
    anew = errand(outbox, Script(dict.fromkeys(["early0", "early1", "early2", "late1", "late2"], 0)), clock)
    assert anew.deliver(threading.Event()) == 1, "another process knows it too"
    assert outbox.breakers.story == ["pacs down", "pacs back"]
    assert anew.deliver(threading.Event()) == 4


def test_an_object_that_is_refused_is_no_destination_that_is_down(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    for number in range(OPENS_AFTER + 1):
        made(outbox, tmp_path, f"a{number}")
        errand(outbox, Script({f"a{number}": 0xA700}), clock).deliver(threading.Event())
    assert outbox.breakers.story == []


def jobs(outbox: MemoryOutbox, folder: Path, *names: str) -> None:
    """Objects that are named after their jobs, a digit each."""
    for number in made(outbox, folder, *names):
        row = outbox.rows[number]
        row.item = replace(row.item, job_id=int(Path(row.item.path).name[0]))


class Interrupted(Script):
    """Something urgent becomes due while one file is sent."""

    def __init__(self, outbox: MemoryOutbox, during: str) -> None:
        super().__init__(dict.fromkeys(["1a", "1b", "2a", "2b", "9a"], 0))
        self.outbox, self.during = outbox, during

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        for answer in super().send(paths):
            if answer.path.name == self.during:
                jobs(self.outbox, answer.path.parent, "9a")
                row = self.outbox.rows[len(self.outbox.rows)]
                row.item = replace(row.item, urgent=True)
            yield answer


def test_other_jobs_give_way_to_something_urgent_and_lose_no_try(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    jobs(outbox, tmp_path, "1a", "1b", "2a", "2b")
    script = Interrupted(outbox, during="1a")
    way = errand(outbox, script, clock)
    way.deliver(threading.Event())
    assert script.sent == ["1a", "1b"], "the objects of one job are not parted"
    assert not script.urgent
    assert [(outbox.state(number), outbox.rows[number].item.attempt) for number in (3, 4)] == [(DeliveryState.DUE, 0)] * 2
    assert outbox.rows[3].reasons == ["something urgent goes first"]
    way.deliver(threading.Event())
    assert script.sent[2:] == ["9a", "2a", "2b"]


def test_what_is_urgent_gives_way_to_nothing(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    jobs(outbox, tmp_path, "1a", "2a")
    for row in outbox.rows.values():
        row.item = replace(row.item, urgent=True)
    script = Interrupted(outbox, during="1a")
    errand(outbox, script, clock).deliver(threading.Event())
    assert script.urgent
    assert script.sent == ["1a", "2a"]


def test_what_is_wrong_with_our_own_file_says_nothing_of_the_destination(tmp_path: Path, clock: FakeClock) -> None:
    class Broken(Script):
        def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
            for path in paths:
                yield Answered(path, None, "no DICOM object", retryable=False)

    outbox = MemoryOutbox(clock)
    down = errand(outbox, Script({}, error=Retryable("PACS@host:104 does not answer")), clock)
    for number in range(OPENS_AFTER):
        made(outbox, tmp_path, f"a{number}")
        down.deliver(threading.Event())
        clock.advance(7)
    clock.advance(100)
    errand(outbox, Broken({}), clock).deliver(threading.Event())
    assert outbox.breakers.story == ["pacs down"], "nobody was spoken to: it is not back"


def test_one_that_answers_though_it_takes_nothing_is_not_down(tmp_path: Path, clock: FakeClock) -> None:
    class Waiting(Script):
        def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
            for path in paths:
                yield Answered(path, None, "AE 204: it does not know the patient or the order yet", heard=True)

    outbox = MemoryOutbox(clock)
    for number in range(OPENS_AFTER + 1):
        made(outbox, tmp_path, f"a{number}")
        errand(outbox, Waiting({}), clock).deliver(threading.Event())
    assert outbox.breakers.story == []


@pytest.mark.parametrize(("wanted_s", "waited_s"), [(90.0, 90.0), (1.0, 5.0), (1e9, 86400.0), (None, 5.0)])
def test_a_wait_that_the_destination_asks_for_is_kept(
    tmp_path: Path, clock: FakeClock, wanted_s: float | None, waited_s: float
) -> None:
    class Busy(Script):
        def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
            for path in paths:
                yield Answered(path, None, "HTTP 503", again_after_s=wanted_s)

    outbox = MemoryOutbox(clock)
    (number,) = made(outbox, tmp_path, "a")
    errand(outbox, Busy({}), clock).deliver(threading.Event())
    wait_s = (outbox.rows[number].due_at - clock.now()).total_seconds()
    assert wait_s == pytest.approx(waited_s, rel=0.2 if waited_s == 5.0 else 1e-9)


def test_a_fault_of_ours_is_a_reason_to_wait_and_not_met_again_at_once(tmp_path: Path, clock: FakeClock) -> None:
    outbox = MemoryOutbox(clock)
    numbers = made(outbox, tmp_path, "a", "b")
    errand(outbox, Script({}, error=KeyError("Müller^Jürgen")), clock).deliver(threading.Event())
    assert {outbox.state(one) for one in numbers} == {DeliveryState.DUE}
    assert outbox.rows[1].due_at > clock.now()
    assert "KeyError" in outbox.rows[1].reasons[0]
    assert "Müller" not in outbox.rows[1].reasons[0]
