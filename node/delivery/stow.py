"""Delivery by STOW-RS: one transaction an object, so that each has an answer of its own (PS3.18 section 10.5)."""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from node.delivery.answers import Answered
from node.store.destinations import FhirDestination, WebDestination
from node.store.errors import ConfigurationError

TIMEOUT_S: Final = 60.0
"""Longest wait for each step of the archive."""
_BLOCK: Final = 1 << 20

_FAILED: Final = "00081198"
_REFERENCED: Final = "00081199"
_FAILURE_REASON: Final = "00081197"
_WARNING_REASON: Final = "00081196"
"""Tags of the response's payload (PS3.18 section 10.5.3.3, table 10.5.3-2)."""

_MEANINGS: Final = {
    400: "the archive does not understand the transaction: see its log",
    401: "the archive wants other credentials: see token_file, or user and password_file",
    403: "the archive does not allow us to store: give these credentials the right to",
    404: "there is no DICOMweb service at that url: see url",
    405: "the service at that url does not store: see url",
    411: "the archive wants a length that it was given: see what is between us",
    413: "the object is larger than the archive, or a proxy before it, takes: raise the limit there",
    415: "the archive does not take this kind of object or transfer syntax",
}
_TEMPORARY: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that another try may find put right; as are all of 5xx."""


class StowSender:
    """Sends files to one archive.

    Parameters
    ----------
    transport
        Of httpx, for tests that stand between.
    """

    def __init__(self, destination: WebDestination, transport: httpx.BaseTransport | None = None) -> None:
        self._destination = destination
        self._transport = transport

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        """Send files over one connection; one answer for each.

        Raises
        ------
        ConfigurationError
            Where the credentials or certificates of the settings cannot be read.
        """
        with self.client() as client:
            for path in paths:
                yield self._store(client, path)

    def client(self) -> httpx.Client:
        """A client with the destination's credentials and certificates."""
        return client_of(self._destination, "application/dicom+json", self._transport)

    def _store(self, client: httpx.Client, path: Path) -> Answered:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
        }
        try:
            response = client.post(f"{self._destination.url}/studies", content=_body(head, path, tail), headers=headers)
        except httpx.HTTPError as fault:
            return Answered(path, None, f"the archive did not answer ({type(fault).__name__})", retryable=True)
        return understood(path, response.status_code, response.content)


def client_of(
    destination: WebDestination | FhirDestination, accept: str, transport: httpx.BaseTransport | None = None
) -> httpx.Client:
    """A client with a destination's credentials and certificates.

    Raises
    ------
    ConfigurationError
        Where they cannot be read.
    """
    one = destination
    try:
        verify = ssl.create_default_context(cafile=str(one.ca)) if one.ca else ssl.create_default_context()
        headers = {"Accept": accept}
        auth = None
        if one.token_file:
            headers["Authorization"] = f"Bearer {one.token_file.read_text(encoding='utf-8').strip()}"
        elif one.user:
            password = one.password_file.read_text(encoding="utf-8").strip() if one.password_file else ""
            auth = httpx.BasicAuth(one.user, password)
    except (OSError, ssl.SSLError) as fault:
        raise ConfigurationError(
            f"destination {one.name}: token_file, password_file or ca cannot be read ({fault.strerror})"
        ) from fault
    return httpx.Client(verify=verify, headers=headers, auth=auth, timeout=TIMEOUT_S, trust_env=False, transport=transport)


def ask(destination: WebDestination, timeout_s: float) -> str:
    """Query for one study; what is wrong, or nothing where the archive answers."""
    try:
        with StowSender(destination).client() as client:
            code = client.get(f"{destination.url}/studies", params={"limit": 1}, timeout=timeout_s).status_code
    except ConfigurationError as fault:
        return str(fault)
    except httpx.HTTPError as fault:
        return f"does not answer ({type(fault).__name__})"
    return "" if code in {200, 204} else f"HTTP {code}: {_MEANINGS.get(code, 'no answer to a query')}"


def _body(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
    yield tail


def understood(path: Path, code: int, body: bytes) -> Answered:
    """What a response says of the one object that was sent.

    An archive that answers 200 and names the object neither as stored nor as failed has not said that it was stored: that is
    tried again.
    """
    payload = _payload(body)
    failure = _first_reason(payload, _FAILED, _FAILURE_REASON)
    if failure is not None:
        return Answered(path, failure, f"HTTP {code}")
    if code in {200, 202} and _items(payload, _REFERENCED):
        return Answered(path, _first_reason(payload, _REFERENCED, _WARNING_REASON) or 0, f"HTTP {code}")
    if code in {200, 202}:
        return Answered(path, None, f"HTTP {code}, but the archive does not say that it stored the object", retryable=True)
    meaning = _MEANINGS.get(code, "the archive failed" if code >= 500 else "the archive refused it")
    return Answered(path, None, f"HTTP {code}: {meaning}", retryable=code >= 500 or code in _TEMPORARY)


def _payload(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    if isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else {}


def _items(payload: Mapping[str, Any], tag: str) -> list[Any]:
    element = payload.get(tag)
    value = element.get("Value") if isinstance(element, dict) else None
    return value if isinstance(value, list) else []


def _first_reason(payload: Mapping[str, Any], sequence: str, tag: str) -> int | None:
    for item in _items(payload, sequence):
        reasons = _items(item, tag) if isinstance(item, dict) else []
        if reasons and isinstance(reasons[0], int):
            return reasons[0]
    return None
