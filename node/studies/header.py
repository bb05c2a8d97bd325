"""What splitting and routing need to know of one spooled file: read without the pixels, and without the patient module."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import BaseTag, Tag

from node.routing.facts import KEYWORDS, read_keywords
from node.store.attributes import BROKEN, number, quietly, text, texts
from node.store.frames import is_cross_sectional, is_enhanced, read_slices
from node.store.geometry import Slice
from node.store.pixels import PIXEL_DATA, UNDEFINED, is_deflated, seek_pixels
from node.store.records import Facts, StoredInstance
from node.studies.technique import ATTRIBUTES, Technique, read_technique

_CHUNK: Final = 1 << 20
_GEOMETRY: Final = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID", "SliceThickness")
_PIXEL_MODULE: Final = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType"),
    *("ImagerPixelSpacing", "PixelSpacingCalibrationType"),
)
_SEQUENCES: Final = (
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ViewCodeSequence", "AnatomicRegionSequence"),
)
_FILM: Final = ("FrameTime", "FrameTimeVector")
_WANTED: Final[list[BaseTag]] = sorted(
    Tag(keyword)
    for keyword in {
        *KEYWORDS,
        *_GEOMETRY,
        *_PIXEL_MODULE,
        *_SEQUENCES,
        "InstanceNumber",
        "PartialView",
        *_FILM,
        *(attribute.keyword for attribute in ATTRIBUTES),
    }
)


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """One instance, without patient data.

    Parameters
    ----------
    number
        Instance Number; None where absent or no number.
    has_pixels
        Whether there is an image in it.
    cross_sectional
        Its frames are slices of the patient (`node.store.frames.is_cross_sectional`).
    enhanced
        Described by functional groups.
    slices, techniques
        One for each frame.
    facts
        DICOM keywords of `node.routing.facts.KEYWORDS`.
    pixels
        SHA-256 of the value of pixel data; empty where there is none.
    digest
        SHA-256, hexadecimal, over pixel data, geometry and what the pixel values mean; patient and study attributes are not part.
    fault
        Why the file could not be read at all; ``""`` where it could.
    film
        Its frames follow each other in time: Frame Time or Frame Time Vector is stated (PS3.3 section C.7.6.5).
    """

    stored: StoredInstance
    number: int | None
    has_pixels: bool
    cross_sectional: bool
    enhanced: bool
    slices: tuple[Slice, ...]
    techniques: tuple[Technique, ...]
    facts: Facts
    pixels: bytes
    digest: str
    fault: str = ""
    film: bool = False

    @property
    def order(self) -> tuple[float, str]:
        """Instance Number first, then SOP Instance UID: the same whatever order the images came in."""
        return (float("inf") if self.number is None else float(self.number), self.stored.arrival.sop_instance_uid)


def read_headers(instances: Iterable[StoredInstance], root: Path) -> tuple[InstanceHeader, ...]:
    """Read all instances of a study; what cannot be read has a `fault` and stands alone.

    Parameters
    ----------
    root
        The spool's root, which `Arrival.path` is relative to.
    """
    with quietly(), ThreadPoolExecutor(2) as pool:
        return tuple(pool.map(lambda stored: _read(stored, root / stored.arrival.path), instances))


def _read(stored: StoredInstance, path: Path) -> InstanceHeader:
    try:
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_WANTED)
            pixels = _digest_of_pixels(file, dataset, path)
    except (OSError, EOFError, InvalidDicomError, *BROKEN) as broken:
        return InstanceHeader(
            stored, None, False, False, False, (), (), {}, b"", "", f"the file cannot be read ({type(broken).__name__})"
        )
    name = f"instance {stored.arrival.sop_instance_uid}"
    value = number(dataset, "InstanceNumber")
    enhanced = is_enhanced(dataset)
    has_pixels = pixels is not None
    slices = read_slices(dataset, name) if has_pixels else ()
    return InstanceHeader(
        stored=stored,
        number=None if value is None else int(value),
        has_pixels=has_pixels,
        cross_sectional=has_pixels and is_cross_sectional(dataset),
        enhanced=enhanced,
        slices=slices,
        techniques=_techniques(dataset, len(slices), enhanced=enhanced),
        facts=read_keywords(dataset),
        pixels=pixels or b"",
        digest=_digest(dataset, slices, pixels or b"", stored.arrival.sop_instance_uid),
        film=any(dataset.get(keyword) for keyword in _FILM),
    )


def _techniques(dataset: Dataset, count: int, *, enhanced: bool) -> tuple[Technique, ...]:
    if enhanced:
        return tuple(read_technique(dataset, frame, enhanced=True) for frame in range(count))
    return (read_technique(dataset, 0, enhanced=False),) * count


def _digest(dataset: Dataset, slices: Sequence[Slice], pixels: bytes, sop_instance_uid: str) -> str:
    digest = hashlib.sha256(sop_instance_uid.encode())
    for keyword in (*_PIXEL_MODULE, "FrameOfReferenceUID"):
        digest.update(f"\0{keyword}={texts(dataset, keyword)}".encode())
    for one in dict.fromkeys(slices):
        digest.update(f"\0{one.plane}{one.pixel_spacing_mm}{one.thickness_mm}".encode())
    digest.update(text(dataset, "Modality").encode() + pixels)
    return digest.hexdigest()


def _digest_of_pixels(file: BinaryIO, dataset: FileDataset, path: Path) -> bytes | None:
    """SHA-256 of the value of the pixel data element, or None where there is none."""
    digest = hashlib.sha256()
    if is_deflated(dataset):
        whole = pydicom.dcmread(path)
        element = next((whole[tag] for tag in sorted(PIXEL_DATA) if tag in whole), None)
        if element is None or not element.value:
            return None
        digest.update(element.value)
        return digest.digest()
    left = seek_pixels(file, dataset)
    if not left:
        return None
    left = left if left != UNDEFINED else path.stat().st_size
    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.digest()
