"""The report that a radiologist reads in any viewer: sentences first, codes and numbers beside them (PS3.16 TID 2000)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

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
from models.labels import Code as ModelCode
from models.labels import Finding
from models.prediction import Measurement, Prediction, Rating
from node.store.profiles import LANGUAGES
from workers.encode import concepts
from workers.encode.calibration import calibration_in_words
from workers.encode.case import Case
from workers.encode.concepts import as_code
from workers.encode.document import document, instances_of, observation_context
from workers.encode.identity import Kind
from workers.encode.language import Speech, message
from workers.encode.measure import Measure, Quantity, Unit
from workers.encode.patient import PatientAndStudy
from workers.encode.segments import Outlines
from workers.encode.verdict import ORDER, WORDS, Verdict, answers, in_words

_CONTAINS = RelationshipTypeValues.CONTAINS
_SIZES: Final = {
    (Quantity.VOLUME, SpacingKind.PATIENT): message("volume {value} {unit}"),
    (Quantity.AREA, SpacingKind.PATIENT): message("area {value} {unit}"),
    (Quantity.AREA, SpacingKind.NONE): message("area {value} {unit}"),
    (Quantity.AREA, SpacingKind.DETECTOR): message(
        "area {value} {unit} (at the detector plane, not corrected for magnification)"
    ),
    (Quantity.AREA, SpacingKind.CALIBRATED): message("area {value} {unit} (calibrated for magnification)"),
}
UNITS: Final = {
    Unit.MILLILITER: message("ml"),
    Unit.SQUARE_MILLIMETER: message("mm2"),
    Unit.MILLIMETER: message("mm"),
    Unit.PIXELS: message("pixels"),
    Unit.HOUNSFIELD: message("HU"),
    Unit.ARBITRARY: message("arbitrary units"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """One statement of a report.

    Parameters
    ----------
    code
        Of a finding that is there.
    """

    text: str
    code: ModelCode | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All texts of an answer, in one language.

    Parameters
    ----------
    caution
        That a machine wrote it, which one, and what it must not be taken for.
    findings
        What was found, what was looked for in vain, what to know of this image.
    told
        What was read and looked for, by what.
    """

    caution: tuple[str, ...]
    findings: tuple[Said, ...]
    told: tuple[str, ...]


def reading(prediction: Prediction, found: Outlines | None, taken: Sequence[Measure], case: Case) -> Reading:
    """Say an answer in the language of a case."""
    return Reading(tuple(_caution(case)), tuple(_findings(prediction, found, taken, case)), tuple(_told(case)))


def text_report(
    prediction: Prediction,
    found: Outlines | None,
    taken: Sequence[Measure],
    case: Case,
) -> Dataset:
    """Build the readable report, a Basic Text SR, which is what most viewers show.

    The title must be one that viewers and validators know; that a machine wrote it is the first sentence, and in the name of the
    series.

    Parameters
    ----------
    found
        What was outlined; None for a model that outlines nothing.
    case
        Its sources are the evidence. Segmentations are not named: who takes the text may get them in another form, or never.
    """
    root = ContainerContentItem(name=concepts.DIAGNOSTIC_IMAGING_REPORT, template_id="2000")
    content = ContentSequence()
    language = case.identity.language
    content.extend(LanguageOfContentItemAndDescendants(CodedConcept(language, "RFC5646", LANGUAGES[language])))
    content.extend(observation_context(case))
    said = reading(prediction, found, taken, case)
    content.append(_section(codes.DCM.Summary, _texts(codes.DCM.Summary, said.caution)))
    content.append(_section(codes.DCM.Findings, [item for one in said.findings for item in _items(one)]))
    content.append(_section(codes.DCM.CurrentProcedureDescriptions, _texts(codes.DCM.ProcedureDescription, said.told)))
    root.ContentSequence = content
    return document(
        root,
        case,
        kind=Kind.REPORT,
        sop_class_uid=BasicTextSRStorage,
        description=case.speech.say("AI report, not verified (Overread {model})", model=case.manifest.name),
        evidence=instances_of(case.sources),
    )


