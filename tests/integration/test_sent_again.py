"""What is sent again: a new revision opens only if the pixels or the geometry of something that was or would be read changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from node.dispatch.judge import Judge
from node.listener.listener import Listener
from node.retention.keeper import Keeper
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.clock import SystemClock
from node.store.destinations import Destination
from node.store.peers import Peer
from node.store.records import DueStudy, ResultObject, ResultSet, StudyView
from node.store.settings import Limits, Retention, Settings
from node.store.states import StudyState
from node.store_scu import StoreScu
from node.studies.plan import Planner
from tests import dicom
from tests.unit.node.routing.manifests import LIBRARY

pytestmark = pytest.mark.timeout(120)

STUDY = str(dicom.report().StudyInstanceUID)
PLAIN = "1.2.840.10008.1.2.1"
GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"


class Node:
    """Listener, catalog and planner as they are; a model that always publishes one object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(
            data=folder / "data",
            host="127.0.0.1",
            port=0,
            quiet_s=0.3,
            limits=Limits(disk_reserve_mb=0),
            destinations=(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),),
            retention=Retention(originals_days=0.000001),
        )
        self.catalog: Catalog = open_catalog(self.settings)
        self.listener = Listener(self.settings, self.catalog.intake)
        self.listener.start()
        self._planner = Planner(self.settings, LIBRARY)
        self._judge = Judge(self.catalog.worklist, self.catalog.signals, self.settings, SystemClock())
        self._sent = 0

    def close(self) -> None:
        self.listener.stop(drain_s=1)
        self.catalog.close()

    def send(self, datasets: Sequence[FileDataset]) -> None:
        self._sent += 1
        paths = dicom.write(datasets, self.folder / f"sent-{self._sent}")
        peer = Peer(ae_title="OVERREAD", host="127.0.0.1", port=self.listener.port)
        assert [verdict.status for verdict in StoreScu(peer, "PACS").send(paths)] == [0] * len(paths)
        assert self.listener._ledger.flush(30)

    def read(self) -> StudyView:
        """The study is complete and planned; every job that is due publishes, and its results are delivered."""
        (due,) = eventually(self._due)
        number = self.catalog.worklist.open_revision(due, self._planner(self.catalog.worklist.instances(due.study_id)))
        assert number > 0
        for job_id in self.catalog.worklist.due_jobs(10):
            claim = self.catalog.desk.claim(job_id, "w", 60)
            assert claim
            assert all(Path(path).exists() for path in claim.instance_paths)
            made = ResultObject("seg", SEG, f"2.25.{job_id}", "2.25.9", PLAIN, f"results/{job_id}.dcm", "0" * 64, 9)
            assert self.catalog.desk.publish(claim, ResultSet((made,), {}))
        for item in self.catalog.outbox.claim("pacs", "d", 60, 100):
            assert self.catalog.outbox.stored(item, 0)
        return self.study()

    def _due(self) -> Sequence[DueStudy]:
        return self._judge.due()

    def study(self) -> StudyView:
        view = self.catalog.views.study(STUDY)
        assert view
        return view

    def files(self) -> int:
        return len(list((self.settings.spool / "in").rglob("*.dcm")))

    def remove_originals(self) -> None:
        keeper = Keeper(self.settings, self.catalog, SystemClock())
        assert eventually(lambda: keeper.sweep(threading.Event())) == 1
        assert self.files() == 0


def eventually(look: Callable[[], object]):  # type: ignore[no-untyped-def]
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing came of it")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.close()


def volume() -> list[FileDataset]:
    return dicom.ct_series(slices=6)


def coerced() -> list[FileDataset]:
    """As a PACS sends them on: other patient and order, the same images."""
    datasets = volume()
    for dataset in datasets:
        dataset.PatientID, dataset.PatientName, dataset.AccessionNumber = "COERCED", "Other^Name", "A-1"
        dataset.StudyDescription, dataset.InstitutionName = "As the order says", "Elsewhere"
    return datasets


def other_pixels() -> list[FileDataset]:
    datasets = volume()
    datasets[2].PixelData = bytes(reversed(datasets[2].PixelData))
    return datasets


def moved() -> list[FileDataset]:
    datasets = volume()
    for dataset in datasets:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 7]
    return datasets


def companion(sop_class: str, modality: str) -> FileDataset:
    dataset = dicom.report()
    dataset.SeriesInstanceUID = dicom.uid("series of", sop_class)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = dicom.uid(sop_class)
    dataset.Modality = modality
    return dataset


COMPANIONS = [
    companion(GSPS, "PR"),
    companion(KEY_OBJECTS, "KO"),
    companion("1.2.840.10008.5.1.4.1.1.88.33", "SR"),
    companion(SEG, "SEG"),
]


def one_result_set(view: StudyView) -> bool:
    return len(view.jobs) == len(view.deliveries) == 1


def kinds(view: StudyView) -> list[str]:
    return [kind for _, kind, _ in view.events]


def test_the_same_bytes_are_success_and_nothing_new(node: Node) -> None:
    node.send(volume())
    before = node.read()
    assert (before.state, before.revision, one_result_set(before)) == (StudyState.FINISHED, 1, True)
    node.send(volume())
    assert node.study() == before
    assert node.files() == 6


