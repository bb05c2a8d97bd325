"""What an archive accepts at negotiation decides in which transfer syntax it is sent results; tried with dcmtk's storescp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.store.destinations import Destination, FolderDestination
from tests.integration.encoded_results import deliver, due, encoded
from tests.integration.storescp_peer import storescp

pytestmark = pytest.mark.peer

EXPLICIT, IMPLICIT, DEFLATED = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian), str(DeflatedExplicitVRLittleEndian)
RLE, JPEG_LS = str(RLELossless), str(JPEGLSLossless)
SEG, CAPTURE, REPORT = str(SegmentationStorage), str(SecondaryCaptureImageStorage), str(BasicTextSRStorage)
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"


def pacs(port: int, **says: object) -> Destination:
    where = {"name": "pacs", "ae_title": "STORESCP", "host": "127.0.0.1", "port": port}
    return Destination.model_validate({**where, "kinds": ("seg", "capture", "report"), **says})


@pytest.mark.parametrize(
    ("wanted", "takes", "expected"),
    [
        (None, (EXPLICIT, IMPLICIT), {SEG: EXPLICIT, CAPTURE: EXPLICIT, REPORT: EXPLICIT}),
        (None, (IMPLICIT,), {SEG: IMPLICIT, CAPTURE: IMPLICIT, REPORT: IMPLICIT}),
        (
            ("jpeg-ls", "rle", "deflated", "explicit"),
            (RLE, DEFLATED, EXPLICIT),
            {SEG: DEFLATED, CAPTURE: RLE, REPORT: DEFLATED},
        ),
        (
            ("jpeg-ls", "explicit"),
            (EXPLICIT, JPEG_LS),
            {SEG: EXPLICIT, CAPTURE: JPEG_LS, REPORT: EXPLICIT},
        ),
    ],
)
def test_the_first_that_the_peer_accepts_is_taken(
    tmp_path: Path, wanted: tuple[str, ...] | None, takes: tuple[str, ...], expected: dict[str, str]
) -> None:
    objects = {one.sop_instance_uid: one for one in encoded("capture") if one.kind != "measurements"}
    says = {} if wanted is None else {"transfer_syntaxes": wanted}
    with (
        storescp(tmp_path / "inbox", dict.fromkeys(expected, takes)) as port,
        due(tmp_path / "data", pacs(port, **says), tuple(objects.values())) as story,
    ):
        deliver(story)
        deliveries = story.study().deliveries
    arrived = [dcmread(path) for path in (tmp_path / "inbox").iterdir()]
    assert {str(one.SOPInstanceUID) for one in arrived} == set(objects)
    for one in arrived:
        made = objects[str(one.SOPInstanceUID)]
        assert one.file_meta.TransferSyntaxUID == expected[str(one.SOPClassUID)]
        (tmp_path / "made.dcm").write_bytes(made.content)
        if "PixelData" in one:
            assert np.array_equal(one.pixel_array, dcmread(tmp_path / "made.dcm").pixel_array)
    for sent in deliveries:
        syntax = expected[objects[sent.sop_instance_uid].sop_class_uid]
        assert (str(sent.state), sent.reason == "") == ("sent", syntax == EXPLICIT), "what was written anew says so"
        assert syntax == EXPLICIT or sent.reason.startswith("stored as ")


def test_a_label_map_goes_native_where_rle_is_refused(tmp_path: Path) -> None:
    objects = [one for one in encoded("labelmap") if one.kind == "labelmap"]
    with (
        storescp(tmp_path / "inbox", {LABEL_MAP: (EXPLICIT,)}) as port,
        due(tmp_path / "data", pacs(port, kinds=("seg",), seg="labelmap"), objects) as story,
    ):
        deliver(story)
        (sent,) = story.study().deliveries
    assert (str(sent.state), sent.reason) == ("sent", "stored as Explicit VR Little Endian")
    (arrived,) = [dcmread(path) for path in (tmp_path / "inbox").iterdir()]
    (tmp_path / "made.dcm").write_bytes(objects[0].content)
    made = dcmread(tmp_path / "made.dcm")
    assert made.file_meta.TransferSyntaxUID == RLE
    assert np.array_equal(arrived.pixel_array, made.pixel_array)


def test_an_archive_that_takes_none_of_them_is_told_which(tmp_path: Path) -> None:
    objects = [one for one in encoded("capture") if one.kind == "capture"]
    with (
        storescp(tmp_path / "inbox", {CAPTURE: (str(JPEGBaseline8Bit),)}) as port,
        due(tmp_path / "data", pacs(port, transfer_syntaxes=("jpeg-ls", "explicit")), objects) as story,
    ):
        deliver(story)
        reasons = {one.reason for one in story.study().deliveries}
        states = {str(one.state) for one in story.study().deliveries}
    assert states == {"failed"}
    (reason,) = reasons
    assert reason.endswith(f"in none of the transfer syntaxes {JPEG_LS}, {EXPLICIT}: allow one there")


def test_the_same_bytes_are_sent_again(tmp_path: Path) -> None:
    objects = [one for one in encoded("capture") if one.kind != "measurements"]
    arrived = []
    for turn in ("first", "second"):
        with (
            storescp(tmp_path / turn, dict.fromkeys((SEG, CAPTURE, REPORT), (RLE, DEFLATED))) as port,
            due(tmp_path / f"data-{turn}", pacs(port, transfer_syntaxes=("rle", "deflated")), objects) as story,
        ):
            deliver(story)
        arrived.append(sorted(path.read_bytes() for path in (tmp_path / turn).iterdir()))
    assert len(arrived[0]) == len(objects)
    assert arrived[0] == arrived[1]


def test_a_folder_has_the_first_form_of_each(tmp_path: Path) -> None:
    objects = [one for one in encoded("capture") if one.kind != "measurements"]
    (tmp_path / "share").mkdir()
    share = FolderDestination(name="share", folder=tmp_path / "share", transfer_syntaxes=("rle", "deflated"))
    with due(tmp_path / "data", share.model_copy(update={"kinds": ("seg", "capture", "report")}), objects) as story:
        deliver(story)
        assert {str(one.state) for one in story.study().deliveries} == {"sent"}
    arrived = [dcmread(path) for path in (tmp_path / "share").rglob("*.dcm")]
    assert {(str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)) for one in arrived} == {
        (SEG, DEFLATED),
        (REPORT, DEFLATED),
        (CAPTURE, RLE),
    }
