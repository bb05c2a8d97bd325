"""Delivery by STOW-RS: one transaction an object, so that each has an answer of its own (PS3.18 section 10.5)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx

from node.delivery import web
from node.delivery.answers import DUPLICATE, Answered, Disposal, judge
from node.delivery.web import Reply, client_of, exchange, parsed, refused, send_each
from node.recoding import as_wanted
from node.store.destinations import WebDestination
from node.store.errors import NotUnderstood
from node.store.part10 import read_head

ACCEPT: Final = "application/dicom+json"
_BLOCK: Final = 1 << 20

_FAILED: Final = "00081198"
_REFERENCED: Final = "00081199"
_FAILURE_REASON: Final = "00081197"
_WARNING_REASON: Final = "00081196"
_REFERENCED_UID: Final = "00081155"
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
        yield from send_each(client_of(self._destination, ACCEPT, self._transport), paths, "archive", self._store)

    def _store(self, client: httpx.Client, path: Path) -> Answered:
        try:
            with as_wanted(path, self._destination.transfer_syntaxes) as (file, size_bytes, note):
                uid = read_head(file).sop_instance_uid
                file.seek(0)
                reply = self._post(client, file, size_bytes)
        except NotUnderstood as broken:
            return Answered(path, None, str(broken))
        return replace(understood(path, uid, reply), note=note)

    def _post(self, client: httpx.Client, file: BinaryIO, size_bytes: int) -> Reply:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + size_bytes + len(tail)),
        }
        return exchange(client, "POST", f"{self._destination.url}/studies", content=_body(head, file, tail), headers=headers)


def ask(destination: WebDestination, timeout_s: float) -> str:
    """Query for one study; what is wrong, or nothing where the archive answers."""
    reply = web.ask(destination, ACCEPT, f"{destination.url}/studies", timeout_s, limit=1)
    if isinstance(reply, str):
        return reply
    return "" if reply.code in {200, 204} else f"HTTP {reply.code}: {_MEANINGS.get(reply.code, 'no answer to a query')}"


def _body(head: bytes, file: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    while block := file.read(_BLOCK):
        yield block
    yield tail


def understood(path: Path, uid: str, reply: Reply) -> Answered:
    """What an answer says of the one object that was sent.

    Of another object's success or failure nothing follows for ours. An archive that answers 200 and names our object neither as
    stored nor as failed has not said that it was stored: that is tried again. So is one that names it as failed for a reason that
    is none.

    Parameters
    ----------
    uid
        SOP Instance UID of the object.
    """
    code, payload = reply.code, _payload(reply.body)
    for item in _about(payload, _FAILED, uid):
        reason = _number(item, _FAILURE_REASON)
        if reason is not None and (judge(reason)[0] is not Disposal.STORED or reason == DUPLICATE):
            return Answered(path, reason, f"HTTP {code}")
        if code in {200, 202}:
            said = "without a reason" if reason is None else f"for reason {reason:04X}, which is none"
            untold = f"HTTP {code}, and the archive names the object as failed {said}"
            return Answered(path, None, untold, retryable=True, heard=True)
    if code not in {200, 202}:
        return refused(path, reply, "archive", _MEANINGS)
    for item in _about(payload, _REFERENCED, uid):
        warning = _number(item, _WARNING_REASON)
        return Answered(path, warning if warning and judge(warning)[0] is Disposal.STORED else 0, f"HTTP {code}")
    untold = f"HTTP {code}, but the archive does not say that it stored the object"
    return Answered(path, None, untold, retryable=True, heard=True)


def _payload(body: bytes) -> Mapping[str, Any]:
    found = parsed(body)
    if isinstance(found, list) and found:
        found = found[0]
    return found if isinstance(found, dict) else {}


def _items(payload: Mapping[str, Any], tag: str) -> list[Any]:
    element = payload.get(tag)
    value = element.get("Value") if isinstance(element, dict) else None
    return value if isinstance(value, list) else []


def _about(payload: Mapping[str, Any], sequence: str, uid: str) -> list[Mapping[str, Any]]:
    """Items of a sequence that are about our object: those that name it, in a list of failures also those that name none."""
    named = [(item, _items(item, _REFERENCED_UID)) for item in _items(payload, sequence) if isinstance(item, dict)]
    return [item for item, uids in named if uids == [uid] or (not uids and sequence == _FAILED)]


def _number(item: Mapping[str, Any], tag: str) -> int | None:
    values = _items(item, tag)
    return values[0] if values and isinstance(values[0], int) else None
