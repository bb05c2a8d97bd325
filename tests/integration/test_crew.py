"""The listener as several processes: connections are shared out, limits hold over all, and no death loses what was acknowledged."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from node.association import AssociationRejectedForNow, echo
from node.command_set import STATUS
from node.doubles.peer import Requestor
from node.store.peers import Peer
from tests.integration.node_under_test import wait_for
from tests.integration.test_durability import eventually_known, known, listening
from tests.unit.node.listener.encoded import encode, image
from tests.unit.node.listener.test_session import CONTEXTS, store

pytestmark = [pytest.mark.timeout(120)]


def connections(process: psutil.Process, port: int) -> int:
    try:
        held = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return 0
    return sum(1 for one in held if one.status == "ESTABLISHED" and one.laddr.port == port)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def test_connections_are_shared_out_and_limits_hold_over_all(tmp_path: Path) -> None:
    limits = "receivers = 3\nassociations = 6"
    with listening(tmp_path / "data", limits=limits) as (process, peer), ExitStack() as stack:
        held = [stack.enter_context(Requestor(peer.port, CONTEXTS, calling_ae=f"AE{number}")) for number in range(6)]
        for requestor in held:
            requestor.associate()
        with pytest.raises(AssociationRejectedForNow, match="as many associations as it allows"):
            echo(peer, "SEVENTH")
        counts = sorted(connections(one, peer.port) for one in family(process))
        assert len(counts) == 4, "three that receive, and the clerk"
        assert counts[0] == 0
        assert counts[2] >= 1, "several receive"
        for number, requestor in enumerate(held, 1):
            assert store(requestor, encode(image(number)), f"1.2.3.4.{number}").number(STATUS) == 0
        held[0].socket.close()
        wait_for(lambda: accepted(peer), 10, "there is room again")
    assert len(list((tmp_path / "data" / "spool" / "in").rglob("*.dcm"))) == 6


def accepted(peer: Peer) -> bool:
    try:
        return echo(peer, "SEVENTH") == 0
    except AssociationRejectedForNow:
        return False


@pytest.mark.parametrize("victim", ["receiver", "clerk"])
def test_a_process_that_dies_takes_nothing_acknowledged_along(tmp_path: Path, victim: str) -> None:
    with listening(tmp_path / "data", limits="receivers = 2") as (process, peer), ExitStack() as stack:
        held = [stack.enter_context(Requestor(peer.port, CONTEXTS)) for _ in range(2)]
        for number, requestor in enumerate(held, 1):
            requestor.associate()
            assert store(requestor, encode(image(number)), f"1.2.3.4.{number}").number(STATUS) == 0
        busy = [one for one in family(process) if connections(one, peer.port)]
        idle = [one for one in family(process) if one not in busy]
        dying = busy[0] if victim == "receiver" else idle[0]
        os.kill(dying.pid, signal.SIGKILL)
        living = [requestor for requestor in held if not hung_up(requestor)]
        assert len(living) >= (2 if victim == "clerk" else 2 - len(busy))
        for number, requestor in enumerate(living, 3):
            assert store(requestor, encode(image(number)), f"1.2.3.4.{number}").number(STATUS) == 0, "the others drain"
        for requestor in held:
            requestor.socket.close()
        assert process.wait(40) == 1, "it says so, to be started again"
        stored = {f"in/1.2.3/1.2.3.4/1.2.3.4.{number}.dcm" for number in range(1, 3 + len(living))}
    with listening(tmp_path / "data"):
        assert eventually_known(tmp_path / "data", stored)
    assert known(tmp_path / "data") == stored


def hung_up(requestor: Requestor) -> bool:
    """Whether the other end went away within a moment."""
    requestor.socket.settimeout(0.5)
    try:
        return requestor.socket.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    finally:
        requestor.socket.settimeout(10)
