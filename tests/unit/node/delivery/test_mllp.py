from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

from node.delivery.answers import Answered, Disposal, judge
from node.delivery.mllp import CODES, END, START, MllpSender
from node.store.destinations import Hl7Destination
from node.store.endpoint import Endpoint

MESSAGE = "MSH|^~\\&|||||20260304050607+0000||ORU^R01^ORU_R01|00000000000000000042|P|2.5.1||||||UNICODE UTF-8\rPID|1||P-17||Müller^Jürgen\rOBR|1||1|2^3^LN\r"
ACK = "MSH|^~\\&|R|F|OVERREAD||20260304||ACK^R01|9|P|2.5.1\rMSA|{code}|{control}{more}\r"
CONTROL = "00000000000000000042"

Play = Callable[[socket.socket], None]


class Kept(AbstractHandler):
    """Keeps what came, and acknowledges it."""

    def __init__(self, message: str, kept: list[str]) -> None:
        super().__init__(message)
        kept.append(message)

    def reply(self) -> str:
        control = parse_message(self.incoming_message).msh.msh_10.to_er7()
        return f"\x0b{ACK.format(code='AA', control=control, more='')}\x1c\r"


@contextlib.contextmanager
def interface(play: Play, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port behind which each connection is played with; ends whatever is open when it is left."""
    server = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError):
                connection = tls.wrap_socket(connection, server_side=True) if tls else connection
                open_ones.append(connection)
                play(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        for one in open_ones:
            one.close()
        thread.join()


def received(connection: socket.socket) -> bytes:
    held = b""
    while not held.endswith(END):
        came = connection.recv(4096)
        if not came:
            raise ConnectionResetError
        held += came
    return held.removeprefix(START).removesuffix(END)


def answering(reply: bytes) -> Play:
    def play(connection: socket.socket) -> None:
        received(connection)
        connection.sendall(reply)
        connection.close()

    return play


def framed(code: str, control: str = CONTROL, more: str = "") -> bytes:
    return START + ACK.format(code=code, control=control, more=more).encode() + END


def sent(port: int, path: Path, *, timeout_s: float = 60.0, **endpoint: object) -> Answered:
    path.write_bytes(MESSAGE.encode("utf-8"))
    there = Endpoint.model_validate({"host": "127.0.0.1", "port": port, **endpoint})
    destination = Hl7Destination(name="ris", mllp=there, receiving_application="RIS")
    (said,) = MllpSender(destination, timeout_s=timeout_s).send([path])
    return said


def test_a_server_that_is_not_ours_takes_a_message(tmp_path: Path) -> None:
    kept: list[str] = []
    with MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Kept, kept)}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            said = sent(server.server_address[1], tmp_path / "a.hl7")
        finally:
            server.shutdown()
            thread.join()

    assert said == Answered(tmp_path / "a.hl7", 0, "AA")
    assert judge(0)[0] is Disposal.STORED
    read = parse_message(kept[0])
    assert (read.msh.msh_3.to_er7(), read.msh.msh_5.to_er7(), read.msh.msh_10.to_er7()) == ("OVERREAD", "RIS", CONTROL)
    assert kept[0].split("\r")[1:] == MESSAGE.split("\r")[1:]


@pytest.mark.parametrize(
    ("reply", "stored", "retryable", "why"),
    [
        (framed("AA"), True, False, "AA"),
        (framed("CA"), True, False, "CA"),
        (b"noise" + framed("AA"), True, False, "AA"),
        (framed("AE"), False, True, "AE"),
        (framed("AR"), False, False, "AR"),
        (framed("CR"), False, False, "CR"),
        (framed("AE", more="\rERR|||101^Required field missing^HL70357|E"), False, False, "required field"),
        (framed("AE", more="\rERR|||204^Unknown key identifier^HL70357|E"), False, True, "does not know the patient"),
        (framed("AR", more="\rERR|||207^Application internal error^HL70357|E"), False, True, "failed by itself"),
        (framed("AA", control="other"), False, True, "another message"),
        (framed("XX"), False, True, "no acknowledgement"),
        (START + b"garbage" + END, False, True, "no acknowledgement"),
        (START + b"\xff\xfe\r\xff" + END, False, True, "no acknowledgement"),
        (framed("AA")[:-5], False, True, "before the acknowledgement was whole"),
        (b"", False, True, "before the acknowledgement was whole"),
    ],
)
def test_acknowledgements(reply: bytes, stored: bool, retryable: bool, why: str, tmp_path: Path) -> None:
    with interface(answering(reply)) as port:
        said = sent(port, tmp_path / "a.hl7")

    assert (said.status == 0, said.retryable) == (stored, retryable)
    assert why in said.reason


@pytest.mark.parametrize(
    ("reply", "heard"),
    [
        (framed("AE"), True),
        (framed("CE"), True),
        (framed("CR"), True),
        (framed("AE", more="\rERR|||204^Unknown key identifier^HL70357|E"), True),
        (framed("AE", control="other"), False),
        (START + b"garbage" + END, False),
        (b"", False),
    ],
)
def test_one_that_answers_our_message_with_an_error_is_not_down(reply: bytes, heard: bool, tmp_path: Path) -> None:
    with interface(answering(reply)) as port:
        assert sent(port, tmp_path / "a.hl7").heard is heard


def test_what_the_other_system_says_is_not_passed_on(tmp_path: Path) -> None:
    with interface(answering(framed("AR", more="|Patient Müller is dead\rERR|||999^Müller^L|E|||Müller"))) as port:
        said = sent(port, tmp_path / "a.hl7")

    assert "Müller" not in said.reason


def test_a_system_that_says_nothing_is_tried_again(tmp_path: Path) -> None:
    def silent(connection: socket.socket) -> None:
        received(connection)

    with interface(silent) as port:
        said = sent(port, tmp_path / "a.hl7", timeout_s=0.3)

    assert said.retryable
    assert "acknowledged nothing within 0.3 s" in said.reason


def test_an_acknowledgement_that_drips_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        received(connection)
        while not over.wait(0.02):
            connection.sendall(b"x")

    with interface(drip) as port:
        said = sent(port, tmp_path / "a.hl7", timeout_s=0.4)
        over.set()

    assert said.retryable


def test_a_system_that_breaks_off_in_mid_message_is_tried_again(tmp_path: Path) -> None:
    def cut(connection: socket.socket) -> None:
        connection.recv(1)
        connection.close()

    with interface(cut) as port:
        said = sent(port, tmp_path / "a.hl7")

    assert (said.status, said.retryable) == (None, True)


def test_nobody_there_is_tried_again(tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and does not listen
        assert sent(deaf.getsockname()[1], tmp_path / "a.hl7").retryable


def test_over_tls_only_who_is_trusted_gets_the_message(tmp_path: Path) -> None:
    ca, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))

    with interface(answering(framed("AA")), context) as port:
        trusted = sent(port, tmp_path / "a.hl7", tls=True, ca=tmp_path / "ca.pem")
        mistrusted = sent(port, tmp_path / "a.hl7", tls=True, ca=tmp_path / "other.pem")

    assert trusted.status == 0
    assert (mistrusted.status, mistrusted.retryable) == (None, True)
    assert "not signed by a CA that is trusted" in mistrusted.reason


def test_every_code_of_the_table_says_what_to_do() -> None:
    assert set(CODES) == {*map(str, range(100, 104)), *map(str, range(200, 208))}
