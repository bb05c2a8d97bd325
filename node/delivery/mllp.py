"""Delivery of HL7 v2 messages over MLLP, a connection and an acknowledgement a message (HL7 v2.5.1 section 2.9.2)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from node.delivery.answers import Answered
from node.store.destinations import Hl7Destination
from node.store.endpoint import Endpoint
from node.store.errors import NotUnderstood, Retryable
from node.tls import meaning, secured

TIMEOUT_S: Final = 60.0
"""Longest wait for the connection, and for the whole acknowledgement."""
LONGEST: Final = 1 << 20
"""Bytes of an acknowledgement; what says more is none."""
START: Final = b"\x0b"
END: Final = b"\x1c\r"

STORED: Final = frozenset({"AA", "CA"})
REJECTED: Final = frozenset({"AR", "CR"})
ERRORS: Final = frozenset({"AE", "CE"})
CODES: Final[dict[str, tuple[bool, str]]] = {
    "100": (False, "it misses a segment, or has them in another order"),
    "101": (False, "it misses a required field"),
    "102": (False, "it takes other data types"),
    "103": (False, "it does not know a value of a table"),
    "200": (False, "it does not take ORU messages"),
    "201": (False, "it does not take the event R01"),
    "202": (False, "it does not take messages for production there"),
    "203": (False, "it does not take version 2.5.1"),
    "204": (True, "it does not know the patient or the order yet"),
    "205": (False, "it has something of that key already"),
    "206": (True, "its record is locked"),
    "207": (True, "it failed by itself"),
}
"""By code of table 0357 in ERR-3: whether another try may succeed, and what it means."""


class Unanswered(Retryable):
    """No acknowledgement of our message came."""


class MllpSender:
    """Sends files, each a whole message, to one system.

    Parameters
    ----------
    timeout_s
        Longest wait for the connection, and for the whole acknowledgement.
    """

    def __init__(self, destination: Hl7Destination, *, timeout_s: float = TIMEOUT_S) -> None:
        self._destination = destination
        self._timeout_s = timeout_s

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        """Send messages; one answer for each.

        Raises
        ------
        ConfigurationError
            Where the certificates of the settings cannot be used.
        """
        for path in paths:
            message = addressed(path.read_bytes(), self._destination)
            try:
                reply = self._exchange(message)
                yield understood(path, message, reply)
            except (Retryable, NotUnderstood) as lost:
                yield Answered(path, None, str(lost), retryable=True)

    def _exchange(self, message: bytes) -> bytes:
        """Send one message and read what is answered."""
        until = time.monotonic() + self._timeout_s
        connection = connected(self._destination.mllp, self._timeout_s)
        try:
            connection.sendall(START + message + END)
            return _answer(connection, until)
        except TimeoutError as late:
            raise Unanswered(f"{self._destination} acknowledged nothing within {self._timeout_s:g} s") from late
        except OSError as gone:
            said = meaning(gone) or gone.strerror or type(gone).__name__
            raise Unanswered(f"{self._destination} broke off before it acknowledged: {said}") from gone
        finally:
            connection.close()


def connected(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    """A connection, over TLS where that is asked for.

    Raises
    ------
    Retryable
        Where there is none.
    ConfigurationError
        Where the certificates of the settings cannot be used.
    """
    try:
        plain = socket.create_connection((endpoint.host, endpoint.port), timeout_s)
    except OSError as unreachable:
        reason = unreachable.strerror or str(unreachable)
        raise Unanswered(f"{endpoint} cannot be reached ({reason}): is it running, are host and port right?") from unreachable
    return secured(plain, endpoint) if endpoint.tls else plain


def _answer(connection: socket.socket, until: float) -> bytes:
    """One whole frame without its delimiters; what comes before it is passed over."""
    held = b""
    while END not in held[held.find(START) + 1 :] or START not in held:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        came = connection.recv(65536)
        if not came:
            raise Unanswered("the connection ended before the acknowledgement was whole")
        held += came
        if len(held) > LONGEST:
            raise Unanswered("what was answered is no acknowledgement: it does not end")
    frame = held[held.index(START) + 1 :]
    return frame[: frame.index(END)]


def addressed(message: bytes, destination: Hl7Destination) -> bytes:
    """A message with the applications and facilities of its header filled in; all else stays byte for byte."""
    header, end, rest = message.partition(b"\r")
    fields = header.split(b"|")
    names = (
        destination.sending_application,
        destination.sending_facility,
        destination.receiving_application,
        destination.receiving_facility,
    )
    fields[2:6] = [name.encode("utf-8") for name in names]
    return b"|".join(fields) + end + rest


def understood(path: Path, message: bytes, reply: bytes) -> Answered:
    """What an acknowledgement says of a message; never with the other system's words, which may name the patient.

    Only one that names our message counts. An error is tried again, for what is missing there may come, unless a code of
    ERR-3 says that it will not; a rejection is not, unless a code says that it may be taken later.
    """
    segments = [segment.split("|") for segment in reply.decode("utf-8", "replace").replace("\n", "\r").split("\r") if segment]
    found = {fields[0]: fields for fields in reversed(segments)}
    said = found.get("MSA", [])
    if "MSH" not in found or len(said) < 3:
        return Answered(path, None, "what was answered is no acknowledgement", retryable=True)
    if said[2].strip() != message.split(b"\r")[0].decode("utf-8").split("|")[9]:
        return Answered(path, None, "another message was acknowledged", retryable=True)
    code = said[1].strip()
    if code in STORED:
        return Answered(path, 0, code)
    if code not in REJECTED | ERRORS:
        return Answered(path, None, "what was answered is no acknowledgement of HL7", retryable=True)
    fault = found.get("ERR", [])
    stated = fault[3].split("^")[0].strip() if len(fault) > 3 else ""
    retryable, why = CODES.get(stated, (code in ERRORS, "see its log"))
    return Answered(path, None, f"{code}{f' {stated}' if stated in CODES else ''}: {why}", retryable=retryable, heard=True)
