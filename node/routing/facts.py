"""The facts that rules speak of: one table, from which rules are checked and the documentation is written.

Two kinds: DICOM attributes under their keywords, as they stand in the first image of a stack, and derived facts in lower case.
An absent text is ``""``, absent texts are an empty list, an absent number is null. Nothing here identifies a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydicom.dataset import Dataset

from node.store.attributes import item, number, text, texts
from node.store.frames import functional_group
from node.store.mammography import standard_view
from node.store.records import Facts


class Kind(Enum):
    """Type of a fact."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "number"
    TRUTH = "true or false"


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the table."""

    name: str
    kind: Kind
    meaning: str


_TEXTS: Final = (
    *("Modality", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "BodyPartExamined"),
    *("StudyDescription", "SeriesDescription", "ProtocolName", "SequenceName", "Manufacturer", "ManufacturerModelName"),
    *("StationName", "InstitutionName", "PatientPosition", "ViewPosition", "Laterality", "ImageLaterality"),
    *("PhotometricInterpretation", "PresentationIntentType", "ConvolutionKernel", "ContrastBolusAgent", "RescaleType"),
    *("MRAcquisitionType", "ConversionType", "BurnedInAnnotation", "LossyImageCompression", "AcquisitionContrast"),
)
_LISTS: Final = ("ImageType", "ScanningSequence", "SequenceVariant", "ScanOptions", "PatientOrientation")
_NUMBERS: Final = (
    *("SeriesNumber", "AcquisitionNumber", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "SliceThickness", "SpacingBetweenSlices"),
    *("EchoTime", "EchoNumbers", "RepetitionTime", "InversionTime", "FlipAngle", "MagneticFieldStrength", "DiffusionBValue"),
    *("KVP", "Exposure", "GantryDetectorTilt", "ReconstructionDiameter", "TriggerTime", "TemporalPositionIdentifier"),
)

KEYWORDS: Final = {
    **dict.fromkeys(_TEXTS, Kind.TEXT),
    **dict.fromkeys(_LISTS, Kind.TEXTS),
    **dict.fromkeys(_NUMBERS, Kind.NUMBER),
}
"""DICOM keywords that rules may name, and their types."""

DERIVED: Final = (
    Fact("modality", Kind.TEXT, "Modality in capitals"),
    Fact(
        "orientation",
        Kind.TEXT,
        "axial, sagittal, coronal (within 25 degrees) or oblique for slices; projection for radiographs; unknown for the rest",
    ),
    Fact("slices", Kind.NUMBER, "images in the stack; frames for a multi-frame object"),
    Fact("phases", Kind.NUMBER, "images of each position over a cycle, such as the heart's; 1 where the stack is no cycle"),
    Fact("frames", Kind.NUMBER, "Number of Frames of one object, 1 where absent"),
    Fact("rows", Kind.NUMBER, "Rows"),
    Fact("columns", Kind.NUMBER, "Columns"),
    Fact("slice_spacing_mm", Kind.NUMBER, "distance between slices, mm, from their positions; null for one slice or none"),
    Fact("slice_thickness_mm", Kind.NUMBER, "Slice Thickness, mm"),
    Fact("pixel_spacing_mm", Kind.NUMBER, "the larger value of Pixel Spacing, mm; null where it is not stated or not positive"),
    Fact("extent_mm", Kind.NUMBER, "from the first slice to the last, mm"),
    Fact("colour", Kind.TRUTH, "three samples a pixel, or a palette"),
    Fact("localizer", Kind.TRUTH, "Image Type says LOCALIZER, or single planes cross those of the same series"),
    Fact("derived", Kind.TRUTH, "Image Type says DERIVED"),
    Fact("body_part", Kind.TEXT, "Body Part Examined in capitals, else the meaning of the Anatomic Region code in capitals"),
    Fact("view", Kind.TEXT, "View Position in capitals, else the meaning of the View Code in capitals"),
    Fact("contrast", Kind.TRUTH, "a contrast agent is named"),
    Fact("rescaled", Kind.TRUTH, "Rescale Slope and Intercept are stated"),
    Fact("standard_view", Kind.TEXT, "of a mammogram L-CC, R-CC, L-MLO or R-MLO; empty for other views and other images"),
    Fact("part", Kind.TEXT, "which part of its series this stack is, e.g. echo time 80 ms; empty where the series is one stack"),
    Fact("group", Kind.TEXT, "four standard views for the mammograms of a study that are read together; else empty"),
)

FACTS: Final = {
    **{name: Fact(name, kind, f"{name} of the first image") for name, kind in KEYWORDS.items()},
    **{fact.name: fact for fact in DERIVED},
}
"""Every fact by name: what the compiler of rules checks against and `docs/configuration.md` lists."""

_MACROS: Final = {
    **dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType"), "PixelValueTransformationSequence"),
    "SliceThickness": "PixelMeasuresSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    **dict.fromkeys(("RepetitionTime", "FlipAngle"), "MRTimingAndRelatedParametersSequence"),
}

NO_CONTRAST: Final = frozenset({"", "NONE", "NO", "N", "NO CONTRAST", "WITHOUT"})


def read_keywords(dataset: Dataset) -> Facts:
    """The DICOM attributes among the facts, read from one image, and the derived facts that need no other image."""
    found: Facts = {}
    for keyword, kind in KEYWORDS.items():
        holder = _holder(dataset, keyword)
        if kind is Kind.TEXT:
            found[keyword] = text(holder, keyword)
        elif kind is Kind.TEXTS:
            found[keyword] = list(texts(holder, keyword))
        else:
            found[keyword] = number(holder, keyword)
    photometric = found["PhotometricInterpretation"].upper()
    found.update(
        modality=found["Modality"].upper(),
        frames=found["NumberOfFrames"] or 1,
        rows=found["Rows"],
        columns=found["Columns"],
        slice_thickness_mm=found["SliceThickness"],
        colour=(found["SamplesPerPixel"] or 1) >= 3 or photometric == "PALETTE COLOR",
        derived=found["ImageType"][:1] == ["DERIVED"],
        body_part=_first(found["BodyPartExamined"], text(item(dataset, "AnatomicRegionSequence"), "CodeMeaning")),
        view=_first(found["ViewPosition"], text(item(dataset, "ViewCodeSequence"), "CodeMeaning")),
        standard_view=standard_view(dataset),
        contrast=found["ContrastBolusAgent"].upper() not in NO_CONTRAST,
        rescaled=found["RescaleSlope"] is not None and found["RescaleIntercept"] is not None,
    )
    return found


def _holder(dataset: Dataset, keyword: str) -> Dataset | None:
    """Where an attribute stands: beside the image, or in the functional groups of an enhanced one's first frame."""
    macro = _MACROS.get(keyword)
    return functional_group(dataset, 0, macro) if macro and keyword not in dataset else dataset


def _first(*candidates: str) -> str:
    return next((candidate.upper() for candidate in candidates if candidate), "")
