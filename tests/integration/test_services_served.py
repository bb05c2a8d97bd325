"""What scanners say, through all processes of a node: a study that stays incomplete, and a commitment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep, StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from tests.integration.node_under_test import running_node, wait_for
from tests.integration.phantom import ct_phantom
from tests.unit.node.listener.services.test_services import beginning, ending

pytestmark = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(280)]

MPPS = str(ModalityPerformedProcedureStep)
COMMITMENT = str(StorageCommitmentPushModel)
COMMITS = '[[sources]]\nae_title = "MODALITY"\ncommitment = "node"\n'


def test_a_study_that_stays_incomplete_says_so_and_is_read_anew_when_the_rest_comes(tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "ct", slices=8)
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in phantom.paths]
    with running_node(tmp_path, top="longest_wait_s = 8", tables=COMMITS) as node:
        reports: list[Dataset] = []

        def take(event: Any) -> tuple[int, None]:
            reports.append(event.event_information)
            return 0, None

        scanner = AE("MODALITY")
        scanner.add_requested_context(MPPS)
        scanner.add_requested_context(COMMITMENT)
        association = scanner.associate("127.0.0.1", node.port, ae_title="OVERREAD")
        assert association.send_n_create(beginning(phantom.study_uid), MPPS, "1.9")[0].Status == 0
        assert all(verdict.stored for verdict in node.send(phantom.paths[:6]))
        assert association.send_n_set(ending(**{phantom.series_uid: uids}), MPPS, "1.9")[0].Status == 0
        association.release()
        study = node.finished(phantom.study_uid, 120)
        assert study["incomplete"]
        assert (
            "incomplete, read as it stands 8 s after its first image: procedure step of MODALITY (completed)" in study["evidence"]
        )
        assert [(one["kind"], one["status"], one["named"], one["arrived"]) for one in study["signals"]] == [
            ("mpps", "COMPLETED", 8, 6)
        ]
        note = "Incomplete: 2 of the 8 images named for this series had not arrived when it was read."
        assert note in study["jobs"][0]["notes"]
        assert any(note in text_of(path) for path in node.archive.folder.glob("*.dcm")), "the report that was delivered says it"

        assert all(verdict.stored for verdict in node.send(phantom.paths[6:]))
        study = node.finished(phantom.study_uid, 120, revision=2)
        assert not study["incomplete"]
        assert "names 8 instances, all here" in study["evidence"]
        assert not any("Incomplete" in note for note in study["jobs"][-1]["notes"])

        wanted = Dataset()
        wanted.TransactionUID = "1.9.1"
        wanted.ReferencedSOPSequence = []
        for uid in uids:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
            wanted.ReferencedSOPSequence.append(item)
        handlers = [(evt.EVT_N_EVENT_REPORT, take)]
        association = scanner.associate("127.0.0.1", node.port, ae_title="OVERREAD", evt_handlers=handlers)
        assert association.send_n_action(wanted, 1, COMMITMENT, str(StorageCommitmentPushModelInstance))[0].Status == 0
        wait_for(lambda: reports, 60, "the report comes over the association of the request")
        assert len(reports[0].ReferencedSOPSequence) == 8
        assert "FailedSOPSequence" not in reports[0]
        association.release()


def text_of(path: Path) -> str:
    """All text of a report."""
    dataset = dcmread(path, stop_before_pixels=True)
    return " ".join(str(element.value) for element in dataset.iterall() if element.keyword == "TextValue")
