"""A short-axis study, made of real images of one patient, from files to SEG and reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from scipy import ndimage

from models.runtimes.cine_lv import LONG_AXIS
from models.training.tables import read_grey, read_rows
from node.store.settings import Settings
from tests import dicom
from workers.run import Reading, read_files

pytestmark = pytest.mark.shared
PHASES, SLICES = 6, 3
PATIENT = "SC-HF-I-10"


def _orientation(normal: tuple[float, float, float]) -> list[float]:
    along = np.asarray(normal) / np.linalg.norm(normal)
    right = np.cross(along, [0.3, 0.9, 0.1])
    right /= np.linalg.norm(right)
    return [*right, *np.cross(along, right)]


def _study(shared: Path, normal: tuple[float, float, float] = LONG_AXIS) -> list[FileDataset]:
    """Slices of one patient; over the phases the whole image shrinks about its middle to 85 % and comes back."""
    folder = shared / "data" / "cine_lv"
    rows = [row for row in read_rows(folder) if row["patient"] == PATIENT][4 : 4 + SLICES]
    made = []
    for phase in range(PHASES):
        size = 1 - 0.15 * np.sin(np.pi * phase / PHASES)
        frames = []
        for row in rows:
            grey = read_grey(folder / row["image"])
            offset = (1 - 1 / size) * np.array([128, 128])
            frames.append(ndimage.affine_transform(grey, [1 / size] * 2, offset, order=1).astype(np.uint16))
        volume = dicom.mr_series(
            slices=SLICES,
            spacing=(8.0, 1.3, 1.3),
            orientation=_orientation(normal),
            first_number=1 + phase * SLICES,
            pixels=lambda index, frames=frames: frames[index],
        )
        for dataset in volume:
            dataset.TriggerTime, dataset.BodyPartExamined = f"{phase * 40}", "HEART"
        made += volume
    return made


def _readings(datasets: list[FileDataset], folder: Path) -> list[Reading]:
    dicom.write(datasets, folder / "in")
    return list(read_files("cine-lv", [folder / "in"], folder / "out", Settings(data=folder / "data")))


def test_every_image_is_outlined_and_the_change_of_area_is_reported(shared: Path, tmp_path: Path) -> None:
    datasets = _study(shared)
    readings = _readings(datasets, tmp_path)
    (read,) = [one for one in readings if one.outcome == "read"]
    assert "cycle of 6 phases" in read.stack
    assert {one.reason for one in readings if one is not read} == {"reads cycles, this is one image or one volume"}
    (seg,) = [dcmread(path) for path in read.files if path.name.startswith("seg")]
    sources = {str(dataset.SOPInstanceUID): dataset for dataset in datasets}
    shown = []
    for group in seg.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        of = sources[source.ReferencedSOPInstanceUID]
        assert list(group.PlanePositionSequence[0].ImagePositionPatient) == pytest.approx(list(of.ImagePositionPatient))
        phase = (int(of.InstanceNumber) - 1) // SLICES
        assert group.FrameContentSequence[0].TemporalPositionIndex == phase + 1
        shown.append((group.SegmentIdentificationSequence[0].ReferencedSegmentNumber, str(of.SOPInstanceUID)))
    assert len(set(shown)) == len(shown) == 2 * PHASES * SLICES
    (change,) = read.summary["measurements"]
    assert change["name"] == "Left ventricular fractional area change on one slice"
    assert change["value"] == pytest.approx(100 * (1 - 0.85**2), abs=8)
    assert any(note.startswith("No ejection fraction: the slices do not span the ventricle") for note in read.summary["notes"])


def test_a_long_axis_view_is_refused(shared: Path, tmp_path: Path) -> None:
    readings = _readings(_study(shared, (0.3, -0.8, 0.6)), tmp_path)
    (refused,) = [one for one in readings if one.outcome == "refused"]
    assert refused.reason.startswith("not a short-axis view")
