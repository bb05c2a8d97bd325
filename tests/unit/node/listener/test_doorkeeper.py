"""The door, from outside: who is turned away, by real associations; probes that want nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node import command_set, upper_layer
from node.association import AssociationRejected, AssociationRejectedForNow, echo
from node.command_set import STATUS
from node.doubles.intake import MemoryIntake
from node.doubles.peer import Requestor
from node.listener.doorkeeper import _UNASSOCIATED
from node.listener.listener import Listener
from node.store.peers import Peer
from node.upper_layer import Context
from tests.unit.node.listener.conftest import Start
from tests.unit.node.listener.encoded import CT, EXPLICIT, encode, image
from tests.unit.node.listener.test_session import CONTEXTS, eventually, store

WORKLIST = "1.2.840.10008.5.1.4.31"
LISTED = {"accept": "listed", "sources": [{"ae_title": "CT_?", "hosts": ["127.0.0.0/8"], "called_ae": ["OVERREAD"]}]}


def peer_of(listener: Listener, called_ae: str = "OVERREAD") -> Peer:
    return Peer(ae_title=called_ae, host="127.0.0.1", port=listener.port)


def test_only_who_is_listed_may_send(start: Start, intake: MemoryIntake) -> None:
    listener = start(LISTED)
    with Requestor(listener.port, CONTEXTS, calling_ae="CT_1") as listed:
        listed.associate()
        assert store(listed, encode(image())).number(STATUS) == 0
    with pytest.raises(AssociationRejected, match="does not know our AE title"):
        echo(peer_of(listener), "MR_1")
    with pytest.raises(AssociationRejected, match="does not answer to that AE title"):
        echo(peer_of(listener, "OTHER"), "CT_1")
    assert eventually(lambda: len(intake.tallies) == 2)
    assert {kind for kind, _ in intake.tallies} == {"association rejected"}
    assert sorted("MR_1 (127.0.0.1)" in detail for _, detail in intake.tallies) == [False, True]


def test_a_source_at_its_limit_is_rejected_for_now_and_others_are_not(start: Start, intake: MemoryIntake) -> None:
    listener = start({"sources": [{"ae_title": "CT_1", "associations": 1}]})
    with Requestor(listener.port, CONTEXTS, calling_ae="CT_1") as first:
        first.associate()
        with pytest.raises(AssociationRejectedForNow, match="as many associations as it allows"):
            echo(peer_of(listener), "CT_1")
        assert echo(peer_of(listener), "CT_2") == 0
    assert eventually(lambda: listener.open_connections == 0)
    assert echo(peer_of(listener), "CT_1") == 0


def test_a_misconfigured_peer_is_one_event_with_a_count(
    capfd: pytest.CaptureFixture[str], start: Start, intake: MemoryIntake
) -> None:
    listener = start(LISTED)
    capfd.readouterr()
    for _ in range(50):
        with pytest.raises(AssociationRejected):
            echo(peer_of(listener), "MR_1")
    listener.stop(drain_s=0)
    [(_, count)] = intake.tallies.items()
    assert count == 50
    said = capfd.readouterr()
    assert (said.out + said.err).count("MR_1") <= 4


def test_a_context_that_is_not_offered_is_an_event_too(listener: Listener, intake: MemoryIntake) -> None:
    contexts = (Context(CT, (EXPLICIT,)), Context(WORKLIST, (EXPLICIT,)))
    with Requestor(listener.port, contexts, calling_ae="CT_1") as requestor:
        accepted = requestor.associate()
        assert [result for result, _ in accepted.contexts.values()] == [0, 3]
        assert store(requestor, encode(image())).number(STATUS) == 0
    assert eventually(lambda: intake.tallies)
    [(kind, detail)] = intake.tallies
    assert kind == "context rejected"
    assert "CT_1 (127.0.0.1) proposed Modality Worklist Information" in detail


def test_many_bad_objects_of_one_kind_are_one_event(listener: Listener, intake: MemoryIntake) -> None:
    with Requestor(listener.port, CONTEXTS, calling_ae="CT_1") as requestor:
        requestor.associate()
        for number in range(40):
            assert store(requestor, encode(image(number))[:-20], f"1.2.3.4.{number}").number(STATUS) == 0xC000
    listener.stop(drain_s=0)
    [((kind, detail), count)] = intake.tallies.items()
    assert (kind, count) == ("object refused", 40)
    assert "CT_1 (127.0.0.1) sent what is not kept (the data set is truncated" in detail
    assert detail.endswith("; status C000): see what it sends")


def test_a_request_that_is_none_is_aborted_and_told_once(listener: Listener, intake: MemoryIntake) -> None:
    for _ in range(20):
        with Requestor(listener.port) as requestor:
            requestor.send(struct.pack(">BBL", 1, 0, 80) + bytes(80))
            assert requestor.receive()[0] == upper_layer.A_ABORT
    listener.stop(drain_s=0)
    [((kind, detail), count)] = intake.tallies.items()
    assert (kind, count) == ("association rejected", 20)
    assert "127.0.0.1 asked in a way that cannot be read (the association request is not well formed)" in detail


@pytest.mark.parametrize(
    ("at", "value", "answer"),
    [(6, b"\0\2", (1, 2, 2)), (78, b"1.2.840.10008.3.1.1.9", (1, 1, 2))],
    ids=["protocol version", "application context"],
)
def test_another_protocol_is_rejected_for_what_it_is(
    listener: Listener, intake: MemoryIntake, at: int, value: bytes, answer: tuple[int, int, int]
) -> None:
    request = upper_layer.associate_request("CT_1", "OVERREAD", upper_layer.number_contexts(CONTEXTS), 16384)
    request = request[:at] + value + request[at + len(value) :]
    with Requestor(listener.port) as requestor:
        requestor.send(request)
        kind, body = requestor.receive()
    assert (kind, tuple(body[1:4])) == (upper_layer.A_ASSOCIATE_RJ, answer)
    assert eventually(lambda: intake.tallies)
    assert "than DICOM has" in next(iter(intake.tallies))[1]


def test_a_peer_that_only_comes_and_goes_is_no_news(capfd: pytest.CaptureFixture[str], listener: Listener) -> None:
    capfd.readouterr()
    for _ in range(30):
        with Requestor(listener.port, CONTEXTS) as requestor:
            requestor.associate()
    assert eventually(lambda: listener.open_connections == 0)
    seen = capfd.readouterr()
    assert seen.out + seen.err == ""


def test_breaking_the_rules_within_an_association_is_told(listener: Listener, intake: MemoryIntake) -> None:
    with Requestor(listener.port, CONTEXTS, calling_ae="CT_1") as requestor:
        requestor.associate()
        requestor.data(1, b"no command before it", last=True)
        assert requestor.receive()[0] == upper_layer.A_ABORT
    assert eventually(lambda: intake.tallies)
    [(kind, detail)] = intake.tallies
    assert kind == "association aborted"
    assert "CT_1 (127.0.0.1) broke the rules (a data set without its command)" in detail


def test_a_sender_that_drips_is_not_cut(start: Start) -> None:
    listener = start(idle_s=1.5)
    with Requestor(listener.port, CONTEXTS, calling_ae="CT_1") as requestor:
        requestor.associate()
        content = encode(image(pixels=bytes(60)))
        command = command_set.store_request(7, CT, "1.2.3.4.1")
        pdus = upper_layer.data_header(1, 3, len(command)) + command + upper_layer.data_header(1, 2, len(content)) + content
        began, pieces = time.monotonic(), 12
        size = len(pdus) // pieces + 1
        for start_at in range(0, len(pdus), size):
            requestor.send(pdus[start_at : start_at + size])
            time.sleep(0.4)
        assert time.monotonic() - began > 3 * 1.5, "longer than twice the idle time"
        assert requestor.response().number(STATUS) == 0


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="node").do_handshake()
    return outgoing.read()


def reset(probe: socket.socket) -> None:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


PROBES: tuple[Callable[[socket.socket], object], ...] = (
    lambda probe: None,
    reset,
    lambda probe: probe.sendall(b"GET / HTTP/1.0\r\n\r\n"),
    lambda probe: probe.sendall(b"\x01"),
    lambda probe: probe.sendall(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
    lambda probe: probe.sendall(b"\x16\x03"),
    lambda probe: probe.sendall(os.urandom(300)[:299] or b""),
    lambda probe: probe.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF)),
    lambda probe: probe.sendall(b"SSH-2.0-probe\r\n"),
    lambda probe: (probe.sendall(b"\0"), reset(probe)),
)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_probes_leave_nothing_and_say_nothing(
    capfd: pytest.CaptureFixture[str], listener: Listener, intake: MemoryIntake
) -> None:
    assert eventually(lambda: listener.open_connections == 0)
    threads, opened = threading.active_count(), descriptors()
    capfd.readouterr()
    for number in range(200):
        with socket.create_connection(("127.0.0.1", listener.port)) as probe, contextlib.suppress(OSError):
            PROBES[number % len(PROBES)](probe)
    assert eventually(lambda: listener.open_connections == 0)
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: descriptors() <= opened)
    seen = capfd.readouterr()
    assert seen.out + seen.err == ""
    assert intake.events == []
    assert not intake.tallies
    assert echo(peer_of(listener), "NEXT") == 0


def test_probes_that_hang_on_make_room_for_who_wants_to_send(listener: Listener) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(3 * _UNASSOCIATED):
            held.enter_context(socket.create_connection(("127.0.0.1", listener.port)))
        assert eventually(lambda: listener.open_connections <= _UNASSOCIATED)
        with Requestor(listener.port, CONTEXTS) as requestor:
            requestor.associate()
            assert store(requestor, encode(image())).number(STATUS) == 0
    assert eventually(lambda: listener.open_connections == 0)


def test_a_request_that_never_ends_is_ended(start: Start) -> None:
    listener = start(negotiation_s=1.0)
    assert eventually(lambda: listener.open_connections == 0)
    with Requestor(listener.port) as requestor:
        requestor.send(struct.pack(">BBL", 1, 0, 2000))
        assert eventually(lambda: listener.open_connections == 1)
        until = time.monotonic() + 20
        with contextlib.suppress(OSError):
            while time.monotonic() < until and listener.open_connections:
                requestor.send(b"x")  # never idle, and no end in sight
                time.sleep(0.05)
    assert eventually(lambda: listener.open_connections == 0)
