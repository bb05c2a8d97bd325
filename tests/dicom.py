"""Synthetic DICOM objects for tests: small, valid, deterministic, with what a test wants to break left open.

Every builder returns pydicom datasets with file meta; `write` puts them below a folder, `stored` makes the catalog's rows of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    VLPhotographicImageStorage,
)

from node.store.records import Arrival, StoredInstance

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
RECEIVED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def uid(*words: object) -> str:
    """A UID that is the same for the same words."""
    return "2.25." + str(int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:15], "big"))


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Direction along which slices of that Image Orientation (Patient) follow one another."""
    return np.cross(orientation[:3], orientation[3:])


def image(
    pixels: NDArray[Any],
    *,
    modality: str,
    sop_class: str,
    study: str = "study",
    series: str = "series",
    number: int = 1,
    bits: int | None = None,
    photometric: str = "MONOCHROME2",
    patient_name: str = "Test^Ground",
    syntax: str = ExplicitVRLittleEndian,
) -> FileDataset:
    """An image object without a place in the patient.

    Parameters
    ----------
    pixels
        ``(row, column)``, ``(frame, row, column)``, or with a last axis of 3 for colour; 8 or 16 bit integers.
    """
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 + colour else 1
    dataset = envelope(sop_class, modality=modality, study=study, series=series, number=number, patient_name=patient_name)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else photometric
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    content = pixels.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    return dataset


