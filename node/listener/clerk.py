"""The catalog's intake port over a socket: one process writes for all that receive.

A process that receives spends its interpreter's time on images alone, and the catalog has one writer that batches over all.
"""

from __future__ import annotations

import pickle
import selectors
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Any, Final

from node.store.errors import Retryable
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import IntakeLog
from node.store.records import Arrival, Association

log = get_logger(__name__)

_LENGTH: Final = struct.Struct("=L")
_CALLS: Final = frozenset(
    {
        "listener_started",
        "association_opened",
        "association_closed",
        "arrived",
        "event",
        "tally",
        "known_paths",
        "own_results",
    }
)


class ClerkAway(Retryable):
    """The process that writes the catalog is gone, or the catalog did not take it; the message says what it said."""


class RemoteIntake:
    """`node.store.ports.IntakeLog`, done by the clerk. Threads may share it; each call waits for its answer."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._lock = threading.Lock()

    def listener_started(self, listener_id: str) -> None:
        self._ask("listener_started", listener_id)

    def association_opened(self, association: Association) -> None:
        self._ask("association_opened", association)

    def association_closed(self, association_id: str, how: str) -> None:
        self._ask("association_closed", association_id, how)

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        self._ask("arrived", list(arrivals))

    def event(self, kind: str, detail: str, study_uid: str | None = None) -> None:
        self._ask("event", kind, detail, study_uid)

    def tally(self, kind: str, detail: str, count: int) -> None:
        self._ask("tally", str(kind), detail, count)

    def known_paths(self, study_uid: str) -> frozenset[str]:
        return frozenset(self._ask("known_paths", study_uid))

    def own_results(self, sop_instance_uids: Sequence[str]) -> frozenset[str]:
        return frozenset(self._ask("own_results", list(sop_instance_uids)))

    def _ask(self, call: str, *arguments: object) -> Any:
        with self._lock:
            try:
                _send(self._line, (call, arguments))
                done, answer = _receive(self._line)
            except OSError as gone:
                raise ClerkAway("the process that writes the catalog is gone") from gone
        if not done:
            raise ClerkAway(answer)
        return answer


def serve(lines: Sequence[socket.socket], intake: IntakeLog) -> None:
    """Do what is asked over `lines`, in order on each, until every other end is closed.

    The bytes come from our own processes over sockets that have no name, so they are unpickled.
    """
    by_descriptor = {line.fileno(): line for line in lines}
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line, selectors.EVENT_READ)
        while by_descriptor:
            for key, _ in selector.select():
                if not _serve_one(by_descriptor[key.fd], intake):
                    selector.unregister(key.fd)
                    by_descriptor.pop(key.fd).close()


def _serve_one(line: socket.socket, intake: IntakeLog) -> bool:
    """Serve one call; False where the line was closed."""
    try:
        call, arguments = _receive(line)
        _send(line, _answer(intake, call, arguments))
    except OSError:
        return False
    return True


def _answer(intake: IntakeLog, call: str, arguments: Sequence[Any]) -> tuple[bool, Any]:
    if call not in _CALLS:
        return False, f"{call} is no call of the intake"
    try:
        return True, getattr(intake, call)(*arguments)
    except Exception as fault:  # noqa: BLE001 - whatever a catalog raises goes to the ledger, which knows what to do
        log.warning("the catalog did not take it", fault=tell(fault))
        return False, tell(fault)


def _send(line: socket.socket, what: object) -> None:
    encoded = pickle.dumps(what, pickle.HIGHEST_PROTOCOL)
    line.sendall(_LENGTH.pack(len(encoded)) + encoded)


def _receive(line: socket.socket) -> Any:
    return pickle.loads(_exactly(line, _LENGTH.unpack(_exactly(line, _LENGTH.size))[0]))  # noqa: S301 - see `serve`


def _exactly(line: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = line.recv(size - len(received))
        if not piece:
            raise ConnectionError("the other end is closed")
        received += piece
    return bytes(received)
