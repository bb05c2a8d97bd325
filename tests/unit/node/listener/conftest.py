"""A listener on loopback, and who sends to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from node.doubles.intake import MemoryIntake
from node.listener.listener import Listener
from node.store.peers import Peer
from node.store.settings import Limits, Settings


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


Start = Callable[..., Listener]


@pytest.fixture
def start(tmp_path: Path, intake: MemoryIntake) -> Iterator[Start]:
    """Start a listener with these limits, and settings beside them; each is stopped at the end."""
    started: list[Listener] = []

    def begin(settings: Mapping[str, Any] | None = None, **limits: float) -> Listener:
        chosen = Limits.model_validate({"disk_reserve_mb": 0, **limits})
        values = {"data": tmp_path / "data", "host": "127.0.0.1", "port": 0, "limits": chosen, **(settings or {})}
        listener = Listener(Settings.model_validate(values), intake)
        listener.start()
        started.append(listener)
        return listener

    yield begin
    for listener in started:
        listener.stop(drain_s=0.5)


@pytest.fixture
def listener(start: Start) -> Listener:
    return start()


@pytest.fixture
def peer(listener: Listener) -> Peer:
    return Peer(ae_title="OVERREAD", host="127.0.0.1", port=listener.port)
