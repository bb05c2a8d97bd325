"""Real DICOM: every series is planned and loaded, or refused with the right reason. The verdicts are written down here."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

from models.image import SpacingKind
from node.store.attributes import quietly
from node.store.errors import Refused
from node.store.records import Arrival, StackPlan, StoredInstance
from node.store.settings import Settings
from node.studies.plan import Planner
from tests.unit.node.routing.manifests import LIBRARY
from workers.series.stack import load_stack

pytestmark = pytest.mark.shared


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def plan(files: list[Path]) -> tuple[StackPlan, ...]:
    rows = []
    for number, path in enumerate(files, start=1):
        with quietly():
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            arrival = Arrival(
                study_uid=str(dataset.get("StudyInstanceUID", "")),
                series_uid=str(dataset.get("SeriesInstanceUID", "")),
                sop_instance_uid=dataset.file_meta.MediaStorageSOPInstanceUID,
                sop_class_uid=dataset.file_meta.MediaStorageSOPClassUID,
                transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
                modality=dataset.Modality,
                path=str(path),
                version=1,
                size_bytes=path.stat().st_size,
                calling_ae="A",
                called_ae="B",
                received_at=datetime(2026, 1, 1, tzinfo=UTC),
                own_result=False,
            )
        rows.append(StoredInstance(number, arrival))
    return Planner(Settings(), LIBRARY, Path("/"))(rows)


@pytest.fixture(scope="session")
def unpacked(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    def unpack(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name.split(".", maxsplit=1)[0])
        with tarfile.open(shared / "data" / "dicom" / name) as archive:
            archive.extractall(folder, filter="data")
        return folder

    return unpack


@pytest.mark.parametrize(
    ("name", "shape", "spacing_mm", "model"),
    [
        ("mr_pd_brain", (20, 256, 256), (6.999, 0.859, 0.859), "brain-mr"),
        ("ct_abdomen", (20, 512, 512), (2.0, 0.977, 0.977), "ct-tissue"),
        ("ct_3slice", (3, 512, 512), (1.0, 0.811, 0.811), "ct-tissue"),
    ],
)
def test_a_series_is_one_volume(shared: Path, name: str, shape, spacing_mm, model: str) -> None:
    files = files_below(shared / "data" / "dicom" / name)
    stacks = plan(files)
    assert len(stacks) == 1
    assert [one.model for one in stacks[0].decisions if one.outcome.value == "chosen"] == [model]
    assert len(stacks[0].instance_ids) == shape[0]
    stack = load_stack(files)
    assert stack.image.array.shape == shape
    assert stack.image.spacing_mm == pytest.approx(spacing_mm, abs=1e-3)
    assert stack.image.affine is not None
    for index, (source, _) in enumerate(stack.frames):
        position = np.array(stack.sources[source].ImagePositionPatient, dtype=float)
        assert (stack.image.affine @ [index, 0, 0, 1])[:3] == pytest.approx(position, abs=0.2)


def test_the_t1_head_is_one_volume(unpacked: Callable[[str], Path]) -> None:
    files = files_below(unpacked("mr_t1_head.tar.xz"))
    (stack,) = plan(files)
    assert (stack.facts["slices"], stack.facts["orientation"]) == (384, "axial")
    image = load_stack(files).image
    assert image.array.shape == (384, 384, 274)
    assert image.spacing_mm == pytest.approx((0.6667, 0.6667, 0.7), abs=1e-4)


def test_the_whole_abdomen_has_lost_its_frame_of_reference(unpacked: Callable[[str], Path]) -> None:
    files = files_below(unpacked("ct_abdomen_whole.tar.xz"))
    (stack,) = plan(files)
    reasons = {one.model: one.reason for one in stack.decisions if one.outcome.value == "refused"}
    assert list(reasons) == ["ct-tissue"]
    assert "Frame of Reference UID" in reasons["ct-tissue"]
    with pytest.raises(Refused) as caught:
        load_stack(files)
    assert caught.value.code == "no-frame-of-reference"


def test_chest_radiographs_are_told_apart_by_their_photometric_interpretation(shared: Path) -> None:
    files = files_below(shared / "data" / "dicom" / "cr_chest")
    assert len(plan(files)) == 2
    images = [load_stack([path]).image for path in files]
    for image in images:
        assert image.array.shape == (1, 1024, 1024)
        assert (image.spacing_mm, image.spacing_kind) == ((1.0, 0.168, 0.168), SpacingKind.DETECTOR)
    # the second holds the very pixels of the first, but calls them MONOCHROME1
    assert np.abs(images[0].array + images[1].array - 255).max() <= 1


@pytest.mark.parametrize(
    ("name", "shape", "has_place"),
    [
        ("deflated.dcm", (1, 512, 512), False),
        ("explicit_big.dcm", (1, 256, 256), True),
        ("implicit_little.dcm", (1, 256, 256), True),
        ("jpeg_2000.dcm", (1, 512, 512), True),
        ("jpeg_baseline_8bit.dcm", (96, 512, 512), False),
        ("jpeg_lossless_sel1.dcm", (1, 400, 512), True),
        ("jpeg_ls.dcm", (1, 1024, 1024), True),
        ("rle.dcm", (1, 512, 512), True),
    ],
)
def test_every_syntax_is_decoded(shared: Path, name: str, shape, has_place: bool) -> None:
    image = load_stack([shared / "data" / "dicom" / "syntaxes" / name]).image
    assert image.array.shape == shape
    assert image.array.std() > 1
    assert (image.affine is not None) is has_place


def test_a_cine_mr_that_does_not_say_where_it_lies_is_refused(shared: Path) -> None:
    with pytest.raises(Refused) as caught:
        load_stack([shared / "data" / "dicom" / "syntaxes" / "explicit_little.dcm"])
    assert caught.value.code == "no-position"


def test_big_endian_and_little_endian_of_one_series_agree(shared: Path) -> None:
    folder = shared / "data" / "dicom"
    with quietly():
        number = int(pydicom.dcmread(folder / "syntaxes" / "explicit_big.dcm", stop_before_pixels=True).InstanceNumber)
    big = load_stack([folder / "syntaxes" / "explicit_big.dcm"]).image
    little = load_stack([folder / "mr_pd_brain" / f"brain_{number:03d}.dcm"]).image
    assert np.array_equal(big.array, little.array)


def test_a_segmentation_and_a_report_of_others_are_read_by_nobody(shared: Path) -> None:
    folder = shared / "data" / "dicom" / "ct_3slice_reference"
    stacks = plan([folder / "seg.dcm", folder / "sr.dcm"])
    assert {one.outcome.value for stack in stacks for one in stack.decisions} == {"not chosen", "refused"}
    assert [one.reason for stack in stacks for one in stack.decisions if one.outcome.value == "refused"] == [
        "no pixel data: stored, not analysed"
    ]
