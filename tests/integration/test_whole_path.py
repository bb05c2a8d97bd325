"""A study goes in, SEG and SR come back: a whole node, a real worker, a real model, a real archive."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.integration.node_under_test import Node, running_node, wait_for
from tests.integration.phantom import ct_phantom

pytestmark = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running_node(tmp_path_factory.mktemp("whole")) as running:
        yield running


def stores(node: Node) -> dict[str, list[dict[str, Any]]]:
    """What the archive logged, by SOP Instance UID."""
    by_uid: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in node.archive.log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        by_uid[entry["sop_instance_uid"]].append(entry)
    return by_uid


def results(node: Node, study: dict[str, Any]) -> dict[str, Any]:
    """The received result objects of a study by modality and Series Description."""
    uids = {delivery["sop_instance_uid"] for delivery in study["deliveries"]}
    found = [dcmread(path) for path in node.archive.folder.rglob("*.dcm")]
    return {one.SOPInstanceUID: one for one in found if one.SOPInstanceUID in uids}


def test_a_ct_comes_back_as_seg_and_sr(node: Node, tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct")
    assert all(verdict.stored for verdict in node.send(phantom.paths))
    study = node.finished(phantom.study_uid)
    assert [job["model"] for job in study["jobs"] if job["state"] == "published"] == ["ct-tissue"]
    objects = results(node, study).values()
    assert {one.Modality for one in objects} == {"SEG", "SR"}
    segmentation = next(one for one in objects if one.Modality == "SEG")
    assert segmentation.StudyInstanceUID == phantom.study_uid
    assert segmentation.PatientID == dcmread(phantom.paths[0]).PatientID
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == phantom.series_uid
    assert all(len(log) == 1 for log in stores(node).values())


def test_results_that_come_back_are_not_read(node: Node, tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct")
    node.send(phantom.paths)
    before = node.finished(phantom.study_uid)
    returned = tmp_path / "returned"
    returned.mkdir()
    as_they_are, coerced = [], []
    for uid, result in results(node, before).items():
        as_they_are.append(returned / f"{uid}.dcm")
        result.save_as(as_they_are[-1])
        result.PatientID = "COERCED-BY-THE-ARCHIVE"
        coerced.append(returned / f"{uid}.coerced.dcm")
        result.save_as(coerced[-1])
    assert as_they_are
    assert all(verdict.stored for verdict in node.send(as_they_are, "ARCHIVE"))
    assert all(verdict.stored for verdict in node.send(coerced, "ANOTHER-NAME"))
    # A study sent after them has been read: whatever these would have set off has had its turn.
    other = ct_phantom(tmp_path / "other")
    node.send(other.paths)
    node.finished(other.study_uid)
    after = node.study(phantom.study_uid)
    assert after is not None
    assert (after["state"], after["revision"]) == ("finished", before["revision"])
    assert [job["job_id"] for job in after["jobs"]] == [job["job_id"] for job in before["jobs"]]


def test_the_same_images_again_change_nothing(node: Node, tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct")
    node.send(phantom.paths)
    before = node.finished(phantom.study_uid)
    assert all(verdict.stored for verdict in node.send(phantom.paths))
    other = ct_phantom(tmp_path / "other")
    node.send(other.paths)
    node.finished(other.study_uid)
    assert node.study(phantom.study_uid) == before


def test_a_late_image_makes_a_revision_that_supersedes(node: Node, tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct")
    node.send(phantom.paths)
    first = node.finished(phantom.study_uid)
    node.send([phantom.next_slice])
    second = node.finished(phantom.study_uid, revision=2)
    published = [job for job in second["jobs"] if job["state"] == "published"]
    assert {job["revision"] for job in published} == {1, 2}
    before = set(results(node, first))
    assert before < set(results(node, second))


def test_what_cannot_be_read_says_why_and_is_kept(node: Node, tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct", missing_slice=3)
    assert all(verdict.stored for verdict in node.send(phantom.paths))
    study = wait_for(
        lambda: (seen := node.study(phantom.study_uid)) and seen["state"] == "finished" and seen,
        60,
        "a verdict on a missing slice",
    )
    said = json.dumps(study)
    assert "missing" in said
    assert not study["deliveries"]
    assert study["instances"] == len(phantom.paths)
