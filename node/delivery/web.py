"""What delivery by HTTP shares: a client with a destination's credentials, a request a file, what a refusal means."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from node.delivery.answers import Answered
from node.store.destinations import AnyHttpDestination
from node.store.errors import ConfigurationError

TIMEOUT_S: Final = 60.0
"""Longest wait for each step of the other side."""

TEMPORARY: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that another try may find put right; as are all of 5xx."""


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
    except (OSError, ssl.SSLError) as fault:
        raise ConfigurationError(
            f"destination {one.name}: token_file, password_file or ca cannot be read ({fault.strerror})"
        ) from fault
    return httpx.Client(verify=verify, headers=headers, auth=auth, timeout=TIMEOUT_S, trust_env=False, transport=transport)


def send_each(
    client: httpx.Client, paths: Sequence[Path], whom: str, post: Callable[[httpx.Client, Path], Answered]
) -> Iterator[Answered]:
    """Post files over one connection, which is closed at the end; one answer for each, also where `whom` gives none."""
    with client:
        for path in paths:
            try:
                yield post(client, path)
            except httpx.HTTPError as fault:
                yield Answered(path, None, f"the {whom} did not answer ({type(fault).__name__})", retryable=True)


def refused(path: Path, code: int, whom: str, meanings: Mapping[int, str], temporary: Collection[int] = TEMPORARY) -> Answered:
    """What a response says that is no success."""
    meaning = meanings.get(code, f"the {whom} failed" if code >= 500 else f"the {whom} refused it")
    return Answered(path, None, f"HTTP {code}: {meaning}", retryable=code >= 500 or code in temporary)


def ask(destination: AnyHttpDestination, accept: str, url: str, timeout_s: float, **query: int) -> httpx.Response | str:
    """Get something that every such service has; its response, or what is wrong."""
    try:
        with client_of(destination, accept) as client:
            return client.get(url, params=query, timeout=timeout_s)
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
