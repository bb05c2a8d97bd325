"""What programs that nobody here wrote say of our objects: dicom3tools, PixelMed, dcmtk, dcmqi; each where it is installed."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.image import Header, Image, Region, SpacingKind
from models.prediction import HeatMap, Located, Prediction, Rating, Segmentation
from tests import dicom
from tests.unit.workers.encode.samples import (
    CALIBRATION,
    affine_of,
    identity,
    manifest,
    multi_frame_of,
    radiograph,
    slices_of,
    volume,
)
from workers.encode.encode import EncodedObject, encode
from workers.series.stack import load_group

pytestmark = pytest.mark.peer

JARS = ":".join(
    str(path)
    for path in sorted(Path("/usr/share/java").glob("*.jar"))
    if re.search("pixelmed|saxon|commons-|xom|hsqldb|vecmath|jai|json", path.name.lower())
)

NEWER_THAN_THE_VALIDATOR = re.compile(
    r"Source Series for Segmentation|Algorithm (Name|Version|Manufacturer|Family).*not in template"
)
"""Rows that templates have gained since PixelMed's edition of 2022."""


def cases() -> dict[str, tuple[Image, list[Dataset]]]:
    oblique = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))
    ct, tilted, single = (
        volume(affine_of(), (5, 16, 12)),
        volume(affine_of(oblique), (4, 10, 9)),
        volume(affine_of(), (1, 16, 12)),
    )
    mr = Image(tilted.array, tilted.affine, tilted.spacing_mm, SpacingKind.PATIENT, Header(modality="MR"))
    made = {
        "ct": (ct, slices_of(ct)),
        "oblique-mr": (mr, slices_of(mr)),
        "one-slice": (single, slices_of(single)),
        "multi-frame": (ct, [multi_frame_of(ct)]),
    }
    for kind in (SpacingKind.DETECTOR, SpacingKind.CALIBRATED, SpacingKind.NONE):
        film, source = radiograph(kind, (23, 21))
        made[f"film-{kind}"] = (film, [source])
    return made


def answer_for(array: NDArray[np.generic]) -> Prediction:
    """Overlapping outlines in the middle of the image, and a rated finding."""
    masks = {key: np.zeros(array.shape[:3], dtype=bool) for key in ("bone", "right_lung")}
    rows, columns = array.shape[1:3]
    masks["bone"][:, rows // 4 : rows // 2, columns // 4 : columns // 2] = True
    masks["right_lung"][:, rows // 3 : rows - 2, columns // 3 : columns - 2] = True
    located = (Located("pneumonia", 0.87, 0, Region(rows / 2, columns / 2, 2.0)),)
    return Prediction(
        Segmentation(masks, absent=("body",)),
        (Rating("pneumonia", 0.87, 0.02, CALIBRATION),),
        ("A note on this image.",),
        (HeatMap("pneumonia", np.full(array.shape[:3], 0.5, np.float32), "HiResCAM"),),
        located=located,
    )


EXTRAS = (
    "capture",
    "keys",
    "presentation",
    "findings",
    "heatmap",
    "labelmap-measurements",
    "fractional",
    "fractional-measurements",
)


def written(made: tuple[EncodedObject, ...], folder: Path) -> list[Path]:
    paths = []
    for number, one in enumerate(made):
        paths.append(folder / f"{number}-{one.kind}.dcm")
        paths[-1].write_bytes(one.content)
    return paths


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=200, check=False)
    return done.stdout + done.stderr


def complaints(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("Error", "Warning"))]


def dciodvfy(path: Path) -> list[str]:
    return complaints(said("dciodvfy", str(path)))


def pixelmed(path: Path) -> list[str]:
    if re.search(r"-(seg|fractional|capture|heatmap|keys|presentation)\.dcm", path.name):  # not the IODs that it knows
        return []
    text = said("java", "-Djava.awt.headless=true", "-cp", JARS, "com.pixelmed.validate.DicomSRValidator", str(path))
    assert "validation complete" in text, text
    return [line for line in complaints(text) if not NEWER_THAN_THE_VALIDATOR.search(line)]


def dsrdump(path: Path) -> list[str]:
    """dcmtk's reader; what it prints is the document, what it finds wrong makes it fail."""
    if re.search(r"-(seg|fractional|capture|heatmap|presentation)\.dcm", path.name):
        return []
    done = subprocess.run(
        ["dsrdump", "-q", str(path)], capture_output=True, text=True, errors="replace", timeout=100, check=False
    )
    return [] if done.returncode == 0 else [done.stderr or f"exit {done.returncode}"]


CHECKERS: dict[str, tuple[Callable[[Path], list[str]], bool]] = {
    "dciodvfy": (dciodvfy, shutil.which("dciodvfy") is not None),
    "pixelmed": (pixelmed, shutil.which("java") is not None and "pixelmed" in JARS),
    "dsrdump": (dsrdump, shutil.which("dsrdump") is not None),
}

PAIRS = [
    *((case, checker) for case in cases() for checker in ("dciodvfy", "dsrdump")),
    # compiles its templates anew for each document, which takes it up to a minute; these two hold all that it looks at
    *(pytest.param(case, "pixelmed", marks=pytest.mark.slow) for case in ("ct", "film-none")),
]


