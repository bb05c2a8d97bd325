from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.events import Event

from node.delivery.courier import Courier, sender_to
from node.store.destinations import Destination
from node.store.errors import Retryable
from node.store.settings import Limits, Settings
from node.store.states import DeliveryState
from tests.unit.node.delivery.outbox import MemoryOutbox
from tests.unit.node.delivery.test_errand import Answered
from tests.unit.node.listener.encoded import CT, EXPLICIT, image, write

PACS = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)
HUNG = Destination(name="hung", ae_title="HUNG", host="127.0.0.1", port=105)


class Network:
    """One peer hangs until let go, the other answers."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.down = threading.Event()

    def __call__(self, destination: Destination, settings: Settings, urgent: bool) -> Peer:
        return Peer(self, destination.name)


class Peer:
    def __init__(self, network: Network, name: str) -> None:
        self.network, self.name = network, name

    def send(self, paths: Sequence[Path]) -> Iterator[Answered]:
        if self.name == "hung":
            self.network.let_go.wait(20)
        if self.network.down.is_set():
            raise Retryable("connection refused")
        for path in paths:
            yield Answered(path, 0)


def until(condition: object, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_a_destination_that_hangs_does_not_hold_up_another(tmp_path: Path) -> None:
    outbox, network, stop = MemoryOutbox(), Network(), threading.Event()
    (tmp_path / "a").write_bytes(b"x")
    hung, served = outbox.put(tmp_path / "a", "hung"), outbox.put(tmp_path / "a", "pacs")
    settings = Settings(destinations=(HUNG, PACS))
    thread = threading.Thread(target=Courier(settings, outbox, sender=network, poll_s=0.01).run, args=(stop,))
    thread.start()
    assert until(lambda: outbox.state(served) is DeliveryState.SENT)
    assert outbox.state(hung) is DeliveryState.SENDING
    network.let_go.set()
    assert until(lambda: outbox.state(hung) is DeliveryState.SENT)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_comes_back_with_the_destination(tmp_path: Path) -> None:
    outbox, network, stop = MemoryOutbox(), Network(), threading.Event()
    network.down.set()
    (tmp_path / "a").write_bytes(b"x")
    number = outbox.put(tmp_path / "a", "pacs")
    settings = Settings(destinations=(PACS,), limits=Limits(delivery_first_wait_s=0.05, delivery_longest_wait_s=0.1))
    thread = threading.Thread(target=Courier(settings, outbox, sender=network, poll_s=0.01).run, args=(stop,))
    thread.start()
    assert until(lambda: len(outbox.rows[number].reasons) >= 2)
    network.down.clear()
    assert until(lambda: outbox.state(number) is DeliveryState.SENT)
    stop.set()
    thread.join(5)


def test_catalog_that_stumbles_does_not_end_the_deliveries(tmp_path: Path) -> None:
    class Stumbling(MemoryOutbox):
        falls = 2

        def claim(self, *given: object) -> list:  # type: ignore[type-arg,override]
            if self.falls:
                self.falls -= 1
                raise OSError("database is locked")
            return super().claim(*given)  # type: ignore[arg-type]

    outbox, stop = Stumbling(), threading.Event()
    (tmp_path / "a").write_bytes(b"x")
    number = outbox.put(tmp_path / "a", "pacs")
    courier = Courier(Settings(destinations=(PACS,)), outbox, sender=Network(), poll_s=0.01)
    thread = threading.Thread(target=courier.run, args=(stop,))
    thread.start()
    assert until(lambda: outbox.state(number) is DeliveryState.SENT)
    stop.set()
    thread.join(5)


def test_stopping_waits_for_all_destinations_together_no_longer_than_the_drain(tmp_path: Path) -> None:
    outbox, network, stop = MemoryOutbox(), Network(), threading.Event()
    (tmp_path / "a").write_bytes(b"x")
    hung = [Destination(name="hung", ae_title=f"HUNG{number}", host="127.0.0.1", port=105) for number in range(3)]
    for _ in hung:
        outbox.put(tmp_path / "a", "hung")
    settings = Settings.model_construct(destinations=tuple(hung), limits=Limits(drain_s=0.5), ae_title="OVERREAD")
    thread = threading.Thread(target=Courier(settings, outbox, sender=network, poll_s=0.01).run, args=(stop,))
    thread.start()
    assert until(lambda: outbox.state(1) is DeliveryState.SENDING)
    stop.set()
    begun = time.monotonic()
    thread.join(10)
    assert time.monotonic() - begun < 1.2
    network.let_go.set()


@pytest.mark.parametrize(("urgent", "priority"), [(False, 0), (True, 1)])
def test_what_is_urgent_says_so_in_each_command(tmp_path: Path, urgent: bool, priority: int) -> None:
    seen = []
    entity = AE("PACS")
    entity.add_supported_context(CT, EXPLICIT)

    def store(event: Event) -> int:
        seen.append(event.request.Priority)
        return 0

    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        pacs = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=server.server_address[1])
        files = [write(tmp_path, image(number), EXPLICIT) for number in (1, 2)]
        answers = list(sender_to(pacs, Settings(), urgent).send(files))
    finally:
        entity.shutdown()
    assert [answer.status for answer in answers] == [0, 0]
    assert seen == [priority, priority]
