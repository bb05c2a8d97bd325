"""A dermoscopic photograph as a camera writes it, from file to reports; what is no such photograph is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from models.training.tables import read_colour, read_rows
from node.store.settings import Settings
from tests import dicom
from tests.research import RESEARCH
from workers.run import Reading, read_files


def _readings(folder: Path) -> list[Reading]:
    return list(read_files("skin-7", [folder / "in"], folder / "out", Settings(data=folder / "data", model_folders=(RESEARCH,))))


@pytest.mark.shared
@pytest.mark.parametrize(("modality", "compressed"), [("XC", True), ("DMS", False)])
def test_seven_findings_of_which_one_is_the_answer(shared: Path, tmp_path: Path, modality: str, compressed: bool) -> None:
    folder = shared / "data" / "skin"
    row = next(row for row in read_rows(folder) if row["label"] == "vasc" and row["split"] == "train")
    picture = dicom.dermoscopy(read_colour(folder / row["image"]), modality=modality, compressed=compressed)
    dicom.write([picture], tmp_path / "in")
    (read,) = _readings(tmp_path)
    assert (read.outcome, read.reason) == ("read", "")
    findings = read.summary["findings"]
    assert len(findings) == 7
    assert sum(one["probability"] for one in findings) == pytest.approx(1, abs=0.01)
    assert [one["verdict"] for one in findings].count("present") == 1
    text = next(dcmread(path).to_json() for path in read.files if path.name.startswith("report"))
    assert text.count("Probability") == 7
    assert "the likeliest" in text


def test_films_and_slices_are_not_chosen(tmp_path: Path) -> None:
    dicom.write([dicom.radiograph(), *dicom.ct_series(slices=2, series="ct")], tmp_path / "in")
    readings = _readings(tmp_path)
    assert {one.outcome for one in readings} == {"not chosen"}
    assert "reads dermoscopic pictures (XC, DMS), this is CR" in {one.reason for one in readings}


def test_a_grey_picture_in_colour_is_refused(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (160, 160, 1), dtype=np.uint8)
    dicom.write([dicom.dermoscopy(np.repeat(grey, 3, axis=2))], tmp_path / "in")
    (refused,) = _readings(tmp_path)
    assert refused.outcome == "refused"
    assert "no picture of skin" in refused.reason
