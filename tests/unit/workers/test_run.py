from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from models.manifest import read_manifest
from node.store.errors import ConfigurationError
from node.store.settings import Settings
from tests import dicom
from tests.integration.phantom import ct_phantom
from tests.research import RESEARCH
from workers.encode.calibration import calibration_in_words
from workers.encode.language import speech
from workers.nameless import COPIES
from workers.run import Reading, marked_region, read_files

MODEL = "ct-tissue"


def read(paths: list[Path], out: Path) -> list[Reading]:
    return list(read_files(MODEL, paths, out, Settings(data=out.parent / "data")))


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_each_study_has_a_folder_of_its_results(tmp_path: Path) -> None:
    studies = {ct_phantom(tmp_path / "in" / name, slices=6, size=64).study_uid for name in ("a", "b")}
    (tmp_path / "in" / "notes.txt").write_text("no image")

    readings = read([tmp_path / "in"], tmp_path / "out")

    assert len(studies) == 2
    assert {one.study_uid for one in readings} == studies
    for one in readings:
        assert one.outcome == "read"
        assert one.files
        assert {path.parent for path in one.files} == {tmp_path / "out" / one.study_uid}
        assert {str(dcmread(path).StudyInstanceUID) for path in one.files} == {one.study_uid}
    assert files_below(tmp_path / "out") == sorted(path for one in readings for path in one.files)


def test_a_series_that_the_model_does_not_read_says_why(tmp_path: Path) -> None:
    dicom.write([dicom.radiograph()], tmp_path / "in")
    (reading,) = read([tmp_path / "in"], tmp_path / "out")
    assert (reading.outcome, reading.reason, reading.files) == ("not chosen", "reads CT, this is CR", ())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_uid_that_is_a_path_is_refused_and_nothing_else_suffers(keyword: str, tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "in" / "good", slices=6, size=64)
    bad = dcmread(phantom.paths[0])
    setattr(bad, keyword, "../../1.2")
    bad.save_as(tmp_path / "in" / "bad.dcm")
    before = files_below(tmp_path)

    refused, good = read([tmp_path / "in"], tmp_path / "deep" / "out")

    assert (refused.stack, refused.outcome, refused.files) == ("bad.dcm", "refused", ())
    assert "digits and dots" in refused.reason
    assert (good.study_uid, good.outcome) == (phantom.study_uid, "read")
    assert set(files_below(tmp_path)) == {*before, *good.files}


def test_files_that_lost_their_uids_are_copied_and_it_is_said(tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "in", slices=6, size=64)
    for path in phantom.paths:
        one = dcmread(path)
        del one.StudyInstanceUID, one.SeriesInstanceUID
        one.save_as(path)

    (reading,) = read(phantom.paths, tmp_path / "out")

    assert reading.outcome == "read"
    copies = list((tmp_path / "out" / reading.study_uid / COPIES).iterdir())
    assert len(copies) == len(phantom.paths)
    assert any("lost their UIDs" in note for note in reading.summary["notes"])


def test_what_cannot_be_begun_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("no image")
    with pytest.raises(ConfigurationError, match="no DICOM file"):
        read([tmp_path / "x.txt"], tmp_path / "out")
    with pytest.raises(ConfigurationError, match="neither a file nor a folder"):
        read([tmp_path / "gone"], tmp_path / "out")
    with pytest.raises(ConfigurationError, match="there is no model ct-tisue: did you mean ct-tissue"):
        list(read_files("ct-tisue", [tmp_path], tmp_path / "out", Settings()))


@pytest.mark.parametrize(("given", "region"), [(None, None), ("812,1204.5,60", (1204.5, 812.0, 60.0))])
def test_a_region_is_column_row_and_radius(given: str | None, region: tuple[float, float, float] | None) -> None:
    assert marked_region(given) == region


@pytest.mark.parametrize("given", ["", "1,2", "1,2,3,4", "a,b,c", "1,2,0", "1,2,nan", "inf,2,3"])
def test_a_region_that_is_none_is_told(given: str) -> None:
    with pytest.raises(ConfigurationError, match="--region"):
        marked_region(given)


def test_a_marked_region_reaches_the_model(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (300, 200)).astype(np.uint16)
    dicom.write([dicom.mammogram("L-CC", pixels, spacing_mm=0.4)], tmp_path / "in")
    settings = Settings(data=tmp_path / "data", model_folders=(RESEARCH,))

    without, with_region = (
        next(
            one
            for one in read_files("mammo-lesion", [tmp_path / "in"], tmp_path / name, settings, region=region)
            if "four" not in one.stack
        )
        for name, region in (("a", None), ("b", (150.0, 90.0, 20.0)))
    )

    assert without.outcome == "refused"
    assert "--region COLUMN,ROW,RADIUS" in without.reason
    assert with_region.outcome == "read"
    assert "rated was the region about column 90, row 150, radius 20 pixels" in with_region.summary["notes"]
    assert len(with_region.files) == 2
    (finding,) = with_region.summary["findings"]
    stated = read_manifest(RESEARCH / "mammo-lesion").finding("malignant").calibration
    assert stated is not None
    assert finding["calibration"] == stated.model_dump(mode="json")
    texts = [text for path in with_region.files for text in re.findall(r"Calibration: [^\"]+", dcmread(path).to_json())]
    assert len(texts) == 2  # measurements and report
    assert set(texts) == {calibration_in_words(stated, speech("en"))}
