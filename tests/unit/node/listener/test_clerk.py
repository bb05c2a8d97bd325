"""What is asked over a line is done by the catalog's port, in order, and its faults come back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from node.doubles.intake import MemoryIntake
from node.listener import clerk
from node.listener.clerk import ClerkAway, RemoteIntake
from node.listener.ledger import Ledger
from node.store.ports import IntakeLog
from node.store.records import Arrival, Association

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def arrival(number: int) -> Arrival:
    return Arrival("1.2", "1.3", f"1.4.{number}", "1.5", "1.6", "CT", f"in/{number}", 1, 10, "A", "B", NOW, own_result=False)


class Fussy(MemoryIntake):
    """Does not take one study."""

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        if any(one.path == "in/13" for one in arrivals):
            raise ValueError("PatientName 'Doe^Jane' is too long")
        super().arrived(arrivals)


@pytest.fixture
def intake() -> Fussy:
    return Fussy()


@pytest.fixture
def lines(intake: Fussy) -> Iterator[list[socket.socket]]:
    pairs = [socket.socketpair() for _ in range(2)]
    serving = threading.Thread(target=clerk.serve, args=([ours for ours, _ in pairs], intake))
    serving.start()
    yield [theirs for _, theirs in pairs]
    for _, theirs in pairs:
        theirs.close()
    serving.join(5)
    assert not serving.is_alive(), "the clerk ends with the last line"


def test_every_call_of_the_port_arrives(lines: list[socket.socket], intake: Fussy) -> None:
    intake.made = {"1.4.7"}
    remote: IntakeLog = RemoteIntake(lines[0])
    remote.listener_started("here/1")
    remote.association_opened(Association("a", "here/1", "A", "B", "host", NOW))
    remote.arrived((arrival(1), arrival(2)))
    remote.association_closed("a", "released")
    remote.event("kind", "detail", "1.2")
    remote.tally("kind", "detail", 3)
    assert remote.known_paths("1.2") == {"in/1", "in/2"}
    assert remote.own_results(["1.4.7", "1.4.8"]) == {"1.4.7"}
    assert intake.arrivals["in/1"] == arrival(1)
    assert (intake.ended, intake.events, intake.tallies["kind", "detail"]) == ({"a": "released"}, [("kind", "detail", "1.2")], 3)
    assert {name for name in vars(IntakeLog) if not name.startswith("_")} == clerk._CALLS


def test_a_fault_comes_back_without_its_values_and_the_line_goes_on(lines: list[socket.socket]) -> None:
    remote = RemoteIntake(lines[1])
    with pytest.raises(ClerkAway) as fault:
        remote.arrived([arrival(13)])
    assert "Doe" not in str(fault.value)
    assert remote.known_paths("1.2") == frozenset()


def test_lines_do_not_wait_for_each_other(lines: list[socket.socket], intake: Fussy) -> None:
    lines[0].send(b"\x05")  # half a message
    lines[0].close()
    RemoteIntake(lines[1]).event("kind", "detail")
    assert intake.events


def test_threads_share_a_line(lines: list[socket.socket], intake: Fussy) -> None:
    remote = RemoteIntake(lines[0])
    threads = [
        threading.Thread(target=lambda n=n: [remote.arrived([arrival(100 * n + i)]) for i in range(20)]) for n in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(intake.arrivals) == 80


def test_the_ledger_goes_on_behind_what_is_never_taken(lines: list[socket.socket], intake: Fussy) -> None:
    ledger = Ledger(RemoteIntake(lines[0]))
    for number in (12, 13, 14):
        ledger.arrived(arrival(number))
    ledger.start()
    assert ledger.flush(30)
    assert ledger.stop(5)
    assert set(intake.arrivals) == {"in/12", "in/14"}


def test_without_a_clerk_the_caller_is_told() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with pytest.raises(ClerkAway):
        RemoteIntake(theirs).event("kind", "detail")
    theirs.close()
