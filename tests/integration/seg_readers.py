"""Segmentations and measurements as programs that nobody here wrote read them from their files."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from numpy.typing import NDArray

from workers.encode.fractional import WHOLE

Mask = NDArray[np.bool_]

JARS = ":".join(
    str(path)
    for path in sorted(Path("/usr/share/java").glob("*.jar"))
    if re.search("pixelmed|saxon|commons-|xom|hsqldb|vecmath|jai|json", path.name.lower())
)


@dataclass(slots=True)
class Plane:
    """One frame: what it was made from, where it lies, and its pixels.

    Parameters
    ----------
    segment
        Number of the segment that it shows; 0 where its values are segment numbers.
    place
        Image position, image orientation, then the distances of rows and of columns: 11 numbers.
    """

    source: str
    segment: int
    place: NDArray[np.float64]
    pixels: NDArray[Any]


@dataclass(slots=True)
class Reading:
    """What is in a segmentation: names by number, and its frames."""

    names: dict[int, str]
    planes: list[Plane] = field(default_factory=list)

    def masks(self) -> dict[str, dict[str, Mask]]:
        """By segment's name and source image: the pixels of the segment, of frames that have any."""
        found: dict[str, dict[str, Mask]] = {name: {} for number, name in self.names.items() if number}
        for plane in self.planes:
            for number in [plane.segment] if plane.segment else [one for one in self.names if one]:
                mask = plane.pixels > 0 if plane.segment else plane.pixels == number
                if mask.any():
                    found[self.names[number]][plane.source] = mask
        return found


def missing(reader: str) -> str:
    """Why a reader cannot be asked here; ``""`` where it can."""
    needed = {"dcmqi": ["segimage2itkimage"], "dcmtk": ["dcm2json", "dcmdrle"], "pixelmed": ["java", "dcmdrle"]}.get(reader, [])
    for program in needed:
        if not _program(program):
            return f"{program} is not installed"
    return "PixelMed is not installed" if reader == "pixelmed" and "pixelmed" not in JARS else ""


def read_by(reader: str, path: Path) -> Reading:
    """The segmentation, frame by frame.

    Parameters
    ----------
    reader
        ``dcmtk`` or ``pixelmed``, which say what stands in the object as DICOM JSON (PS3.18 annex F); ``highdicom``.
    """
    return _highdicom(path) if reader == "highdicom" else _reading(as_json(reader, path))


def as_json(reader: str, path: Path) -> dict[str, Any]:
    """A DICOM object as dcmtk or PixelMed writes it in JSON."""
    plain = path.with_suffix(".plain")
    _run("dcmdrle", str(path), str(plain))  # JSON holds no compressed pixels; what is not compressed is left alone
    if reader == "pixelmed":
        factory = "com.pixelmed.dicom.JSONRepresentationOfDicomObjectFactory"
        said = _run("java", "-Djava.awt.headless=true", "-cp", JARS, factory, str(plain))
        (told,) = json.loads(said)
        return dict(_capitals(told))
    return dict(json.loads(_run("dcm2json", str(plain))))


def _capitals(told: Any) -> Any:
    """Tags in capitals, as the standard has them: PixelMed writes letters small."""
    if isinstance(told, list):
        return [_capitals(one) for one in told]
    return (
        {key.upper() if len(key) == 8 else key: _capitals(one) for key, one in told.items()} if isinstance(told, dict) else told
    )


