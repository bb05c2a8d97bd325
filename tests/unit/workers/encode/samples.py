"""Synthetic sources, images, manifests and identities for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage, EnhancedCTImageStorage

from models.image import Header, Image, SpacingKind
from models.labels import CalibratedOn, Calibration
from models.manifest import Manifest
from workers.encode.identity import ResultIdentity

STUDY = "1.2.826.0.1.3680043.10.1"
SERIES = "1.2.826.0.1.3680043.10.2"
FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.10.3"
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CREATED_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

ANATOMY = ["SCT", "123037004", "Anatomical Structure"]
STRUCTURES: list[dict[str, Any]] = [
    {"key": "bone", "name": "Bone", "category": ANATOMY, "type": ["SCT", "272673000", "Bone"], "color": [241, 214, 145]},
    {
        "key": "right_lung",
        "name": "Right lung",
        "category": ANATOMY,
        "type": ["SCT", "39607008", "Lung"],
        "laterality": ["SCT", "24028007", "Right"],
        "region": ["SCT", "51185008", "Chest"],
        "color": [197, 165, 145],
    },
    {
        "key": "body",
        "name": "Body",
        "category": ANATOMY,
        "type": ["SCT", "123037004", "Body structure"],
        "color": [177, 122, 101],
    },
]
FINDINGS: list[dict[str, Any]] = [
    {
        "key": "pneumonia",
        "name": "Pneumonia",
        "code": ["SCT", "233604007", "Pneumonia"],
        "threshold": 0.5,
        "unsure": [0.4, 0.6],
    }
]
CALIBRATION = Calibration(
    error=0.1017,
    interval=(0.0664, 0.1719),
    bins=10,
    n=151,
    by_chance=0.0625,
    by_chance_range=(0.0331, 0.0974),
    measured_on=CalibratedOn.UNSEEN,
    images="films/val",
)


def manifest(**changes: Any) -> Manifest:
    """A model with three structures and one finding."""
    values: dict[str, Any] = {
        "name": "sample-model",
        "version": "1.2.3",
        "title": "Sample model",
        "licence": "Apache-2.0",
        "intended_use": "Testing.",
        "runtime": "models.runtimes.none:None",
        "input": {"require": []},
        "structures": STRUCTURES,
        "findings": FINDINGS,
    }
    return Manifest.model_validate({**values, **changes})


def identity(**changes: Any) -> ResultIdentity:
    """The identity of one answer of `manifest`."""
    values: dict[str, Any] = {
        "installation": "5b1e2f40-7d0a-4f2e-8c55-0123456789ab",
        "study_uid": STUDY,
        "stack_key": f"{SERIES}#1",
        "model": "sample-model",
        "version": "1.2.3",
        "fingerprint": manifest().fingerprint,
        "revision": 1,
        "run": 1,
        "created_at": CREATED_AT,
    }
    return ResultIdentity(**{**values, **changes})


def patient(**changes: Any) -> Dataset:
    """Patient, study and series attributes of a well-made source."""
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Doe^Jane",
        "PatientID": "P-17",
        "PatientBirthDate": "19700102",
        "PatientSex": "F",
        "StudyInstanceUID": STUDY,
        "StudyDate": "20260304",
        "StudyTime": "040506",
        "StudyID": "S1",
        "AccessionNumber": "A-99",
        "ReferringPhysicianName": "Roe^Richard",
        "SeriesInstanceUID": SERIES,
        "SeriesNumber": 3,
        "SeriesDescription": "Body 3.0",
        "BodyPartExamined": "CHEST",
    }
    dataset = Dataset()
    for keyword, value in {**values, **changes}.items():
        setattr(dataset, keyword, value)
    return dataset


def affine_of(
    orientation: tuple[Any, Any] = AXIAL,
    spacing_mm: tuple[float, float, float] = (3.0, 0.8, 0.7),
    origin_mm: tuple[float, float, float] = (-50.5, 20.25, -700.0),
    step: tuple[float, float, float] | None = None,
) -> NDArray[np.float64]:
    """The affine of a grid; `orientation` holds the directions along a row and down a column, `step` replaces the normal."""
    along, down = (np.asarray(direction, dtype=np.float64) for direction in orientation)
    affine = np.eye(4)
    affine[:3, 0] = spacing_mm[0] * (np.cross(along, down) if step is None else np.asarray(step))
    affine[:3, 1] = spacing_mm[1] * down
    affine[:3, 2] = spacing_mm[2] * along
    affine[:3, 3] = origin_mm
    return affine


def volume(affine: NDArray[np.float64], shape: tuple[int, int, int], **header: Any) -> Image:
    """A CT image whose grey values count up."""
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    spacing = tuple(float(np.linalg.norm(affine[:3, axis])) for axis in range(3))
    described = Header(**{"modality": "CT", "has_rescale": True, "rescale_type": "HU", **header})
    return Image(array, affine, (spacing[0], spacing[1], spacing[2]), SpacingKind.PATIENT, described)


def slices_of(image: Image, **changes: Any) -> list[Dataset]:
    """One CT header per slice of `image`, in order."""
    assert image.affine is not None
    made = []
    for index in range(image.array.shape[0]):
        source = patient(**changes)
        source.SOPClassUID = CTImageStorage
        source.SOPInstanceUID = f"{SERIES}.{index + 1}"
        source.Modality = image.header.modality
        source.InstanceNumber = index + 1
        source.FrameOfReferenceUID = FRAME_OF_REFERENCE
        source.ImagePositionPatient = _decimals(image.affine[:3, 3] + index * image.affine[:3, 0])
        directions = [image.affine[:3, axis] / np.linalg.norm(image.affine[:3, axis]) for axis in (2, 1)]
        source.ImageOrientationPatient = _decimals(np.concatenate(directions))
        source.PixelSpacing = _decimals([np.linalg.norm(image.affine[:3, 1]), np.linalg.norm(image.affine[:3, 2])])
        source.SliceThickness = "3"
        source.Rows, source.Columns = image.array.shape[1:3]
        made.append(source)
    return made


def multi_frame_of(image: Image, order: list[int] | None = None) -> Dataset:
    """An Enhanced CT header whose frames lie at the slices of `image`, taken in `order`."""
    singles = slices_of(image)
    source = patient()
    source.SOPClassUID = EnhancedCTImageStorage
    source.SOPInstanceUID = f"{SERIES}.100"
    source.Modality = "CT"
    source.FrameOfReferenceUID = FRAME_OF_REFERENCE
    source.Rows, source.Columns = image.array.shape[1:3]
    source.PerFrameFunctionalGroupsSequence = []
    for index in order or range(len(singles)):
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = singles[index].ImagePositionPatient
        group.PlanePositionSequence = [place]
        source.PerFrameFunctionalGroupsSequence.append(group)
    source.NumberOfFrames = len(source.PerFrameFunctionalGroupsSequence)
    return source


def radiograph(kind: SpacingKind = SpacingKind.DETECTOR, shape: tuple[int, int] = (12, 10)) -> tuple[Image, Dataset]:
    """A chest film and its header."""
    spacing = None if kind is SpacingKind.NONE else (1.0, 0.2, 0.25)
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    source = patient()
    source.SOPClassUID = ComputedRadiographyImageStorage
    source.SOPInstanceUID = f"{SERIES}.200"
    source.Modality = "CR"
    source.PatientOrientation = ["L", "F"]
    source.Rows, source.Columns = shape
    return Image(array, None, spacing, kind, Header(modality="CR")), source


def _decimals(values: Any) -> list[str]:
    return [f"{float(value):.10g}"[:16] for value in values]
