"""Measurement reports (PS3.16 TID 1500): what was measured in outlines, and what was rated, as codes and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    ReferencedSegmentationFrame,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage

from models.labels import Structure
from models.prediction import Measurement as Number
from models.prediction import Rating
from node.store.profiles import ENGLISH
from workers.encode import concepts
from workers.encode.calibration import calibration_in_words
from workers.encode.case import Case
from workers.encode.concepts import as_code
from workers.encode.document import Instance, algorithm_identification, document, instances_of, observation_context
from workers.encode.identity import Kind
from workers.encode.language import speech
from workers.encode.measure import Measure, Quantity, Unit
from workers.encode.seg import Seg
from workers.encode.segments import Outlines, tracking_id
from workers.encode.verdict import Verdict
from workers.encode.verdict import answers as verdicts_of

NUMBERS: Final = "numbers"
"""Variant of the document of what the model worked out itself."""

FINDINGS: Final = "findings"
"""Variant of the document of ratings; regions and ratings do not share one."""

UNITS: Final = {
    Unit.MILLILITER: concepts.MILLILITER,
    Unit.SQUARE_MILLIMETER: concepts.SQUARE_MILLIMETER,
    Unit.MILLIMETER: concepts.MILLIMETER,
    Unit.PIXELS: concepts.PIXELS,
    Unit.HOUNSFIELD: concepts.HOUNSFIELD,
    Unit.ARBITRARY: concepts.ARBITRARY,
}
DERIVATIONS: Final = {
    Quantity.MEAN: concepts.MEAN,
    Quantity.STANDARD_DEVIATION: concepts.STANDARD_DEVIATION,
    Quantity.MINIMUM: concepts.MINIMUM,
    Quantity.MAXIMUM: concepts.MAXIMUM,
}
_NAMES: Final = {
    Quantity.VOLUME: concepts.VOLUME,
    Quantity.AREA: concepts.AREA,
    Quantity.SLICE_DIAMETER: concepts.LONG_AXIS,
    Quantity.DIAMETER: concepts.DIAMETER_IN_SPACE,
}
PRESENCE: Final = {
    Verdict.PRESENT: concepts.PRESENT,
    Verdict.ABSENT: concepts.ABSENT,
    Verdict.UNSURE: concepts.INDETERMINATE,
}

Group = (
    VolumetricROIMeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | MeasurementsAndQualitativeEvaluations
)


def measurement_report(
    found: Outlines,
    taken: Sequence[Measure],
    segs: Sequence[Seg],
    case: Case,
    kind: Kind = Kind.MEASUREMENTS,
) -> Dataset:
    """Build the TID 1500 document of all outlines.

    One group per segment: TID 1411 (volume) for several slices, TID 1410 (plane) for one. Each refers to its segment. Of a label
    map it is a TID 1501 that shares the segment's tracking UID: dcmtk and others that do not know label maps yet reject a
    document that refers to a segment of one.

    Parameters
    ----------
    segs
        All SEG objects of the same answer, see `workers.encode.seg.segmentations` and `workers.encode.labelmap.label_maps`.
    kind
        Of the document: that of those that refer to label maps, or ``MEASUREMENTS``.
    """
    groups = [
        _group(number, structure, [one for one in taken if one.structure is structure], seg, case)
        for seg in segs
        for number, structure in enumerate((found.found[place - 1] for place in seg.segments), start=1)
    ]
    evidence = [*instances_of(case.sources), *instances_of([seg.dataset for seg in segs])]
    return _report(groups, case, evidence, "measurements", kind=kind)


def findings_report(
    ratings: Sequence[Rating],
    case: Case,
    kind: Kind = Kind.MEASUREMENTS,
) -> Dataset:
    """Build the TID 1500 document of a classifier's answer: a TID 1501 group per finding with its probability, and the answers.

    An answer is "pneumonia: absent" among the Qualitative Evaluations (TID 1500 row 12), not a "Finding" of the group: who looks
    at that alone would take an absent one for present.
    """
    groups, answers = [], []
    verdicts = verdicts_of(case.manifest, ratings)
    for rating in ratings:
        finding = case.manifest.finding(rating.key)
        answers.append(
            CodeContentItem(
                name=as_code(finding.code),
                value=PRESENCE[verdicts[rating.key]],
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
        )
        groups.append(
            MeasurementsAndQualitativeEvaluations(
                tracking_identifier=TrackingIdentifier(case.identity.tracking_uid(finding.key), finding.name),
                algorithm_id=algorithm_identification(case.manifest),
                measurements=[_probability(rating)],
                source_images=[
                    SourceImageForMeasurementGroup(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in case.sources
                ],
            )
        )
    evaluations = ContainerContentItem(name=concepts.QUALITATIVE_EVALUATIONS, relationship_type=RelationshipTypeValues.CONTAINS)
    evaluations.ContentSequence = ContentSequence(answers)
    return _report(groups, case, instances_of(case.sources), FINDINGS, kind=kind, variant=FINDINGS, evaluations=evaluations)


def _probability(rating: Rating) -> Measurement:
    """A probability, and on whom it was measured how far such probabilities hold; nothing of that where nobody measured it.

    In words, as a property that the extensible PS3.16 TID 300 leaves room for: a number below a number, or a code of ours, is an
    error to validators in use, and the standard has no code for such an error.
    """
    measurement = Measurement(concepts.PROBABILITY, round(rating.probability * 100, 1), concepts.PERCENT)
    if rating.calibration is not None:
        described = TextContentItem(
            name=concepts.POPULATION_DESCRIPTION,
            value=calibration_in_words(rating.calibration, speech(ENGLISH)),
            relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
        )
        measurement[0].ContentSequence = ContentSequence([described])
    return measurement


def numbers_report(numbers: Sequence[Number], case: Case, kind: Kind = Kind.MEASUREMENTS) -> Dataset:
    """Build the TID 1500 document of what the model worked out itself: a TID 1501 group for each number."""
    groups = [
        MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(case.identity.tracking_uid(number.key), number.name),
            algorithm_id=algorithm_identification(case.manifest),
            measurements=[Measurement(as_code(number.code), number.value, as_code(number.unit))],
            source_images=[SourceImageForMeasurementGroup(str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in case.sources],
        )
        for number in numbers
    ]
    return _report(groups, case, instances_of(case.sources), "measurements", kind=kind, variant=NUMBERS)


def _report(
    groups: Sequence[Group],
    case: Case,
    evidence: Sequence[Instance],
    what: str,
    *,
    kind: Kind,
    variant: str = "",
    evaluations: ContainerContentItem | None = None,
) -> Dataset:
    report = MeasurementReport(
        observation_context=observation_context(case),
        procedure_reported=concepts.procedure_reported(str(case.sources[0].get("Modality") or "")),
        imaging_measurements=groups,
    )
    if evaluations is not None:
        report[0].ContentSequence.append(evaluations)
    return document(
        report[0],
        case,
        kind=kind,
        sop_class_uid=Comprehensive3DSRStorage,
        description=f"AI {what}, not verified (Overread {case.manifest.name})",
        evidence=evidence,
        variant=variant,
    )


def _group(
    number: int,
    structure: Structure,
    taken: Sequence[Measure],
    seg: Seg,
    case: Case,
) -> Group:
    """The measurements of one segment."""
    common: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(
            case.identity.tracking_uid(structure.key), tracking_id(structure, taken[0].spacing_kind)
        ),
        "finding_type": as_code(structure.type),
        "finding_sites": sites_of(structure),
        "algorithm_id": algorithm_identification(case.manifest),
        "measurements": [_measurement(one, case.sources[0]) for one in taken],
    }
    if seg.dataset.SegmentationType == "LABELMAP":
        return MeasurementsAndQualitativeEvaluations(**common)
    if any(one.quantity is Quantity.VOLUME for one in taken):
        segment = ReferencedSegment(
            seg.dataset.SOPClassUID,
            seg.dataset.SOPInstanceUID,
            segment_number=number,
            source_series=SourceSeriesForSegmentation(str(case.sources[0].SeriesInstanceUID)),
        )
        return VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
    numbers = seg.frame_numbers(number)
    source = seg.source_of(numbers[0])
    plane = ReferencedSegmentationFrame(
        seg.dataset.SOPClassUID,
        seg.dataset.SOPInstanceUID,
        frame_number=numbers,
        segment_number=number,
        source_image=SourceImageForSegmentation(
            source.sop_class_uid, source.sop_instance_uid, [source.frame_number] if source.frame_number is not None else None
        ),
    )
    # a frame belongs to one segment, and naming both is not allowed (PS3.3 section 10.3, table 10-3)
    del plane[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    # highdicom capitalises the meaning otherwise than the template
    plane[1].ConceptNameCodeSequence[0].CodeMeaning = "Source image for segmentation"
    return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=plane, **common)


def sites_of(structure: Structure) -> list[FindingSite] | None:
    """Where a structure is and on which side, None where its type says all there is to say."""
    if not structure.region and not structure.laterality:
        return None
    side = as_code(structure.laterality) if structure.laterality else None
    return [FindingSite(as_code(structure.region or structure.type), side)]


def _measurement(one: Measure, source: Dataset) -> Measurement:
    """One number with what it is of, its unit and how it was come by (PS3.16 TID 300, TID 1419)."""
    return Measurement(
        name=quantity_code(one, source),
        value=one.value,
        unit=UNITS[one.unit],
        derivation=DERIVATIONS.get(one.quantity),
    )


def quantity_code(one: Measure, source: Dataset) -> Code:
    """What a number is of."""
    if one.quantity in _NAMES:
        return _NAMES[one.quantity]
    if one.unit is Unit.HOUNSFIELD:
        return concepts.ATTENUATION
    return concepts.MR_SIGNAL if source.get("Modality") == "MR" else concepts.XRAY_ATTENUATION
