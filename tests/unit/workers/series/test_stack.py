"""A stack becomes an image whose every voxel is where the source says, or is refused; the issue's bad input about pixels and geometry."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, RLELossless

from models.image import SpacingKind
from node.store.errors import Refused
from tests import dicom
from tests.unit.node.store.test_geometry import rotation
from workers.series.stack import Stack, load_stack

angles = st.floats(-math.pi, math.pi)
lengths = st.floats(0.3, 7.0)


def load(datasets: list, folder: Path, **options: object) -> Stack:
    return load_stack(dicom.write(datasets, folder), **options)


def refusal(datasets: list, folder: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        load(datasets, folder)
    assert not [word for word in ("Test^Ground", "P1", "19700101") if word in caught.value.reason]
    return caught.value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(angles, angles, angles, lengths, lengths, lengths, st.integers(1, 6), st.sampled_from([1, -1]), st.integers(0, 99))
def test_every_voxel_is_where_its_source_says(tmp_path: Path, a, b, c, between, down, across, count, direction, seed) -> None:
    row, column, normal = rotation(a, b, c).T
    datasets = dicom.ct_series(
        slices=count,
        shape=(5, 4),
        spacing=(between, down, across),
        orientation=(*row, *column),
        step=normal * between * direction,
        origin=(10.0, -33.0, 7.5),
    )
    random.Random(seed).shuffle(datasets)
    stack = load(datasets, tmp_path)
    assert stack.image.affine is not None
    for index, (source, frame) in enumerate(stack.frames):
        header = stack.sources[source]
        position = np.array(header.ImagePositionPatient, dtype=float)
        expected = position + 3 * down * column + 2 * across * row
        assert stack.image.affine @ [index, 3, 2, 1] == pytest.approx([*expected, 1], abs=2e-4)
        original = next(one for one in datasets if one.SOPInstanceUID == header.SOPInstanceUID)
        assert np.array_equal(stack.image.array[index], original.pixel_array.astype(np.float32) - 1024)
        assert frame == 1


@pytest.mark.parametrize("orientation", [dicom.AXIAL, dicom.SAGITTAL, dicom.CORONAL])
def test_plain_orientations(tmp_path: Path, orientation) -> None:
    image = load(dicom.mr_series(slices=4, orientation=orientation), tmp_path).image
    assert image.spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    assert image.spacing_kind is SpacingKind.PATIENT
    assert image.array.shape == (4, 16, 12)
    assert image.array.dtype == np.float32
    assert not image.is_projection


def test_headers_keep_the_patient_and_lose_the_pixels(tmp_path: Path) -> None:
    stack = load(dicom.ct_series(slices=3, patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう"), tmp_path)
    assert [str(source.PatientName) for source in stack.sources] == ["Yamada^Tarou=山田^太郎=やまだ^たろう"] * 3
    assert not any("PixelData" in source for source in stack.sources)
    assert stack.image.header.modality == "CT"
    assert stack.image.header.rescale_type == "HU"
    assert stack.image.header.has_rescale


def test_a_ct_without_rescale_says_so(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=2)
    for dataset in datasets:
        del dataset.RescaleSlope, dataset.RescaleIntercept
    image = load(datasets, tmp_path).image
    assert not image.header.has_rescale
    assert image.array.min() >= 0


def test_signed_values_of_twelve_bits_in_sixteen(tmp_path: Path) -> None:
    values = np.array([[-2048, -1], [0, 2047]], dtype=np.int16)
    # the four unused bits hold what is no part of the value (PS3.5 section 8.1.1)
    littered = ((values & 0x0FFF) | 0x5000).astype(np.int16)
    datasets = dicom.mr_series(slices=1, pixels=lambda _: littered)
    datasets[0].BitsStored, datasets[0].HighBit = 12, 11
    assert np.array_equal(load(datasets, tmp_path).image.array[0], values)


def test_unsigned_values_of_twelve_bits_in_the_upper_bits(tmp_path: Path) -> None:
    values = np.array([[0, 1], [2048, 4095]], dtype=np.uint16)
    datasets = dicom.mr_series(slices=1, pixels=lambda _: values << 4)
    datasets[0].BitsStored, datasets[0].HighBit = 12, 15
    assert np.array_equal(load(datasets, tmp_path).image.array[0], values)


def test_big_endian(tmp_path: Path) -> None:
    dataset = dicom.ct_series(slices=1)[0]
    expected = dataset.pixel_array.astype(np.float32) - 1024
    assert np.array_equal(load([dicom.big_endian(dataset)], tmp_path).image.array[0], expected)


def test_a_deflated_data_set(tmp_path: Path) -> None:
    dataset = dicom.ct_series(slices=1, shape=(64, 64), pixels=lambda _: np.zeros((64, 64), np.uint16))[0]
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image = load([dataset], tmp_path).image
    assert (tmp_path / "0000.dcm").stat().st_size < 64 * 64 * 2
    assert np.array_equal(image.array, np.full((1, 64, 64), -1024))


def test_compressed_slices_are_the_same_as_plain_ones(tmp_path: Path) -> None:
    plain = load(dicom.ct_series(slices=3), tmp_path / "plain").image.array
    compressed = dicom.ct_series(slices=3)
    for dataset in compressed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(load(compressed, tmp_path / "rle").image.array, plain)


def test_monochrome1_is_turned_round_in_radiographs_only(tmp_path: Path) -> None:
    pixels = np.array([[0, 100], [4000, 4095]], dtype=np.uint16)
    film = load([dicom.radiograph(pixels, photometric="MONOCHROME1")], tmp_path / "film").image
    assert np.array_equal(film.array[0], 4095 - pixels.astype(np.float32))
    section = dicom.mr_series(slices=1, pixels=lambda _: pixels)
    section[0].PhotometricInterpretation = "MONOCHROME1"
    assert np.array_equal(load(section, tmp_path / "slice").image.array[0], pixels)


def test_a_radiograph_without_spacing_is_read_in_pixels(tmp_path: Path) -> None:
    film = dicom.radiograph(modality="DX")
    film.PixelSpacing = ["0.000", "0.000"]
    image = load([film], tmp_path).image
    assert (image.affine, image.spacing_mm, image.spacing_kind) == (None, None, SpacingKind.NONE)
    assert image.header.view_position == "PA"
    assert image.header.patient_orientation == ("L", "F")
    assert image.array.shape == (1, 40, 32)


def test_colour_is_rgb(tmp_path: Path) -> None:
    image = load([dicom.photograph()], tmp_path).image
    assert (image.array.shape, image.array.dtype) == ((1, 20, 30, 3), np.uint8)
    assert image.affine is None


def test_a_cine_keeps_its_frames_in_order(tmp_path: Path) -> None:
    dataset = dicom.cine(frames=5)
    stack = load([dataset], tmp_path)
    assert np.array_equal(stack.image.array, dataset.pixel_array.astype(np.float32))
    assert stack.frames == tuple((0, number) for number in range(1, 6))


def test_frames_of_an_enhanced_object_are_sorted_by_place(tmp_path: Path) -> None:
    dataset = dicom.enhanced(order=[2, 0, 3, 1])
    stack = load([dataset], tmp_path)
    assert stack.frames == ((0, 2), (0, 4), (0, 1), (0, 3))
    assert np.array_equal(stack.image.array, dataset.pixel_array[[1, 3, 0, 2]].astype(np.float32) - 1024)
    assert stack.image.spacing_mm == pytest.approx((3.0, 0.9, 0.6))
    assert stack.image.header.rescale_type == "HU"
    assert len(stack.sources) == 1


def test_one_echo_of_an_enhanced_object(tmp_path: Path) -> None:
    dataset = dicom.enhanced(modality="MR", echo_times=(10, 80))
    stack = load([dataset], tmp_path, frames=[5, 6, 7, 8])
    assert stack.frames == tuple((0, number) for number in (5, 6, 7, 8))
    assert np.array_equal(stack.image.array, dataset.pixel_array[4:].astype(np.float32))
    assert stack.image.header.echo_time_ms == 80
    with pytest.raises(Refused) as caught:
        load([dataset], tmp_path / "all")
    assert caught.value.code == "doubled-slice"


def test_identity_that_only_the_transfer_named_is_filled_in(tmp_path: Path) -> None:
    dataset = dicom.ct_series(slices=1)[0]
    named = dataset.SOPInstanceUID
    path = dicom.write([dataset], tmp_path)[0]
    content = path.read_bytes()
    start = content.index(b"\x08\x00\x18\x00UI")
    path.write_bytes(content[: start + 8] + b"\0" * len(named) + content[start + 8 + len(named) :])
    assert load_stack([path]).sources[0].SOPInstanceUID == named


def test_a_missing_slice_is_refused_with_number_and_place(tmp_path: Path) -> None:
    datasets = dicom.ct_series(slices=20)
    del datasets[3]
    refused = refusal(datasets, tmp_path)
    assert refused.code == "missing-slice"
    assert "between positions 40.00 and 50.00 mm" in refused.reason
    assert "19 of 20 are here" in refused.reason


def test_a_doubled_slice_is_refused_by_position(tmp_path: Path) -> None:
    refused = refusal([*dicom.ct_series(slices=4), *dicom.ct_series(slices=1, first_number=5, origin=(-10, -20, 40))], tmp_path)
    assert refused.code == "doubled-slice"
    assert "40.00 mm" in refused.reason


@pytest.mark.parametrize(
    ("keyword", "code"),
    [
        ("FrameOfReferenceUID", "no-frame-of-reference"),
        ("PixelSpacing", "no-pixel-spacing"),
        ("ImagePositionPatient", "no-position"),
        ("ImageOrientationPatient", "no-position"),
        ("PixelData", "no-pixel-data"),
    ],
)
@pytest.mark.parametrize("slices", [1, 3])
def test_a_slice_that_lost_what_places_it_is_refused(tmp_path: Path, keyword: str, code: str, slices: int) -> None:
    datasets = dicom.ct_series(slices=slices)
    del datasets[-1][keyword]
    assert refusal(datasets, tmp_path).code == code


def test_mixed_orientations_are_refused_together(tmp_path: Path) -> None:
    datasets = [*dicom.ct_series(slices=3), *dicom.ct_series(slices=3, orientation=dicom.SAGITTAL, first_number=4)]
    assert refusal(datasets, tmp_path).code == "mixed-orientations"


def test_truncated_pixel_data_is_refused(tmp_path: Path) -> None:
    path = dicom.write(dicom.ct_series(slices=1), tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Refused) as caught:
        load_stack([path])
    assert caught.value.code == "bad-pixel-data"


def test_no_memory_is_taken_for_pixels_that_are_not_there(tmp_path: Path) -> None:
    dataset = dicom.ct_series(slices=1)[0]
    dataset.Rows = dataset.Columns = 65535
    refused = refusal([dataset], tmp_path)
    assert refused.code == "bad-pixel-data"
    assert "cut short" in refused.reason


def test_damaged_compressed_data_is_refused(tmp_path: Path) -> None:
    dataset = dicom.ct_series(slices=1)[0]
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.90")
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51 this is no code stream "])
    dataset["PixelData"].is_undefined_length = True
    assert refusal([dataset], tmp_path).code == "bad-pixel-data"


@pytest.mark.parametrize(
    ("syntax", "bits", "words"),
    [
        ("1.2.840.10008.1.2.4.51", 12, ("JPEG Extended", "pylibjpeg-libjpeg")),
        ("1.2.840.10008.1.2.4.102", 8, ("video",)),
        ("1.2.3.4.5", 16, ("no decoder", "1.2.3.4.5")),
    ],
)
def test_an_absent_decoder_is_refused_by_name(tmp_path: Path, syntax: str, bits: int, words: tuple[str, ...]) -> None:
    dataset = dicom.ct_series(slices=1)[0]
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([b"\xff\xd8 something \xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    refused = refusal([dataset], tmp_path)
    assert refused.code == "no-decoder"
    for word in words:
        assert word in refused.reason


def test_files_that_are_not_dicom_or_gone_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    for write in (lambda: None, lambda: path.write_bytes(b"no DICOM")):
        write()
        with pytest.raises(Refused) as caught:
            load_stack([path])
        assert caught.value.code == "unreadable"


@pytest.mark.parametrize(
    ("datasets", "code"),
    [
        ([], "no-pixel-data"),
        ([dicom.radiograph(series="a"), dicom.radiograph(series="b")], "not-one-image"),
        ([*dicom.ct_series(slices=1), *dicom.ct_series(slices=1, study="other")], "mixed-studies"),
        ([dicom.report()], "no-pixel-data"),
    ],
)
def test_what_is_no_stack_is_refused(tmp_path: Path, datasets: list, code: str) -> None:
    assert refusal(datasets, tmp_path).code == code


def test_a_tilted_gantry_is_read_sheared_with_a_note(tmp_path: Path) -> None:
    tilt = math.radians(12)
    datasets = dicom.ct_series(slices=5, orientation=(1, 0, 0, 0, math.cos(tilt), math.sin(tilt)), step=(0, 0, 5))
    stack = load(datasets, tmp_path)
    assert stack.image.affine is not None
    assert stack.image.affine[:3, 0] == pytest.approx([0, 0, 5], abs=1e-5)
    assert "12.0 degrees" in stack.notes[0]


def test_a_cycle_is_laid_out_slice_by_slice(tmp_path: Path) -> None:
    phases = [dicom.mr_series(slices=3, first_number=1 + phase * 3) for phase in range(4)]
    datasets = [phases[phase][place] for place in (2, 0, 1) for phase in range(4)]
    stack = load(datasets, tmp_path, phases=4)
    assert (stack.image.phases, stack.image.slices) == (4, 3)
    assert stack.image.array.shape == (12, 16, 12)
    ordered = [phases[phase][place] for place in range(3) for phase in range(4)]
    assert [source.SOPInstanceUID for source in stack.sources] == [one.SOPInstanceUID for one in ordered]
    assert np.array_equal(stack.image.array, np.stack([one.pixel_array for one in ordered]).astype(np.float32))
    assert stack.image.spacing_mm == pytest.approx((5.0, 0.8, 0.7))


def test_a_phase_that_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    phases = [dicom.mr_series(slices=2, first_number=1 + phase * 2) for phase in range(3)]
    datasets = [phases[phase][place] for place in range(2) for phase in range(3)]
    datasets[4].ImagePositionPatient = [0, 0, 99]
    with pytest.raises(Refused, match="does not lie where the other phases of its position do"):
        load(datasets, tmp_path, phases=3)
    with pytest.raises(Refused, match="6 images do not make whole cycles of 4 phases"):
        load(datasets, tmp_path / "four", phases=4)


def test_a_dermoscopic_photograph_is_rgb_also_from_jpeg_with_halved_colours(tmp_path: Path) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (200, 120, 90), (60, 40, 160)
    plain = load([dicom.dermoscopy(pixels)], tmp_path / "plain").image
    assert np.array_equal(plain.array[0], pixels)
    camera = dicom.dermoscopy(pixels, compressed=True)
    assert camera.PhotometricInterpretation == "YBR_FULL_422"
    image = load([camera], tmp_path / "camera").image
    assert (image.array.shape, image.array.dtype) == ((1, 48, 64, 3), np.uint8)
    assert np.abs(image.array[0].astype(int) - pixels).mean() < 3
    assert image.affine is None
    assert image.header.modality == "XC"
