"""Beside every probability stands how far such probabilities hold, or that nobody measured it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from highdicom.sr import Measurement, srread
from pydicom import dcmread

from models.labels import CalibratedOn, Calibration
from models.manifest import library_folder, read_manifest
from models.prediction import Prediction, Rating
from node.store.profiles import Language
from tests.unit.workers.encode.samples import CALIBRATION, identity, manifest, radiograph
from workers.encode.calibration import calibration_in_words
from workers.encode.encode import EncodedObject, encode
from workers.encode.language import speech

FOLDS = CALIBRATION.model_copy(update={"measured_on": CalibratedOn.FOLDS, "images": "films/train"})
SAID = {
    "en": (
        "Calibration: expected error 0.10 (95 % 0.07 to 0.17) in 10 bins on 151 images not learned from (films/val).",
        "in cross-validation (films/train).",
        "Calibration not measured.",
    ),
    "de": (
        "Kalibrierung: erwarteter Fehler 0,10 (95 %: 0,07 bis 0,17) in 10 Klassen an 151 Bildern, von denen nicht gelernt wurde "
        "(films/val).",
        "in Kreuzvalidierung (films/train).",
        "Kalibrierung nicht gemessen.",
    ),
    "es": (
        "Calibración: error esperado 0,10 (95 %: 0,07 a 0,17) en 10 intervalos con 151 imágenes no usadas en el aprendizaje "
        "(films/val).",
        "en validación cruzada (films/train).",
        "Calibración no medida.",
    ),
    "fr": (
        "Calibration\u00a0: erreur attendue 0,10 (95 %\u00a0: 0,07 à 0,17) en 10 classes sur 151 images non utilisées pour "
        "l'apprentissage (films/val).",
        "en validation croisée (films/train).",
        "Calibration non mesurée.",
    ),
}


@pytest.mark.parametrize("language", get_args(Language))
def test_a_calibration_is_a_sentence_in_each_language(language: str) -> None:
    unseen, folds, nothing = SAID[language]
    said = speech(language)

    assert calibration_in_words(CALIBRATION, said) == unseen
    assert calibration_in_words(FOLDS, said).endswith(folds)
    assert calibration_in_words(None, said) == nothing


def made(calibration: Calibration | None, *kinds: str) -> dict[str, EncodedObject]:
    image, source = radiograph()
    prediction = Prediction(ratings=(Rating("pneumonia", 0.8769, None, calibration),))
    return {one.kind: one for one in encode(prediction, image, [source], manifest(), identity(), extras=kinds)}


STATED = pytest.mark.parametrize(("calibration", "place"), [(CALIBRATION, 0), (None, 2)], ids=["measured", "not measured"])


def probability_in(content: bytes) -> Measurement:
    groups = srread(io.BytesIO(content)).content.get_image_measurement_groups()
    (number,) = groups[0].get_measurements()
    return number


def test_the_measurement_report_says_it_of_the_probability_in_a_code_of_the_standard() -> None:
    number = probability_in(made(CALIBRATION)["measurements"].content)
    assert (number.name.meaning, number.value, number.unit.value) == ("Probability", 87.7, "%")
    (property_,) = number[0].ContentSequence
    (name,) = property_.ConceptNameCodeSequence
    assert (property_.RelationshipType, property_.ValueType) == ("HAS PROPERTIES", "TEXT")
    assert (name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning) == ("121405", "DCM", "Population description")
    assert property_.TextValue == SAID["en"][0]


def test_the_measurement_report_says_nothing_of_it_where_it_was_not_measured() -> None:
    number = probability_in(made(None)["measurements"].content)
    assert number.value == 87.7
    assert "ContentSequence" not in number[0]


def test_the_document_quotes_what_the_model_states() -> None:
    (finding,) = read_manifest(library_folder() / "cxr-pneumonia").findings
    document = (Path(__file__).parents[4] / "docs" / "results.md").read_text(encoding="utf-8")
    assert calibration_in_words(finding.calibration, speech("en")) in " ".join(document.split())


@STATED
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_readable_report_says_it_beside_the_probability(calibration: Calibration | None, place: int, language: str) -> None:
    kind = "report" if language == "en" else f"report.{language}"
    report = dcmread(io.BytesIO(made(calibration, kind)[kind].content))

    (findings,) = (one for one in report.ContentSequence if one.get("ConceptNameCodeSequence")[0].CodeMeaning == "Findings")
    text = findings.ContentSequence[0].TextValue
    assert text.endswith(SAID[language][place])
    assert ("Probability 0.88" if language == "en" else "Wahrscheinlichkeit 0,88") in text
