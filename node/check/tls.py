"""Whether the certificate for TLS can be used, and for how long: by a handshake with itself, in memory."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from node.certificate import encoded, validity
from node.check.peers import EVERYWHERE
from node.check.verdict import Checked, fault, note, ok
from node.store.errors import ConfigurationError
from node.store.settings import Settings, Tls
from node.tls import meaning, server_context

SOON: Final = timedelta(days=30)


def check_tls(settings: Settings) -> Iterator[Checked]:
    """Look at certificate, key and client CA as the listener will, at who has the port, and at what we show to whom we call."""
    for name, called in settings.called:
        if called.certificate and called.key:
            yield from _shown_to(name, called.certificate, called.key)
    tls = settings.tls
    if tls is None:
        return
    where = f"{settings.host}:{tls.port}"
    try:
        context = server_context(tls)
    except ConfigurationError as wrong:
        yield fault("tls", where, str(wrong), "correct [tls]; docs/configuration.md says what each file must hold")
        return
    yield from _openness(tls.key)
    yield _validity(tls.certificate, lambda: presented(context, tls.certificate))
    yield _port(settings.host, tls)


def _shown_to(name: str, certificate: Path, key: Path) -> Iterator[Checked]:
    try:
        as_server = server_context(Tls(certificate=certificate, key=key))
    except ConfigurationError as wrong:
        yield fault("tls", name, str(wrong), "correct its certificate and key")
        return
    yield from _openness(key)
    yield _validity(certificate, lambda: presented_by_client(as_server, certificate, key))


def _openness(key: Path) -> Iterator[Checked]:
    if key.stat().st_mode & 0o077:
        yield note("tls", str(key), "can be read by others than this user", f"chmod 600 {key}")


def _validity(certificate: Path, look: Callable[[], dict[str, Any]]) -> Checked:
    renew = "put a new certificate and key in place; no restart is needed"
    try:
        first, last = validity(certificate)
        now = datetime.now(UTC)
        if not first <= now <= last:
            said = f"has expired on {last:%Y-%m-%d}" if now > last else f"is not valid before {first:%Y-%m-%d %H:%M} UTC"
            return fault("tls", str(certificate), said, renew)
        found = look()
    except ConfigurationError as wrong:
        return fault("tls", str(certificate), str(wrong), renew)
    except ssl.SSLError as untrusted:
        said = (meaning(untrusted) or str(untrusted)).replace("its certificate", "it").partition(":")[0]
        return fault("tls", str(certificate), said, renew)
    names = ", ".join(value for _, value in found.get("subjectAltName", ())) or "no name: some peers will not trust it"
    said = f"valid until {last:%Y-%m-%d}, for {names}"
    if last - now < SOON:
        return note("tls", str(certificate), said, "renew it; no restart is needed")
    return ok("tls", str(certificate), said)


def presented(context: ssl.SSLContext, certificate: Path) -> dict[str, Any]:
    """The certificate that a server shows, as `ssl.SSLSocket.getpeercert` gives it.

    Raises
    ------
    ssl.SSLError
        Where it is not valid now, or not for servers.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    _trust(client, certificate)
    context.verify_mode = ssl.CERT_NONE
    return _meet(client, context)[0]


def presented_by_client(context: ssl.SSLContext, certificate: Path, key: Path) -> dict[str, Any]:
    """The certificate that a client shows to a server of `context`.

    Raises
    ------
    ssl.SSLError
        Where it is not valid now, or not for clients.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.load_cert_chain(certificate, key)
    _trust(context, certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return _meet(client, context)[1]


def _trust(context: ssl.SSLContext, certificate: Path) -> None:
    """Trust this certificate itself: whether its authority is trusted is for the peers to judge."""
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)


def _meet(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """A handshake in memory; what each side saw of the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_side=False)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    left = [asking, answering]
    for _ in range(10):  # three rounds are enough
        for side in list(left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(side)
        if not left:
            return dict(asking.getpeercert() or {}), dict(answering.getpeercert() or {})
    raise ssl.SSLError("no handshake came about")


def _port(host: str, tls: Tls) -> Checked:
    where = f"{host}:{tls.port}"
    try:
        socket.create_server((host, tls.port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as taken:
        if taken.errno != errno.EADDRINUSE:
            return fault("tls", where, f"cannot be listened on: {taken.strerror}", "choose another tls.port")
    else:
        return ok("tls", where, "free for DICOM over TLS")
    if tls.client_ca is not None and tls.require_client_certificate:
        return ok("tls", where, "is listened on; by whom is not asked, for that takes a sender's certificate")
    if _shown("127.0.0.1" if host in EVERYWHERE else host, tls.port) == encoded(tls.certificate):
        return ok("tls", where, "this certificate is shown there: this node runs")
    return fault(
        "tls",
        where,
        "another program has it, or one with another certificate",
        f"find it with: ss -ltnp 'sport = :{tls.port}', or choose another tls.port",
    )


def _shown(host: str, port: int) -> bytes | None:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE  # it is compared with ours, whoever shows it
    try:
        with socket.create_connection((host, port), 5) as connected, anybody.wrap_socket(connected) as secured:
            return secured.getpeercert(binary_form=True)
    except OSError:
        return None
