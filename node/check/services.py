"""Whether catalog, queue and page can be had."""

from __future__ import annotations

import errno
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

from node.check.retention import say_retention
from node.check.verdict import Checked, fault, note, ok
from node.store.errors import OverreadError
from node.store.settings import Settings


def check_catalog(settings: Settings) -> Iterator[Checked]:
    """Open the catalog, and see that everything that waits has somewhere to go."""
    if settings.catalog_url is None and not settings.data.is_dir():
        yield ok("catalog", str(settings.data), "not made yet: `overread serve` makes it")
        return
    from node.store.catalog.catalog import open_catalog

    try:
        catalog = open_catalog(settings)
    except OverreadError as broken:
        yield fault("catalog", str(settings.data), str(broken), "see catalog_url and the rights on the data folder")
        return
    try:
        studies = sum(catalog.views.counts().get("studies", {}).values())
        yield ok("catalog", "PostgreSQL" if settings.catalog_url else str(settings.data), f"answers, {studies} studies")
        yield say_retention(settings.retention, catalog.views.kept())
        waiting = catalog.outbox.waiting()
        for name, down in catalog.breakers.all().items():
            said = f"down since {down.since.astimezone():%Y-%m-%d %H:%M}, {waiting.get(name, 0)} results wait: {down.reason}"
            yield note("destination", name, said, "see what is wrong there; it is tried again by itself")
        for name, count in waiting.items():
            if settings.destination(name) is None:
                yield fault(
                    "destination",
                    name,
                    f"{count} results wait for it, and it is not configured",
                    f"add the destination {name} again; they are sent then",
                )
    finally:
        catalog.close()


def check_queue(settings: Settings) -> Iterator[Checked]:
    """Ping the queue, where it is not our own."""
    if settings.queue_url is None:
        yield ok("queue", "embedded", "Valkey starts with `overread serve`")
        return
    import redis

    try:
        redis.Redis.from_url(settings.queue_url, socket_timeout=5, socket_connect_timeout=5).ping()
    except redis.RedisError as unreachable:
        yield fault(
            "queue",
            "queue_url",
            f"does not answer ({type(unreachable).__name__})",
            "start Redis or Valkey there, or correct queue_url",
        )
    else:
        yield ok("queue", "queue_url", "answers")


def check_page(settings: Settings) -> Iterator[Checked]:
    """See whether the page's address is free, or whether our page answers there."""
    from node.page.server import parse_http

    try:
        host, port = parse_http(settings.http)
    except OverreadError as wrong:
        yield fault("page", settings.http, str(wrong), "correct http")
        return
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as taken:
        yield (
            _asked(settings.http)
            if taken.errno == errno.EADDRINUSE
            else fault("page", settings.http, f"cannot be listened on: {taken.strerror}", "choose another with --http")
        )
    else:
        yield ok("page", settings.http, "free")
    if host not in {"127.0.0.1", "::1", "localhost"}:
        yield note("page", settings.http, "is served beyond this machine, without encryption", "put a proxy with TLS before it")


def _asked(http: str) -> Checked:
    """Ask who has the page's address."""
    try:
        with urllib.request.urlopen(f"http://{http}/healthz", timeout=5) as answer:
            body = answer.read(1000)
    except urllib.error.HTTPError as unwell:
        body = unwell.read(1000)
    except OSError:
        body = b""
    if b'"faults"' not in body:
        return fault("page", http, "another program has it", "choose another with --http HOST:PORT")
    if b'"ok":true' in body.replace(b" ", b""):
        return ok("page", http, "this node's page answers: it is well")
    return fault(
        "page", http, f"this node says that it is not well: {body.decode(errors='replace')}", "see the parts that it names"
    )
