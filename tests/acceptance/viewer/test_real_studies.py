"""The same of real images, where they are at hand: pytest -m "slow and shared" tests/acceptance."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from models.training.tables import read_colour, read_rows
from tests import dicom
from tests.acceptance.viewer.conftest import Site
from tests.acceptance.viewer.studies import Study
from tests.acceptance.viewer.test_viewer import see_study

pytestmark = [pytest.mark.peer, pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(("folder", "model"), [("ct_3slice", "ct-tissue"), ("mr_pd_brain", "brain-mr")])
def test_a_real_series_is_shown_as_it_was_written(folder: str, model: str, site: Site, shared: Path) -> None:
    paths = tuple(sorted((shared / "data" / "dicom" / folder).iterdir()))
    study = Study(str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID), paths)
    site.send(study)
    found = see_study(site, study, model)
    assert any(one.Modality == "SEG" for one in found)


def test_a_real_spot_is_shown_as_it_was_written(site: Site, shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "skin"
    row = next(row for row in read_rows(folder) if row["label"] == "mel" and row["split"] == "train")
    photo = dicom.dermoscopy(read_colour(folder / row["image"]), compressed=True, study="real skin", series="real skin")
    photo.SeriesDescription = "Dermoscopy"
    study = Study(str(photo.StudyInstanceUID), tuple(dicom.write([photo], tmp_path)))
    site.send(study)
    see_study(site, study, "skin-7")
