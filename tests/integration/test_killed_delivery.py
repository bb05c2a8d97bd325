"""The deliverer is killed again and again in the midst of sending to an archive that nobody here wrote: nothing is lost or doubled."""

from __future__ import annotations

import io
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from node.store.catalog.catalog import open_catalog
from node.store.clock import FakeClock
from node.store.destinations import Destination
from node.store.settings import Settings, dump_settings
from node.store.states import DeliveryState
from tests.integration.dimse_node import limits
from tests.integration.orthanc_peer import Orthanc, free_port, running_orthanc, until
from tests.integration.sending import publish
from tests.story import Story

OBJECTS = 60


def there(peer: Orthanc) -> dict[str, str]:
    """Orthanc's own names of what it has, by SOP Instance UID."""
    found = peer.post("/tools/find", {"Level": "Instance", "Query": {}, "Expand": True})
    uids = [one["MainDicomTags"]["SOPInstanceUID"] for one in found]
    assert len(uids) == len(set(uids))
    return {uid: one["ID"] for uid, one in zip(uids, found, strict=True)}


def pixels(peer: Orthanc, name: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{peer.http}/instances/{name}/file", timeout=30) as answer:
        return bytes(dcmread(io.BytesIO(answer.read())).PixelData)


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
        # behind the real one, which the deliverer has: what is due by it is due for that
        clock = FakeClock(datetime.now(UTC) - timedelta(minutes=1))
        catalog = open_catalog(settings, clock)
        story = Story(catalog, clock, settings)
        written = publish(story, tmp_path / "made", ("seg",) * OBJECTS, "pacs")
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
        assert {uid: pixels(orthanc, name) for uid, name in there(orthanc).items()} == written
        catalog.close()
