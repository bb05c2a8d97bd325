"""Presentation state: the outlines as graphics over the source's own images (PS3.3 section A.33.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.pr import GraphicAnnotation, GraphicLayer, GraphicObject, GrayscaleSoftcopyPresentationState
from pydicom.dataset import Dataset

from models.image import Image
from node.store.provenance import MANUFACTURER
from workers.encode.body_part import put_body_part
from workers.encode.case import Case
from workers.encode.contours import contours
from workers.encode.equipment import clip, put_equipment, put_series
from workers.encode.grid import SourceFrame, decimal
from workers.encode.identity import Kind
from workers.encode.patient import REQUIRED
from workers.encode.segments import Outlines, cielab
from workers.encode.window import spread_window, stated_window

SMALLEST_PIXELS: Final = 4
"""Borders of fewer pixels are left out: they would be dots."""
TAKEN_OVER: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelAspectRatio",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
FUNCTIONS: Final = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
"""VOI LUT Functions (PS3.3 section C.11.2.1.3)."""
ENOUGH: Final = 256
"""Rows and columns of a slice that are looked at for a window."""
MOST_SLICES: Final = 200
"""Slices with graphics; a longer stack has them on evenly spread slices."""


def presentation(found: Outlines, image: Image, frames: Sequence[SourceFrame], case: Case) -> Dataset | None:
    """Build the state, one graphic layer a structure in its colour; None where one state cannot show all images right.

    Windows, VOI LUTs and rescale values are those of the sources: a state replaces them all, so that it must be made of images
    that share their rescale values, and that are grey. Where they state no window the state has one that shows their values.

    Parameters
    ----------
    frames
        The source of each slice.
    """
    first = case.sources[0]
    if any(_shown_by(source) != _shown_by(first) for source in case.sources) or first.get("SamplesPerPixel", 1) != 1:
        return None
    layers = [
        GraphicLayer(f"STRUCTURE_{number}", number, clip(case.speech.say(structure.name)), CIELabColor(*_lab(structure.color)))
        for number, structure in enumerate(found.found, start=1)
    ]
    annotations = list(_annotations(found, layers, frames, case))
    if not annotations:
        return None
    used = {item.ReferencedSOPInstanceUID for one in annotations for item in one.ReferencedImageSequence}
    made = _state(annotations, layers, [source for source in case.sources if source.SOPInstanceUID in used], case)
    if "SoftcopyVOILUTSequence" not in made and (shown := _shown_with(found, image, case.sources)) is not None:
        made.SoftcopyVOILUTSequence = [shown]
    return made


def _shown_with(found: Outlines, image: Image, sources: Sequence[Dataset]) -> Dataset | None:
    """An item of Softcopy VOI LUT (PS3.3 section C.11.8) for images that state no window: their table, or one of their values.

    None where the images' tables differ, and for a film that is stored the other way round under rescale values of its own.
    """
    tables = [source.get("VOILUTSequence") for source in sources]
    if any(tables):
        if any(table != tables[0] for table in tables):
            return None
        item = Dataset()
        item.VOILUTSequence = tables[0]
        return item
    outlined = np.flatnonzero(found.presence.any(axis=0))
    every = max(1, min(image.array.shape[1:3]) // ENOUGH)
    centre, width = spread_window(np.asarray(image.array)[outlined, ::every, ::every].astype(np.float32))
    if image.affine is None and image.header.photometric_interpretation == "MONOCHROME1":
        ends = _turned_at(sources[0])
        if ends is None:
            return None
        centre = ends - centre
    item = Dataset()
    item.WindowCenter, item.WindowWidth = decimal(centre), decimal(width)
    item.WindowCenterWidthExplanation = "99 % of the values"
    return item


def _turned_at(source: Dataset) -> float | None:
    """What a stored value and that of the film turned round (`models.image.Image.array`) add up to; None where rescaled."""
    if (float(source.get("RescaleSlope") or 1), float(source.get("RescaleIntercept") or 0)) != (1, 0):
        return None
    return -1.0 if source.get("PixelRepresentation") == 1 else float(2 ** int(source.get("BitsStored") or 16) - 1)


def _lab(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """An sRGB colour as L* from 0 to 100, a* and b* from -128 to 127."""
    lightness, a, b = (value / 65535 for value in cielab(color))
    return lightness * 100, a * 255 - 128, b * 255 - 128


def _shown_by(source: Dataset) -> tuple[str, ...]:
    """What a presentation state takes over from an image: all images of a state must agree on it."""
    keywords = ("PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "RescaleType", "Rows", "Columns")
    return tuple(str(source.get(keyword, "")) for keyword in keywords)


def _annotations(
    found: Outlines, layers: Sequence[GraphicLayer], frames: Sequence[SourceFrame], case: Case
) -> Iterator[GraphicAnnotation]:
    by_uid = {str(source.SOPInstanceUID): source for source in case.sources}
    outlined = np.flatnonzero(found.presence.any(axis=0))
    shown = outlined[np.unique(np.linspace(0, len(outlined) - 1, min(len(outlined), MOST_SLICES)).round().astype(int))]
    for index in shown:
        for number, layer in enumerate(layers, start=1):
            polygons = contours(found.plane(number, index), SMALLEST_PIXELS) if found.presence[number - 1, index] else []
            if polygons:
                yield GraphicAnnotation(
                    [by_uid[frames[index].sop_instance_uid]],
                    layer,
                    referenced_frame_number=frames[index].frame_number,
                    graphic_objects=[GraphicObject("POLYLINE", polygon, "PIXEL") for polygon in polygons],
                )


def _state(
    annotations: Sequence[GraphicAnnotation], layers: Sequence[GraphicLayer], images: Sequence[Dataset], case: Case
) -> Dataset:
    manifest, identity, say = case.manifest, case.identity, case.speech.say
    inverse = images[0].get("PhotometricInterpretation") == "MONOCHROME1"
    built = GrayscaleSoftcopyPresentationState(
        referenced_images=[_bare(image) for image in images],
        series_instance_uid=identity.series_uid(Kind.PRESENTATION),
        series_number=identity.series_number(Kind.PRESENTATION),
        sop_instance_uid=identity.instance_uid(Kind.PRESENTATION),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=manifest.name,
        software_versions=manifest.version,
        device_serial_number=identity.device_serial,
        content_label="OVERREAD",
        content_description=clip(say("AI outlines, not verified: {title}", title=say(manifest.title))),
        graphic_annotations=annotations,
        graphic_layers=layers,
        presentation_lut_transformation=PresentationLUTTransformation("INVERSE" if inverse else "IDENTITY"),
    )
    made = Dataset()
    made.update(built)
    made.update(case.subject.attributes)
    put_series(made, identity, Kind.PRESENTATION, say("AI outlines, not verified (Overread {model})", model=manifest.name))
    put_equipment(made, manifest, identity)
    put_body_part(made, images)
    made.PresentationCreationDate, made.PresentationCreationTime = made.ContentDate, made.ContentTime
    del made.ContentDate, made.ContentTime  # not of this object
    return made


def _bare(image: Dataset) -> Dataset:
    """What a state takes over from an image, and nothing of whose it is: that is written from `Case.subject`."""
    bare = Dataset()
    bare.SamplesPerPixel, bare.PhotometricInterpretation = 1, "MONOCHROME2"
    bare.SharedFunctionalGroupsSequence = [Dataset()]
    bare.PerFrameFunctionalGroupsSequence = []
    for keyword in REQUIRED:
        setattr(bare, keyword, "")
    for keyword in TAKEN_OVER:
        if keyword in image:
            bare[keyword] = image[keyword]
    window = stated_window(image)
    if window is not None:
        bare.WindowCenter, bare.WindowWidth = window
        if image.get("VOILUTFunction") in FUNCTIONS:
            bare.VOILUTFunction = image.VOILUTFunction
    return bare
