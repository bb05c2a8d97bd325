"""`ct-tissue` on real CT; the figures of its model card are measured here."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest

from models.manifest import library_folder, read_manifest
from models.prediction import Prediction, Segmentation
from models.runtime import load_model
from node.store.download import fetch
from node.store.errors import DownloadFailed
from tests.integration.read_series import read_nifti, read_series

FLOOR = 0.81
"""Dice of bone on the one labelled CT, a little below what was measured."""
SINGLE_SLICE_SHA256 = "28c4a61022d7dbebec97e2f1bbdad0ed097bee2c62727c26a3f3720248c9c6e7"
BONES = [*range(25, 51), *range(69, 79), *range(91, 117)]
"""Labels of bone in TotalSegmentator's task `total`, version 2: vertebrae, limbs, girdles, skull, ribs, sternum."""


def predict(paths: list[Path]) -> tuple[Prediction, dict[str, np.ndarray], np.ndarray]:
    image = read_series(paths)
    prediction = load_model(read_manifest(library_folder() / "ct-tissue"), {}).predict(image)
    assert isinstance(prediction.segmentation, Segmentation)
    voxel_ml = float(abs(np.linalg.det(image.affine[:3, :3]))) / 1000  # type: ignore[index]
    assert set(prediction.segmentation.masks) | set(prediction.segmentation.absent) == {"body", "bone", "lung_right", "lung_left"}
    return prediction, dict(prediction.segmentation.masks), np.float64(voxel_ml)


@pytest.mark.shared
def test_bone_of_an_enhanced_abdomen_agrees_with_the_reference(shared: Path) -> None:
    folder = shared / "data" / "dicom"
    prediction, masks, _ = predict(sorted((folder / "ct_abdomen").iterdir()))
    labels = read_nifti(folder / "ct_abdomen_labels" / "labels.nii.gz", masks["bone"].shape)
    reference = np.isin(labels, BONES)
    bone = masks["bone"]

    dice = 2 * (bone & reference).sum() / (bone.sum() + reference.sum())

    assert dice > FLOOR
    assert (bone & (labels == 52)).sum() < 0.03 * (labels == 52).sum()  # the enhanced aorta
    assert prediction.segmentation.absent == ("lung_right", "lung_left")  # type: ignore[union-attr]


@pytest.mark.shared
@pytest.mark.slow
def test_a_whole_abdomen_has_bones_and_the_bases_of_both_lungs(shared: Path, tmp_path: Path) -> None:
    with lzma.open(shared / "data" / "dicom" / "ct_abdomen_whole.tar.xz") as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(tmp_path, filter="data")

    _, masks, voxel_ml = predict([path for path in tmp_path.rglob("*") if path.is_file()])

    volume_ml = {key: float(mask.sum() * voxel_ml) for key, mask in masks.items()}
    assert 350 < volume_ml["bone"] < 480
    assert 300 < volume_ml["lung_right"] < 370
    assert 250 < volume_ml["lung_left"] < 320
    assert 9500 < volume_ml["body"] < 10500


@pytest.mark.shared
def test_three_slices_feet_first(shared: Path) -> None:
    _, masks, _ = predict(sorted((shared / "data" / "dicom" / "ct_3slice").iterdir()))

    centre = {key: np.argwhere(mask).mean(axis=0)[2] for key, mask in masks.items()}
    assert centre["lung_right"] < centre["bone"] < centre["lung_left"]


def test_a_single_abdominal_slice_has_no_lungs(request: pytest.FixtureRequest) -> None:
    try:
        path = fetch(
            "pypi:pydicom-data==1.0.0#data_store/data/explicit_VR-UN.dcm",
            SINGLE_SLICE_SHA256,
            request.config.cache.mkdir("fetched"),
        )
    except DownloadFailed as offline:
        pytest.skip(str(offline))

    prediction, masks, voxel_ml = predict([path])

    assert prediction.segmentation.absent == ("lung_right", "lung_left")  # type: ignore[union-attr]
    assert masks["body"].sum() * voxel_ml / 0.5 == pytest.approx(573, rel=0.03)  # cm2
    assert 15 < masks["bone"].sum() * voxel_ml / 0.5 < 26
