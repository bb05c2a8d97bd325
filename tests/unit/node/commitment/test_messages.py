from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.commitment.messages import read_report, read_request, write_report, write_request
from node.data_set import read_data_set
from node.store.commitment import Failure, Reference
from node.store.errors import NotUnderstood

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
ONE, TWO = Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.3.1"), Reference("1.2.840.10008.5.1.4.1.1.4", "1.2.3.2")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_request_comes_back_as_it_was_written(syntax: str) -> None:
    assert read_request(read_data_set(write_request("1.9", (ONE, TWO), syntax), syntax)) == ("1.9", (ONE, TWO))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_reports(syntax: str) -> None:
    event, content = write_report("1.9", (ONE, TWO), {"1.2.3.1": 0, "1.2.3.2": 0}, syntax)
    assert event == 1
    assert read_report(read_data_set(content, syntax)) == ("1.9", {"1.2.3.1": 0, "1.2.3.2": 0})
    event, content = write_report("1.9", (ONE, TWO), {"1.2.3.1": 0, "1.2.3.2": int(Failure.CLASS_CONFLICT)}, syntax)
    assert event == 2
    assert read_report(read_data_set(content, syntax)) == ("1.9", {"1.2.3.1": 0, "1.2.3.2": 0x0119})


def test_what_has_no_outcome_is_never_reported_as_committed() -> None:
    event, content = write_report("1.9", (ONE,), {}, EXPLICIT)
    assert event == 2
    assert read_report(read_data_set(content, EXPLICIT)) == ("1.9", {"1.2.3.1": 0x0110})


def test_what_is_named_as_committed_and_as_failed_has_failed() -> None:
    _, content = write_report("1.9", (ONE,), {"1.2.3.1": 0}, EXPLICIT)
    report = read_data_set(content, EXPLICIT)
    report.FailedSOPSequence = [Dataset()]
    item = report.FailedSOPSequence[0]
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ONE.sop_class_uid, ONE.sop_instance_uid
    assert read_report(report)[1] == {"1.2.3.1": 0x0110}, "no reason is given, or that of success"
    item.FailureReason = 0
    assert read_report(report)[1] == {"1.2.3.1": 0x0110}


@pytest.mark.parametrize("keyword", ["TransactionUID", "ReferencedSOPSequence"])
def test_what_is_no_request(keyword: str) -> None:
    request = read_data_set(write_request("1.9", (ONE,), EXPLICIT), EXPLICIT)
    delattr(request, keyword)
    with pytest.raises(NotUnderstood, match=keyword):
        read_request(request)
