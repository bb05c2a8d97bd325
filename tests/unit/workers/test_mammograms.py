"""Four mammograms of different sizes, in four series, through ``overread run``: one report of them together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch

from models.manifest import library_folder
from node.store.download import sha256_of
from node.store.mammography import STANDARD_VIEWS
from node.store.profiles import Profile
from node.store.settings import Settings
from tests import dicom
from workers.run import Reading, read_files

MODEL = "mammo-made-here"
SERIES_OF_ONE = ("SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")
"""A series has one frame of reference (PS3.3 section C.7.4.1), and each mammogram another."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With a model like mammo-density, its weights made here."""
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    torch.manual_seed(4)
    state = {"fc1.weight": torch.randn(100, 200), "fc1.bias": torch.zeros(100)}
    state |= {"fc2.weight": torch.randn(4, 100), "fc2.bias": torch.zeros(4)}
    torch.save(state, folder / "model.p")
    shipped = (library_folder() / "mammo-density" / "model.toml").read_text(encoding="utf-8")
    head, _, _ = shipped.partition("[[weights]]")
    weights = f'[[weights]]\nfile = "model.p"\nsha256 = "{sha256_of(folder / "model.p")}"\n'
    (folder / "model.toml").write_text(head.replace('"mammo-density"', f'"{MODEL}"') + weights)
    return Settings(data=tmp_path / "data", model_folders=(tmp_path / "models",))


def views(**sizes: tuple[int, int]) -> list[pydicom.FileDataset]:
    made = []
    for view in STANDARD_VIEWS:
        rows, columns = sizes.get(view.replace("-", "_"), (130, 100))
        pixels = np.random.default_rng(len(made)).integers(0, 4096, (rows, columns)).astype(np.uint16)
        made.append(dicom.mammogram(view, pixels, spacing_mm=0.1))
    return made


def read(
    datasets: list[pydicom.FileDataset], settings: Settings, tmp_path: Path, profile: Profile = "standard"
) -> dict[str, Reading]:
    dicom.write(datasets, tmp_path / "in")
    return {one.stack: one for one in read_files(MODEL, [tmp_path / "in"], tmp_path / "out", settings, profile)}


def test_four_series_of_different_sizes_are_read_together(settings: Settings, tmp_path: Path) -> None:
    datasets = views(L_CC=(150, 90), R_MLO=(120, 140))

    readings = read(datasets, settings, tmp_path)

    together = readings.pop("MG, four standard views, 4 images")
    assert together.outcome == "read"
    assert all(one.reason == "reads four standard views, this is one stack" for one in readings.values())
    findings = together.summary["findings"]
    assert sum(one["probability"] for one in findings) == pytest.approx(1, abs=1e-3)
    documents = [pydicom.dcmread(path) for path in together.files]
    assert {one.Modality for one in documents} == {"SR"}
    assert len(documents) == 2
    evidence = {
        reference.ReferencedSOPInstanceUID
        for one in documents
        for study in one.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert evidence == {one.SOPInstanceUID for one in datasets}
    (report,) = [one for one in documents if one.SOPClassUID == pydicom.uid.BasicTextSRStorage]
    told = " ".join(element.value for element in report.iterall() if element.keyword == "TextValue")
    assert "most likely: BI-RADS" in told
    assert "4 images" in told


def test_each_mammogram_has_its_own_map_and_picture(settings: Settings, tmp_path: Path) -> None:
    datasets = {one.SOPInstanceUID: one for one in views(L_CC=(150, 90), R_MLO=(120, 140))}

    reading = read(list(datasets.values()), settings, tmp_path, "research")["MG, four standard views, 4 images"]

    made = [pydicom.dcmread(path) for path in reading.files]
    maps = [one for one in made if one.SOPClassUID == pydicom.uid.ParametricMapStorage]
    pictures = [one for one in made if one.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage]
    for one in maps:
        (group,) = one.PerFrameFunctionalGroupsSequence
        source = datasets[group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        view = f"{source.ImageLaterality}-{source.ViewPosition}"
        assert one.SeriesDescription.startswith(f"AI heat map {view}, not for diagnosis")
        assert (one.Modality, one.PatientOrientation, one.Laterality) == ("MG", source.PatientOrientation, source.ImageLaterality)
        assert one.pixel_array.shape == source.pixel_array.shape
        assert not one.pixel_array[source.pixel_array == source.pixel_array.min()].any()
        (series,) = one.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [source.SOPInstanceUID]
        (shared,) = one.SharedFunctionalGroupsSequence
        assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.1, 0.1]
    assert max(float(one.pixel_array.max()) for one in maps) == 1
    assert all(len({one[keyword].value for one in maps}) == 4 for keyword in SERIES_OF_ONE)
    sources = [datasets[one.SourceImageSequence[0].ReferencedSOPInstanceUID] for one in pictures]
    assert {one.SOPInstanceUID for one in sources} == set(datasets)
    assert [one.ImageLaterality for one in pictures] == [one.ImageLaterality for one in sources]
    assert len({one.SeriesInstanceUID for one in pictures}) == 1
    assert all(np.ptp(one.pixel_array.astype(int), axis=-1).max() > 100 for one in pictures), "heat is in colour"


def test_a_missing_view_is_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    readings = read(views()[:3], settings, tmp_path)

    refused = readings["MG, four standard views, 3 images"]
    assert (refused.outcome, refused.reason) == ("refused", "of the four standard views R-MLO is missing")


def test_images_of_two_patients_are_not_read_together(settings: Settings, tmp_path: Path) -> None:
    datasets = views()
    datasets[2].PatientID = "another"

    reading = read(datasets, settings, tmp_path)["MG, four standard views, 4 images"]

    assert reading.outcome == "refused"
    assert "PatientID" in reading.reason
