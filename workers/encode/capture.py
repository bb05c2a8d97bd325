"""Secondary captures: the answer burned into pictures, for viewers that show neither SEG nor SR (PS3.3 section A.8.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from models.image import Image
from models.prediction import HeatMap, Prediction
from workers.encode.case import Case
from workers.encode.equipment import clip, put_equipment, put_series, revision_of
from workers.encode.grid import SourceFrame, legal_orientation
from workers.encode.identity import Kind
from workers.encode.key_slices import key_slices
from workers.encode.language import Speech, message
from workers.encode.measure import Measure, Quantity
from workers.encode.picture import Outline, Pixels, Sheet, draw, windowed
from workers.encode.references import source_item
from workers.encode.report import UNITS
from workers.encode.segments import Outlines
from workers.encode.verdict import WORDS, answers
from workers.encode.window import spread_window, stated_window

CAUTION: Final = message("AI RESULT - NOT FOR DIAGNOSIS - not verified by a physician")
LOOKED_AT: Final = message("It shows what the network looked at, not where the disease is.")
_SIZES: Final = (Quantity.VOLUME, Quantity.AREA)


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture: which slice, or which of the images that are read together, and what is drawn over it."""

    index: int
    outlines: tuple[Outline, ...] = ()
    heat: HeatMap | None = None


def captures(
    prediction: Prediction,
    found: Outlines | None,
    taken: Sequence[Measure],
    *,
    image: Image,
    frames: Sequence[SourceFrame],
    case: Case,
) -> tuple[Dataset, ...]:
    """Make the pictures of one answer: key slices with outlines, each heat map over its image, or the image with its findings.

    Parameters
    ----------
    frames
        The source of each slice, or of each of the images that are read together.
    """
    shots = list(_shots(prediction, found, taken, image, case.speech))
    return tuple(
        _capture(_drawn(shot, prediction, image, case), shot, (frames[shot.index], _source(shot, image, case)), case, place)
        for place, shot in enumerate(shots, start=1)
    )


