"""The coded concepts that results are written with (PS3.16), each where it is needed once."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from models.labels import Code as ModelCode

DIAGNOSTIC_IMAGING_REPORT: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")

BACKGROUND: Final = Code("125040", "DCM", "Background")
SEGMENTATION: Final = Code("113076", "DCM", "Segmentation")
UNSPECIFIED_CALCULATION: Final = Code("113130", "DCM", "Unspecified method of calculation")
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
NEIGHBORHOOD_ANALYSIS: Final = Code("123101", "DCM", "Neighborhood Analysis")

VOLUME: Final = Code("118565006", "SCT", "Volume")
AREA: Final = Code("42798000", "SCT", "Area")
LONG_AXIS: Final = Code("103339001", "SCT", "Long Axis")
DIAMETER_IN_SPACE: Final = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
ATTENUATION: Final = Code("112031", "DCM", "Attenuation Coefficient")
XRAY_ATTENUATION: Final = Code("110850", "DCM", "X-Ray Attenuation")
MR_SIGNAL: Final = Code("110852", "DCM", "MR signal intensity")
MEAN: Final = Code("373098007", "SCT", "Mean")
MINIMUM: Final = Code("255605001", "SCT", "Minimum")
MAXIMUM: Final = Code("56851009", "SCT", "Maximum")
STANDARD_DEVIATION: Final = Code("386136009", "SCT", "Standard Deviation")
PROBABILITY: Final = Code("122157", "DCM", "Probability")
POPULATION_DESCRIPTION: Final = Code("121405", "DCM", "Population description")

FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")

PRESENT: Final = Code("52101004", "SCT", "Present")
ABSENT: Final = Code("272519000", "SCT", "Absent")
INDETERMINATE: Final = Code("82334004", "SCT", "Indeterminate")

MILLILITER: Final = Code("ml", "UCUM", "milliliter")
SQUARE_MILLIMETER: Final = Code("mm2", "UCUM", "square millimeter")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")
PIXELS: Final = Code("{pixels}", "UCUM", "pixels")
HOUNSFIELD: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
ARBITRARY: Final = Code("[arb'U]", "UCUM", "arbitrary unit")
NO_UNITS: Final = Code("1", "UCUM", "no units")
PERCENT: Final = Code("%", "UCUM", "Percent")

_PROCEDURES: Final = {
    "CT": Code("25045-6", "LN", "CT unspecified body region"),
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),
    "NM": Code("49118-3", "LN", "NM unspecified body region"),
    "PT": Code("44136-0", "LN", "PET unspecified body region"),
}


def procedure_reported(modality: str) -> Code:
    """The imaging procedure that a report is about, by modality (PS3.16 CID 100).

    Radiography has a code of its own there only in newer editions, which validators in use do not know; the general one is in
    all of them.
    """
    return _PROCEDURES.get(modality, Code("363679005", "SCT", "Imaging procedure"))


def as_code(concept: ModelCode) -> Code:
    """A manifest's code as pydicom writes it."""
    return Code(concept.value, concept.scheme, concept.meaning)


def code_item(concept: Code | ModelCode) -> Dataset:
    """A code sequence item (PS3.3 section 8.8, table 8.8-1)."""
    code = as_code(concept) if isinstance(concept, ModelCode) else concept
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