def _section(heading: Code, items: Iterable[ContentItem]) -> ContainerContentItem:
    section = ContainerContentItem(name=heading, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence(list(items))
    return section


def _texts(name: Code, sentences: Iterable[str]) -> list[ContentItem]:
    return [TextContentItem(name=name, value=sentence, relationship_type=_CONTAINS) for sentence in sentences]


def _items(said: Said) -> list[ContentItem]:
    """The sentence and, where there is one, its code."""
    items = _texts(codes.DCM.Finding, [said.text])
    if said.code is not None:
        items.append(CodeContentItem(name=codes.DCM.Finding, value=as_code(said.code), relationship_type=_CONTAINS))
    return items


def _caution(case: Case) -> list[str]:
    manifest, say = case.manifest, case.speech.say
    names = ", ".join(say(name) for name in case.urgent)
    return [
        *([say("URGENT by the settings of this installation: {names}.", names=names)] if names else []),
        say("AI RESULT. Preliminary, not verified by a physician."),
        say("Made by {title} ({model} {version}).", title=say(manifest.title), model=manifest.name, version=manifest.version),
        say(manifest.warning),
    ]


def _findings(prediction: Prediction, found: Outlines | None, taken: Sequence[Measure], case: Case) -> Iterator[Said]:
    manifest, speech = case.manifest, case.speech
    verdicts = answers(manifest, prediction.ratings)
    for rating in sorted(prediction.ratings, key=lambda one: -one.probability) if manifest.one_of else prediction.ratings:
        finding, answer = manifest.finding(rating.key), verdicts[rating.key]
        text = _rated(rating, finding, answer, speech, one_of=manifest.one_of)
        # a coded finding is one that is there; what is absent or unsure is said in words, and coded in the findings report
        yield Said(text, finding.code if answer is Verdict.PRESENT else None)
    for one in prediction.measurements:
        yield Said(number(one, speech))
    if found:
        for structure, present in zip(found.found, found.presence, strict=True):
            if taken:
                yield Said(sentence(structure.name, [one for one in taken if one.structure is structure], speech))
            else:
                yield Said(
                    speech.say(
                        "{name}: outlined on {number} of {images} images.",
                        name=speech.say(structure.name),
                        number=int(present.sum()),
                        images=present.size,
                    )
                )
        if found.absent:
            yield Said(not_found(found, speech))
    yield from (Said(remark) for remark in remarks(prediction, case.subject, speech))


def _rated(rating: Rating, finding: Finding, answer: Verdict, speech: Speech, *, one_of: bool) -> str:
    """One finding in words: what is answered, how likely it is, from where on what is answered, how far such numbers hold."""
    say = speech.say
    probability = speech.fixed(rating.probability, 2)
    values = {"threshold": speech.fixed(finding.threshold, 2)}
    if finding.unsure:
        values |= {"low": speech.fixed(finding.unsure[0], 2), "high": speech.fixed(finding.unsure[1], 2)}
    said = [say("{name}: {answer}.", name=say(finding.name), answer=say((ORDER if one_of else WORDS)[answer]))]
    if answer is Verdict.UNSURE or one_of:
        said.append(say("Probability {probability}.", probability=probability))
    else:
        likely = say(in_words(rating.probability))
        said.append(say("Probability {probability}, {likely}.", probability=probability, likely=likely))
    if one_of and finding.unsure:
        said.append(say("Reported as not excluded from {threshold}, as unsure from {low} to {high}.", **values))
    elif one_of:
        said.append(say("Reported as not excluded from {threshold}.", **values))
    elif finding.unsure:
        said.append(say("Reported as present from {threshold}, as unsure from {low} to {high}.", **values))
    else:
        said.append(say("Reported as present from {threshold}.", **values))
    if rating.spread is not None:
        said.append(say("Standard deviation over variants of the image {spread}.", spread=speech.fixed(rating.spread, 2)))
    said.append(calibration_in_words(rating.calibration, speech))
    return " ".join(said)


def sentence(name: str, taken: Sequence[Measure], speech: Speech) -> str:
    """What was measured of one structure, as a radiologist reads it."""
    say = speech.say
    values = {one.quantity: one for one in taken}
    parts = [
        say(_SIZES[quantity, one.spacing_kind], value=speech.significant(one.value, 4), unit=say(UNITS[one.unit]))
        for quantity, one in values.items()
        if (quantity, one.spacing_kind) in _SIZES
    ]
    if mean := values.get(Quantity.MEAN):
        parts.append(
            say(
                "mean {value} {unit} (standard deviation {deviation})",
                value=speech.significant(mean.value, 3),
                unit=say(UNITS[mean.unit]),
                deviation=speech.significant(values[Quantity.STANDARD_DEVIATION].value, 3),
            )
        )
    return say("{name}: {values}.", name=say(name), values=", ".join(parts))


def number(one: Measurement, speech: Speech) -> str:
    """What the model worked out, as a radiologist reads it."""
    say = speech.say
    values = f"{speech.significant(one.value, 4)} {one.unit.value}"
    return say("{name}: {values}.", name=say(one.name), values=values)


def not_found(found: Outlines, speech: Speech) -> str:
    """Which structures were looked for in vain."""
    names = ", ".join(speech.say(structure.name) for structure in found.absent)
    return speech.say("Looked for and not found in this image: {names}.", names=names)


def remarks(prediction: Prediction, subject: PatientAndStudy, speech: Speech) -> list[str]:
    """The model's notes, and what of the source's attributes could not be carried over."""
    said = [speech.say_note(note) for note in prediction.notes]
    if subject.dropped:
        names = ", ".join(subject.dropped)
        said.append(speech.say("Not carried over from the source, as its value is not legal: {names}.", names=names))
    return said


def _series(source: Dataset, speech: Speech) -> str:
    number = source.get("SeriesNumber")
    series = speech.say("series {number}", number=number) if number is not None else speech.say("series")
    name = " ".join(filter(None, [str(source.get("Modality") or ""), series]))
    described = str(source.get("SeriesDescription") or "").strip()
    return f"{name} ({described})" if described else name


def _told(case: Case) -> list[str]:
    sources, manifest, identity, say = case.sources, case.manifest, case.identity, case.speech.say
    names = ", ".join(dict.fromkeys(_series(source, case.speech) for source in sources))
    images = case.speech.say_count("{number} image", "{number} images", len(sources))
    looked = [*(finding.name for finding in manifest.findings), *(structure.name for structure in manifest.structures)]
    return [
        say("Read: {names}, {images}. Other series of the study were not read by this model.", names=names, images=images),
        say(
            "Looked for: {names}. Nothing else was looked for; what is not named here may still be there.",
            names=", ".join(say(name) for name in looked),
        ),
        say("Intended use: {use}", use=say(manifest.intended_use)),
        say(
            "Model {model} {version}, fingerprint {fingerprint}, licence {licence}.",
            model=manifest.name,
            version=manifest.version,
            fingerprint=identity.device_serial,
            licence=manifest.licence,
        ),
        say("Revision {revision} of the study, run {run}.", revision=identity.revision, run=identity.run),
        *(
            [say("Replaces the results of revision {revision}, run {run}.", revision=old.revision, run=old.run)]
            if (old := case.superseded)
            else []
        ),
    ]