def dcmqi_points(path: Path, folder: Path) -> dict[int, NDArray[np.float64]]:
    """By segment number: ``(n, 3)`` places of its voxels, LPS mm, as dcmqi gives them in NIfTI."""
    folder.mkdir()
    _run("segimage2itkimage", "--inputDICOM", str(path), "--outputDirectory", str(folder), "-t", "nii")
    found: dict[int, list[NDArray[np.float64]]] = {}
    for volume in folder.glob("*.nii.gz"):
        content = gzip.decompress(volume.read_bytes())
        kind = {2: np.uint8, 4: np.int16, 512: np.uint16}[int.from_bytes(content[70:72], "little")]
        columns, rows, slices = np.frombuffer(content[42:48], "<i2")
        voxels = np.frombuffer(content[352:], kind).reshape(slices, rows, columns)
        to_ras = np.frombuffer(content[280:328], "<f4").reshape(3, 4).astype(np.float64)
        for value in np.unique(voxels[voxels > 0]):
            index = np.argwhere(voxels == value)[:, ::-1]
            places = index @ to_ras[:, :3].T + to_ras[:, 3]
            # voxels have the number of their segment; of a FRACTIONAL one the stored value, in a file with that number for a name
            number = int(value) if value < WHOLE else int(volume.name.partition(".")[0])
            found.setdefault(number, []).append(places * (-1, -1, 1))
    return {number: np.concatenate(places) for number, places in found.items()}


def volumes(told: dict[str, Any]) -> dict[str, float]:
    """Tracking UID to volume in ml of each measurement group of a report in DICOM JSON."""
    found: dict[str, float] = {}
    for item in _items(told, "0040A730"):
        inner = item.get("0040A730", {}).get("Value", [])
        named = {_first(_first(one, "0040A043"), "00080100"): one for one in inner}
        if "112040" in named and "118565006" in named:
            found[_first(named["112040"], "0040A124")] = float(_first(_first(named["118565006"], "0040A300"), "0040A30A"))
    return found


def _items(told: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    children = told.get(tag, {}).get("Value", [])
    return [*children, *(one for child in children for one in _items(child, tag))]


def _first(told: Any, tag: str) -> Any:
    return told[tag]["Value"][0]


def _reading(told: dict[str, Any]) -> Reading:
    rows, columns, bits = (int(_first(told, tag)) for tag in ("00280010", "00280011", "00280100"))
    content = base64.b64decode(told["7FE00010"]["InlineBinary"])
    groups = told["52009230"]["Value"]
    if bits == 1:
        values = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
    else:
        values = np.frombuffer(content, np.uint8 if bits == 8 else np.dtype("<u2"))
    pixels = values[: len(groups) * rows * columns].reshape(-1, rows, columns)
    shared = _first(told, "52009229")
    orientation = _first(shared, "00209116")["00200037"]["Value"]
    spacing = _first(shared, "00289110")["00280030"]["Value"]
    made = Reading({int(_first(one, "00620004")): _first(one, "00620005") for one in told["00620002"]["Value"]})
    for group, frame in zip(groups, pixels, strict=True):
        position = _first(group, "00209113")["00200032"]["Value"]
        source = _first(_first(_first(group, "00089124"), "00082112"), "00081155")
        number = int(_first(_first(group, "0062000A"), "0062000B")) if "0062000A" in group else 0
        place = np.array([*position, *orientation, *spacing], dtype=np.float64)
        made.planes.append(Plane(source, number, place, frame))
    return made


def _highdicom(path: Path) -> Reading:
    with warnings.catch_warnings():
        # small random frames may take as many bytes compressed as they do plain, which pydicom takes for a wrong transfer syntax
        warnings.filterwarnings("ignore", message="The number of bytes of compressed pixel data matches the expected number")
        return _highdicom_reading(path)


def _highdicom_reading(path: Path) -> Reading:
    seg = highdicom.seg.segread(BytesIO(path.read_bytes()))
    made = Reading({number: seg.get_segment_description(number).segment_label for number in seg.segment_numbers})
    shared = seg.SharedFunctionalGroupsSequence[0]
    fixed = [*shared.PlaneOrientationSequence[0].ImageOrientationPatient, *shared.PixelMeasuresSequence[0].PixelSpacing]
    for number in seg.segment_numbers:
        for source, group in {
            str(one.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID): one
            for one in seg.PerFrameFunctionalGroupsSequence
        }.items():
            pixels = seg.get_pixels_by_source_instance(
                [source], segment_numbers=[number], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
            )
            place = [*group.PlanePositionSequence[0].ImagePositionPatient, *fixed]
            made.planes.append(Plane(source, number, np.array(place, dtype=np.float64), pixels[0, ..., 0]))
    return made


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _run(name: str, *words: str) -> str:
    program = _program(name)
    assert program, name
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout
