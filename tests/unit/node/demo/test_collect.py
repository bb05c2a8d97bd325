from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from node.demo.collect import keep_results, own_cases, received_objects, study_uid
from node.store.errors import Permanent


def write(path: Path, study: str, number: int, **values: Any) -> Path:
    one = Dataset()
    one.SOPClassUID, one.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", f"2.25.{number}"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.Modality = study, "2.25.9", "SEG"
    for name, value in values.items():
        setattr(one, name, value)
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def test_own_files_are_grouped_by_study(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / "ct" / f"{number}.dcm", "1.2.3", number)
    other = write(tmp_path / "ct" / "other.dcm", "1.2.4", 9)
    (tmp_path / "ct" / "README.txt").write_text("no image")
    first, second = own_cases([tmp_path / "ct"])
    assert (study_uid(first), len(first.paths), first.title) == ("1.2.3", 3, "ct, 3 files")
    assert (study_uid(second), second.paths, second.title) == ("1.2.4", (other,), "other.dcm")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_study_uid_that_is_a_path_names_no_study(tmp_path: Path) -> None:
    write(tmp_path / "x" / "evil.dcm", "../../precious", 1)
    with pytest.raises(Permanent, match="no DICOM file"):
        own_cases([tmp_path / "x"])


def test_nothing_to_send_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no image")
    with pytest.raises(Permanent, match="no DICOM file"):
        own_cases([tmp_path])
    with pytest.raises(Permanent, match="does not exist"):
        own_cases([tmp_path / "gone"])


def code(value: str) -> Dataset:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, "UCUM", value
    return one


def test_received_objects_are_read_from_their_files_and_kept(tmp_path: Path) -> None:
    segment, item, number = Dataset(), Dataset(), Dataset()
    segment.SegmentLabel = "Right lung"
    number.MeasurementUnitsCodeSequence = Sequence([code("mm2")])
    item.MeasuredValueSequence = Sequence([number])
    write(tmp_path / "archive" / "2.25.1.dcm", "1.2.3", 1, SegmentSequence=Sequence([segment]))
    write(tmp_path / "archive" / "2.25.2.dcm", "1.2.3", 2, ContentSequence=Sequence([item]))
    study = {
        "study_uid": "1.2.3",
        "jobs": [{"job_id": 7, "model": "ct-tissue"}],
        "deliveries": [
            {"job_id": 7, "kind": "seg", "sop_instance_uid": "2.25.1"},
            {"job_id": 7, "kind": "measurements", "sop_instance_uid": "2.25.2"},
            {"job_id": 7, "kind": "report", "sop_instance_uid": "2.25.3"},
        ],
    }
    seg, measurements = received_objects(study, tmp_path / "archive")
    assert (seg.kind, seg.model, seg.segments, seg.units) == ("seg", "ct-tissue", ("Right lung",), ())
    assert (measurements.kind, measurements.units) == ("measurements", ("mm2",))

    out = tmp_path / "out"
    (out / "1.2.3").mkdir(parents=True)
    (out / "1.2.3" / "old-seg.dcm").write_bytes(b"from an earlier run")
    files = keep_results(study, [seg, seg, measurements], out)
    assert [path.name for path in files] == ["ct-tissue-seg.dcm", "ct-tissue-seg-2.dcm", "ct-tissue-measurements.dcm"]
    assert {path.name for path in (out / "1.2.3").iterdir()} == {path.name for path in files} | {"study.json"}
    assert dcmread(files[2]).SOPInstanceUID == "2.25.2"
    assert json.loads((out / "1.2.3" / "study.json").read_text())["study_uid"] == "1.2.3"
