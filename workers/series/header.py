"""What the source says of its image, in the model contract's own record."""

from __future__ import annotations

from pydicom.dataset import Dataset

from models.image import Header
from node.store.attributes import item, number, text, texts
from node.store.frames import frame_type, functional_group
from node.store.mammography import standard_view
from workers.series.values import has_rescale

_MR_TIMING = "MRTimingAndRelatedParametersSequence"


def read_header(dataset: Dataset, frame: int) -> Header:
    """Read `models.image.Header` for a frame (from 0) of an object, single-frame or enhanced."""
    view = item(dataset, "ViewCodeSequence")
    transformation = functional_group(dataset, frame, "PixelValueTransformationSequence")
    echo = functional_group(dataset, frame, "MREchoSequence")
    modifier = functional_group(dataset, frame, "MRModifierSequence")
    timing = functional_group(dataset, frame, _MR_TIMING)
    return Header(
        modality=text(dataset, "Modality").upper(),
        sop_class_uid=text(dataset, "SOPClassUID"),
        photometric_interpretation=text(dataset, "PhotometricInterpretation"),
        body_part_examined=text(dataset, "BodyPartExamined").upper(),
        view_position=text(dataset, "ViewPosition").upper(),
        view_code=text(view, "CodeMeaning") or text(view, "CodeValue"),
        patient_orientation=texts(dataset, "PatientOrientation"),
        image_laterality=text(dataset, "ImageLaterality") or text(dataset, "Laterality"),
        standard_view=standard_view(dataset),
        presentation_intent=text(dataset, "PresentationIntentType").upper(),
        image_type=texts(frame_type(dataset, frame), "FrameType") or texts(dataset, "ImageType"),
        series_description=text(dataset, "SeriesDescription"),
        protocol_name=text(dataset, "ProtocolName"),
        manufacturer=text(dataset, "Manufacturer"),
        contrast_agent=text(dataset, "ContrastBolusAgent"),
        rescale_type=text(dataset, "RescaleType") or text(transformation, "RescaleType"),
        has_rescale=has_rescale(dataset, frame),
        scanning_sequence=texts(dataset, "ScanningSequence"),
        sequence_variant=texts(dataset, "SequenceVariant"),
        repetition_time_ms=_stated(dataset, "RepetitionTime", timing, "RepetitionTime"),
        echo_time_ms=_stated(dataset, "EchoTime", echo, "EffectiveEchoTime"),
        inversion_time_ms=_stated(dataset, "InversionTime", modifier, "InversionTimes"),
        patient_position=text(dataset, "PatientPosition"),
        bits_stored=int(number(dataset, "BitsStored") or 0),
    )


def _stated(dataset: Dataset, keyword: str, group: Dataset | None, inner: str) -> float | None:
    value = number(dataset, keyword)
    return number(group, inner) if value is None else value
