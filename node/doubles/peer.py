"""A scripted DICOM peer: does exactly what its script says, right or wrong, as requestor or as acceptor."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Self

from node import command_set, upper_layer
from node.command_set import Command
from node.upper_layer import Context


class Requestor:
    """Opens a connection and sends what it is told to, PDU by PDU.

    Parameters
    ----------
    contexts
        Proposed by `associate`.
    timeout_s
        How long it waits for the other side at each step.
    """

    def __init__(
        self,
        port: int,
        contexts: Sequence[Context] = (),
        calling_ae: str = "SCRIPT",
        called_ae: str = "OVERREAD",
        timeout_s: float = 10,
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._contexts = upper_layer.number_contexts(contexts)
        self._titles = calling_ae, called_ae

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def associate(self) -> upper_layer.Accepted:
        """Request the association; returns what was accepted."""
        self.send(upper_layer.associate_request(*self._titles, self._contexts, 16384))
        kind, body = self.receive()
        if kind != upper_layer.A_ASSOCIATE_AC:
            raise ConnectionError(f"PDU of type {kind} instead of an acceptance")
        return upper_layer.decode_accept(body)

    def command(self, context_id: int, encoded: bytes, control: int = upper_layer.COMMAND | upper_layer.LAST) -> None:
        self.send(upper_layer.data_header(context_id, control, len(encoded)) + encoded)

    def data(self, context_id: int, fragment: bytes, *, last: bool) -> None:
        self.command(context_id, fragment, upper_layer.LAST if last else 0)

    def receive(self) -> tuple[int, bytes]:
        """Type and content of the next PDU; ``(0, b"")`` where the connection was closed."""
        head = self._read(6)
        if len(head) < 6:
            return 0, b""
        kind, _, length = struct.unpack(">BBL", head)
        return kind, self._read(length)

    def response(self) -> Command:
        """The next response."""
        kind, body = self.receive()
        if kind != upper_layer.P_DATA_TF:
            raise ConnectionError(f"PDU of type {kind} instead of a response")
        return command_set.decode(b"".join(bytes(fragment) for _, _, fragment in upper_layer.data_values(memoryview(body))))

    def _read(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            try:
                piece = self.socket.recv(length - len(received))
            except ConnectionResetError:
                break
            if not piece:
                break
            received += piece
        return received


Script = Callable[[socket.socket], None]


class Acceptor:
    """Listens on loopback and runs one script for each connection, in turn; the last one for all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.connections = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            with accepted, contextlib.suppress(OSError):
                script(accepted)


def answer_after(count: int, then: bytes) -> Script:
    """A script: accept every context as proposed, answer `count` C-STOREs with success, send `then` and hang up."""

    def script(accepted: socket.socket) -> None:
        stream = accepted.makefile("rb")

        def pdu() -> tuple[int, bytes]:
            kind, _, length = struct.unpack(">BBL", stream.read(6).ljust(6, b"\0"))
            return kind, stream.read(length)

        _, request = pdu()
        accepted.sendall(accept_all(request))
        stored = 0
        request_command = b""
        while stored < count:
            kind, body = pdu()
            if kind != upper_layer.P_DATA_TF:
                return
            for context_id, control, fragment in upper_layer.data_values(memoryview(body)):
                if control & upper_layer.COMMAND:
                    request_command = bytes(fragment)
                elif control & upper_layer.LAST:
                    response = command_set.response(command_set.decode(request_command), 0)
                    accepted.sendall(upper_layer.data_header(context_id, 3, len(response)) + response)
                    stored += 1
        pdu()
        accepted.sendall(then)

    return script


def accept_all(request: bytes) -> bytes:
    """An A-ASSOCIATE-AC that accepts the first transfer syntax of each context."""
    items = b""
    for kind, value in upper_layer.items(request[68:]):
        if kind == 0x20:
            syntax = next(content for inner, content in upper_layer.items(value[4:]) if inner == 0x40)
            result = struct.pack(">BBBB", value[0], 0, 0, 0) + struct.pack(">BBH", 0x40, 0, len(syntax)) + syntax
            items += struct.pack(">BBH", 0x21, 0, len(result)) + result
        else:
            items += struct.pack(">BBH", kind, 0, len(value)) + value
    body = request[:68] + items
    return struct.pack(">BBL", upper_layer.A_ASSOCIATE_AC, 0, len(body)) + body
