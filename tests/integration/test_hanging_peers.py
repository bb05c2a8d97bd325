"""Destinations that take connections and then say nothing hold up nobody: no other destination, no sender, no end of the node."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from node.delivery.courier import Courier
from node.delivery.prover import Prover
from node.doubles.archive import Archive
from node.doubles.peer import Acceptor, accept_all
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import AnyDestination, Destination, FhirDestination, Hl7Destination, WebDestination
from node.store.endpoint import Endpoint
from node.store.states import DeliveryState
from tests.integration.dimse_node import dimse_node, files, limits
from tests.integration.orthanc_peer import until
from tests.integration.sending import publish
from tests.story import Story


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port where connections are made and never served."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port where associations are accepted, and no message is answered."""
    over = threading.Event()

    def script(accepted: socket.socket) -> None:
        stream = accepted.makefile("rb")
        header = stream.read(6)
        accepted.sendall(accept_all(stream.read(int.from_bytes(header[2:6], "big"))))
        over.wait(120)

    with Acceptor(script) as peer:
        try:
            yield peer.port
        finally:
            over.set()


def dicom(name: str, port: int) -> Destination:
    return Destination(name=name, ae_title=name.upper(), host="127.0.0.1", port=port)


def test_they_hold_up_nobody(tmp_path: Path) -> None:
    with (
        contextlib.ExitStack() as ports,
        Archive(tmp_path / "archive") as archive,
    ):
        hanging: tuple[AnyDestination, ...] = (
            dicom("silent", ports.enter_context(silent())),
            dicom("deaf", ports.enter_context(deaf())),
            dicom("unsaid", ports.enter_context(deaf())).model_copy(update={"reconcile": True}),
            WebDestination(name="web", url=f"http://127.0.0.1:{ports.enter_context(silent())}"),
            Hl7Destination(name="ris", mllp=Endpoint(host="127.0.0.1", port=ports.enter_context(silent()))),
            FhirDestination(name="ehr", fhir=f"http://127.0.0.1:{ports.enter_context(silent())}"),
        )
        destinations = (*hanging, dicom("archive", archive.port))
        with dimse_node(tmp_path, registrar=False, destinations=destinations, limits=limits(drain_s=0.5)) as node:
            clock = FakeClock(datetime.now(UTC))
            catalog = open_catalog(node.settings, clock)
            stop = threading.Event()
            parts = [
                Courier(node.settings, catalog, clock=clock, poll_s=0.05),
                Prover(node.settings, catalog.proofs, catalog.commitments, clock=clock, poll_s=0.05),
            ]
            threads = [threading.Thread(target=part.run, args=(stop,)) for part in parts]
            for thread in threads:
                thread.start()
            story = Story(catalog, clock, node.settings)
            kinds = dict.fromkeys(("seg", *(kind for one in hanging[4:] for kind in one.wanted)))
            publish(story, tmp_path / "made", tuple(kinds), *(one.name for one in destinations))
            until(lambda: states(story, "archive") == {DeliveryState.SENT})
            until(lambda: all(DeliveryState.SENDING in states(story, one.name) for one in hanging))
            node.send(*files(tmp_path / "f", *range(1, 20), study="1.2.7"))  # asserts that each was stored
            begun = time.monotonic()
            stop.set()
            for thread in threads:
                thread.join(60)
            assert time.monotonic() - begun < 30, "steps of theirs are waited for a minute each"
            assert all(DeliveryState.SENDING in states(story, one.name) for one in hanging), "their leases bring them back"
            ports.close()
            until(lambda: not [one for one in threading.enumerate() if one.name.startswith(("courier-", "prover-"))])
            catalog.close()


def states(story: Story, destination: str) -> set[DeliveryState]:
    return {one.state for one in story.study().deliveries if one.destination == destination}
