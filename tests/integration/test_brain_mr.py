"""`brain-mr` with its real networks on real heads."""

from __future__ import annotations

import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.image import Image
from models.manifest import library_folder, read_manifest
from models.prediction import Segmentation
from models.runtime import Model, load_model
from models.weights import ensure_weights
from node.store.errors import DownloadFailed, Refused
from tests.integration.read_series import read_series
from tests.unit.models.runtimes.ct_phantom import make_phantom, permuted


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> Model:
    manifest = read_manifest(library_folder() / "brain-mr")
    try:
        weights = ensure_weights(manifest, request.config.cache.mkdir("fetched"), pull=True)
    except DownloadFailed as offline:
        pytest.skip(str(offline))
    return load_model(manifest, weights)


def brain_ml(model: Model, image: Image) -> float:
    found = model.predict(image).segmentation
    assert isinstance(found, Segmentation)
    return float(found.masks["brain"].sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000)  # type: ignore[index]


@pytest.mark.shared
def test_a_pd_brain_in_thick_oblique_slices_has_its_volume_in_any_storage_order(model: Model, shared: Path) -> None:
    image = read_series(sorted((shared / "data" / "dicom" / "mr_pd_brain").iterdir()))

    volume_ml = brain_ml(model, image)

    assert volume_ml == pytest.approx(1300, rel=0.05)
    assert brain_ml(model, permuted(image, (2, 0, 1), (0, 1))) == pytest.approx(volume_ml, rel=0.001)


@pytest.mark.shared
@pytest.mark.slow
def test_a_t1_head_with_its_neck(model: Model, shared: Path, tmp_path: Path) -> None:
    with lzma.open(shared / "data" / "dicom" / "mr_t1_head.tar.xz") as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(tmp_path, filter="data")
    image = read_series([path for path in tmp_path.rglob("*") if path.is_file()])

    assert brain_ml(model, image) == pytest.approx(1795, rel=0.03)


def test_refuses_an_abdomen_that_says_it_is_mr(model: Model) -> None:
    phantom = make_phantom(contrast_hu=200.0).image()
    abdomen = replace(phantom, array=np.clip(phantom.array, -200, 300) + 200, header=replace(phantom.header, modality="MR"))

    with pytest.raises(Refused) as refused:
        model.predict(abdomen)

    assert refused.value.code == "no-brain"
