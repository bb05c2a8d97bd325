"""Headers are read without patient and without pixels; digests change with what a model would see, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.studies.header import InstanceHeader, read_headers
from tests import dicom


def header(dataset, folder: Path) -> InstanceHeader:
    return read_headers(dicom.stored([dataset], folder), folder)[0]


def ct(**options: object):
    return dicom.ct_series(slices=1, **options)[0]


def test_nothing_of_the_patient_is_kept(tmp_path: Path) -> None:
    dataset = ct(patient_name="Roentgen^Anna")
    dataset.PatientComments = "secret words"
    kept = repr(header(dataset, tmp_path))
    assert "Roentgen" not in kept
    assert "secret" not in kept
    assert "19700101" not in kept


def test_coerced_patient_attributes_do_not_change_the_digest(tmp_path: Path) -> None:
    one, other = ct(), ct(patient_name="Other^Name")
    other.PatientID, other.AccessionNumber, other.StudyDescription = "X9", "A77", "coerced"
    assert header(one, tmp_path / "a").digest == header(other, tmp_path / "b").digest


@pytest.mark.parametrize(
    "change",
    [
        {"ImagePositionPatient": [0, 0, 0]},
        {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]},
        {"PixelSpacing": [1, 1]},
        {"RescaleIntercept": "0"},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PixelData": b"\1\0" * 192},
        {"FrameOfReferenceUID": "1.2.3"},
    ],
)
def test_pixels_geometry_and_meaning_change_the_digest(tmp_path: Path, change: dict) -> None:
    other = ct()
    for keyword, value in change.items():
        setattr(other, keyword, value)
    assert header(ct(), tmp_path / "a").digest != header(other, tmp_path / "b").digest


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_encoding_of_the_data_set_does_not_change_the_digest(tmp_path: Path, syntax: str) -> None:
    other = ct()
    other.file_meta.TransferSyntaxUID = syntax
    mine, theirs = header(ct(), tmp_path / "a"), header(other, tmp_path / "b")
    assert theirs.has_pixels
    assert mine.digest == theirs.digest


def test_big_endian_is_read(tmp_path: Path) -> None:
    other = dicom.big_endian(ct())
    read = header(other, tmp_path)
    assert (read.has_pixels, read.slices[0].rows, read.number) == (True, 16, 1)


def test_what_stands_behind_the_pixels_is_not_looked_at(tmp_path: Path) -> None:
    rows = dicom.stored([ct()], tmp_path)
    before = read_headers(rows, tmp_path)[0]
    path = tmp_path / rows[0].arrival.path
    path.write_bytes(path.read_bytes() + b"\0" * 4096)
    assert read_headers(rows, tmp_path)[0].digest == before.digest


def test_empty_pixel_data_is_none(tmp_path: Path) -> None:
    dataset = ct()
    dataset.PixelData = b""
    assert not header(dataset, tmp_path).has_pixels


def test_an_instance_number_that_is_none_is_nothing(tmp_path: Path) -> None:
    dataset = ct()
    del dataset.InstanceNumber
    assert header(dataset, tmp_path).number is None


def test_a_file_that_is_gone_has_a_fault(tmp_path: Path) -> None:
    rows = dicom.stored([ct()], tmp_path)
    (tmp_path / rows[0].arrival.path).unlink()
    assert "cannot be read (FileNotFoundError)" in read_headers(rows, tmp_path)[0].fault
