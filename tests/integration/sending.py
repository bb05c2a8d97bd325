"""Results in catalog and spool that are due for a destination, and what becomes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydicom import dcmread

from node.delivery.courier import Courier
from node.delivery.prover import Prover
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import ArchiveDestination
from tests.integration.dimse_node import DimseNode, dimse_node, files, limits
from tests.integration.orthanc_peer import Orthanc, running_orthanc
from tests.story import CT, STUDY, Story, chosen, results


def publish(story: Story, folder: Path, kinds: Sequence[str], *destinations: str, **attributes: str) -> dict[str, bytes]:
    """Publish a job's results, one object for each kind; the pixels of each by SOP Instance UID."""
    job = story.reading(chosen("m", *destinations))
    numbers = range(1, len(kinds) + 1)
    named = results(*(f"object{number}" for number in numbers), of="1")
    paths = files(folder, *numbers, study=STUDY, **attributes)
    objects, written = [], {}
    for kind, path, one in zip(kinds, paths, named.objects, strict=True):
        made = dcmread(path)
        place = story.settings.spool / one.path
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        uids = {"sop_instance_uid": str(made.SOPInstanceUID), "series_uid": str(made.SeriesInstanceUID)}
        objects.append(replace(one, kind=kind, sop_class_uid=CT, **uids))
        written[uids["sop_instance_uid"]] = bytes(made.PixelData)
    story.catalog.desk.publish(story.claim(job), replace(named, objects=tuple(objects)))
    return written


@dataclass
class Sent:
    """Two objects for a destination, and who delivers them and proves that it keeps them."""

    node: DimseNode
    story: Story
    destination: ArchiveDestination

    def deliver(self) -> None:
        courier = Courier(self.node.settings, self.story.catalog, clock=self.story.clock)
        assert courier.errand(self.destination).deliver(threading.Event()) > 0

    def ask(self, destination: ArchiveDestination | None = None) -> None:
        """One look at what is due to be proven, by the destination or by another that it is called at."""
        prover = Prover(self.node.settings, self.story.catalog.proofs, self.story.catalog.commitments, clock=self.story.clock)
        prover.prove(destination or self.destination)

    def prove(self) -> list[str]:
        """One look, a second later; what is proven of each object then."""
        self.story.clock.advance(1)
        self.ask()
        return [one.proof for one in self.story.study().deliveries]


@contextmanager
def sending(folder: Path, destination: ArchiveDestination, port: int = 0, **attributes: str) -> Iterator[Sent]:
    settings = {"destinations": [destination], "port": port, "limits": limits(commitment_wait_s=60)}
    with dimse_node(folder, registrar=False, **settings) as node:
        clock = FakeClock(datetime.now(UTC))
        catalog = open_catalog(node.settings, clock)
        story = Story(catalog, clock, node.settings)
        publish(story, folder / "made", ("seg", "report"), destination.name, **attributes)
        try:
            yield Sent(node, story, destination)
        finally:
            catalog.close()


@contextmanager
def orthanc_beside(folder: Path) -> Iterator[tuple[Orthanc, int]]:
    """An Orthanc that calls the port of a listener to come."""
    with dimse_node(folder / "placeholder", registrar=False) as probe:
        port = probe.listener.port
    with running_orthanc(folder, port) as peer:
        yield peer, port
