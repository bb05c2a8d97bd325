"""Looking in a web archive for what it was sent: QIDO-RS, by SOP Instance UID (PS3.18 section 10.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import httpx

from node.delivery.web import Reply, client_of, exchange, parsed
from node.store.destinations import WebDestination
from node.store.errors import Permanent, Retryable

ACCEPT: Final = "application/dicom+json"
_SOP_INSTANCE_UID: Final = "00080018"
_FINAL: Final = {
    400: "it does not understand the query",
    405: "the service at its url answers no queries",
    406: "it does not answer in DICOM JSON",
    413: "it finds its own answer too large",
    501: "it does not offer queries",
}
_PASSING: Final = {
    401: "it wants other credentials: see token_file, or user and password_file",
    403: "it does not allow us to query: give these credentials the right to",
    404: "there is no DICOMweb service at its url: see url",
    429: "it wants fewer requests",
}


def missing_of_web(
    destination: WebDestination, instances: Sequence[tuple[str, str, str]], transport: httpx.BaseTransport | None = None
) -> set[str]:
    """SOP Instance UIDs, of `instances` (UIDs of study, series and instance), that a web archive does not find.

    Only an answer that names the instance finds it.

    Parameters
    ----------
    transport
        Of httpx, for tests that stand between.

    Raises
    ------
    OverreadError
        Where the archive does not answer; `Permanent` where it never will.
    """
    try:
        with client_of(destination, ACCEPT, transport) as client:
            return {uid for study, series, uid in instances if uid not in _found(client, destination, study, series, uid)}
    except httpx.HTTPError as fault:
        raise Retryable(f"the archive did not answer a query ({type(fault).__name__})") from fault


def _found(client: httpx.Client, destination: WebDestination, study_uid: str, series_uid: str, uid: str) -> set[str]:
    """UIDs that a search for one instance answers with."""
    series = f"{destination.url}/studies/{study_uid}/series/{series_uid}"
    reply = exchange(client, "GET", f"{series}/instances", params={"SOPInstanceUID": uid})
    if reply.code == 404:
        # some archives say so of a series that they have not; only then does their service answer a query of studies
        _answered(exchange(client, "GET", f"{destination.url}/studies", params={"StudyInstanceUID": study_uid, "limit": 1}))
        return set()
    return set(_answered(reply))


def _answered(reply: Reply) -> list[str]:
    """SOP Instance UIDs of the answers to a query; 204, and an empty list, say that there are none."""
    if reply.code == 204:
        return []
    if reply.code in _FINAL:
        raise Permanent(f"asked for what it was sent, the archive answered HTTP {reply.code}: {_FINAL[reply.code]}")
    if reply.code != 200:
        meaning = _PASSING.get(reply.code, "it failed" if reply.code >= 500 else "no answer to a query")
        raise Retryable(f"asked for what it was sent, the archive answered HTTP {reply.code}: {meaning}")
    answers = parsed(reply.body)
    if not isinstance(answers, list):
        raise Retryable("asked for what it was sent, the archive answered with what is no DICOM JSON")
    return [uid for one in answers if (uid := _uid(one))]


def _uid(answer: Any) -> str:
    element = answer.get(_SOP_INSTANCE_UID) if isinstance(answer, dict) else None
    value = element.get("Value") if isinstance(element, dict) else None
    return str(value[0]) if isinstance(value, list) and value else ""
