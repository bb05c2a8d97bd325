"""`brain-regions` with brainchop's networks on a real head: repeats, storage orders, compressed copies, another visit."""

from __future__ import annotations

import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000

from models.image import Image
from models.manifest import Manifest, library_folder, read_manifest
from models.prediction import LabelMap
from models.runtime import Model, load_model
from models.training.copies import another_visit
from models.weights import ensure_weights
from node.store.errors import ConfigurationError, DownloadFailed
from tests.integration.read_series import read_series
from tests.unit.models.runtimes.ct_phantom import permuted

EXPECTED_ML = {"thalamus": (10, 22), "caudate": (5, 13), "putamen": (7, 16), "hippocampus": (5, 12), "lateral_ventricle": (5, 60)}
"""Both sides together, where healthy adults lie."""


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return read_manifest(library_folder() / "brain-regions")


@pytest.fixture(scope="module")
def model(manifest: Manifest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    try:
        weights = ensure_weights(manifest, tmp_path_factory.mktemp("cache"), shared / "weights", pull=True)
    except DownloadFailed as missing:
        pytest.skip(str(missing))
    return load_model(manifest, weights)


@pytest.fixture(scope="module")
def files(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("head")
    with lzma.open(shared / "data" / "dicom" / "mr_t1_head.tar.xz") as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(folder, filter="data")
    return sorted(path for path in folder.rglob("*") if path.is_file())


def volumes_ml(model: Model, image: Image) -> dict[str, float]:
    found = model.predict(image).segmentation
    assert isinstance(found, LabelMap)
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000  # type: ignore[index]
    counts = np.bincount(found.array.ravel(), minlength=len(found.keys) + 1)[1:]
    return dict(zip(found.keys, (counts * voxel_ml).tolist(), strict=True))


def compressed(files: list[Path], folder: Path) -> list[Path]:
    """Copies in lossy JPEG 2000, a tenth of the size."""
    made = []
    for path in files:
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEG2000, j2k_cr=[10])
        dataset.save_as(folder / path.name)
        made.append(folder / path.name)
    return made


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_volumes_agree_within_five_percent_however_the_head_is_stored_and_lies(
    model: Model, files: list[Path], tmp_path: Path
) -> None:
    image = read_series(files)

    volumes = volumes_ml(model, image)

    assert all(low < volumes[key] < high for key, (low, high) in EXPECTED_ML.items())
    thinned = replace(
        image,
        array=((image.array[::2] + image.array[1::2]) / 2).astype(np.float32),
        affine=image.affine @ np.array([[2, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    )
    copies = {
        "again": image,
        "along other axes": permuted(image, (2, 0, 1), (0, 2)),
        "lossy": read_series(compressed(files, tmp_path)),
        "slices averaged in twos": thinned,
        "another visit": another_visit(image),
    }
    for name, copy in copies.items():
        found = volumes_ml(model, copy)
        differences = {key: abs(found[key] / volumes[key] - 1) for key in volumes if volumes[key] > 1.0}
        assert max(differences.values()) < 0.05, (name, differences)


@pytest.mark.shared
def test_a_changed_file_of_weights_is_not_read(manifest: Manifest, shared: Path, tmp_path: Path) -> None:
    paths = ensure_weights(manifest, tmp_path, shared / "weights", pull=True)
    content = bytearray(paths["model.bin"].read_bytes())
    content[1000] ^= 1
    paths["model.bin"].write_bytes(content)

    with pytest.raises((ConfigurationError, DownloadFailed), match=r"not in the cache|not here"):
        ensure_weights(manifest, tmp_path, None, pull=False)
