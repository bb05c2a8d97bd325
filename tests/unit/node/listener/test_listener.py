"""The controller: start, limits, probes, draining."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node import command_set, upper_layer
from node.association import AssociationRejectedForNow, echo
from node.command_set import STATUS
from node.doubles.intake import MemoryIntake
from node.doubles.peer import Requestor
from node.listener.listener import Listener
from node.store.errors import ConfigurationError
from node.store.peers import Peer
from node.store.settings import Settings
from node.store_scu import StoreScu
from tests.unit.node.listener.conftest import Start
from tests.unit.node.listener.encoded import CT, EXPLICIT, encode, image, write
from tests.unit.node.listener.test_session import CONTEXTS, eventually, store


def test_answers_as_soon_as_start_returns(peer: Peer) -> None:
    assert echo(peer, "ANYBODY") == 0


def test_a_port_that_is_taken_is_named(tmp_path: Path, intake: MemoryIntake, listener: Listener) -> None:
    second = Listener(Settings(data=tmp_path / "other", host="127.0.0.1", port=listener.port), intake)
    with pytest.raises(ConfigurationError, match=str(listener.port)):
        second.start()
    second.stop(drain_s=0)


def test_more_associations_than_allowed_are_rejected_for_now(start: Start, request: pytest.FixtureRequest) -> None:
    listener = start(associations=2)
    peer = Peer(ae_title="OVERREAD", host="127.0.0.1", port=listener.port)
    assert eventually(lambda: listener.open_connections == 0), "its own C-ECHO has gone"
    held = [Requestor(listener.port, CONTEXTS) for _ in range(2)]
    for requestor in held:
        requestor.associate()
    request.addfinalizer(held[1].socket.close)
    with pytest.raises(AssociationRejectedForNow, match="as many associations as it allows"):
        echo(peer, "THIRD")
    held[0].send(upper_layer.RELEASE_REQUEST)
    held[0].receive()
    held[0].socket.close()
    assert eventually(lambda: listener.open_connections == 1)
    assert echo(peer, "THIRD") == 0


def test_idle_associations_are_ended(start: Start) -> None:
    listener = start(idle_s=1.5)
    with Requestor(listener.port, CONTEXTS) as requestor:
        requestor.associate()
        assert eventually(lambda: listener.open_connections == 0)


def test_half_a_pdu_holds_nobody_up(start: Start) -> None:
    listener = start(idle_s=1.5)
    with Requestor(listener.port, CONTEXTS) as requestor:
        requestor.associate()
        requestor.send(upper_layer.data_header(1, 3, 100) + b"half")
        assert eventually(lambda: listener.open_connections == 0)


def test_stop_waits_for_what_is_being_sent(start: Start, intake: MemoryIntake) -> None:
    listener = start()
    requestor = Requestor(listener.port, CONTEXTS)
    requestor.associate()
    port = listener.port
    stopping = threading.Thread(target=listener.stop, args=(10,))
    stopping.start()
    assert eventually(lambda: not _accepts(port))
    assert store(requestor, encode(image())).number(STATUS) == 0
    requestor.send(upper_layer.RELEASE_REQUEST)
    assert requestor.receive()[0] == upper_layer.A_RELEASE_RP
    requestor.socket.close()
    stopping.join(5)
    assert not stopping.is_alive()
    assert len(intake.arrivals) == 1
    assert list(intake.ended.values()) == ["released"]


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_stop_aborts_what_does_not_end(start: Start, intake: MemoryIntake) -> None:
    listener = start()
    requestor = Requestor(listener.port, CONTEXTS)
    requestor.associate()
    requestor.command(1, command_set.store_request(1, CT, "1.2.3.4.1"))
    assert eventually(lambda: intake.open_associations)
    began = time.monotonic()
    listener.stop(drain_s=0.2)
    assert time.monotonic() - began < 3
    assert requestor.receive()[0] == upper_layer.A_ABORT
    requestor.socket.close()
    assert intake.open_associations == {}


def test_many_senders_at_once(peer: Peer, intake: MemoryIntake, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    files = [write(tmp_path / "files", image(number, study=f"1.2.{number % 4 + 1}"), EXPLICIT) for number in range(1, 81)]
    verdicts: list[bool] = []
    senders = [
        threading.Thread(target=lambda part=files[start::8]: verdicts.extend(v.stored for v in StoreScu(peer, "MANY").send(part)))
        for start in range(8)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(30)
    assert verdicts == [True] * 80
    assert eventually(lambda: len(intake.arrivals) == 80)
    assert eventually(lambda: len(intake.ended) == 8)


def test_what_an_earlier_listener_left_is_told_at_start(start: Start, intake: MemoryIntake, tmp_path: Path) -> None:
    first = start()
    with Requestor(first.port, CONTEXTS) as requestor:
        requestor.associate()
        for number in (1, 2):
            assert store(requestor, encode(image(number)), f"1.2.3.4.{number}").number(STATUS) == 0
    assert eventually(lambda: len(intake.arrivals) == 2)
    first.stop(drain_s=0)
    told = dict(intake.arrivals)
    lost = intake.arrivals.pop("in/1.2.3/1.2.3.4/1.2.3.4.2.dcm")
    start()
    assert eventually(lambda: len(intake.arrivals) == 2)
    found = intake.arrivals[lost.path]
    assert found.association_id is None
    assert (found.calling_ae, found.called_ae, found.sop_instance_uid, found.sop_class_uid) == (
        lost.calling_ae,
        lost.called_ae,
        lost.sop_instance_uid,
        lost.sop_class_uid,
    )
    assert (found.size_bytes, found.transfer_syntax_uid, found.version) == (lost.size_bytes, lost.transfer_syntax_uid, 1)
    assert intake.arrivals.keys() == told.keys()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=4))
def test_whatever_a_peer_sends_the_next_one_is_served(peer: Peer, listener: Listener, noise: list[bytes]) -> None:
    with Requestor(listener.port, CONTEXTS) as requestor:
        requestor.associate()
        with contextlib.suppress(OSError):  # it may have been aborted by then
            for piece in noise:
                requestor.data(1, piece, last=piece[0] % 2 == 0)
            requestor.send(noise[0])
    assert eventually(lambda: listener.open_connections == 0, 10)
    assert echo(peer, "NEXT") == 0
