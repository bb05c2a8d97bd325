"""Objects to send in a benchmark: synthetic, uncompressed, each with a UID that no run has used before."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.7.3"  # multi-frame grayscale word secondary capture


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent at once.

    Parameters
    ----------
    objects
        Of each association.
    size_bytes
        Pixel bytes of each object.
    """

    name: str
    associations: int
    objects: int
    size_bytes: int

    @property
    def total(self) -> int:
        return self.associations * self.objects


CASES = (
    Case("slices-1", 1, 100, 512 * 1024),
    Case("slices-4", 4, 100, 512 * 1024),
    Case("slices-8", 8, 100, 512 * 1024),
    Case("small-1", 1, 2000, 3584),
    Case("small-4", 4, 500, 3584),
    Case("huge", 1, 1, 2 << 30),
)


def make(case: Case, folder: Path) -> list[Path]:
    """Write the objects of a case; returns a folder for each association."""
    folders = []
    for number in range(case.associations):
        one = folder / f"{case.name}-{number}"
        one.mkdir(parents=True)
        _series(one, case.objects, case.size_bytes)
        folders.append(one)
    return folders


def _series(folder: Path, count: int, size_bytes: int) -> None:
    study, series = generate_uid(), generate_uid()
    frame_bytes = min(size_bytes, 512 * 1024)
    noise = random.Random(count * size_bytes).randbytes(frame_bytes)
    for number in range(1, count + 1):
        made = _header(study, series, number, size_bytes)
        made.PixelData = number.to_bytes(4, "little") + noise[4:]
        made["PixelData"].VR = "OW"
        path = folder / f"{number:04d}.dcm"
        with path.open("wb") as file:
            dcmwrite(file, made, enforce_file_format=True)
            for _ in range(1, size_bytes // frame_bytes):
                file.write(noise)
            if size_bytes > frame_bytes:  # the length of the pixel data is what comes before its first frame
                file.flush()
                os.pwrite(file.fileno(), size_bytes.to_bytes(4, "little"), path.stat().st_size - size_bytes - 4)


def _header(study: str, series: str, number: int, size_bytes: int) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = CT if size_bytes <= 512 * 1024 else MULTI_FRAME
    made.SOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.StudyDate, made.StudyTime, made.ContentDate, made.ContentTime = "20260101", "120000", "20260101", "120000"
    made.Modality, made.Manufacturer, made.StudyDescription, made.SeriesDescription = "CT", "Maker", "Benchmark", "Benchmark"
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Bench^Mark", "BENCH", "", "O"
    made.StudyID, made.SeriesNumber, made.InstanceNumber, made.AccessionNumber = "1", 1, number, ""
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.Columns = 512 if size_bytes >= 512 * 1024 else 56
    made.Rows = min(size_bytes, 512 * 1024) // 2 // made.Columns
    if size_bytes > 512 * 1024:
        made.NumberOfFrames = size_bytes // (512 * 1024)
    else:
        made.PixelSpacing, made.SliceThickness = [0.7, 0.7], 1.0
        made.ImagePositionPatient, made.ImageOrientationPatient = [0.0, 0.0, float(number)], [1, 0, 0, 0, 1, 0]
        made.FrameOfReferenceUID = study
        made.RescaleIntercept, made.RescaleSlope = -1024, 1
    return made
