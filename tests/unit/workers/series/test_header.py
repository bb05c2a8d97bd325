"""What the source says is handed on in the model contract's record."""

from __future__ import annotations

from pydicom.dataset import Dataset

from models.image import Header
from tests import dicom
from workers.series.header import read_header


def test_an_mr_header() -> None:
    header = read_header(dicom.mr_series(slices=1)[0], 0)
    assert (header.repetition_time_ms, header.echo_time_ms, header.inversion_time_ms) == (500, 12, None)
    assert header.scanning_sequence == ("SE",)
    assert header.image_type == ("ORIGINAL", "PRIMARY", "M", "SE")
    assert (header.body_part_examined, header.bits_stored, header.has_rescale) == ("BRAIN", 16, False)


def test_absent_is_empty() -> None:
    assert read_header(Dataset(), 0) == Header()


def test_a_view_code_is_read() -> None:
    film, view = dicom.radiograph(view=""), Dataset()
    view.CodeValue, view.CodeMeaning = "R-10214", "postero-anterior"
    film.ViewCodeSequence = [view]
    header = read_header(film, 0)
    assert (header.view_position, header.view_code) == ("", "postero-anterior")


def test_nothing_that_names_the_patient_is_in_it() -> None:
    told = repr(read_header(dicom.ct_series(slices=1, patient_name="Roentgen^Anna")[0], 0))
    assert "Roentgen" not in told
    assert "1970" not in told
