"""The report that a radiologist reads in any viewer: sentences first, codes and numbers beside them (PS3.16 TID 2000)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from models.image import SpacingKind
from models.labels import Finding
from models.manifest import Manifest
from models.prediction import Measurement, Prediction, Rating
from workers.encode import concepts
from workers.encode.case import Case
from workers.encode.concepts import as_code
from workers.encode.document import document, instances_of, observation_context
from workers.encode.identity import Kind
from workers.encode.measure import Measure, Quantity
from workers.encode.patient import PatientAndStudy
from workers.encode.segments import Outlines
from workers.encode.verdict import Verdict, answers, in_words

_CONTAINS = RelationshipTypeValues.CONTAINS
_WHERE = {
    SpacingKind.DETECTOR: " (at the detector plane, not corrected for magnification)",
    SpacingKind.CALIBRATED: " (calibrated for magnification)",
}


def text_report(
    prediction: Prediction,
    found: Outlines | None,
    taken: Sequence[Measure],
    segs: Sequence[Dataset],
    case: Case,
) -> Dataset:
    """Build the readable report, a Basic Text SR, which is what most viewers show.

    The title must be one that viewers and validators know; that a machine wrote it is the first sentence, and in the name of the
    series.

    Parameters
    ----------
    found
        What was outlined; None for a model that outlines nothing.
    segs
        The SEG objects of the same answer, which count as evidence; none where nothing was outlined.
    """
    root = ContainerContentItem(name=concepts.DIAGNOSTIC_IMAGING_REPORT, template_id="2000")
    content = ContentSequence()
    content.extend(LanguageOfContentItemAndDescendants(CodedConcept("en", "RFC5646", "English")))
    content.extend(observation_context(case))
    content.append(_section(codes.DCM.Summary, _texts(codes.DCM.Summary, _caution(case.manifest))))
    content.append(_section(codes.DCM.Findings, _findings(prediction, found, taken, case)))
    told = _texts(codes.DCM.ProcedureDescription, _told(case))
    content.append(_section(codes.DCM.CurrentProcedureDescriptions, told))
    root.ContentSequence = content
    return document(
        root,
        case,
        kind=Kind.REPORT,
        sop_class_uid=BasicTextSRStorage,
        description=f"AI report, not verified (Overread {case.manifest.name})",
        evidence=[*instances_of(case.sources), *instances_of(segs)],
    )


def _section(heading: Code, items: Iterable[ContentItem]) -> ContainerContentItem:
    section = ContainerContentItem(name=heading, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence(list(items))
    return section


def _texts(name: Code, sentences: Iterable[str]) -> list[ContentItem]:
    return [TextContentItem(name=name, value=sentence, relationship_type=_CONTAINS) for sentence in sentences]


def _caution(manifest: Manifest) -> list[str]:
    return [
        "AI RESULT. Preliminary, not verified by a physician.",
        f"Made by {manifest.title} ({manifest.name} {manifest.version}).",
        manifest.warning,
    ]


def _findings(prediction: Prediction, found: Outlines | None, taken: Sequence[Measure], case: Case) -> list[ContentItem]:
    items: list[ContentItem] = []
    verdicts = answers(case.manifest, prediction.ratings)
    for rating in sorted(prediction.ratings, key=lambda one: -one.probability) if case.manifest.one_of else prediction.ratings:
        items.extend(_rated(rating, case.manifest.finding(rating.key), verdicts[rating.key], one_of=case.manifest.one_of))
    items.extend(_texts(codes.DCM.Finding, [number(one) for one in prediction.measurements]))
    if found:
        sentences = [
            sentence(structure.name, [one for one in taken if one.structure is structure])
            if taken
            else f"{structure.name}: outlined on {int(present.sum())} of {present.size} images."
            for structure, present in zip(found.found, found.presence, strict=True)
        ]
        if found.absent:
            sentences.append(not_found(found))
        items.extend(_texts(codes.DCM.Finding, sentences))
    items.extend(_texts(codes.DCM.Finding, remarks(prediction, case.subject)))
    return items


def _rated(rating: Rating, finding: Finding, answer: Verdict, *, one_of: bool) -> list[ContentItem]:
    """One finding: the sentence and, where it is present, its code."""
    likely = "" if answer is Verdict.UNSURE or one_of else f", {in_words(rating.probability)}"
    said = (
        {Verdict.PRESENT: "the likeliest", Verdict.UNSURE: "not excluded"}.get(answer, "less likely") if one_of else str(answer)
    )
    text = f"{finding.name}: {said}. Probability {rating.probability:.2f}{likely}."
    text += f" {'Reported as not excluded' if one_of else 'Reported as present'} from {finding.threshold:.2f}"
    if finding.unsure:
        text += f", as unsure from {finding.unsure[0]:.2f} to {finding.unsure[1]:.2f}"
    if rating.spread is not None:
        text += f". Standard deviation over variants of the image {rating.spread:.2f}"
    items = _texts(codes.DCM.Finding, [text + "."])
    if answer is Verdict.PRESENT:
        # a coded finding is one that is there; what is absent or unsure is said in words, and coded in the findings report
        items.append(CodeContentItem(name=codes.DCM.Finding, value=as_code(finding.code), relationship_type=_CONTAINS))
    return items


def sentence(name: str, taken: Sequence[Measure]) -> str:
    """What was measured of one structure, as a radiologist reads it."""
    values = {one.quantity: one for one in taken}
    parts = [
        f"{quantity} {one.value:.4g} {one.unit}{_WHERE.get(one.spacing_kind, '')}"
        for quantity, one in values.items()
        if quantity in (Quantity.VOLUME, Quantity.AREA)
    ]
    if mean := values.get(Quantity.MEAN):
        deviation = values[Quantity.STANDARD_DEVIATION]
        parts.append(f"mean {mean.value:.3g} {mean.unit} (standard deviation {deviation.value:.3g})")
    return f"{name}: {', '.join(parts)}."


def number(one: Measurement) -> str:
    """What the model worked out, as a radiologist reads it."""
    return f"{one.name}: {one.value:.4g} {one.unit.value}."


def not_found(found: Outlines) -> str:
    """Which structures were looked for in vain."""
    return f"Looked for and not found in this image: {', '.join(structure.name for structure in found.absent)}."


def remarks(prediction: Prediction, subject: PatientAndStudy) -> list[str]:
    """The model's notes, and what of the source's attributes could not be carried over."""
    dropped = ", ".join(subject.dropped)
    return [*prediction.notes, *([f"Not carried over from the source, as its value is not legal: {dropped}."] if dropped else [])]


def _series(source: Dataset) -> str:
    number = source.get("SeriesNumber")
    name = " ".join(filter(None, [str(source.get("Modality") or ""), f"series {number}" if number is not None else "series"]))
    described = str(source.get("SeriesDescription") or "").strip()
    return f"{name} ({described})" if described else name


def _told(case: Case) -> list[str]:
    sources, manifest, identity = case.sources, case.manifest, case.identity
    name = ", ".join(dict.fromkeys(_series(source) for source in sources))
    images = f"{len(sources)} image{'s' if len(sources) > 1 else ''}"
    looked = [*(finding.name for finding in manifest.findings), *(structure.name for structure in manifest.structures)]
    return [
        f"Read: {name}, {images}. Other series of the study were not read by this model.",
        f"Looked for: {', '.join(looked)}. Nothing else was looked for; what is not named here may still be there.",
        f"Intended use: {manifest.intended_use}",
        f"Model {manifest.name} {manifest.version}, fingerprint {identity.device_serial}, licence {manifest.licence}.",
        f"Revision {identity.revision} of the study, run {identity.run}.",
        *([f"Replaces the results of revision {old.revision}, run {old.run}."] if (old := case.superseded) else []),
    ]
