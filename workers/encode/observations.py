"""An answer as single observations, each with its code, for messages that are made of such: HL7 v2 and FHIR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.sr.coding import Code

from models.image import SpacingKind
from models.prediction import Prediction
from workers.encode import concepts
from workers.encode.calibration import calibration_in_words
from workers.encode.case import Case
from workers.encode.concepts import as_code
from workers.encode.language import Speech, message
from workers.encode.measure import Measure, Quantity
from workers.encode.measurements import DERIVATIONS, PRESENCE, UNITS, quantity_code
from workers.encode.verdict import WORDS, answers

_QUANTITIES: Final = {
    Quantity.VOLUME: message("volume"),
    Quantity.AREA: message("area"),
    Quantity.MEAN: message("mean"),
    Quantity.STANDARD_DEVIATION: message("standard deviation"),
    Quantity.MINIMUM: message("minimum"),
    Quantity.MAXIMUM: message("maximum"),
    Quantity.SLICE_DIAMETER: message("largest diameter on a slice"),
    Quantity.DIAMETER: message("largest diameter in space"),
}
_AT: Final = {
    SpacingKind.PATIENT: message("{name}, {quantity}"),
    SpacingKind.NONE: message("{name}, {quantity}"),
    SpacingKind.DETECTOR: message("{name}, {quantity} (at the detector plane)"),
    SpacingKind.CALIBRATED: message("{name}, {quantity} (calibrated for magnification)"),
}
_PROBABILITY: Final = message("probability")


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing that was measured or answered.

    Parameters
    ----------
    key
        Unique in an answer, the same over revisions.
    group
        What it is an observation of: those of one structure or finding share it.
    code
        What was observed, with the English name of the standard.
    text
        The same for a person, in the language of the message.
    value
        A number in `unit`, or a coded answer without one.
    said
        A coded answer for a person, in the language of the message.
    note
        What to know of the value, in the language of the message.
    """

    key: str
    group: str
    code: Code
    text: str
    value: float | Code
    unit: Code | None = None
    said: str = ""
    derivation: Code | None = None
    site: Code | None = None
    laterality: Code | None = None
    note: str = ""


def observations(prediction: Prediction, taken: Sequence[Measure], case: Case) -> tuple[Observation, ...]:
    """All that an answer says in codes and numbers, in the order of the report."""
    return (*_rated(prediction, case), *_worked_out(prediction, case.speech), *_measured(taken, case))


def _rated(prediction: Prediction, case: Case) -> Iterator[Observation]:
    """Each finding as present, absent or indeterminate, and its probability."""
    say = case.speech.say
    for key, verdict in answers(case.manifest, prediction.ratings).items():
        finding = case.manifest.finding(key)
        rating = next(one for one in prediction.ratings if one.key == key)
        code, name = as_code(finding.code), say(finding.name)
        yield Observation(f"{key}-answer", key, code, name, PRESENCE[verdict], said=say(WORDS[verdict]))
        text = say("{name}, {quantity}", name=name, quantity=say(_PROBABILITY))
        share = round(rating.probability * 100, 1)
        note = calibration_in_words(rating.calibration, case.speech)
        yield Observation(f"{key}-probability", key, concepts.PROBABILITY, text, share, concepts.PERCENT, note=note)


def _worked_out(prediction: Prediction, speech: Speech) -> Iterator[Observation]:
    for one in prediction.measurements:
        yield Observation(one.key, one.key, as_code(one.code), speech.say(one.name), one.value, as_code(one.unit))


def _measured(taken: Sequence[Measure], case: Case) -> Iterator[Observation]:
    say = case.speech.say
    for one in taken:
        structure = one.structure
        yield Observation(
            f"{structure.key}-{one.quantity.name.lower().replace('_', '-')}",
            structure.key,
            quantity_code(one, case.sources[0]),
            say(_AT[one.spacing_kind], name=say(structure.name), quantity=say(_QUANTITIES[one.quantity])),
            one.value,
            UNITS[one.unit],
            derivation=DERIVATIONS.get(one.quantity),
            site=as_code(structure.region or structure.type),
            laterality=as_code(structure.laterality) if structure.laterality else None,
        )
