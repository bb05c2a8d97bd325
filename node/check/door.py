"""Who may send, and who was turned away of late."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from node.check.verdict import Checked, fault, note, ok
from node.store.errors import OverreadError
from node.store.events import NodeEvent, Rejection
from node.store.settings import Settings

WITHIN: Final = timedelta(days=1)
MOST: Final = 10
"""Events that are listed one by one."""


def check_door(settings: Settings) -> Iterator[Checked]:
    """Say whose associations are accepted, and what was rejected within the last day."""
    listed = settings.accept == "listed"
    said = f"only from {len(settings.sources)} in [[sources]]" if listed else "anybody's associations are accepted"
    yield ok("sources", settings.accept, said)
    for name in dict.fromkeys(host for source in settings.sources for host in source.host_names):
        if not _is_known(name):
            yield fault(
                "sources",
                name,
                "the name service knows no address of this host: it counts as not listed",
                "correct the name in hosts of the source, or give its address",
            )
    if settings.catalog_url is None and not settings.data.is_dir():
        return
    try:
        found = _rejected(settings)
    except OverreadError:
        return  # the catalog's own check says what is wrong with it
    for event in found[:MOST]:
        times = f"{event.count} times, last" if event.count > 1 else "once,"
        what, _, to_do = event.detail.rpartition(": ")
        yield note("sources", event.kind, f"{times} at {event.last_at.astimezone():%Y-%m-%d %H:%M}: {what}", to_do)
    if len(found) > MOST:
        yield note("sources", "rejections", f"{len(found) - MOST} more within the last day", "see `overread events`")


def _is_known(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except OSError:
        return False


def _rejected(settings: Settings) -> list[NodeEvent]:
    from node.store.catalog.catalog import open_catalog

    catalog = open_catalog(settings)
    try:
        since = datetime.now(UTC) - WITHIN
        return [event for event in catalog.views.node_events(since) if event.kind in set(Rejection)]
    finally:
        catalog.close()