def test_coerced_patient_attributes_are_kept_and_read_nothing_anew(node: Node) -> None:
    node.send(volume())
    before = node.read()
    node.send(coerced())
    assert node.files() == 12, "nothing is overwritten"
    after = node.read()
    assert (after.state, after.revision) == (StudyState.FINISHED, 1)
    assert after.jobs == before.jobs
    assert after.deliveries == before.deliveries
    assert after.decisions == before.decisions
    assert kinds(after).count("new version") == 6
    assert kinds(after)[-2:] == ["unchanged", "finished"]


@pytest.mark.parametrize("again", [other_pixels, moved])
def test_other_pixels_and_another_place_are_read_anew(node: Node, again: Callable[[], list[FileDataset]]) -> None:
    node.send(volume())
    node.read()
    node.send(again())
    after = node.read()
    assert (after.state, after.revision, len(after.jobs)) == (StudyState.FINISHED, 2, 2)
    assert "new version" in kinds(after)


def test_a_late_image_of_what_was_read_is_read_anew(node: Node) -> None:
    node.send(volume())
    node.read()
    node.send(dicom.ct_series(slices=7)[6:])
    after = node.read()
    assert (after.revision, len(after.jobs)) == (2, 2)


def test_a_change_to_what_nobody_reads_opens_no_revision_and_is_written_down(node: Node) -> None:
    node.send([*volume(), *dicom.mr_series(slices=3, series="mr")])
    before = node.read()
    node.send([*dicom.mr_series(slices=4, series="mr")[3:], *dicom.localizers(series="scout")])
    after = node.read()
    assert (after.revision, after.jobs, after.deliveries) == (1, before.jobs, before.deliveries)
    unread = {
        one.description: one.slices for one in after.decisions if one.decision.model == "brain-mr" and "MR" in one.description
    }
    assert list(unread.values()) == [4], "the decision is on what is there now"
    assert any("localizer" in one.description for one in after.decisions)


def test_what_comes_to_be_read_opens_a_revision(node: Node) -> None:
    node.send([*volume(), *dicom.mr_series(slices=9, series="mr")])
    assert len(node.read().jobs) == 1
    node.send(dicom.mr_series(slices=10, series="mr")[9:])
    after = node.read()
    assert (after.revision, {job.model for job in after.jobs}) == (2, {"ct-tissue", "brain-mr"})


@pytest.mark.parametrize("accompanies", COMPANIONS, ids=lambda dataset: dataset.Modality)
def test_what_accompanies_images_reopens_nothing(node: Node, accompanies: FileDataset) -> None:
    node.send(volume())
    before = node.read()
    node.send([accompanies])
    after = node.study()
    assert (after.state, after.revision, after.last_arrival_at) == (StudyState.FINISHED, 1, before.last_arrival_at)
    assert node.files() == 7, "it is kept"
    assert kinds(after)[-1] == "beside"
    assert node._due() == ()


def test_what_accompanies_images_extends_nothing(node: Node) -> None:
    node.send(volume())
    waiting = node.study()
    node.send(COMPANIONS)
    assert node.study().last_arrival_at == waiting.last_arrival_at
    after = node.read()
    said = {one.decision.reason for one in after.decisions if one.decision.model == ""}
    assert said == {"no pixel data: stored, not analysed"}, "what was there when it was complete is listed with its reason"


def test_a_study_of_companions_alone_ends_with_the_reason(node: Node) -> None:
    node.send(COMPANIONS[:3])
    after = node.read()
    assert (after.state, after.jobs) == (StudyState.FINISHED, ())
    assert {one.decision.reason for one in after.decisions} == {"no pixel data: stored, not analysed"}
    node.send(volume())
    assert len(node.read().jobs) == 1


def test_sent_again_after_its_removal_the_answers_stand(node: Node) -> None:
    node.send(volume())
    before = node.read()
    node.remove_originals()
    node.send(volume())
    after = node.read()
    assert (after.state, after.revision) == (StudyState.FINISHED, 1)
    assert (after.jobs, after.deliveries) == (before.jobs, before.deliveries)
    assert "came again" in kinds(after)
    node.remove_originals()


def test_sent_again_after_its_removal_with_other_pixels_it_is_read_anew(node: Node) -> None:
    node.send(volume())
    node.read()
    node.remove_originals()
    node.send(other_pixels())
    after = node.read()
    assert (after.revision, len(after.jobs), len(after.deliveries)) == (2, 2, 2)


def test_a_late_image_after_the_removal_is_kept_and_the_answer_stands(node: Node) -> None:
    node.send(volume())
    before = node.read()
    node.remove_originals()
    node.send(dicom.ct_series(slices=7)[6:])
    after = node.read()
    assert (after.state, after.revision, after.jobs) == (StudyState.FINISHED, 1, before.jobs)
    assert any("send the whole series again" in one.decision.reason for one in after.decisions)
    node.send(dicom.ct_series(slices=7))
    whole = node.read()
    assert (whole.revision, len(whole.jobs)) == (2, 2)
    newest = [one for one in whole.decisions if one.revision == 2 and one.decision.model == "ct-tissue"]
    assert [one.slices for one in newest] == [7]
