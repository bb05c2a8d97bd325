"""The deliverer is killed again and again in the midst of sending to an archive that nobody here wrote: nothing is lost or doubled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.settings import Settings, dump_settings
from node.store.states import DeliveryState
from tests.integration.dimse_node import files, limits
from tests.integration.orthanc_peer import Orthanc, free_port, running_orthanc, until
from tests.story import CT, STUDY, Story, chosen, results

OBJECTS = 60


def made(story: Story, settings: Settings, folder: Path) -> dict[str, bytes]:
    """A job's results, published for the destination pacs; the bytes of each by SOP Instance UID."""
    job = story.reading(chosen("m", "pacs"))
    named = results(*(f"seg{number}" for number in range(1, OBJECTS + 1)), of="1")
    objects, written = [], {}
    for path, one in zip(files(folder, *range(1, OBJECTS + 1), study=STUDY), named.objects, strict=True):
        header = dcmread(path, stop_before_pixels=True)
        place = settings.spool / one.path
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        written[str(header.SOPInstanceUID)] = dcmread(place).PixelData
        objects.append(
            replace(
                one, kind="seg", sop_class_uid=CT, sop_instance_uid=header.SOPInstanceUID, series_uid=header.SeriesInstanceUID
            )
        )
    story.catalog.desk.publish(story.claim(job), replace(named, objects=tuple(objects)))
    return written


def there(peer: Orthanc) -> list[str]:
    found = peer.post("/tools/find", {"Level": "Instance", "Query": {}, "Expand": True})
    return [one["MainDicomTags"]["SOPInstanceUID"] for one in found]


@contextmanager
def delivering(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The node's deliverer as a process of its own, ended at the end."""
    command = [sys.executable, "-P", "-m", "node.cli", "dispatch", "--config", str(folder / "settings.json")]
    with (folder / "dispatch.log").open("ab") as log:
        deliverer = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield deliverer
        finally:
            deliverer.terminate()
            deliverer.wait(30)


@pytest.mark.peer
def test_every_object_arrives_once_whenever_the_deliverer_dies(tmp_path: Path) -> None:
    with running_orthanc(tmp_path, free_port()) as orthanc:
        pacs = Destination(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=orthanc.port)
        # a short lease: what a dead deliverer held is taken up soon
        settings = Settings(data=tmp_path / "data", destinations=(pacs,), limits=limits(lease_s=2))
        clock = FakeClock(
            datetime.now(UTC) - timedelta(minutes=1)
        )  # what is due by it is due for the deliverer, which has the real one
        catalog = open_catalog(settings, clock)
        story = Story(catalog, clock, settings)
        written = made(story, settings, tmp_path / "made")
        dump_settings(settings, tmp_path / "settings.json")
        kills = 0
        for mark in (1, OBJECTS // 3, 2 * OBJECTS // 3):
            with delivering(tmp_path) as deliverer:
                until(lambda mark=mark: len(there(orthanc)) >= mark)  # type: ignore[misc]
                deliverer.kill()
            kills += len(there(orthanc)) < OBJECTS
        assert kills, "it was never killed in the midst of it"
        with delivering(tmp_path):
            until(lambda: all(one.state is DeliveryState.SENT for one in story.study().deliveries), 120)
        assert sorted(there(orthanc)) == sorted(written)
        catalog.close()
