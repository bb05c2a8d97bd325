"""The last page of the demonstration: every study is on it, what came back and what did not; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread

from models.prediction import Prediction, Rating, Segmentation
from node.demo.cases import Case
from node.demo.gallery import CAUTION, gallery, look_at
from node.demo.outlined import outlined
from node.demo.play import Played
from tests.unit.node.demo.test_cases import study
from tests.unit.node.demo.test_outlined import SHAPE, masks, sources
from tests.unit.workers.encode.samples import affine_of, identity, manifest, volume
from workers.encode.encode import encode

REFUSED = {"model": "", "outcome": "refused", "reason": "the images <have lost> their Frame of Reference UID", "slices": 3}


def kept(images: list[Dataset], folder: Path) -> tuple[Path, ...]:
    """Images as files."""
    folder.mkdir()
    paths = tuple(folder / f"{number}.dcm" for number in range(len(images)))
    for one, path in zip(images, paths, strict=True):
        one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        one.save_as(path, enforce_file_format=True)
    return paths


def read_study(folder: Path) -> Played:
    """A study of which SEG and reports came back."""
    images = sources()
    paths = kept(images, folder / "sent")
    image = volume(affine_of(spacing_mm=(3.0, 0.8, 0.8)), SHAPE)
    prediction = Prediction(Segmentation(masks(), absent=("body",)), (Rating("pneumonia", 0.87),), ("A note on this image.",))
    files = []
    for number, one in enumerate(encode(prediction, image, images, manifest(), identity())):
        files.append(folder / f"{one.kind}-{number}.dcm")
        files[-1].write_bytes(one.content)
    return Played(Case("own CT", paths, "bone and lung"), study(), (), (), tuple(files), 1.0)


def refused_study(folder: Path) -> Played:
    """A study of which nothing came back."""
    return Played(Case("head CT", kept(sources(), folder), "refused"), study(decisions=(REFUSED,)), (), (), (), 1.0)


def embedded(page: str) -> list[np.ndarray]:
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one))))
        for one in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    ]


def test_page_shows_every_outcome_and_loads_nothing(tmp_path: Path) -> None:
    read = read_study(tmp_path)
    path, overview = gallery([read, refused_study(tmp_path / "head")], tmp_path)
    page = path.read_text(encoding="utf-8")
    pictures = embedded(page)
    seg = next(one for one in map(dcmread, read.files) if one.Modality == "SEG")
    wanted = outlined(seg, {one.SOPInstanceUID: one for one in sources()}.get)
    assert len(pictures) == len(wanted) + 1
    for shown, made in zip(pictures, wanted, strict=False):
        assert np.abs(shown.astype(int) - made.pixels).mean() < 3
    assert "Bone" in page
    assert "Right lung" in page
    assert "pneumonia: present" in page.lower() or "Pneumonia:</small> Present" in page
    assert "Nothing came back. any: refused: the images &lt;have lost&gt; their Frame of Reference UID" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "url(" not in page
    with Image.open(overview) as picture:
        assert picture.size[0] > 2 * 420


def test_page_names_no_patient(tmp_path: Path) -> None:
    path, _ = gallery([read_study(tmp_path)], tmp_path)
    page = path.read_text(encoding="utf-8")
    assert not [word for word in ("Doe", "Jane", "P-17", "A-99", "19700102", "Roe") if word in page]


def test_a_fault_is_on_the_page_instead_of_the_outcome(tmp_path: Path) -> None:
    read = read_study(tmp_path)
    wrong = Played(read.case, read.study, (), ("mm2 occurs in the results",), read.files, 1.0)
    path, _ = gallery([wrong], tmp_path)
    assert "Not reached: mm2 occurs in the results" in path.read_text(encoding="utf-8")


def test_pixels_that_cannot_be_decoded_are_told(tmp_path: Path) -> None:
    refused = refused_study(tmp_path / "head")
    for path in refused.case.paths:
        one = dcmread(path)
        one.PixelData = one.PixelData[:100]
        one.save_as(path)
    shown = look_at(refused)
    assert shown.pictures == ()
    assert shown.faults[0].startswith("no picture of it: ")
    page, overview = gallery([refused], tmp_path)
    assert CAUTION.split(",")[0] in page.read_text(encoding="utf-8")
    assert overview.stat().st_size > 0
