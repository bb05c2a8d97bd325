"""Whose a study is, asked of scripted destinations; the real one is in tests/integration/test_reconcile.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.delivery.reconcile import known
from node.doubles.peer import Acceptor
from node.store.destinations import Destination
from node.store.errors import OverreadError
from tests.integration.dimse_node import files
from tests.unit.node.query.answering import DONE, GARBAGE, Reply, answering, pending

STUDY = "1.2.3"
OURS = {"PatientID": "P1", "AccessionNumber": "A-1"}


@pytest.fixture
def result(tmp_path: Path) -> Path:
    (path,) = files(tmp_path, 1, study=STUDY, **OURS)
    return path


def said(result: Path, *replies: Reply) -> str:
    with Acceptor(answering(*replies)) as peer:
        pacs = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=peer.port, reconcile=True)
        return known(pacs, "OVERREAD", STUDY).differs(result)


@pytest.mark.parametrize(
    ("replies", "held"),
    [
        ([pending(StudyInstanceUID=STUDY, **OURS), DONE], ""),
        ([DONE], ""),
        ([pending(StudyInstanceUID=STUDY, PatientID="P1"), DONE], ""),
        ([pending(StudyInstanceUID=STUDY, PatientID="P2"), DONE], "under another Patient ID"),
        ([pending(StudyInstanceUID=STUDY, AccessionNumber="A-1"), DONE], "under another Patient ID"),
        ([pending(StudyInstanceUID=STUDY, PatientID="P1", AccessionNumber="A-2"), DONE], "under another Accession Number"),
        ([pending(StudyInstanceUID=STUDY, **OURS), pending(StudyInstanceUID=STUDY, PatientID="P2"), DONE], "another Patient ID"),
        ([pending(StudyInstanceUID="1.2.9", **OURS), DONE], "answered with another one"),
        ([pending(StudyInstanceUID=STUDY, **OURS), pending(StudyInstanceUID="1.2.9", **OURS), DONE], "answered with another one"),
        ([pending(**OURS), DONE], "did not say with which"),
        ([Reply(0xFF00), DONE], "did not say with which"),
        ([GARBAGE, DONE], "cannot be read"),
    ],
)
def test_only_what_names_the_study_and_fits_lets_results_go(result: Path, replies: list[Reply], held: str) -> None:
    reason = said(result, *replies)
    assert held in reason
    assert bool(held) == bool(reason)
    assert not {"P1", "P2", "A-1", "A-2"} & set(reason.replace(",", " ").split()), "no patient data"


def test_a_result_that_cannot_be_read_is_held(tmp_path: Path, result: Path) -> None:
    result.write_bytes(b"not DICOM")
    match = pending(StudyInstanceUID=STUDY, **OURS)
    assert "restore it" in said(result, match, DONE)
    assert "restore it" in said(tmp_path / "gone.dcm", match, DONE)


def test_each_result_of_a_study_is_compared(tmp_path: Path, result: Path) -> None:
    (other,) = files(tmp_path / "other", 2, study=STUDY, PatientID="P2")
    with Acceptor(answering(pending(StudyInstanceUID=STUDY, **OURS), DONE)) as peer:
        study = known(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=peer.port), "OVERREAD", STUDY)
    assert (study.differs(result), bool(study.differs(other))) == ("", True)
    assert "P1" not in repr(study)


def test_a_failure_is_no_answer(result: Path) -> None:
    with pytest.raises(OverreadError):
        said(result, Reply(0xA700))
