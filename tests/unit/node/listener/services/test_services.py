"""Procedure steps and availability notifications from pynetdicom as SCU, into a catalog."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import InstanceAvailabilityNotification, ModalityPerformedProcedureStep

from node import command_set
from node.command_set import STATUS
from node.doubles.peer import Requestor
from node.listener.listener import Listener
from node.listener.services.exchange import LONGEST_DATA_SET
from node.listener.services.table import Services
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.settings import Limits, Settings
from node.store.signals import COMPLETED, DISCONTINUED, IN_PROGRESS, SignalKind
from node.upper_layer import Context
from tests.unit.node.listener.encoded import CT, EXPLICIT, IMPLICIT, encode, image

MPPS, IAN = str(ModalityPerformedProcedureStep), str(InstanceAvailabilityNotification)
BIG = "1.2.840.10008.1.2.2"


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = open_catalog(Settings(data=tmp_path / "data"))
    yield opened
    opened.close()


@pytest.fixture
def listener(tmp_path: Path, catalog: Catalog) -> Iterator[Listener]:
    settings = Settings(data=tmp_path / "data", host="127.0.0.1", port=0, limits=Limits(disk_reserve_mb=0))
    started = Listener(settings, catalog.intake, Services(catalog.signals, catalog.commitments, settings))
    started.start()
    yield started
    started.stop(drain_s=0.5)


@pytest.fixture(params=[EXPLICIT, IMPLICIT, BIG])
def association(listener: Listener, request: pytest.FixtureRequest) -> Iterator[Association]:
    ae = AE("CT_1")
    for sop_class in (MPPS, IAN):
        ae.add_requested_context(sop_class, [request.param])
    made = ae.associate("127.0.0.1", listener.port, ae_title="OVERREAD")
    assert made.is_established
    assert len(made.accepted_contexts) == 2
    yield made
    made.release()


def referenced(*uids: str, sop_class: str = CT) -> list[Dataset]:
    made = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        made.append(item)
    return made


def beginning(*studies: str) -> Dataset:
    step = Dataset()
    step.PerformedProcedureStepStatus = IN_PROGRESS
    step.PatientName = "Yamada^Tarou"
    step.ScheduledStepAttributesSequence = []
    for study in studies or ("1.2.3",):
        item = Dataset()
        item.StudyInstanceUID = study
        step.ScheduledStepAttributesSequence.append(item)
    return step


def ending(status: str = COMPLETED, **series: list[str]) -> Dataset:
    step = Dataset()
    step.PerformedProcedureStepStatus = status
    step.PerformedSeriesSequence = []
    for name, uids in series.items():
        item = Dataset()
        item.SeriesInstanceUID = name.removeprefix("s")
        item.ReferencedImageSequence = referenced(*uids[:-1])
        item.ReferencedNonImageCompositeSOPInstanceSequence = referenced(*uids[-1:])
        step.PerformedSeriesSequence.append(item)
    return step


def test_a_step_from_its_beginning_to_its_end(association: Association, catalog: Catalog) -> None:
    assert association.send_n_create(beginning(), MPPS, "1.9")[0].Status == 0
    (signal,) = catalog.signals.about("1.2.3")
    assert (signal.kind, signal.uid, signal.source, signal.status) == (SignalKind.MPPS, "1.9", "CT_1", IN_PROGRESS)
    assert association.send_n_set(ending(IN_PROGRESS, s11=["1", "2"]), MPPS, "1.9")[0].Status == 0
    (signal,) = catalog.signals.about("1.2.3")
    assert (signal.status, signal.series) == (IN_PROGRESS, {"11": {"1", "2"}})
    assert association.send_n_set(ending(s11=["1", "2", "3"], s12=["4"]), MPPS, "1.9")[0].Status == 0
    (signal,) = catalog.signals.about("1.2.3")
    assert (signal.status, signal.series) == (COMPLETED, {"11": {"1", "2", "3"}, "12": {"4"}})
    status = association.send_n_set(ending(DISCONTINUED), MPPS, "1.9")[0]
    assert (status.Status, status.ErrorID) == (0x0110, 0xA710), "an ended step may no longer be updated"
    assert catalog.signals.status(SignalKind.MPPS, "1.9") == COMPLETED


def test_a_step_of_two_studies_is_told_of_both(association: Association, catalog: Catalog) -> None:
    assert association.send_n_create(beginning("1.2.3", "1.2.4"), MPPS, "1.9")[0].Status == 0
    assert association.send_n_set(ending(DISCONTINUED), MPPS, "1.9")[0].Status == 0
    assert [catalog.signals.about(study)[0].status for study in ("1.2.3", "1.2.4")] == [DISCONTINUED] * 2


def test_a_step_without_uid_is_given_one(association: Association, catalog: Catalog) -> None:
    status, _ = association.send_n_create(beginning(), MPPS, None)
    assert status.Status == 0
    (signal,) = catalog.signals.about("1.2.3")
    assert association.send_n_set(ending(), MPPS, signal.uid)[0].Status == 0


def test_a_notification(association: Association, catalog: Catalog) -> None:
    notice = Dataset()
    notice.StudyInstanceUID = "1.2.3"
    series = Dataset()
    series.SeriesInstanceUID = "11"
    series.ReferencedSOPSequence = referenced("1", "2", "3")
    for item, availability in zip(series.ReferencedSOPSequence, ("ONLINE", "NEARLINE", "UNAVAILABLE"), strict=True):
        item.InstanceAvailability, item.RetrieveAETitle = availability, "PACS"
    notice.ReferencedSeriesSequence = [series]
    assert association.send_n_create(notice, IAN, "1.8")[0].Status == 0
    (signal,) = catalog.signals.about("1.2.3")
    assert (signal.kind, signal.source, signal.series) == (SignalKind.AVAILABILITY, "CT_1", {"11": {"1", "2"}})
    assert association.send_n_create(notice, IAN, "1.8")[0].Status == 0x0111


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"PerformedProcedureStepStatus": None}, 0x0120),
        ({"PerformedProcedureStepStatus": COMPLETED}, 0x0106),
        ({"PerformedProcedureStepStatus": "SLEEPING"}, 0x0106),
        ({"ScheduledStepAttributesSequence": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": [Dataset()]}, 0x0120),
    ],
)
def test_what_is_not_a_step(listener: Listener, catalog: Catalog, change: dict[str, object], status: int) -> None:
    step = beginning()
    for keyword, value in change.items():
        if value is None:
            delattr(step, keyword)
        else:
            setattr(step, keyword, value)
    ae = AE("CT_1")
    ae.add_requested_context(MPPS)
    association = ae.associate("127.0.0.1", listener.port)
    assert association.send_n_create(step, MPPS, "1.9")[0].Status == status
    assert association.send_n_set(ending(), MPPS, "1.9")[0].Status == 0x0112, "it was never created"
    assert association.send_n_create(beginning(), MPPS, "1.9")[0].Status == 0, "the association goes on"
    assert association.send_n_create(beginning(), MPPS, "1.9")[0].Status == 0x0111
    association.release()
    assert len(catalog.signals.about("1.2.3")) == 1


CONTEXTS = (
    Context(MPPS, (EXPLICIT,)),
    Context(CT, (EXPLICIT,)),
    Context(MPPS, ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50")),
)


def request_of(field: int, *, data: bool = True) -> bytes:
    return command_set.encode(
        {
            command_set.AFFECTED_SOP_CLASS_UID: MPPS,
            command_set.COMMAND_FIELD: field,
            command_set.MESSAGE_ID: 7,
            command_set.DATA_SET_TYPE: 1 if data else command_set.NO_DATA_SET,
            command_set.AFFECTED_SOP_INSTANCE_UID: "1.9",
        }
    )


def test_data_sets_that_are_none_or_endless_end_no_association(listener: Listener, catalog: Catalog) -> None:
    with Requestor(listener.port, CONTEXTS) as peer:
        accepted = peer.associate()
        assert [result for result, _ in accepted.contexts.values()] == [0, 0, 4], "neither deflated nor compressed messages"
        peer.command(1, request_of(command_set.N_CREATE_RQ))
        peer.data(1, b"\x08\x00\x05\x00SQ\x00\x00" + struct.pack("<L", 0xFFFFFFFF) + b"rubbish", last=True)
        assert peer.response().number(STATUS) in {0x0110, 0x0120}
        peer.command(1, request_of(command_set.N_CREATE_RQ))
        for _ in range(LONGEST_DATA_SET // 16000 + 2):
            peer.data(1, bytes(16000), last=False)
        peer.data(1, b"", last=True)
        assert peer.response().number(STATUS) == 0x0213
        peer.command(1, request_of(0x0150, data=False))
        assert peer.response().number(STATUS) == 0x0211, "N-DELETE"
        peer.command(1, request_of(command_set.N_CREATE_RQ, data=False))
        assert peer.response().number(STATUS) == 0x0120
        peer.command(3, command_set.store_request(9, CT, "1.2.3.4.1"))
        peer.data(3, encode(image()), last=True)
        assert peer.response().number(STATUS) == 0
    assert catalog.signals.newest() is None


def test_a_catalog_that_is_away_fails_the_request_and_not_the_association(
    listener: Listener, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ae = AE("CT_1")
    ae.add_requested_context(MPPS)
    association = ae.associate("127.0.0.1", listener.port)

    def away(*_: object) -> None:
        raise OSError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(catalog.signals, "say", away)
        assert association.send_n_create(beginning(), MPPS, "1.9")[0].Status == 0x0110
    assert association.send_n_create(beginning(), MPPS, "1.9")[0].Status == 0
    association.release()