@pytest.mark.parametrize(("case", "checker"), PAIRS)
def test_nothing_is_said_against_objects_of_well_made_sources(case: str, checker: str, tmp_path: Path) -> None:
    check, installed = CHECKERS[checker]
    if not installed:
        pytest.skip(f"{checker} is not installed")
    image, sources = cases()[case]

    made = encode(answer_for(image.array), image, sources, manifest(), identity(), extras=EXTRAS)
    paths = written(made, tmp_path)

    assert {path.name: check(path) for path in paths} == {path.name: [] for path in paths}


def test_nothing_is_said_against_the_maps_and_pictures_of_images_that_are_read_together(tmp_path: Path) -> None:
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy is not installed")
    dicom.write([dicom.mammogram(view, spacing_mm=0.1) for view in ("L-CC", "R-CC", "R-MLO")], tmp_path / "in")
    stack = load_group(sorted((tmp_path / "in").iterdir()))
    maps = [
        HeatMap("pneumonia", np.full(one.array.shape, 0.5, np.float32), "occlusion", number)
        for number, one in enumerate(stack.image.together)
    ]
    prediction = Prediction(ratings=(Rating("pneumonia", 0.87),), heat_maps=tuple(maps))
    who = identity(study_uid=str(stack.sources[0].StudyInstanceUID))
    grouped = manifest(input={"require": [], "group": "four standard views"})

    paths = written(encode(prediction, stack.image, stack.sources, grouped, who, extras=EXTRAS), tmp_path)

    assert len([path for path in paths if re.search("-(capture|heatmap)", path.name)]) == 6
    assert {path.name: dciodvfy(path) for path in paths} == {path.name: [] for path in paths}


@pytest.mark.parametrize("kind", ["seg", "labelmap"])
@pytest.mark.parametrize("case", cases())
def test_dcmqi_reads_back_what_was_outlined(case: str, kind: str, tmp_path: Path) -> None:
    program = shutil.which("segimage2itkimage", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not program:
        pytest.skip("segimage2itkimage (dcmqi) is not installed")
    image, sources = cases()[case]
    prediction = answer_for(image.array)
    made = encode(prediction, image, sources, manifest(), identity(), extras=("labelmap",))
    segs = written(tuple(one for one in made if one.kind == kind), tmp_path)
    assert len(segs) == (1 if kind == "seg" else 2)  # the structures overlap

    assert isinstance(prediction.segmentation, Segmentation)
    numbers = {"bone": (0, 1), "right_lung": (0, 2) if kind == "seg" else (1, 1)}
    for number, seg in enumerate(segs):
        (tmp_path / str(number)).mkdir()
        said(program, "--inputDICOM", str(seg), "--outputDirectory", str(tmp_path / str(number)), "-t", "nii")
    for key, (part, label) in numbers.items():
        read = np.concatenate([_voxels(path) for path in (tmp_path / str(part)).glob("*.nii.gz")])
        assert np.count_nonzero(read == label) == np.count_nonzero(prediction.segmentation.masks[key]), key


def _voxels(path: Path) -> NDArray[np.generic]:
    """The values of a NIfTI-1 file: type code at byte 70, data from byte 352."""
    content = gzip.decompress(path.read_bytes())
    kind = {2: np.uint8, 4: np.int16, 512: np.uint16}[int.from_bytes(content[70:72], "little")]
    return np.frombuffer(content[352:], dtype=kind)


REAL = {
    "ct_3slice": r"Retired Person Name form",
    "mr_pd_brain": r"Illegal root for UID - \"0\.0\.0\.0\.",
    "cr_chest": r"Retired Person Name form|build DICOMDIR - Study ID",
}
"""Real sources, and the faults of theirs that the objects inherit: a name without a caret, UIDs that start with 0.0, no Study ID."""


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_objects_of_real_sources_have_no_faults_but_their_sources(name: str, shared: Path, tmp_path: Path) -> None:
    if not shutil.which("dciodvfy"):
        pytest.skip("dciodvfy is not installed")
    image, sources = _real(sorted((shared / "data" / "dicom" / name).iterdir()))
    who = identity(study_uid=str(sources[0].StudyInstanceUID), stack_key=str(sources[0].SeriesInstanceUID))

    paths = written(encode(answer_for(image.array), image, sources, manifest(), who), tmp_path)

    for path in paths:
        own = [line for line in dciodvfy(path) if not re.search(REAL[name], line)]
        assert own == [], path.name


def _real(paths: list[Path]) -> tuple[Image, list[Dataset]]:
    """The headers, and an image of their geometry; the grey values do not matter here."""
    sources = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    sources = [source for source in sources if "NumberOfFrames" not in source]
    shape = int(sources[0].Rows), int(sources[0].Columns)
    header = Header(modality=sources[0].Modality, has_rescale="RescaleSlope" in sources[0])
    if "ImageOrientationPatient" not in sources[0]:
        spacing = [float(value) for value in sources[0].PixelSpacing]
        array = np.zeros((1, *shape), dtype=np.float32)
        return Image(array, None, (1.0, spacing[0], spacing[1]), SpacingKind.DETECTOR, header), sources[:1]
    along, down = np.reshape([float(value) for value in sources[0].ImageOrientationPatient], (2, 3))
    sources.sort(key=lambda source: float(np.cross(along, down) @ [float(value) for value in source.ImagePositionPatient]))
    positions = np.array([[float(value) for value in source.ImagePositionPatient] for source in sources])
    affine = affine_of((along, down), (1.0, *[float(value) for value in sources[0].PixelSpacing]), tuple(positions[0]))
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(sources) - 1)
    return volume(affine, (len(sources), *shape), modality=sources[0].Modality), sources
