"""Objects in other transfer syntaxes: the same values and pixels, whatever somebody else's code reads them with."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian

from models.prediction import Prediction, Segmentation
from node.recoding import UIDS, as_wanted, forms, recoded
from node.store import part10
from node.store.errors import NotUnderstood
from node.store.part10 import FileHead, encode_head
from node.store.syntaxes import Syntax
from tests.unit.workers.encode.samples import affine_of, identity, manifest, slices_of, volume
from workers.encode.encode import EncodedObject, encode

SHAPE = (3, 9, 7)
KINDS = ("seg", "measurements", "report", "capture", "labelmap", "fractional", "keys", "presentation")


def answer(mask: np.ndarray) -> dict[str, EncodedObject]:
    image = volume(affine_of(), SHAPE)
    made = encode(Prediction(Segmentation({"bone": mask})), image, slices_of(image), manifest(), identity(), extras=KINDS)
    return {one.kind: one for one in made}


@pytest.fixture(scope="module")
def objects() -> dict[str, EncodedObject]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1, 2:7, 1:6] = mask[2, 3, 3] = True
    return answer(mask)


def written(folder: Path, one: EncodedObject) -> tuple[Path, FileHead]:
    path = folder / f"{one.sop_instance_uid}.dcm"
    path.write_bytes(one.content)
    with path.open("rb") as file:
        return path, part10.read_head(file)


def read(data_set: bytes, head: FileHead, syntax: str) -> Dataset:
    one = dcmread(io.BytesIO(encode_head(FileHead(0, head.sop_class_uid, head.sop_instance_uid, syntax)) + data_set))
    for _ in one.iterall():
        pass
    return one


def without_pixels(one: Dataset) -> Dataset:
    return Dataset({element.tag: element for element in one if element.keyword != "PixelData"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", UIDS)
def test_every_object_is_the_same_in_every_form_that_it_has(
    tmp_path: Path, objects: dict[str, EncodedObject], kind: str, name: Syntax
) -> None:
    path, head = written(tmp_path, objects[kind])
    as_it_was = dcmread(path)
    for syntax in forms(head, (name,)):
        data_set = recoded(path, head, syntax)
        assert len(data_set) % 2 == 0
        assert data_set == recoded(path, head, syntax), "the same bytes on a repeat"
        again = read(data_set, head, syntax)
        assert again.SOPInstanceUID == as_it_was.SOPInstanceUID
        assert without_pixels(again) == without_pixels(as_it_was)
        if "PixelData" in as_it_was:
            assert np.array_equal(again.pixel_array, as_it_was.pixel_array)


@pytest.mark.parametrize(
    ("kind", "wanted", "expected"),
    [
        ("seg", ("rle", "deflated", "explicit"), ("deflated", "explicit")),
        ("labelmap", ("made", "explicit", "jpeg-ls"), ("rle", "explicit", "jpeg-ls")),
        ("labelmap", ("explicit", "rle", "made"), ("explicit", "rle")),
        ("capture", ("jpeg-ls", "made"), ("jpeg-ls", "explicit")),
        ("capture", ("made", "explicit", "implicit"), ("explicit", "implicit")),
        ("report", ("rle", "jpeg-ls", "implicit"), ("implicit",)),
    ],
)
def test_forms_are_those_that_an_object_can_have_in_the_order_wanted(
    tmp_path: Path, objects: dict[str, EncodedObject], kind: str, wanted: tuple[Syntax, ...], expected: tuple[Syntax, ...]
) -> None:
    _, head = written(tmp_path, objects[kind])
    assert forms(head, wanted) == tuple(UIDS[name] for name in expected)


def test_what_others_made_in_other_syntaxes_goes_as_it_is() -> None:
    assert forms(FileHead(0, "1.2", "1.3", "1.2.840.10008.1.2.4.50"), ("explicit", "made")) == ("1.2.840.10008.1.2.4.50",)


@settings(deadline=None, max_examples=25)
@given(arrays(bool, SHAPE).filter(lambda mask: bool(mask.any())))
def test_no_voxel_of_a_label_map_changes(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> None:
    path, head = written(tmp_path_factory.mktemp("labelmap"), answer(mask)["labelmap"])
    as_it_was = dcmread(path).pixel_array
    for name in ("explicit", "jpeg-ls"):
        syntax = UIDS[name]  # type: ignore[index]
        assert np.array_equal(read(recoded(path, head, syntax), head, syntax).pixel_array, as_it_was)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["seg", "report", "capture"])
def test_dcmtk_reads_what_was_deflated(tmp_path: Path, objects: dict[str, EncodedObject], kind: str) -> None:
    if not Path("/usr/bin/dcmconv").exists():
        pytest.skip("needs the Debian package dcmtk")
    path, _ = written(tmp_path, objects[kind])
    deflated, plain = tmp_path / "deflated.dcm", tmp_path / "plain.dcm"
    with as_wanted(path, ("deflated",)) as (file, size_bytes, note):
        deflated.write_bytes(file.read())
    assert (deflated.stat().st_size, note) == (size_bytes, "as Deflated Explicit VR Little Endian")
    subprocess.run(["/usr/bin/dcmconv", "+te", str(deflated), str(plain)], check=True, capture_output=True)
    assert dcmread(plain).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert dcmread(plain) == dcmread(path)


def test_a_file_that_is_as_wanted_is_given_as_it_is(tmp_path: Path, objects: dict[str, EncodedObject]) -> None:
    path, _ = written(tmp_path, objects["seg"])
    for wanted in (("made", "deflated"), ("explicit",), ("rle", "explicit")):
        with as_wanted(path, wanted) as (file, size_bytes, note):  # type: ignore[arg-type]
            assert file.read() == path.read_bytes()
        assert (size_bytes, note) == (path.stat().st_size, "")


def test_what_cannot_be_decoded_says_so(tmp_path: Path, objects: dict[str, EncodedObject]) -> None:
    path, head = written(tmp_path, objects["labelmap"])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(NotUnderstood, match=f"cannot be written in {UID(UIDS['jpeg-ls']).name}"):
        recoded(path, head, UIDS["jpeg-ls"])
