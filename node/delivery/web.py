"""What is shared by all that speaks HTTP to destinations: a client with their credentials, requests, what a refusal means."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx

from node.delivery.answers import Answered
from node.store.destinations import AnyHttpDestination
from node.store.errors import ConfigurationError

TIMEOUT_S: Final = 60.0
"""Longest wait for each step of the other side."""

LONGEST_S: Final = 600.0
"""Longest wait for a whole answer, once it has begun."""
LARGEST: Final = 16 << 20
"""Bytes of an answer; no service that we ask has more to say."""
TEMPORARY: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that another try may find put right; as are all of 3xx, for nobody is followed elsewhere, and of 5xx."""
_CONFLICT: Final = 409
"""Of a request with another: what the service says of one object, not of itself."""
_MOVED: Final = "it says that the service is elsewhere: correct the address"


class Endless(httpx.HTTPError):
    """An answer came to no end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer.

    Parameters
    ----------
    again_after_s
        Seconds before which it wants no other try (RFC 9110 section 10.2.3); None: it does not say.
    """

    code: int
    body: bytes
    again_after_s: float | None = None


def client_of(destination: AnyHttpDestination, accept: str, transport: httpx.BaseTransport | None = None) -> httpx.Client:
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
        return httpx.Client(verify=verify, headers=headers, auth=auth, timeout=TIMEOUT_S, trust_env=False, transport=transport)
    except (OSError, UnicodeError) as fault:
        said = (isinstance(fault, OSError) and fault.strerror) or type(fault).__name__
        raise ConfigurationError(f"destination {one.name}: token_file, password_file or ca cannot be used ({said})") from fault


def exchange(client: httpx.Client, method: str, url: str, **given: Any) -> Reply:
    """Send one request, and take its whole answer if that is of any sense.

    Parameters
    ----------
    given
        As `httpx.Client.stream` takes them.

    Raises
    ------
    httpx.HTTPError
        Where there is no answer, or none that ends.
    """
    try:
        with client.stream(method, url, **given) as response:
            until, body = time.monotonic() + LONGEST_S, bytearray()
            for piece in response.iter_bytes():
                body += piece
                if len(body) > LARGEST or time.monotonic() > until:
                    raise Endless("an answer came to no end")
            return Reply(response.status_code, bytes(body), _again_after_s(response.headers.get("Retry-After", "")))
    except (httpx.InvalidURL, UnicodeError) as wrong:
        raise httpx.UnsupportedProtocol("the address is none") from wrong


def _again_after_s(value: str) -> float | None:
    """Seconds of a Retry-After, which may be a number or a date; None where it is neither."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def send_each(
    client: httpx.Client, paths: Sequence[Path], whom: str, post: Callable[[httpx.Client, Path], Answered]
) -> Iterator[Answered]:
    """Post files over one connection, which is closed at the end; one answer for each, also where `whom` gives none."""
    with client:
        for path in paths:
            try:
                said = post(client, path)
            except httpx.HTTPError as fault:
                said = Answered(path, None, f"the {whom} did not answer ({type(fault).__name__})", retryable=True)
            except OSError as fault:
                said = Answered(path, None, f"the result file cannot be read here: {fault.strerror}", retryable=True)
            yield said


def refused(path: Path, reply: Reply, whom: str, meanings: Mapping[int, str], temporary: Collection[int] = TEMPORARY) -> Answered:
    """What an answer says that is no success."""
    code = reply.code
    otherwise = f"the {whom} failed" if code >= 500 else _MOVED if code < 400 else f"the {whom} refused it"
    retryable = code >= 500 or code < 400 or code in temporary
    return Answered(
        path,
        None,
        f"HTTP {code}: {meanings.get(code, otherwise)}",
        retryable=retryable,
        again_after_s=reply.again_after_s,
        heard=not retryable or code == _CONFLICT,
    )


def ask(destination: AnyHttpDestination, accept: str, url: str, timeout_s: float, **query: int) -> Reply | str:
    """Get something that every such service has; its answer, or what is wrong."""
    try:
        with client_of(destination, accept) as client:
            return exchange(client, "GET", url, params=query, timeout=timeout_s)
    except ConfigurationError as fault:
        return str(fault)
    except httpx.HTTPError as fault:
        return f"does not answer ({type(fault).__name__})"


def parsed(body: bytes) -> Any:
    """A body that should be JSON; None where it is not."""
    try:
        return json.loads(body)
    except ValueError:
        return None
