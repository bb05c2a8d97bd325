"""Outlines beside a labelled volume on another grid, and what is no reference of the images."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from models.image import Image, SpacingKind
from models.prediction import LabelMap, Prediction, Segmentation
from node.store.errors import ConfigurationError, Refused
from node.store.settings import Settings
from tests import dicom
from tests.integration.phantom import ct_phantom
from workers.commands import run_app
from workers.compare import Agreement, Reference, read_labels
from workers.run import read_files

SHAPE = (4, 10, 12)


def nifti(path: Path, labels: np.ndarray, affine: np.ndarray) -> Path:
    """Write ``(slice, row, column)`` labels whose indices `affine` maps to LPS."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *labels.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<3f", header, 108, 352.0, 1.0, 0.0)
    struct.pack_into("<2h", header, 252, 0, 1)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    struct.pack_into("<12f", header, 280, *to_ras[:3].ravel())
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + labels.astype(np.uint8).tobytes()))
    return path


def image(affine: np.ndarray | None, phases: int = 1) -> Image:
    spacing = None if affine is None else (3.0, 1.0, 1.0)
    kind = SpacingKind.NONE if affine is None else SpacingKind.PATIENT
    return Image(np.zeros(SHAPE, np.float32), affine, spacing, kind, phases=phases)


@pytest.fixture
def affine() -> np.ndarray:
    made = np.eye(4)
    made[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [3, 0, 0]], dtype=float)
    made[:3, 3] = (-20, 5, 100)
    return made


@pytest.fixture
def box() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:3, 2:6, 3:9] = True
    return mask


def test_a_reference_stored_the_other_way_round_is_laid_where_the_images_are(
    tmp_path: Path, affine: np.ndarray, box: np.ndarray
) -> None:
    turned = affine.copy()
    turned[:3, 3] += turned[:3, :3] @ (np.asarray(SHAPE) - 1)
    turned[:3, :3] *= -1
    half = box.copy()
    half[2] = False
    reference = Reference(nifti(tmp_path / "l.nii.gz", box[::-1, ::-1, ::-1] * 7, turned), read_labels(["bone=6-8"]))

    (same,) = reference.compare(image(affine), Prediction(segmentation=Segmentation({"bone": box})))
    (less,) = reference.compare(image(affine), Prediction(segmentation=LabelMap(half.astype(np.uint8) * 2, ("body", "bone"))))

    assert same == Agreement("bone", 1.0, 48, 48, 48, (1.0, 1.0))
    assert less == Agreement("bone", 2 / 3, 24, 48, 24, (1.0, 0.0))
    assert less.in_words == "bone: Dice 0.667 (24 voxels outlined, 48 in the reference)"


def test_what_was_looked_for_and_is_not_there_counts_as_nothing(tmp_path: Path, affine: np.ndarray, box: np.ndarray) -> None:
    absent = Prediction(segmentation=Segmentation({"bone": box}, ("lung",)))
    path = nifti(tmp_path / "l.nii.gz", box * 7, affine)
    (missed,) = Reference(path, read_labels(["lung=7"])).compare(image(affine), absent)
    (neither,) = Reference(path, read_labels(["lung=1,2"])).compare(image(affine), absent)
    assert (missed.dice, missed.labelled) == (0.0, 48)
    assert neither.in_words == "lung: neither outlined nor in the reference"
    with pytest.raises(ConfigurationError, match="--labels names liver; the model outlined bone"):
        Reference(path, read_labels(["liver=1"])).compare(image(affine), absent)


def test_a_reference_of_another_place_and_images_without_a_place_are_not_compared(
    tmp_path: Path, affine: np.ndarray, box: np.ndarray
) -> None:
    found = Prediction(segmentation=Segmentation({"bone": box}))
    away = affine.copy()
    away[:3, 3] += (0, 8, 0)
    reference = Reference(nifti(tmp_path / "l.nii.gz", box, away), read_labels(["bone=1"]))
    with pytest.raises(Refused, match=r"l.nii.gz lies elsewhere: it covers 20% of the images' voxels"):
        reference.compare(image(affine), found)
    for other in (image(None), image(affine, phases=2)):
        with pytest.raises(Refused, match="one volume that has a place in the patient"):
            reference.compare(other, found)


@pytest.mark.parametrize("given", ["bone", "bone=", "bone=x", "=1", "bone=9-3", "bone=1,,2"])
def test_labels_that_say_nothing_are_told(given: str) -> None:
    with pytest.raises(ConfigurationError, match="--labels"):
        read_labels([given])
    with pytest.raises(ConfigurationError, match="once"):
        read_labels(["bone=1", "bone=2"])


def test_a_phantom_is_compared_with_what_it_was_made_of(tmp_path: Path) -> None:
    phantom = ct_phantom(tmp_path / "in", slices=6, size=64)
    grid = np.diag([5.0, 460 / 64, 460 / 64, 1.0])[[2, 1, 0, 3]]
    grid[:3, 3] = (-230, -230, 0)
    row, column = np.mgrid[0:64, 0:64] / 64 * 460.0 - 230.0
    body = np.broadcast_to((column / 180) ** 2 + (row / 120) ** 2 < 1, (6, 64, 64))
    path = nifti(tmp_path / "body.nii.gz", body * 3, grid)

    settings, reference = Settings(data=tmp_path / "data"), Reference(path, read_labels(["body=3"]))
    (reading,) = read_files("ct-tissue", phantom.paths, tmp_path / "out", settings, reference=reference)

    (agreement,) = reading.agreements
    assert agreement.dice > 0.99
    assert agreement.labelled == body.sum()


def test_the_command_wants_both_or_neither(tmp_path: Path) -> None:
    dicom.write([dicom.radiograph()], tmp_path / "in")
    common = ["ct-tissue", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    for option in (["--reference", "x.nii.gz"], ["--labels", "bone=1"]):
        answer = CliRunner().invoke(run_app, [*common, *option])
        assert isinstance(answer.exception, ConfigurationError)
        assert "go together" in str(answer.exception)
