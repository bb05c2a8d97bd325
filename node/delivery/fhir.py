"""Delivery to a FHIR R4 server: a transaction an answer, which creates nothing that is there already (section 3.1.0.11)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from node.delivery import web
from node.delivery.answers import Answered
from node.delivery.web import TEMPORARY, Reply, client_of, exchange, parsed, refused, send_each
from node.store.destinations import FhirDestination

CONTENT_TYPE: Final = "application/fhir+json"

_MEANINGS: Final = {
    400: "the server does not understand the transaction: see its log",
    401: "the server wants other credentials: see token_file, or user and password_file",
    403: "the server does not allow us to create: give these credentials the right to",
    404: "there is no FHIR service at that address: see fhir",
    405: "the service at that address takes no transactions: see fhir",
    409: "the server was changing the same at that moment",
    412: "the server has several resources of one of our identifiers: clear that up there",
    413: "the message is larger than the server, or a proxy before it, takes: raise the limit there",
    415: "the server does not take JSON",
    422: "the server's rules do not allow one of the resources: see its log",
    429: "the server wants fewer messages",
}
_TEMPORARY: Final = TEMPORARY | {409}


class FhirSender:
    """Sends files, each a transaction, to one server.

    Parameters
    ----------
    transport
        Of httpx, for tests that stand between.
    """

    def __init__(self, destination: FhirDestination, transport: httpx.BaseTransport | None = None) -> None:
        self._destination = destination
        self._transport = transport

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        """Send transactions over one connection; one answer for each.

        Raises
        ------
        ConfigurationError
            Where the credentials or certificates of the settings cannot be read.
        """
        yield from send_each(client_of(self._destination, CONTENT_TYPE, self._transport), paths, "server", self._post)

    def _post(self, client: httpx.Client, path: Path) -> Answered:
        content = path.read_bytes()
        headers = {"Content-Type": f"{CONTENT_TYPE}; charset=utf-8"}
        reply = exchange(client, "POST", self._destination.fhir, content=content, headers=headers)
        return understood(path, reply, len(json.loads(content)["entry"]))


def understood(path: Path, reply: Reply, entries: int) -> Answered:
    """What an answer says of a transaction of so many entries.

    A server that answers 200 without a created or found resource for each has not said that they are there: that is tried again.
    """
    if reply.code not in {200, 201}:
        return refused(path, reply, "server", _MEANINGS, _TEMPORARY)
    said = _statuses(reply.body)
    if len(said) == entries and all(status[:3] in {"200", "201"} for status in said):
        return Answered(path, 0, f"HTTP {reply.code}")
    untold = f"HTTP {reply.code}, but the server does not say that it has all of it"
    return Answered(path, None, untold, retryable=True, heard=True)


def ask(destination: FhirDestination, timeout_s: float) -> str:
    """Ask for the capability statement; what is wrong, or nothing where the server answers with one of R4."""
    reply = web.ask(destination, CONTENT_TYPE, f"{destination.fhir}/metadata", timeout_s)
    if isinstance(reply, str):
        return reply
    if reply.code != 200:
        return f"HTTP {reply.code}: {_MEANINGS.get(reply.code, 'no capability statement')}"
    version = str(_json(reply.body).get("fhirVersion") or "")
    return "" if version.startswith("4.") else f"speaks FHIR {version or 'of no version'}, not R4"


def _json(body: bytes) -> dict[str, Any]:
    found = parsed(body)
    return found if isinstance(found, dict) else {}


def _statuses(body: bytes) -> list[str]:
    bundle = _json(body)
    entries = bundle.get("entry")
    if bundle.get("type") != "transaction-response" or not isinstance(entries, list):
        return []
    responses = [entry.get("response") for entry in entries if isinstance(entry, dict)]
    return [str(response.get("status") or "") for response in responses if isinstance(response, dict)]