def envelope(
    sop_class: str, *, modality: str, study: str, series: str, number: int = 1, patient_name: str = "Test^Ground"
) -> FileDataset:
    """Patient, study and series modules with nothing in them to look at."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid(study, series, number, "instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = uid(study, "study")
    dataset.SeriesInstanceUID = uid(study, series, "series")
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260102", "030405", "1"
    dataset.AccessionNumber = "A1"
    dataset.ReferringPhysicianName = ""
    dataset.PatientName, dataset.PatientID = patient_name, "P1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.Modality = modality
    dataset.Manufacturer = "Synthetic"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    return dataset


def place(
    dataset: Dataset,
    position: Sequence[float],
    *,
    orientation: Sequence[float] = AXIAL,
    spacing: tuple[float, float] = (0.8, 0.7),
    thickness: float | None = 5.0,
    frame_of_reference: str = "",
) -> None:
    """Give an image its place in the patient (PS3.3 section C.7.6.2)."""
    dataset.ImagePositionPatient = [f"{value:.9g}"[:16] for value in position]
    dataset.ImageOrientationPatient = [f"{value:.9g}"[:16] for value in orientation]
    dataset.PixelSpacing = [f"{value:.9g}" for value in spacing]
    dataset.FrameOfReferenceUID = frame_of_reference or uid(dataset.StudyInstanceUID, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    if thickness is not None:
        dataset.SliceThickness = f"{thickness:.9g}"


def series_of(
    *,
    modality: str,
    sop_class: str,
    slices: int = 5,
    shape: tuple[int, int] = (16, 12),
    spacing: tuple[float, float, float] = (5.0, 0.8, 0.7),
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    pixels: Callable[[int], NDArray[Any]] | None = None,
    study: str = "study",
    series: str = "series",
    first_number: int = 1,
    patient_name: str = "Test^Ground",
    step: Sequence[float] | None = None,
) -> list[FileDataset]:
    """A stack of parallel slices, each with other pixels.

    Parameters
    ----------
    spacing
        Between slices, rows, columns; mm.
    pixels
        Slice index to ``(row, column)`` array; random but the same every time where absent.
    step
        From one slice's position to the next; along the normal by ``spacing[0]`` where absent.
    """
    along = np.asarray(step) if step is not None else normal_of(orientation) * spacing[0]
    made = []
    for index in range(slices):
        frame = pixels(index) if pixels else _noise(series, first_number + index, shape)
        dataset = image(
            frame,
            modality=modality,
            sop_class=sop_class,
            study=study,
            series=series,
            number=first_number + index,
            patient_name=patient_name,
        )
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        place(dataset, np.asarray(origin) + along * index, orientation=orientation, spacing=spacing[1:], thickness=spacing[0])
        made.append(dataset)
    return made


def ct_series(**options: Any) -> list[FileDataset]:
    """CT slices in HU: stored values are 1024 above (see `series_of`)."""
    made = series_of(modality="CT", sop_class=CTImageStorage, **options)
    for dataset in made:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "-1024", "HU"
        dataset.KVP, dataset.AcquisitionNumber = "120", "1"
    return made


def mr_series(**options: Any) -> list[FileDataset]:
    """MR slices, T1-weighted spin echo (see `series_of`)."""
    made = series_of(modality="MR", sop_class=MRImageStorage, **options)
    for dataset in made:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "SK", ""
        dataset.MRAcquisitionType = "2D"
        dataset.RepetitionTime, dataset.EchoTime, dataset.EchoNumbers = "500", "12", "1"
        dataset.BodyPartExamined = "BRAIN"
    return made


def radiograph(
    pixels: NDArray[Any] | None = None,
    *,
    modality: str = "CR",
    view: str = "PA",
    body_part: str = "CHEST",
    photometric: str = "MONOCHROME2",
    bits: int = 12,
    **options: Any,
) -> FileDataset:
    """A CR or DX image; no spacing unless the caller adds it."""
    sop_class = DigitalXRayImageStorageForPresentation if modality == "DX" else ComputedRadiographyImageStorage
    frame = _noise("film", 1, (40, 32)) % (1 << bits) if pixels is None else pixels
    dataset = image(frame, modality=modality, sop_class=sop_class, photometric=photometric, bits=bits, **options)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BodyPartExamined, dataset.ViewPosition = body_part, view
    dataset.PatientOrientation = ["L", "F"]
    return dataset


def mammogram(
    view: str,
    pixels: NDArray[Any] | None = None,
    *,
    spacing_mm: float | None = None,
    intent: str = "PRESENTATION",
    **options: Any,
) -> FileDataset:
    """A digital mammogram of a standard view such as ``L-CC``, in a series of its own unless the caller names one."""
    side, name = view.split("-")
    sop_class = DigitalMammographyXRayImageStorageForPresentation
    if intent == "PROCESSING":
        sop_class = DigitalMammographyXRayImageStorageForProcessing
    frame = _noise(view, 1, (40, 32)) % 4096 if pixels is None else pixels
    dataset = image(frame, modality="MG", sop_class=sop_class, **{"series": view, "bits": 12, **options})
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PresentationIntentType = f"FOR {intent}"
    dataset.BodyPartExamined, dataset.ViewPosition, dataset.ImageLaterality = "BREAST", name, side
    meaning, value = {"CC": ("cranio-caudal", "399162004"), "MLO": ("medio-lateral oblique", "399368009")}[name]
    code = _item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
    code.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [code]
    dataset.PatientOrientation = ["A", "R" if side == "L" else "L"] if name == "CC" else ["A", "FR" if side == "L" else "FL"]
    dataset.PartialView = "NO"
    if spacing_mm is not None:
        dataset.ImagerPixelSpacing = [str(spacing_mm)] * 2
    return dataset


def photograph(**options: Any) -> FileDataset:
    """A colour secondary capture."""
    pixels = np.arange(20 * 30 * 3, dtype=np.uint16).reshape(20, 30, 3).astype(np.uint8)
    return image(pixels, modality="XC", sop_class=SecondaryCaptureImageStorage, **options)


def dermoscopy(pixels: NDArray[np.uint8], *, modality: str = "XC", compressed: bool = False, **options: Any) -> FileDataset:
    """A dermoscopic photograph (VL Photographic Image, PS3.3 section A.32.4).

    Parameters
    ----------
    pixels
        ``(row, column, 3)`` red, green and blue.
    compressed
        JPEG Baseline with colours of half the columns (YBR_FULL_422), as cameras write it; else uncompressed RGB.
    """
    dataset = image(pixels, modality=modality, sop_class=VLPhotographicImageStorage, **options)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.AcquisitionContextSequence = []
    dataset.LossyImageCompression = "00"
    if compressed:
        stream = BytesIO()
        Picture.fromarray(pixels).save(stream, "JPEG", quality=95, subsampling="4:2:2")
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.LossyImageCompression, dataset.LossyImageCompressionMethod = "01", "ISO_10918_1"
        dataset.LossyImageCompressionRatio = f"{pixels.nbytes / len(stream.getvalue()):.1f}"
    return dataset


def cine(frames: int = 6, **options: Any) -> FileDataset:
    """A multi-frame ultrasound without functional groups."""
    pixels = (np.arange(frames * 8 * 10) % 251).astype(np.uint8).reshape(frames, 8, 10)
    return image(pixels, modality="US", sop_class=UltrasoundMultiFrameImageStorage, **options)


def localizers(**options: Any) -> list[FileDataset]:
    """A frontal and a lateral CT localizer in one series."""
    front = ct_series(slices=1, orientation=CORONAL, **options)
    side = ct_series(slices=1, orientation=SAGITTAL, first_number=2, **options)
    for dataset in (*front, *side):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return [*front, *side]


def report(**options: Any) -> FileDataset:
    """A structured report: no pixel data."""
    dataset = envelope(BASIC_TEXT_SR, modality="SR", study=options.pop("study", "study"), series="report", **options)
    dataset.ContentDate, dataset.ContentTime = "20260102", "030405"
    dataset.VerificationFlag, dataset.CompletionFlag = "UNVERIFIED", "COMPLETE"
    return dataset


def enhanced(
    *,
    modality: str = "CT",
    slices: int = 4,
    shape: tuple[int, int] = (10, 8),
    spacing: tuple[float, float, float] = (3.0, 0.9, 0.6),
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-7.0, -8.0, 9.0),
    echo_times: Sequence[float] = (),
    order: Sequence[int] | None = None,
    **options: Any,
) -> FileDataset:
    """An enhanced multi-frame object, its functional groups shared where they are the same (PS3.3 section C.7.6.16).

    Parameters
    ----------
    echo_times
        One set of `slices` frames for each; a single unnamed set where empty.
    order
        Slice index of each frame of a set; ascending where absent.
    """
    sop_class = EnhancedMRImageStorage if modality == "MR" else EnhancedCTImageStorage
    sets = list(echo_times) or [None]
    stored = np.stack([_noise("enhanced", index, shape) for index in range(slices * len(sets))])
    dataset = image(stored, modality=modality, sop_class=sop_class, bits=12, **options)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.FrameOfReferenceUID = uid(dataset.StudyInstanceUID, "frame of reference")
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[f"{value:.9g}"[:16] for value in orientation])]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[str(value) for value in spacing[1:]], SliceThickness=str(spacing[0]))]
    shared.PixelValueTransformationSequence = [
        _item(
            RescaleIntercept="-1024" if modality == "CT" else "0",
            RescaleSlope="1",
            RescaleType="HU" if modality == "CT" else "US",
        )
    ]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for echo in sets:
        for index in order or range(slices):
            position = np.asarray(origin) + normal_of(orientation) * spacing[0] * index
            group = _item(
                PlanePositionSequence=[_item(ImagePositionPatient=[f"{value:.9g}"[:16] for value in position])],
                FrameContentSequence=[_item(StackID="1", InStackPositionNumber=index + 1)],
            )
            if echo is not None:
                group.MREchoSequence = [_item(EffectiveEchoTime=float(echo))]
            groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset


def big_endian(dataset: FileDataset) -> FileDataset:
    """The same single-frame 16-bit image in Explicit VR Big Endian."""
    made = FileDataset("", {}, file_meta=dataset.file_meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=False)
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    made.update(dataset)
    made.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    return made


def write(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write each object as a Part 10 file named by its place in the sequence; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, dataset in enumerate(datasets):
        path = folder / f"{index:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def stored(
    datasets: Iterable[Dataset], root: Path, *, calling_ae: str = "SCANNER", called_ae: str = "OVERREAD"
) -> list[StoredInstance]:
    """Write objects below a spool's root and make the rows that the catalog would have of them."""
    datasets = list(datasets)
    rows = []
    for index, (dataset, path) in enumerate(zip(datasets, write(datasets, root / "in"), strict=True), start=1):
        arrival = Arrival(
            study_uid=dataset.StudyInstanceUID,
            series_uid=dataset.SeriesInstanceUID,
            sop_instance_uid=dataset.SOPInstanceUID,
            sop_class_uid=dataset.SOPClassUID,
            transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
            modality=dataset.get("Modality", ""),
            path=str(path.relative_to(root)),
            version=1,
            size_bytes=path.stat().st_size,
            calling_ae=calling_ae,
            called_ae=called_ae,
            received_at=RECEIVED,
            own_result=False,
        )
        rows.append(StoredInstance(instance_id=index, arrival=arrival))
    return rows


def _noise(series: str, number: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    seed = int.from_bytes(hashlib.sha256(f"{series} {number}".encode()).digest()[:4], "big")
    return np.random.default_rng(seed).integers(0, 4096, shape, dtype=np.uint16)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
