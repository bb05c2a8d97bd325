"""Associations over TLS: both ways of trust, what is refused and what is said of it, renewal, probes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node import upper_layer
from node.association import Association, AssociationLost, AssociationRejected, echo
from node.doubles.intake import MemoryIntake
from node.doubles.peer import Requestor
from node.listener.listener import Listener
from node.store.errors import ConfigurationError
from node.store.peers import Peer
from node.store_scu import StoreScu
from node.tls import CIPHERS
from node.upper_layer import Context
from tests.certificates import Authority, Files
from tests.unit.node.listener.conftest import Start
from tests.unit.node.listener.encoded import CT, EXPLICIT, encode, image, write
from tests.unit.node.listener.test_session import CONTEXTS, eventually, stored_files

ECHO = [Context("1.2.840.10008.1.1", ("1.2.840.10008.1.2",))]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> Files:
    return authority.issue("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def sender(authority: Authority) -> Files:
    return authority.issue("ct-1.hospital.example", file="sender")


def table(files: Files, **more: Any) -> dict[str, Any]:
    return {"tls": {"port": 0, "certificate": files.certificate, "key": files.key, **more}}


def peer_of(listener: Listener, **more: Any) -> Peer:
    values = {"ae_title": "OVERREAD", "host": "127.0.0.1", "port": listener.tls_port, "tls": True, **more}
    return Peer.model_validate(values)


@pytest.fixture
def secured(start: Start, files: Files) -> Listener:
    return start(table(files))


@pytest.fixture
def mutual(start: Start, files: Files, authority: Authority) -> Listener:
    return start(table(files, client_ca=authority.ca))


def test_objects_arrive_over_tls_as_they_were_sent(secured: Listener, authority: Authority, tmp_path: Path) -> None:
    content = image(pixels=os.urandom(700_000))
    [verdict] = StoreScu(peer_of(secured, ca=authority.ca), "CT_1").send([write(tmp_path, content, EXPLICIT)])
    assert (verdict.status, verdict.stored) == (0, True)
    [path] = stored_files(secured)
    assert path.read_bytes().endswith(encode(content))


def test_plain_dicom_is_accepted_beside_it(secured: Listener, authority: Authority) -> None:
    assert echo(Peer(ae_title="OVERREAD", host="127.0.0.1", port=secured.port), "CT_1") == 0
    assert echo(peer_of(secured, ca=authority.ca), "CT_1") == 0


def test_plain_dicom_can_be_left_out(start: Start, files: Files, authority: Authority) -> None:
    listener = start(table(files, only=True))
    with pytest.raises(ConfigurationError):
        _ = listener.port
    assert echo(peer_of(listener, ca=authority.ca), "CT_1") == 0


def test_versions_and_suites_are_those_of_the_profile(secured: Listener, start: Start, authority: Authority) -> None:
    with Association(peer_of(secured, ca=authority.ca), "CT_1", ECHO) as association:
        assert isinstance(association._socket, ssl.SSLSocket)
        assert association._socket.version() == "TLSv1.3"
    rsa = start(table(authority.issue("127.0.0.1", file="rsa", rsa=True)))
    for suite in CIPHERS:
        assert handshake(rsa if "RSA" in suite else secured, suite) == ("TLSv1.2", suite)
    with pytest.raises(ssl.SSLError):
        handshake(secured, "ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError):
        handshake(secured, "AES128-GCM-SHA256")


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_older_versions_are_refused_and_told(secured: Listener, intake: MemoryIntake) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(secured, "ALL:@SECLEVEL=0", ssl.TLSVersion.TLSv1_1)
    assert eventually(lambda: intake.tallies)
    [(kind, detail)] = intake.tallies
    assert kind == "connection refused"
    assert "allow TLS 1.2 there" in detail


def handshake(listener: Listener, ciphers: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> tuple[str | None, str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", listener.tls_port), 10) as plain, context.wrap_socket(plain) as made:
        suite = made.cipher()
        assert suite
        return made.version(), suite[0]


def test_a_sender_with_a_certificate_of_ours_is_let_in(mutual: Listener, authority: Authority, sender: Files) -> None:
    peer = peer_of(mutual, ca=authority.ca, certificate=sender.certificate, key=sender.key)
    assert echo(peer, "CT_1") == 0


def test_a_sender_without_one_is_told_and_so_is_the_administrator(
    mutual: Listener, authority: Authority, intake: MemoryIntake
) -> None:
    with pytest.raises(AssociationLost, match="demands a client certificate: set certificate and key"):
        echo(peer_of(mutual, ca=authority.ca), "CT_1")
    assert eventually(lambda: intake.tallies)
    [(kind, detail)] = intake.tallies
    assert kind == "connection refused"
    assert "127.0.0.1 was not understood, it showed no client certificate: give it one" in detail


def test_a_sender_of_another_authority_is_not_let_in(
    mutual: Listener, authority: Authority, intake: MemoryIntake, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "elsewhere").issue("ct-1.elsewhere.example")
    with pytest.raises(AssociationLost, match="does not trust the CA of our certificate"):
        echo(peer_of(mutual, ca=authority.ca, certificate=stranger.certificate, key=stranger.key), "CT_1")
    assert eventually(lambda: intake.tallies)
    assert "tls.client_ca" in next(iter(intake.tallies))[1]


def test_an_ae_title_may_be_bound_to_a_certificate(
    start: Start, authority: Authority, files: Files, sender: Files, intake: MemoryIntake
) -> None:
    source = {"ae_title": "CT_1", "certificate": "ct-1.hospital.example"}
    listener = start({**table(files, client_ca=authority.ca), "accept": "listed", "sources": [source]})
    own = {"ca": authority.ca, "certificate": sender.certificate, "key": sender.key}
    assert echo(peer_of(listener, **own), "CT_1") == 0
    other = authority.issue("mr-1.hospital.example", file="mr")
    with pytest.raises(AssociationRejected, match="does not know our AE title"):
        echo(peer_of(listener, **{**own, "certificate": other.certificate, "key": other.key}), "CT_1")
    with pytest.raises(AssociationRejected):
        echo(Peer(ae_title="OVERREAD", host="127.0.0.1", port=listener.port), "CT_1")
    assert eventually(lambda: len(intake.tallies) == 2)
    said = sorted(detail for _, detail in intake.tallies)
    assert "must show a certificate for ct-1.hospital.example, it showed none" in said[0]
    assert "it showed one for mr-1.hospital.example" in said[1]


def test_a_certificate_may_be_left_out_where_it_is_not_required(start: Start, files: Files, authority: Authority) -> None:
    listener = start(table(files, client_ca=authority.ca, require_client_certificate=False))
    assert echo(peer_of(listener, ca=authority.ca), "CT_1") == 0


def test_whom_we_do_not_trust_we_do_not_call(secured: Listener, tmp_path: Path) -> None:
    with pytest.raises(AssociationLost, match="not signed by a CA that is trusted here: set ca"):
        echo(peer_of(secured, ca=Authority(tmp_path, "elsewhere").ca), "CT_1")
    with pytest.raises(AssociationLost, match="not signed by a CA that is trusted here"):
        echo(peer_of(secured), "CT_1")


def test_an_expired_certificate_is_named(capfd: pytest.CaptureFixture[str], start: Start, authority: Authority) -> None:
    listener = start(table(authority.issue("127.0.0.1", file="old", valid_days=-1)))
    said = capfd.readouterr()
    assert "the certificate has expired" in said.out + said.err
    with pytest.raises(AssociationLost, match="its certificate has expired: have it renewed"):
        echo(peer_of(listener, ca=authority.ca), "CT_1")


def test_a_certificate_for_another_host_is_named_and_can_be_allowed(start: Start, authority: Authority) -> None:
    listener = start(table(authority.issue("pacs.hospital.example", file="pacs")))
    with pytest.raises(AssociationLost, match=r"not for 127\.0\.0\.1: call it by a name in the certificate, or set tls_name"):
        echo(peer_of(listener, ca=authority.ca), "CT_1")
    assert echo(peer_of(listener, ca=authority.ca, tls_name="pacs.hospital.example"), "CT_1") == 0
    assert echo(peer_of(listener, ca=authority.ca, verify_host=False), "CT_1") == 0


def test_a_peer_without_tls_is_named(secured: Listener, authority: Authority, intake: MemoryIntake) -> None:
    with pytest.raises(AssociationLost, match="no TLS with OVERREAD@127"):
        echo(peer_of(secured, ca=authority.ca, port=secured.port), "CT_1")
    assert eventually(lambda: intake.tallies)
    assert "it speaks TLS to the port for plain DICOM" in next(iter(intake.tallies))[1]


def test_plain_dicom_to_the_port_for_tls_is_told(secured: Listener, intake: MemoryIntake) -> None:
    with pytest.raises(AssociationLost):
        echo(Peer(ae_title="OVERREAD", host="127.0.0.1", port=secured.tls_port), "CT_1")
    assert eventually(lambda: intake.tallies)
    assert "it speaks plain DICOM to the port for TLS" in next(iter(intake.tallies))[1]


def test_certificates_are_renewed_without_a_restart(start: Start, authority: Authority, tmp_path: Path) -> None:
    old = authority.issue("127.0.0.1", file="before", valid_days=-1)
    used = Files(tmp_path / "used.pem", tmp_path / "used.key")
    shutil.copy(old.certificate, used.certificate)
    shutil.copy(old.key, used.key)
    listener = start(table(used))
    peer = peer_of(listener, ca=authority.ca)
    with pytest.raises(AssociationLost, match="expired"):
        echo(peer, "CT_1")
    new = authority.issue("127.0.0.1", file="after")
    shutil.copy(new.certificate, used.certificate)
    with pytest.raises(AssociationLost, match="expired"):
        echo(peer, "CT_1")  # half of the renewal: the last good pair stays
    shutil.copy(new.key, used.key)
    assert echo(peer, "CT_1") == 0


@pytest.mark.parametrize("wrong", ["missing", "another's key", "text", "locked", "no CA"])
def test_files_that_cannot_be_used_are_named_at_the_start(
    start: Start, files: Files, sender: Files, tmp_path: Path, wrong: str
) -> None:
    text = tmp_path / "text.pem"
    text.write_text("Dear colleague")
    tables = {
        "missing": (table(Files(tmp_path / "none.pem", files.key)), "none.pem cannot be read"),
        "another's key": (table(Files(files.certificate, sender.key)), "is not that of certificate"),
        "text": (table(Files(text, files.key)), "must be PEM"),
        "locked": (table(Files(files.certificate, locked(files.key, tmp_path))), "locked with a password"),
        "no CA": (table(files, client_ca=text), "client_ca .*text.pem holds no certificates"),
    }
    values, says = tables[wrong]
    with pytest.raises(ConfigurationError, match=says):
        start(values)


def locked(key: Path, folder: Path) -> Path:
    from cryptography.hazmat.primitives import serialization as made

    private = made.load_pem_private_key(key.read_bytes(), None)
    path = folder / "locked.key"
    protection = made.BestAvailableEncryption(b"secret")
    path.write_bytes(private.private_bytes(made.Encoding.PEM, made.PrivateFormat.PKCS8, protection))
    return path


def test_stop_ends_associations_over_tls(start: Start, files: Files, authority: Authority) -> None:
    listener = start(table(files))
    association = Association(peer_of(listener, ca=authority.ca), "CT_1", ECHO)
    began = time.monotonic()
    listener.stop(drain_s=0.2)
    assert time.monotonic() - began < 5
    with pytest.raises(AssociationLost):
        association.echo()


def test_a_handshake_that_drips_is_ended(start: Start, files: Files) -> None:
    listener = start(table(files), negotiation_s=1.0)
    with socket.create_connection(("127.0.0.1", listener.tls_port)) as probe:
        probe.sendall(b"\x16\x03\x01\x02\x00")
        assert eventually(lambda: listener.open_connections == 1)
        until = time.monotonic() + 20
        with contextlib.suppress(OSError):
            while time.monotonic() < until and listener.open_connections:
                probe.sendall(b"\x01")
                time.sleep(0.05)
    assert eventually(lambda: listener.open_connections == 0)


GARBAGE = (
    b"",
    b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    b"\x16\x03\x01\xff\xff" + bytes(50),
    b"\x80\x2e\x01\x00\x02",
    b"\x16",
    b"\0" * 40,
)


def test_probes_of_the_port_for_tls_leave_nothing_and_say_nothing(
    capfd: pytest.CaptureFixture[str], secured: Listener, intake: MemoryIntake, authority: Authority
) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    assert eventually(lambda: secured.open_connections == 0)
    threads, opened = threading.active_count(), descriptors()
    capfd.readouterr()
    for number in range(350):
        with socket.create_connection(("127.0.0.1", secured.tls_port)) as probe, contextlib.suppress(OSError):
            probe.sendall(GARBAGE[number % len(GARBAGE)])
    assert eventually(lambda: secured.open_connections == 0)
    assert eventually(lambda: threading.active_count() <= threads)
    assert eventually(lambda: descriptors() <= opened)
    seen = capfd.readouterr()
    assert seen.out + seen.err == ""
    assert not intake.tallies
    assert echo(peer_of(secured, ca=authority.ca), "NEXT") == 0


def test_bytes_that_came_with_the_handshake_are_not_lost(secured: Listener, authority: Authority) -> None:
    """What OpenSSL has decrypted and nobody has read is no longer in the system's buffer."""
    context = ssl.create_default_context(cafile=str(authority.ca))
    with Requestor(secured.tls_port, CONTEXTS) as requestor:
        requestor.socket = context.wrap_socket(requestor.socket, server_hostname="127.0.0.1")
        requestor.associate()
        content = encode(image(1))
        from node import command_set

        command = command_set.store_request(7, CT, "1.2.3.4.1")
        pdus = upper_layer.data_header(1, 3, len(command)) + command + upper_layer.data_header(1, 2, len(content)) + content
        requestor.send(pdus + upper_layer.RELEASE_REQUEST)
        assert requestor.response().number(command_set.STATUS) == 0
        assert requestor.receive()[0] == upper_layer.A_RELEASE_RP


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="node").do_handshake()
    return outgoing.read()


HELLO = client_hello()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, len(HELLO)),
    st.lists(st.tuples(st.integers(0, len(HELLO) - 1), st.integers(0, 255)), max_size=5),
    st.binary(max_size=64),
)
def test_whatever_a_handshake_holds_the_next_one_is_served(
    secured: Listener, authority: Authority, cut: int, changes: list[tuple[int, int]], more: bytes
) -> None:
    sent = bytearray(HELLO)
    for at, value in changes:
        sent[at] = value
    with socket.create_connection(("127.0.0.1", secured.tls_port)) as probe, contextlib.suppress(OSError):
        probe.sendall(bytes(sent[:cut]) + more)
    assert eventually(lambda: secured.open_connections == 0)
    assert echo(peer_of(secured, ca=authority.ca), "NEXT") == 0
    assert eventually(lambda: secured.open_connections == 0)
