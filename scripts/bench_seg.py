"""Seconds and peak memory of a SEG of many structures: Overread's encoder beside highdicom's, on the same label map.

BINARY, and as label maps (RLE) where the name says so.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

SPACING_MM = (1.5, 0.8, 0.8)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--shape", type=int, nargs=3, default=(400, 512, 512), help="slices, rows, columns")
    words.add_argument("--segments", type=int, default=117)
    words.add_argument("--repeats", type=int, default=3)
    words.add_argument("--only", choices=sorted(MAKERS), help="one encoder")
    words.add_argument("--once", choices=sorted(MAKERS), help=argparse.SUPPRESS)
    words.add_argument("--write", type=Path, help="with --once: where the object goes")
    given = words.parse_args()
    if given.once:
        once(given)
        return
    begun = time.perf_counter()
    sum(number * number for number in range(2_000_000))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; a fixed loop took {time.perf_counter() - begun:.2f} s")
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(given.repeats):
        for name in [given.only] if given.only else MAKERS:  # in turn, so that a machine that changes speed is fair to both
            command = [sys.executable, __file__, "--once", name, "--segments", str(given.segments)]
            said = subprocess.run(
                [*command, "--shape", *map(str, given.shape)], check=True, capture_output=True, text=True
            ).stdout
            figures.setdefault(name, []).append(tuple(map(float, said.split())))  # type: ignore[arg-type]
    for name, runs in figures.items():
        seconds, growth, size = (statistics.median(column) for column in zip(*runs, strict=True))
        spread = f"{min(run[0] for run in runs):.2f} to {max(run[0] for run in runs):.2f}"
        print(f"{name:<18} {seconds:6.2f} s ({spread}, n = {len(runs)})   {growth:5.0f} MB above its input   {size:4.0f} MB file")


def once(given: argparse.Namespace) -> None:
    """Build, encode and write into memory once; print seconds, peak memory above the input, and size of the file, MB."""
    labels = phantom(tuple(given.shape), given.segments)
    sources = headers(labels.shape)
    make = MAKERS[given.once](labels, sources, given.segments)
    before = peak_mb()
    begun = time.perf_counter()
    content = make()
    print(time.perf_counter() - begun, peak_mb() - before, len(content) / 1e6)
    if given.write:
        given.write.write_bytes(content)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def phantom(shape: tuple[int, int, int], segments: int) -> NDArray[np.uint8]:
    """Ellipsoids of many sizes that do not overlap, as the organs and bones of a trunk."""
    generator = np.random.default_rng(0)
    labels = np.zeros(shape, dtype=np.uint8)
    for number in range(1, segments + 1):
        half = np.maximum(2, generator.uniform(0.03, 0.16, 3) * shape)
        centre = [generator.uniform(reach, max(reach + 1, length - reach)) for reach, length in zip(half, shape, strict=True)]
        box = tuple(
            slice(max(0, int(c - h)), min(length, int(c + h) + 1)) for c, h, length in zip(centre, half, shape, strict=True)
        )
        axes = np.ogrid[box]
        inside = sum(((axis - c) / h) ** 2 for axis, c, h in zip(axes, centre, half, strict=True)) <= 1
        part = labels[box]
        part[inside & (part == 0)] = number
        part[part.shape[0] // 2, part.shape[1] // 2, part.shape[2] // 2] = number
    return labels


def headers(shape: tuple[int, ...]) -> list[Dataset]:
    """Headers of an axial CT of that shape."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    made = []
    for index in range(shape[0]):
        one = Dataset()
        one.file_meta = Dataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.Modality, one.Rows, one.Columns, one.InstanceNumber = "CT", shape[1], shape[2], index + 1
        one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Bench", "B1", "", "O"
        one.AccessionNumber = one.StudyID = one.ReferringPhysicianName = one.StudyDate = one.StudyTime = ""
        one.PixelSpacing, one.SliceThickness = list(SPACING_MM[1:]), SPACING_MM[0]
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.ImagePositionPatient = [0, 0, index * SPACING_MM[0]]
        made.append(one)
    return made


def overread(
    labels: NDArray[np.uint8], sources: list[Dataset], segments: int, *, labelmap: bool = False
) -> Callable[[], bytes | bytearray]:
    from models.image import Header, Image, SpacingKind
    from models.manifest import Manifest
    from models.prediction import LabelMap
    from workers.encode.case import Case
    from workers.encode.grid import grid_of
    from workers.encode.identity import ResultIdentity
    from workers.encode.labelmap import label_maps
    from workers.encode.patient import patient_and_study
    from workers.encode.seg import segmentations
    from workers.encode.segments import outlines

    anatomy = ["SCT", "123037004", "Anatomical Structure"]
    manifest = Manifest.model_validate(
        {
            "name": "bench",
            "version": "1.0.0",
            "title": "Bench",
            "licence": "Apache-2.0",
            "intended_use": "Measuring.",
            "runtime": "models.runtimes.none:None",
            "input": {"require": []},
            "structures": [
                {
                    "key": f"s{number}",
                    "name": f"Structure {number}",
                    "category": anatomy,
                    "type": anatomy,
                    "color": [200, 100, number],
                }
                for number in range(1, segments + 1)
            ],
        }
    )
    identity = ResultIdentity(
        installation="5b1e2f40-7d0a-4f2e-8c55-0123456789ab",
        study_uid=str(sources[0].StudyInstanceUID),
        stack_key="1",
        model=manifest.name,
        version=manifest.version,
        fingerprint=manifest.fingerprint,
        revision=1,
        run=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = SPACING_MM
    image = Image(np.broadcast_to(np.float32(0), labels.shape), affine, SPACING_MM, SpacingKind.PATIENT, Header(modality="CT"))
    answer = LabelMap(labels, tuple(f"s{number}" for number in range(1, segments + 1)))

    def make() -> bytearray:
        found = outlines(answer, manifest, labels.shape)  # type: ignore[arg-type]
        case = Case(sources, patient_and_study(sources), manifest, identity)
        (seg,) = (label_maps if labelmap else segmentations)(found, grid_of(image, sources, identity), case)
        return seg.content()

    return make


def highdicom(labels: NDArray[np.uint8], sources: list[Dataset], segments: int, *, labelmap: bool = False) -> Callable[[], bytes]:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription

    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=f"Structure {number}",
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Bone,
            algorithm_type="AUTOMATIC",
            algorithm_identification=AlgorithmIdentificationSequence("bench", codes.DCM.ArtificialIntelligence, "1.0.0"),
        )
        for number in range(1, segments + 1)
    ]

    def make() -> bytes:
        seg = Segmentation(
            source_images=sources,
            pixel_array=labels,
            segmentation_type="LABELMAP" if labelmap else "BINARY",
            transfer_syntax_uid=RLELossless if labelmap else ExplicitVRLittleEndian,
            segment_descriptions=described,
            series_instance_uid=generate_uid(),
            series_number=1,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="Bench",
            manufacturer_model_name="Bench",
            software_versions="1",
            device_serial_number="1",
        )
        buffer = io.BytesIO()
        seg.save_as(buffer)
        return buffer.getvalue()

    return make


MAKERS = {
    "overread": overread,
    "highdicom": highdicom,
    "overread-labelmap": partial(overread, labelmap=True),
    "highdicom-labelmap": partial(highdicom, labelmap=True),
}


if __name__ == "__main__":
    main()
