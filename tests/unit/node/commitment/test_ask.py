"""Requests to commit to archives that answer something else; those that do are in tests/integration/test_commitment.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from node import command_set
from node.commitment.ask import ask_to_commit, overdue
from node.doubles.peer import Acceptor
from node.store.commitment import Asked, Reference
from node.store.errors import OverreadError, Permanent, Retryable
from node.store.peers import Archive
from tests.unit.node.query.answering import Reply, answering

REFERENCES = [Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]


def asked(*replies: Reply) -> object:
    with Acceptor(answering(*replies)) as peer:
        archive = Archive(name="vna", ae_title="VNA", host="127.0.0.1", port=peer.port)
        return ask_to_commit(archive, "OVERREAD", "2.25.7", REFERENCES, wait_s=0.1)


def test_a_request_that_is_taken_is_waited_for() -> None:
    assert asked(Reply(0, field=command_set.N_ACTION_RSP)) is None


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(0, field=command_set.N_ACTION_RSP, to=1), Retryable, "something else than our request"),
        (Reply(0, field=command_set.C_ECHO_RSP), Retryable, "something else than a report"),
        (Reply(0x0110, field=command_set.N_ACTION_RSP), Retryable, "0110"),
        (Reply(0x0112, field=command_set.N_ACTION_RSP), Permanent, "0112"),
    ],
)
def test_only_the_answer_to_the_request_takes_it(reply: Reply, error: type[OverreadError], said: str) -> None:
    with pytest.raises(error, match=said):
        asked(reply)


@pytest.mark.parametrize(
    ("first_asked_before_s", "waited_s", "anew"),
    [(0, 899, False), (0, 900, True), (900, 899, False), (900, 900, True), (3600, 3599, False), (3600, 3600, True)],
)
def test_what_was_asked_long_ago_is_waited_for_longer(first_asked_before_s: int, waited_s: int, anew: bool) -> None:
    at = datetime(2026, 3, 4, tzinfo=UTC)
    since, now = at - timedelta(seconds=first_asked_before_s), at + timedelta(seconds=waited_s)
    assert overdue(Asked("2.25.7", "vna", at, None), now, since) is anew
