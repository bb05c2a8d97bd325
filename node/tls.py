"""TLS under associations, ours and our peers': contexts, and what a failed handshake means (PS3.15 section B.12).

TLS 1.2 with the cipher suites of RFC 9325 section 4.2, and TLS 1.3: the profile "BCP 195 RFC 8996, 9325". Nothing older is
offered.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.store.endpoint import Endpoint
from node.store.errors import ConfigurationError, OverreadError, Retryable
from node.store.settings import Tls

CIPHERS: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""Suites of TLS 1.2 (RFC 9325 section 4.2), as OpenSSL calls them; those of TLS 1.3 are all fit and stay as they are."""

_EXPIRED: Final = 10
_NOT_YET: Final = 9
_OTHER_HOST: Final = (62, 64)
"""OpenSSL's codes of a verification that failed (X509_V_ERR_…): name, address."""
_UNKNOWN_CA: Final = (2, 18, 19, 20, 21)

_MEANINGS: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS there: is the port right, is TLS switched on there?",
    "HTTP_REQUEST": "it does not speak TLS there, but HTTP",
    "UNSUPPORTED_PROTOCOL": "it offers only versions of TLS before 1.2: allow TLS 1.2 there",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it takes only versions of TLS before 1.2: allow TLS 1.2 there",
    "NO_SHARED_CIPHER": "it offers no cipher suite of BCP 195: allow ECDHE with AES-GCM there",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refused the handshake: it wants other cipher suites, or a client certificate",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no client certificate: give it one that client_ca signed",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it demands a client certificate: set certificate and key",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the CA of our certificate: add that CA there",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate: add its CA there",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it does not accept that kind of certificate from us",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired: renew it",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate was revoked: renew it",
    "TLSV1_ALERT_DECRYPT_ERROR": "it could not check our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it does not let us in with that certificate",
}
"""By OpenSSL's reason; these are what a person can do something about."""


class NoTls(Retryable):
    """No TLS came about with a peer that we call."""


def meaning(fault: OSError, name: str = "") -> str | None:
    """What a fault of TLS means for a person; None for one that is none of TLS, or says nothing, as those of probes.

    Parameters
    ----------
    name
        The host that the certificate must be for.
    """
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _mistrust(fault, name)
    if isinstance(fault, ssl.SSLError) and fault.reason:
        return _MEANINGS.get(fault.reason)
    return None


def _mistrust(fault: ssl.SSLCertVerificationError, name: str) -> str:
    code = fault.verify_code
    if code == _EXPIRED:
        return "its certificate has expired: have it renewed there"
    if code == _NOT_YET:
        return "its certificate is not valid yet: look at the clocks, there and here"
    if code in _OTHER_HOST:
        return f"its certificate is not for {name}: call it by a name in the certificate, or set tls_name"
    if code in _UNKNOWN_CA:
        return "its certificate is not signed by a CA that is trusted here: set ca, or tls.client_ca for a sender"
    return f"its certificate cannot be trusted ({fault.verify_message})"


def speaks_within(either: socket.socket, seconds: float) -> bool:
    """Whether the peer sends anything, its end of the connection included, within that time; with TLS or without."""
    if isinstance(either, ssl.SSLSocket) and either.pending():  # what it has read ahead
        return True
    poll = select.poll()
    poll.register(either, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def secured(plain: socket.socket, peer: Endpoint) -> ssl.SSLSocket:
    """The connection over TLS, once the peer's certificate is trusted (PS3.15 section B.12); it is closed where it is not.

    Raises
    ------
    NoTls
        With what it means for a person.
    ConfigurationError
        As `client_context`.
    """
    name = peer.tls_name or peer.host
    try:
        return client_context(peer).wrap_socket(plain, server_hostname=name)
    except OverreadError:
        plain.close()
        raise
    except (OSError, ValueError) as failed:  # ValueError: the name is none that a certificate can be for
        plain.close()
        said = meaning(failed, name) if isinstance(failed, OSError) else None
        reason = said or getattr(failed, "strerror", None) or str(failed)
        raise NoTls(f"no TLS with {peer}: {reason}") from failed


def client_context(peer: Endpoint) -> ssl.SSLContext:
    """For connections that we make to a peer.

    Raises
    ------
    ConfigurationError
        Where a file of the peer's settings cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    context.check_hostname = peer.verify_host
    if peer.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load("ca", peer.ca, lambda: context.load_verify_locations(peer.ca))
    if peer.certificate is not None and peer.key is not None:
        _load_own(context, peer.certificate, peer.key)
    return context


def server_context(tls: Tls) -> ssl.SSLContext:
    """For associations that peers request of us.

    Raises
    ------
    ConfigurationError
        Where a file of the settings cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0  # a session that was resumed would outlive the trust in its certificate
    _load_own(context, tls.certificate, tls.key)
    if tls.client_ca is not None:
        _load("client_ca", tls.client_ca, lambda: context.load_verify_locations(tls.client_ca))
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def locked() -> str:
        raise ConfigurationError(f"key {key} is locked with a password: give one without, readable by this user only")

    for what, path in (("certificate", certificate), ("key", key)):
        _load(what, path, path.read_bytes)
    try:
        context.load_cert_chain(certificate, key, password=locked)
    except ssl.SSLError as wrong:
        if wrong.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"key {key} is not that of certificate {certificate}: one of them is another's") from wrong
        raise ConfigurationError(
            f"certificate {certificate} and key {key} cannot be read: both must be PEM, the certificate first in its file"
        ) from wrong


def _load(what: str, path: Path, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as wrong:
        raise ConfigurationError(f"{what} {path} holds no certificates in PEM") from wrong
    except OSError as missing:
        raise ConfigurationError(f"{what} {path} cannot be read ({missing.strerror})") from missing