def _shots(
    prediction: Prediction, found: Outlines | None, taken: Sequence[Measure], image: Image, speech: Speech
) -> Iterator[_Shot]:
    if found and found.found:
        say = speech.say
        sizes = {
            one.structure.key: f" {speech.figure(one.value)} {say(UNITS[one.unit])}" for one in taken if one.quantity in _SIZES
        }
        for index in key_slices(found):
            yield _Shot(
                index,
                tuple(
                    Outline(found.plane(number, index), structure.color, f"{say(structure.name)}{sizes.get(structure.key, '')}")
                    for number, structure in enumerate(found.found, start=1)
                    if found.presence[number - 1, index]
                ),
            )
    for heat in prediction.heat_maps:
        yield _Shot(heat.image if image.together else int(heat.array.max(axis=(1, 2)).argmax()), heat=heat)
    if prediction.ratings and not prediction.heat_maps and not (found and found.found):
        yield _Shot(image.array.shape[0] // 2)


def _drawn(shot: _Shot, prediction: Prediction, image: Image, case: Case) -> Pixels:
    manifest = case.manifest
    count = len(image.together) or image.array.shape[0]
    one, slice_index = (image.together[shot.index], 0) if image.together else (image, shot.index)
    source = _source(shot, image, case)
    say = case.speech.say
    where = [say("Image {number} of {count}", number=shot.index + 1, count=count)] if count > 1 else []
    if image.together and one.header.standard_view:
        where = [f"{where[0]}, {one.header.standard_view}"]
    foot = [*where, *_findings(prediction, case)]
    if shot.heat:
        name = say(manifest.finding(shot.heat.key).name)
        colour = say("Colour: what spoke for {name} ({method}).", name=name, method=shot.heat.method)
        foot.append(f"{colour} {say(LOOKED_AT)}")
    by = f"{say(manifest.title)} ({manifest.name} {manifest.version}){revision_of(case.identity)}"
    sheet = Sheet(head=[say(CAUTION), by, *_replaced(case)], foot=foot, edges=_edges(one, source))
    heat = shot.heat.array[slice_index] if shot.heat else None
    return draw(_shades(one, slice_index, source), sheet, shot.outlines, heat, _pixel_ratio(one))


def _source(shot: _Shot, image: Image, case: Case) -> Dataset:
    """Whose window, orientation and side hold for a picture: its own image's, or those of the first of a stack."""
    return case.sources[shot.index if image.together else 0]


def _replaced(case: Case) -> list[str]:
    old, say = case.superseded, case.speech.say
    return [say("Replaces the pictures of revision {revision}, run {run}", revision=old.revision, run=old.run)] if old else []


def _findings(prediction: Prediction, case: Case) -> list[str]:
    said, speech = answers(case.manifest, prediction.ratings), case.speech
    return [
        speech.say(
            "{name}: {answer}, probability {probability}",
            name=speech.say(case.manifest.finding(rating.key).name),
            answer=speech.say(WORDS[said[rating.key]]),
            probability=speech.percent(rating.probability),
        )
        for rating in prediction.ratings
    ]


def _shades(image: Image, index: int, source: Dataset) -> Pixels:
    """Shades of a slice: by the source's own window where it states one for these values, else by the values' spread."""
    plane = image.array[index]
    if plane.ndim == 3:
        return np.asarray(plane, dtype=np.uint8)
    values = np.asarray(plane, dtype=np.float32)
    window = stated_window(source) if image.header.photometric_interpretation in ("", "MONOCHROME2") else None
    return windowed(values, *(window or spread_window(values)))


def _pixel_ratio(image: Image) -> float:
    return image.spacing_mm[1] / image.spacing_mm[2] if image.spacing_mm else 1.0


def _edges(image: Image, source: Dataset) -> tuple[str, str]:
    """Which side of the patient is at the left and at the right edge; from the geometry, else from Patient Orientation."""
    opposite = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
    if image.affine is not None:
        step: NDArray[np.float64] = image.affine[:3, 2]
        axis = int(np.abs(step).argmax())
        right = ("LR", "PA", "HF")[axis][0 if step[axis] > 0 else 1]
    else:
        stated = legal_orientation(source)
        right = stated[0][0] if stated else ""
    return (opposite[right], right) if right else ("", "")


def _capture(pixels: Pixels, shot: _Shot, sources: tuple[SourceFrame, Dataset], case: Case, part: int) -> Dataset:
    manifest, identity = case.manifest, case.identity
    frame, source = sources
    made = Dataset()
    made.update(case.subject.attributes)
    made.SOPClassUID = SecondaryCaptureImageStorage
    say = case.speech.say
    put_series(
        made, identity, Kind.CAPTURE, say("AI pictures, not for diagnosis (Overread {model})", model=manifest.name), part=part
    )
    put_equipment(made, manifest, identity)
    made.ConversionType = "WSD"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.PatientOrientation = None  # letters at the edges are part of the pixels
    stated = str(source.get("ImageLaterality") or source.get("Laterality") or "")
    made.ImageLaterality = stated if stated in {"R", "L", "B"} else "U"
    made.BurnedInAnnotation = "NO"  # it names no patient
    made.RecognizableVisualFeatures = "NO"
    made.DerivationDescription = clip(
        say("Image {number} with the answer of {model} burned in", number=shot.index + 1, model=manifest.name)
        + revision_of(identity),
        1024,
    )
    made.SourceImageSequence = [source_item(frame)]
    made.LossyImageCompression = "00"
    made.SamplesPerPixel = 3
    made.PhotometricInterpretation = "RGB"
    made.PlanarConfiguration = 0
    made.Rows, made.Columns = pixels.shape[:2]
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    made.PixelRepresentation = 0
    content = pixels.tobytes()
    made.PixelData = content + b"\0" * (len(content) % 2)
    made["PixelData"].VR = "OB"
    return made
