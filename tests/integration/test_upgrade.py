"""A data folder that an earlier version left goes on under this one: what was sent stays sent, what was begun is ended.

`first_version.tar.xz` was made by the code of commit 1c490a4, the last before the intake was rewritten: its own ``overread serve`` with
one destination, three CTs of `ct_phantom(slices=5, size=80)`, and a ``kill -9`` of the whole node. The first CT was read and
delivered; of the second the results were due, for the archive had been stopped; the third had only just been received. Left out are
what a start writes anew: settings, token, sockets, locks, logs. ``late.dcm`` is one more slice of the first.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.integration.node_under_test import OVERREAD, Node, running_node

pytestmark = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(280)]

FOLDER = Path(__file__).with_name("first_version.tar.xz")
DELIVERED, DUE, RECEIVED = (
    "2.25.797546631662925694150383920018851032",
    "2.25.1107263715317941340561999728574494031",
    "2.25.917529846704684396098590543207701353",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("upgrade")
    with tarfile.open(FOLDER) as packed:
        packed.extractall(folder, filter="data")
    (folder / "node").mkdir()
    (folder / "first_version").rename(folder / "node" / "data")
    (folder / "node" / "data").chmod(0o700)
    with running_node(folder) as one:
        yield one


def sent(node: Node, study: dict[str, Any]) -> list[Path]:
    """The files that the archive has of a study's results."""
    uids = {one["sop_instance_uid"] for one in study["deliveries"]}
    return [path for path in node.archive.folder.rglob("*.dcm") if dcmread(path, stop_before_pixels=True).SOPInstanceUID in uids]


def test_what_was_due_is_sent_and_what_was_received_is_read(node: Node) -> None:
    due, received = node.finished(DUE, 120), node.finished(RECEIVED, 120)
    for study in (due, received):
        assert (study["revision"], study["instances"]) == (1, 5)
        assert [(job["model"], job["state"]) for job in study["jobs"]] == [("ct-tissue", "published")]
        assert len(sent(node, study)) == len(study["deliveries"]) == sum(len(job["objects"]) for job in study["jobs"])
    of_before = {made["sop_instance_uid"]: made["sha256"] for job in due["jobs"] for made in job["objects"]}
    spooled = (node.folder / "data" / "spool" / "results" / DUE).rglob("*.dcm")
    assert {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in spooled} == of_before, (
        "made once, by the old code"
    )
    for path in sent(node, due):
        made = dcmread(path)
        kept = dcmread(next((node.folder / "data" / "spool" / "results" / DUE).rglob(f"{made.SOPInstanceUID}.dcm")))
        assert made == kept


def test_what_was_delivered_is_not_sent_again(node: Node) -> None:
    study = node.finished(DELIVERED)
    assert [one["state"] for one in study["deliveries"]] == ["sent"] * 3
    assert study["evidence"].startswith("no new image")
    assert sent(node, study) == [], "this archive has none of it"
    images = sorted((node.folder / "data" / "spool" / "in" / DELIVERED).rglob("*.dcm"))
    assert all(verdict.stored for verdict in node.send(images)), "the same bytes are success and nothing new"
    listed = subprocess.run([*OVERREAD, "studies", "--json", "--config", str(node.config)], capture_output=True, check=True)
    assert {one["study_uid"]: one["revision"] for one in json.loads(listed.stdout)}[DELIVERED] == 1


def test_a_late_image_of_before_makes_a_new_revision(node: Node) -> None:
    assert all(verdict.stored for verdict in node.send([node.folder.parent / "late.dcm"]))
    study = node.finished(DELIVERED, 120, revision=2)
    assert study["instances"] == 6
    assert [(job["revision"], job["state"]) for job in study["jobs"]] == [(1, "published"), (2, "published")]
    newest = {made["sop_instance_uid"] for job in study["jobs"] if job["revision"] == 2 for made in job["objects"]}
    assert newest <= {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in node.archive.folder.rglob("*.dcm")}
