"""What tells two images of one place apart: echo, b-value, phase, time. One table, in the order in which it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydicom.dataset import Dataset

from node.store.attributes import number, numbers, text, texts
from node.store.frames import FRAME_TYPES, frame_type, functional_group

Value = float | str | tuple[float, ...] | tuple[str, ...]


class Use(Enum):
    """When an attribute splits a series."""

    ALWAYS = "always"  # a volume never mixes its values
    DOUBLED = "doubled"  # asked only where positions are doubled
    TIME = "time"  # as DOUBLED, and each part must be a set of its own, not a single repeated slice


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the table.

    Parameters
    ----------
    keyword
        DICOM keyword of single-frame images.
    word, unit
        How a person is told: ``"echo time 80 ms"``.
    macro, inner
        Functional group macro and keyword of the same thing in enhanced images.
    ordered
        Values can be ranked: each position's first, second … value make the first, second … part, also where the values
        themselves differ from slice to slice (trigger and acquisition times).
    """

    keyword: str
    word: str
    use: Use
    unit: str = ""
    macro: str = ""
    inner: str = ""
    ordered: bool = False


ATTRIBUTES: Final = (
    Attribute("EchoNumbers", "echo", Use.ALWAYS),
    Attribute("EchoTime", "echo time", Use.ALWAYS, "ms", "MREchoSequence", "EffectiveEchoTime"),
    Attribute("DiffusionBValue", "b-value", Use.ALWAYS, "s/mm2", "MRDiffusionSequence", "DiffusionBValue"),
    Attribute("InversionTime", "inversion time", Use.ALWAYS, "ms", "MRModifierSequence", "InversionTimes"),
    Attribute("StackID", "stack", Use.DOUBLED, macro="FrameContentSequence", inner="StackID"),
    Attribute(
        "TemporalPositionIdentifier",
        "time point",
        Use.DOUBLED,
        macro="FrameContentSequence",
        inner="TemporalPositionIndex",
        ordered=True,
    ),
    Attribute(
        "NominalPercentageOfCardiacPhase",
        "cardiac phase",
        Use.DOUBLED,
        "%",
        "CardiacSynchronizationSequence",
        "NominalPercentageOfCardiacPhase",
        ordered=True,
    ),
    Attribute(
        "TriggerTime",
        "trigger time",
        Use.DOUBLED,
        "ms",
        "CardiacSynchronizationSequence",
        "NominalCardiacTriggerDelayTime",
        ordered=True,
    ),
    Attribute(
        "DiffusionGradientOrientation",
        "diffusion direction",
        Use.DOUBLED,
        macro="DiffusionGradientDirectionSequence",
        inner="DiffusionGradientOrientation",
    ),
    Attribute("ImageType", "image type", Use.DOUBLED, macro="MRImageFrameTypeSequence", inner="FrameType"),
    Attribute("ConvolutionKernel", "kernel", Use.DOUBLED, macro="CTReconstructionSequence", inner="ConvolutionKernel"),
    Attribute("KVP", "tube voltage", Use.DOUBLED, "kV", "CTXRayDetailsSequence", "KVP"),
    Attribute(
        "ContrastBolusAgent",
        "contrast",
        Use.DOUBLED,
        macro="ContrastBolusUsageSequence",
        inner="ContrastBolusAgentAdministered",
    ),
    Attribute("FlipAngle", "flip angle", Use.DOUBLED, "degrees", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
    Attribute("FrameReferenceTime", "frame time", Use.DOUBLED, "ms", ordered=True),
    Attribute(
        "AcquisitionNumber", "acquisition", Use.TIME, macro="FrameContentSequence", inner="FrameAcquisitionNumber", ordered=True
    ),
    Attribute(
        "AcquisitionDateTime",
        "acquisition time",
        Use.TIME,
        macro="FrameContentSequence",
        inner="FrameAcquisitionDateTime",
        ordered=True,
    ),
    Attribute("AcquisitionTime", "acquisition time", Use.TIME, ordered=True),
    Attribute("ContentTime", "content time", Use.TIME, ordered=True),
)
_TEXTS: Final = frozenset(
    {"StackID", "ImageType", "FrameType", "ConvolutionKernel", "ContrastBolusAgent", "ContrastBolusAgentAdministered"}
    | {"AcquisitionDateTime", "FrameAcquisitionDateTime", "AcquisitionTime", "ContentTime"}
)

Technique = dict[str, Value]
"""By `Attribute.keyword`; an absent attribute is absent here."""


def read_technique(dataset: Dataset, frame: int, *, enhanced: bool) -> Technique:
    """Read the table for one frame (from 0).

    Parameters
    ----------
    enhanced
        Look into the functional groups, and only there: what stands beside them holds for all frames alike.
    """
    found: Technique = {}
    for attribute in ATTRIBUTES:
        if not enhanced:
            value = _read(dataset, attribute.keyword)
        elif attribute.macro:
            value = _read(_group(dataset, frame, attribute.macro), attribute.inner)
        else:
            value = None
        if value is not None:
            found[attribute.keyword] = value
    return found


def label(attribute: Attribute, value: Value | None, rank: int | None = None) -> str:
    """Say for a person which part of a series this is, e.g. ``"echo time 80 ms"`` or ``"trigger time 3rd"``."""
    if rank is not None:
        return f"{attribute.word} no. {rank + 1}"
    if value is None:
        return f"no {attribute.word}"
    told = (
        " ".join(str(part) for part in value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else value
    )
    return f"{attribute.word} {told} {attribute.unit}".strip()


def _group(dataset: Dataset, frame: int, macro: str) -> Dataset | None:
    if macro == "DiffusionGradientDirectionSequence":
        outer = functional_group(dataset, frame, "MRDiffusionSequence")
        directions = () if outer is None else outer.get(macro) or ()
        return directions[0] if directions else None
    if macro in FRAME_TYPES:
        return frame_type(dataset, frame)
    return functional_group(dataset, frame, macro)


def _read(dataset: Dataset | None, keyword: str) -> Value | None:
    if keyword in _TEXTS:
        return texts(dataset, keyword) if keyword in {"ImageType", "FrameType"} else text(dataset, keyword) or None
    if keyword == "DiffusionGradientOrientation":
        return tuple(round(part, 4) for part in numbers(dataset, keyword)) or None
    value = number(dataset, keyword)
    return None if value is None else round(value, 2)
