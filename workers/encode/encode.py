"""A prediction into DICOM objects: the one door of this folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from models.image import Image
from models.manifest import Manifest
from models.prediction import Prediction
from node.store.attributes import text
from node.store.profiles import ENGLISH, MESSAGES, in_language, language_of
from node.store.records import Facts, Superseded
from node.store.urgency import urgent as urgent_of
from workers.encode.capture import captures
from workers.encode.case import Case
from workers.encode.fhir import transaction
from workers.encode.files import file_bytes
from workers.encode.findings import located_findings
from workers.encode.fractional import fractional_segmentations
from workers.encode.grid import SourceFrame, frames_of, grid_of
from workers.encode.heat_map import mapped
from workers.encode.hl7 import result_message
from workers.encode.identity import Kind, ResultIdentity
from workers.encode.key_slices import key_slices
from workers.encode.keys import key_images
from workers.encode.labelmap import label_maps
from workers.encode.language import speech
from workers.encode.measure import Measure, measures
from workers.encode.measurements import findings_report, measurement_report, numbers_report
from workers.encode.observations import observations
from workers.encode.patient import leniently, patient_and_study
from workers.encode.presentation import presentation
from workers.encode.rejection import rejection_notes
from workers.encode.report import not_found, reading, remarks, text_report
from workers.encode.seg import Seg, segmentations
from workers.encode.segments import Outlines, outlines
from workers.encode.verdict import answers, raised


@dataclass(frozen=True, slots=True)
class EncodedObject:
    """One result object, ready for the spool.

    Parameters
    ----------
    kind
        `workers.encode.identity.Kind`, with its language where that is not English (`node.store.profiles.in_language`); a set may
        hold two of kind ``measurements`` (regions, findings) and several captures.
    content
        A whole DICOM file (PS3.10); a message for ``hl7`` and ``fhir``, which has no SOP class, series and transfer syntax, and
        whose UID is its identity alone.
    naming
        `node.store.naming.SeriesNaming.key` of its series.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    transfer_syntax_uid: str
    content: bytes | bytearray
    naming: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was outlined, None where the model outlines nothing, and what was measured in it."""

    found: Outlines | None
    taken: tuple[Measure, ...]


def encode(
    prediction: Prediction,
    image: Image,
    sources: Sequence[Dataset],
    manifest: Manifest,
    identity: ResultIdentity,
    *,
    frames: Sequence[tuple[int, int]] | None = None,
    measured: Measured | None = None,
    extras: Collection[str] = (),
    superseded: Superseded | None = None,
    urgent: Collection[str] = (),
) -> tuple[EncodedObject, ...]:
    """Make every result object of one answer; the same arguments give the same bytes, in any process, at any time.

    Where structures were outlined: a SEG, a measurement report (TID 1500) and, where asked for, pictures and a selection of key
    images. Where findings were rated: a measurement report of findings and, where asked for, pictures. Where the model worked out
    numbers of its own: a measurement report of these. Always: the readable report. Nothing outlined gives no SEG; the report then
    says what was looked for.

    Parameters
    ----------
    sources
        Header datasets of the image's instances in slice order; one for a multi-frame source. Pixel data is not read.
    frames
        For each slice: index into `sources`, and frame number (from 1) in that instance, as the stack was loaded. None: told from
        the positions.
    measured
        What `measure` said of this very prediction, where that is known already.
    extras
        Kinds that are made only where some destination takes them: ``capture``, ``findings``, ``heatmap``, ``keys``,
        ``presentation``, ``labelmap``, ``labelmap-measurements``, ``fractional``, ``fractional-measurements``, ``hl7`` and
        ``fhir``. ``rejected-`` and a kind rejects what is superseded of that kind. Others have no effect here. A language, as in
        ``report.de``, gives the same object with its texts in that language, beside the English one, under UIDs of its own.
    superseded
        Earlier results that these replace.
    urgent
        Patterns of findings that are urgent (`node.store.urgency`); the report says which of them were raised.

    Raises
    ------
    Refused
        Where the sources name no study, differ in whose they are, or have no place for an outline.
    Permanent
        Where prediction, image, sources and manifest do not belong together.
    """
    with leniently():
        first = urgent_of(tuple(urgent), manifest.name, raised(manifest, prediction.ratings))
        subject = patient_and_study(sources, grouped=bool(manifest.input.group))
        identity = replace(identity, source=_series_of(sources[0]))
        case = Case(sources, subject, manifest, identity, superseded, tuple(manifest.finding(key).name for key in first))
        measured = measured or measure(prediction, image, manifest)
        found, taken = measured.found, measured.taken
        segs = segmentations(found, grid_of(image, sources, identity, frames), case) if found and found.found else ()
        others = _other_segmentations(found, segs, case, extras) if found else {}
        documents = list(_measurements(prediction, measured, segs, case, Kind.MEASUREMENTS))
        if Kind.LABELMAP_MEASUREMENTS in extras:
            documents += _measurements(prediction, measured, others.get(Kind.LABELMAP, ()), case, Kind.LABELMAP_MEASUREMENTS)
        if Kind.FRACTIONAL_MEASUREMENTS in extras and Kind.FRACTIONAL in others:
            documents += _measurements(prediction, measured, others[Kind.FRACTIONAL], case, Kind.FRACTIONAL_MEASUREMENTS)
        slices = segs[0].grid.frames if segs else frames_of(sources, frames)
        made = [_encoded(Kind.SEG, seg.dataset, seg.content()) for seg in segs]
        made += [_encoded(kind, seg.dataset, seg.content()) for kind, written in others.items() for seg in written]
        made += [_encoded(kind, dataset, file_bytes(dataset)) for kind, dataset in documents]
        for language in (ENGLISH, *sorted({language_of(kind) for kind in extras} - {ENGLISH})):
            spoken = case if language == ENGLISH else case.spoken(language)
            wanted = {kind.partition(".")[0] for kind in extras if language_of(kind) == language}
            if Kind.REPORT in wanted or language == ENGLISH:
                report = text_report(prediction, found, taken, spoken)
                made.append(_encoded(Kind.REPORT, report, file_bytes(report), language))
            more = _extra_documents(prediction, measured, image, slices=slices, case=spoken, frames=frames, extras=wanted)
            made += [_encoded(kind, dataset, file_bytes(dataset), language) for kind, dataset in more]
            made += _messages(prediction, measured, spoken, wanted)
        made += [_encoded(kind, dataset, file_bytes(dataset)) for kind, dataset in rejection_notes(case, extras)]
        return tuple(replace(one, naming=identity.naming.key) for one in made)


def _series_of(source: Dataset) -> tuple[int, str]:
    """Series Number, 0 where it has none, and Series Description of what was read."""
    number = text(source, "SeriesNumber")
    return int(number) if number.isascii() and number.isdigit() else 0, text(source, "SeriesDescription")


def _other_segmentations(found: Outlines, segs: Sequence[Seg], case: Case, extras: Collection[str]) -> dict[Kind, Sequence[Seg]]:
    """What is written beside the BINARY segmentations, by kind; FRACTIONAL ones only where not every viewer can read those."""
    made: dict[Kind, Sequence[Seg]] = {}
    if segs and Kind.LABELMAP in extras:
        made[Kind.LABELMAP] = label_maps(found, segs[0].grid, case)
    if Kind.FRACTIONAL in extras and not all(seg.in_whole_bytes for seg in segs):
        made[Kind.FRACTIONAL] = fractional_segmentations(found, segs[0].grid, case)
    return made


def _messages(prediction: Prediction, measured: Measured, case: Case, wanted: Collection[str]) -> Iterator[EncodedObject]:
    """What tells other systems of an answer; no DICOM objects, so that they have no SOP class and no series."""
    if not MESSAGES.intersection(wanted):
        return
    observed = observations(prediction, measured.taken, case)
    said = reading(prediction, measured.found, measured.taken, case)
    for kind, make in ((Kind.HL7, result_message), (Kind.FHIR, transaction)):
        if kind in wanted:
            named = in_language(kind, case.identity.language)
            yield EncodedObject(named, "", case.identity.instance_uid(kind), "", "", make(observed, said, case))


def _measurements(
    prediction: Prediction, measured: Measured, segs: Sequence[Seg], case: Case, kind: Kind
) -> Iterator[tuple[Kind, Dataset]]:
    """What was measured and rated: each set of them refers to segmentations of one sort, as a destination is sent one sort."""
    if measured.found and segs and measured.taken:
        yield kind, measurement_report(measured.found, measured.taken, segs, case, kind)
    if prediction.ratings:
        yield kind, findings_report(prediction.ratings, case, kind)
    if prediction.measurements:
        yield kind, numbers_report(prediction.measurements, case, kind)


def _extra_documents(
    prediction: Prediction,
    measured: Measured,
    image: Image,
    *,
    slices: Sequence[SourceFrame],
    case: Case,
    frames: Sequence[tuple[int, int]] | None,
    extras: Collection[str],
) -> Iterator[tuple[Kind, Dataset]]:
    """What is made only where somebody takes it; see `encode`."""
    found = measured.found if measured.found and measured.found.found else None
    if Kind.CAPTURE in extras:
        for picture in captures(prediction, found, measured.taken, image=image, frames=slices, case=case):
            yield Kind.CAPTURE, picture
    if Kind.HEAT_MAP in extras:
        for heat in mapped(prediction.heat_maps, image, case, frames):
            yield Kind.HEAT_MAP, heat
    if Kind.FINDINGS in extras and (marked := located_findings(prediction, found, image, frames=slices, case=case)) is not None:
        yield Kind.FINDINGS, marked
    if found is None:
        return
    if Kind.KEYS in extras:
        chosen = {slices[index].sop_instance_uid for index in key_slices(found)}
        yield Kind.KEYS, key_images([one for one in case.sources if one.SOPInstanceUID in chosen], case)
    if Kind.PRESENTATION in extras and (state := presentation(found, image, slices, case)) is not None:
        yield Kind.PRESENTATION, state


def summary(prediction: Prediction, measured: Measured, sources: Sequence[Dataset], manifest: Manifest) -> Facts:
    """What a person reads in a table: `node.store.records.ResultSet.summary`, JSON values without patient data."""
    with leniently():
        subject = patient_and_study(sources, grouped=bool(manifest.input.group))
    found = measured.found
    notes = [not_found(found, speech(ENGLISH))] if found and found.absent else []
    verdicts, above = answers(manifest, prediction.ratings), raised(manifest, prediction.ratings)
    return {
        "findings": [
            {
                "key": rating.key,
                "name": manifest.finding(rating.key).name,
                "probability": round(rating.probability, 4),
                "verdict": str(verdicts[rating.key]),
                "raised": rating.key in above,
                **({} if rating.spread is None else {"spread": round(rating.spread, 4)}),
                "calibration": rating.calibration.model_dump(mode="json") if rating.calibration else None,
            }
            for rating in prediction.ratings
        ],
        "measurements": [
            {"name": one.structure.name, "quantity": str(one.quantity), "value": one.value, "unit": str(one.unit)}
            for one in measured.taken
        ]
        + [
            {"name": one.name, "quantity": one.code.meaning.lower(), "value": one.value, "unit": one.unit.value}
            for one in prediction.measurements
        ],
        "notes": [*notes, *remarks(prediction, subject, speech(ENGLISH))],
    }


def measure(prediction: Prediction, image: Image, manifest: Manifest) -> Measured:
    """Sort what a prediction outlines, and measure it.

    Raises
    ------
    Permanent
        Where prediction, image and manifest do not belong together.
    """
    if prediction.segmentation is None:
        return Measured(None, ())
    slices, rows, columns = image.array.shape[:3]
    found = outlines(prediction.segmentation, manifest, (slices, rows, columns))
    # what an outline holds over all phases of a cycle together is no quantity: the model says what changes over it
    return Measured(found, measures(found, image) if image.phases == 1 else ())


def _encoded(kind: str, dataset: Dataset, content: bytes | bytearray, language: str = ENGLISH) -> EncodedObject:
    return EncodedObject(
        kind=in_language(kind, language),
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        content=content,
    )
