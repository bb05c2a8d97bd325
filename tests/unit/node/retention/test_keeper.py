"""What goes, what stays, and in what order."""

from __future__ import annotations

import fcntl
import threading

import pytest

from node.store.commitment import Reference
from node.store.settings import Retention
from node.store.states import StudyState
from tests.story import CT, LEASE_S
from tests.unit.node.retention.attic import STUDY, Attic


def test_images_of_a_delivered_study_go_by_age_and_results_later(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(9.9)
    assert attic.sweep() == 0
    attic.days_pass(0.2)
    assert attic.sweep() == 1
    assert attic.files("in") == []
    assert len(attic.files("results")) == 1
    view = attic.story.study(STUDY)
    assert view.originals_removed_at == attic.clock.now()
    assert view.results_removed_at is None
    assert view.instances == 3, "the rows stay"
    attic.days_pass(20)
    assert attic.sweep() == 1
    assert attic.files("results") == []
    view = attic.story.study(STUDY)
    assert view.results_removed_at == attic.clock.now()
    assert [(one.kind, one.state) for one in view.deliveries] == [("seg", "sent")]
    assert [kind for _, kind, _ in view.events][-2:] == ["originals removed", "results removed"]
    assert attic.sweep() == 0
    kept = attic.catalog.views.kept()
    assert (kept.removed_studies, kept.removed_files, kept.oldest_at) == (1, 4, None)


def test_nothing_goes_unless_it_is_asked_for(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(10_000)
    attic.free_mb = 0
    off = attic.settings.model_copy(update={"retention": Retention()})
    assert attic.keeper(off).sweep(threading.Event()) == 0
    assert len(attic.files()) == 3


def keep_receiving(attic: Attic) -> None:
    attic.receive(1)


def keep_reading(attic: Attic) -> None:
    attic.receive(1)
    attic.plan("pacs")


def keep_running(attic: Attic) -> None:
    keep_reading(attic)
    (job_id,) = attic.catalog.worklist.due_jobs(10)
    assert attic.catalog.desk.claim(job_id, "w", LEASE_S)


def keep_due(attic: Attic) -> None:
    attic.receive(1)
    attic.read("pacs")


def keep_sending(attic: Attic) -> None:
    keep_due(attic)
    assert attic.claimed()


def keep_late(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(100)
    attic.receive(9)


def keep_open(attic: Attic) -> None:
    attic.delivered_study()
    attic.story.open_association("a1")
    attic.catalog.intake.arrived([attic.story.arrival(1, study=STUDY, association_id="a1", own_result=True)])


@pytest.mark.parametrize("situation", [keep_receiving, keep_reading, keep_running, keep_due, keep_sending, keep_late, keep_open])
def test_what_may_still_be_read_or_sent_stays_however_old_and_however_full(attic: Attic, situation: object) -> None:
    situation(attic)  # type: ignore[operator]
    before = attic.files("in") + attic.files("results")
    attic.days_pass(0.01)
    attic.free_mb = 0
    retention = Retention(originals_days=0.001, results_days=0.001, keep_free_mb=10, room_after_hours=0.001, failed_days=0)
    settings = attic.settings.model_copy(update={"retention": retention})
    assert attic.keeper(settings).sweep(threading.Event()) == 0
    assert attic.files("in") + attic.files("results") == before


def test_a_study_with_a_failed_delivery_keeps_its_images_a_month_and_its_results_for_good(attic: Attic) -> None:
    attic.receive(1)
    attic.read("pacs")
    for item in attic.claimed():
        attic.catalog.outbox.fail(item, "refused for good")
    attic.days_pass(29)
    assert attic.sweep() == 0
    attic.days_pass(1.1)
    assert attic.sweep() == 1
    assert attic.files("in") == []
    attic.days_pass(1000)
    assert attic.sweep() == 0
    assert attic.catalog.outbox.send_again(STUDY) == 1
    assert all(attic.absolute(f"results/{STUDY}/1.1/seg.dcm").exists() for _ in attic.claimed())


def test_a_study_with_a_failed_job_keeps_its_images_a_month(attic: Attic) -> None:
    attic.receive(1)
    attic.plan("pacs")
    (job_id,) = attic.catalog.worklist.due_jobs(10)
    claim = attic.catalog.desk.claim(job_id, "w", LEASE_S)
    assert claim
    attic.catalog.desk.fail(claim, "broken", None)
    attic.days_pass(29)
    assert attic.sweep() == 0
    attic.days_pass(1.1)
    assert attic.sweep() == 1


def ask_to_commit(attic: Attic, policy: str, failure: int | None, transaction: str = "1.9") -> bool:
    """A request to commit the first image, decided unless `failure` is None; whether the decision was kept."""
    commitments, named = attic.catalog.commitments, Reference(CT, f"{STUDY}.4.1")
    whom = {"requestor": "CT_1", "called_ae": "OVERREAD", "association_id": "a9"}
    commitments.request(transaction, policy=policy, references=[named], **whom)
    if failure is None:
        return False
    task = commitments.claim("registrar", LEASE_S)
    assert task
    assert task.transaction_uid == transaction
    return commitments.decide(task, {named.sop_instance_uid: failure}, keep=policy == "node")


@pytest.mark.parametrize("failure", [0, None])
def test_what_this_node_has_committed_or_may_commit_stays_for_good(attic: Attic, failure: int | None) -> None:
    attic.delivered_study()
    assert ask_to_commit(attic, "node", failure) is (failure == 0)
    attic.days_pass(1000)
    attic.sweep()
    assert len(attic.files("in")) == 3


@pytest.mark.parametrize(("policy", "failure"), [("nobody", 0), ("archive:vna", 0)])
def test_what_somebody_else_has_committed_goes_and_cannot_be_committed_here_afterwards(
    attic: Attic, policy: str, failure: int
) -> None:
    attic.delivered_study()
    if policy != "nobody":
        assert ask_to_commit(attic, policy, failure)
    attic.days_pass(1000)
    attic.sweep()
    assert attic.files("in") == []
    attic.catalog.commitments.claim("registrar", LEASE_S)  # the report of the first, if any
    assert not ask_to_commit(attic, "node", 0, "1.10")
    assert attic.catalog.commitments.here([f"{STUDY}.4.1"]) == {}


def test_results_that_went_nowhere_stay(attic: Attic) -> None:
    attic.receive(1)
    attic.read()
    attic.days_pass(1000)
    assert attic.sweep() == 1
    assert attic.files("in") == []
    assert len(attic.files("results")) == 1


def test_a_study_that_no_model_reads_goes_too(attic: Attic) -> None:
    attic.receive(1)
    attic.plan(plans=[])
    assert attic.story.study(STUDY).state == StudyState.FINISHED
    attic.days_pass(11)
    assert attic.sweep() == 1


def test_for_room_the_oldest_go_first_and_no_more_than_needed(attic: Attic) -> None:
    retention = Retention(keep_free_mb=100, room_after_hours=1)
    settings = attic.settings.model_copy(update={"retention": retention})
    for study in ("1.2.1", "1.2.2", "1.2.3", "1.2.4"):
        attic.delivered_study(study)
        attic.days_pass(1)
    keeper = attic.keeper(settings)
    assert keeper.sweep(threading.Event()) == 0, "there is room"
    whole = len(attic.files())

    def free(_folder: object) -> int:  # each study is worth 40 MB
        gone = 1 - len(attic.files()) / whole
        return 30_000_000 + int(gone * 4) * 40_000_000

    keeper._free_bytes = free  # type: ignore[assignment]
    assert keeper.sweep(threading.Event()) == 2
    assert {path.split("/")[1] for path in attic.files()} == {"1.2.3", "1.2.4"}


def test_a_study_that_has_just_been_delivered_does_not_go_for_room(attic: Attic) -> None:
    retention = Retention(keep_free_mb=100, room_after_hours=1)
    settings = attic.settings.model_copy(update={"retention": retention})
    attic.delivered_study()
    attic.free_mb = 0
    attic.days_pass(0.9 / 24)
    keeper = attic.keeper(settings)
    assert keeper.sweep(threading.Event()) == 0
    attic.days_pass(0.2 / 24)
    assert keeper.sweep(threading.Event()) == 1


def test_one_process_at_a_time(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    with (attic.spool.root / "retention.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert attic.sweep() == 0
    assert attic.sweep() == 1


def test_stops_when_asked(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    stop = threading.Event()
    stop.set()
    assert attic.keeper().sweep(stop) == 0


def test_a_disk_that_does_not_let_go_is_said_and_tried_again(attic: Attic, monkeypatch: pytest.MonkeyPatch) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    stop = threading.Event()

    def fails(_paths: object) -> None:
        stop.set()
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("node.retention.remover.unlink", fails)
        attic.keeper().run(stop)
    assert len(attic.files()) == 3
    assert attic.sweep() == 1
    assert attic.files() == []
