"""Objects that break a destination, which aborts or dies on them, are in nobody else's way."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.delivery.courier import Courier
from node.doubles.archive import Archive
from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.records import ResultObject
from node.store.settings import Settings
from node.store.states import DeliveryState
from tests.integration.dimse_node import files, limits
from tests.story import CT, STUDY, Story, chosen, results

ROUNDS = 40


class Fragile(Archive):
    """Aborts the association on some objects."""

    breaks_on: frozenset[str] = frozenset()

    def _store(self, event: Any) -> int:
        if str(event.request.AffectedSOPInstanceUID) in self.breaks_on:
            event.assoc.abort()
            return 0x0110
        return super()._store(event)


def result(story: Story, path: Path, number: int) -> ResultObject:
    """A file in the spool, as a result."""
    place = story.settings.spool / f"results/{number}.dcm"
    place.parent.mkdir(parents=True, exist_ok=True)
    path.rename(place)
    made = results("seg", of=str(number)).objects[0]
    return replace(made, sop_class_uid=CT, sop_instance_uid=f"{STUDY}.4.{number}", path=f"results/{number}.dcm")


def test_they_are_in_nobodys_way(tmp_path: Path) -> None:
    with Fragile(tmp_path / "archive") as archive:
        pacs = Destination(name="pacs", ae_title="ARCHIVE", host="127.0.0.1", port=archive.port)
        settings = Settings(data=tmp_path / "data", destinations=(pacs,), limits=limits(delivery_longest_wait_s=60.0))
        clock = FakeClock(datetime.now(UTC))
        catalog = open_catalog(settings, clock)
        try:
            story = Story(catalog, clock, settings)
            story.arrive(1)
            story.revise(*(chosen(model, "pacs") for model in "abcd"))
            paths = files(tmp_path / "made", 1, 2, 3, 4, study=STUDY)
            made = [result(story, path, number) for number, path in enumerate(paths, start=1)]
            archive.breaks_on = frozenset(one.sop_instance_uid for one in made[:2])
            for job, one in zip(catalog.worklist.due_jobs(10), made, strict=True):
                catalog.desk.publish(story.claim(job), replace(results("seg"), objects=(one,)))
            errand = Courier(settings, catalog, clock=clock).errand(pacs)
            rounds = 0
            while archived(story) < {one.sop_instance_uid for one in made[2:]}:
                rounds += 1
                assert rounds < ROUNDS, "what breaks it is tried again and again, and the rest waits behind it"
                errand.deliver(threading.Event())
                clock.advance(1)
            assert archived(story) == {one.sop_instance_uid for one in made[2:]}
            assert [kind for kind in story.kinds() if kind == "not delivered"] == [], "what breaks it is tried for days"
        finally:
            catalog.close()


def archived(story: Story) -> set[str]:
    return {one.sop_instance_uid for one in story.study().deliveries if one.state is DeliveryState.SENT}
