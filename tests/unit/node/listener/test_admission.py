"""Who is let in, and what those get that are not (PS3.8 section 9.3.4)."""

from __future__ import annotations

from typing import Any

import pytest

from node.listener.admission import Admission, Admitted, Rejected
from node.store.settings import Settings
from node.store.sources import Caller

LISTED = {
    "accept": "listed",
    "sources": [
        {"ae_title": "CT_*", "hosts": ["10.1.0.0/16"], "called_ae": ["OVERREAD"]},
        {"ae_title": "LOCAL", "hosts": ["localhost"], "associations": 1},
    ],
}


def admission(values: dict[str, Any] | None = None, **limits: int) -> Admission:
    return Admission(Settings.model_validate({**(LISTED if values is None else values), "limits": limits}))


@pytest.mark.parametrize(
    ("caller", "answer", "says"),
    [
        (Caller("MR_1", "OVERREAD", "10.1.0.1"), (1, 1, 3), 'add [[sources]] with ae_title = "MR_1"'),
        (Caller("CT_1", "OVERREAD", "10.2.0.1"), (1, 1, 3), "sources list CT_1 at 10.1.0.0/16, it called from 10.2.0.1"),
        (Caller("CT_1", "OTHER", "10.1.0.1"), (1, 1, 7), "call OVERREAD, it called OTHER"),
    ],
)
def test_who_is_not_listed_is_told_so_and_so_is_the_administrator(
    caller: Caller, answer: tuple[int, int, int], says: str
) -> None:
    decision = admission().enter(caller)
    assert isinstance(decision, Rejected)
    assert decision.pdu == bytes((3, 0, 0, 0, 0, 4, 0, *answer))
    assert says in decision.reason


def test_who_is_listed_is_let_in_by_network_and_by_name() -> None:
    assert isinstance(admission().enter(Caller("CT_1", "OVERREAD", "10.1.0.1")), Admitted)
    assert isinstance(admission().enter(Caller("LOCAL", "ANY", "127.0.0.1")), Admitted)


def test_anybody_is_let_in_unless_a_list_is_asked_for() -> None:
    assert isinstance(admission({"sources": LISTED["sources"]}).enter(Caller("MR_1", "ANY", "10.9.9.9")), Admitted)


@pytest.mark.parametrize(
    ("caller", "admitted"),
    [
        (Caller("OVERREAD", "OVERREAD", "127.0.0.1", "127.0.0.1", echo_only=True), True),
        (Caller("OVERREAD", "OVERREAD", "10.0.0.9", "10.0.0.9", echo_only=True), True),
        (Caller("OVERREAD", "OVERREAD", "10.0.0.8", "10.0.0.9", echo_only=True), False),
        (Caller("OVERREAD", "OVERREAD", "127.0.0.1", "127.0.0.1", echo_only=False), False),
        (Caller("OTHER", "OVERREAD", "127.0.0.1", "127.0.0.1", echo_only=True), False),
    ],
)
def test_our_own_echo_needs_no_source(caller: Caller, admitted: bool) -> None:
    assert isinstance(admission().enter(caller), Admitted) is admitted


def test_a_source_has_a_limit_of_its_own() -> None:
    door = admission()
    caller = Caller("LOCAL", "ANY", "127.0.0.1")
    first = door.enter(caller)
    assert isinstance(first, Admitted)
    second = door.enter(caller)
    assert isinstance(second, Rejected)
    assert second.pdu[-3:] == bytes((2, 3, 2))
    assert "as many as a source may" in second.reason
    assert isinstance(door.enter(Caller("CT_1", "OVERREAD", "10.1.0.1")), Admitted)
    door.leave(first)
    assert isinstance(door.enter(caller), Admitted)


def test_peers_without_a_source_count_by_title_and_host() -> None:
    door = admission({}, associations_per_source=1)
    assert isinstance(door.enter(Caller("A", "X", "10.0.0.1")), Admitted)
    assert isinstance(door.enter(Caller("A", "X", "10.0.0.2")), Admitted)
    assert isinstance(door.enter(Caller("A", "X", "10.0.0.1")), Rejected)


def test_the_limit_in_total_is_over_all() -> None:
    door = admission({}, associations=2)
    assert isinstance(door.enter(Caller("A", "X", "10.0.0.1")), Admitted)
    assert isinstance(door.enter(Caller("B", "X", "10.0.0.2")), Admitted)
    full = door.enter(Caller("C", "X", "10.0.0.3"))
    assert isinstance(full, Rejected)
    assert full.pdu[-3:] == bytes((2, 3, 2))
    assert "raise limits.associations" in full.reason
