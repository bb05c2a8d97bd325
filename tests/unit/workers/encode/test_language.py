from __future__ import annotations

import importlib.util
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.prediction import HeatMap, Prediction, Rating, Segmentation
from models.runtimes import brain_mr, brain_regions, ct_tissue, cxr_lungs, mammo_density
from node.store.profiles import Language
from tests.unit.workers.encode.samples import affine_of, identity, manifest, slices_of, volume
from workers import nameless
from workers.encode.encode import EncodedObject, encode
from workers.encode.language import Speech, catalogue, places, speech
from workers.encode.notes import TEMPLATES

ROOT = Path(__file__).resolve().parents[4]
TRANSLATED = [language for language in get_args(Language) if language != "en"]
SAID = {
    "en": ("AI report, not verified", "Right lung: volume", "Probability 0.93, likely", "pneumonia", "English"),
    "de": (
        "KI-Bericht, nicht geprüft",
        "Rechte Lunge: Volumen",
        "Wahrscheinlichkeit 0,93, wahrscheinlich",
        "Pneumonie",
        "German",
    ),
    "es": ("Informe de IA, no verificado", "Pulmón derecho: volumen", "Probabilidad 0,93, probable", "Neumonía", "Spanish"),
    "fr": ("Compte rendu d'IA, non vérifié", "Poumon droit\u00a0: volume", "Probabilité 0,93, probable", "Pneumonie", "French"),
}


def made(*kinds: str, prediction: Prediction | None = None, **sources: Any) -> tuple[EncodedObject, ...]:
    image = volume(affine_of(), (3, 4, 5))
    mask = np.ones((3, 4, 5), dtype=bool)
    answer = prediction or Prediction(
        Segmentation({"right_lung": mask}, absent=("bone",)),
        (Rating("pneumonia", 0.93),),
        ("the gantry was tilted by 12.5 degrees; the slices are read as they lie",),
    )
    return encode(answer, image, slices_of(image, **sources), manifest(), identity(), extras=kinds)


def dataset(objects: tuple[EncodedObject, ...], kind: str) -> Dataset:
    return dcmread(io.BytesIO(next(one.content for one in objects if one.kind == kind)))


def texts(item: Dataset) -> list[str]:
    return [
        *([item.TextValue] if "TextValue" in item else []),
        *(t for one in item.get("ContentSequence", []) for t in texts(one)),
    ]


@pytest.mark.parametrize("language", get_args(Language))
def test_a_report_is_in_the_language_of_its_destination(language: str, tmp_path: Path) -> None:
    kind = "report" if language == "en" else f"report.{language}"
    report = dataset(made(kind), kind)
    series, *sentences, meaning = SAID[language]
    told = "\n".join(texts(report))

    assert report.SeriesDescription.startswith(series)
    assert all(sentence in told or sentence.lower() in told.lower() for sentence in sentences)
    code = report.ContentSequence[0].ConceptCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == (language, "RFC5646", meaning)
    assert ("12.5" if language == "en" else "12,5") in told  # a note that was made in English
    if dsrdump := shutil.which("dsrdump"):
        file = tmp_path / "report.dcm"
        report.save_as(file)
        dumped = subprocess.run([dsrdump, "+U8", str(file)], capture_output=True, check=True).stdout.decode()
        assert sentences[0] in dumped


def test_the_same_study_in_two_languages_gives_two_objects_of_one_identity() -> None:
    alone, both = made("capture"), made("capture", "report.de", "capture.de")
    by_kind = {one.kind: one for one in both}

    assert {one.kind: one.content for one in alone} == {kind: one.content for kind, one in by_kind.items() if "." not in kind}
    for kind in ("report", "capture"):
        english, german = by_kind[kind], by_kind[f"{kind}.de"]
        assert english.sop_instance_uid != german.sop_instance_uid
        assert english.series_uid != german.series_uid
    assert by_kind["report.de"].content == next(one.content for one in made("report.de") if one.kind == "report.de")
    german = dataset(both, "report.de")
    assert german.PatientID == dataset(both, "report").PatientID
    codes = [one for one in german.ContentSequence[-2].ContentSequence if one.ValueType == "CODE"]
    assert [one.ConceptCodeSequence[0].CodeMeaning for one in codes] == ["Pneumonia"]  # codes stay as the standard has them


@pytest.mark.parametrize(
    ("stated", "written"),
    [("ISO_IR 100", "ISO_IR 100"), (None, "ISO_IR 192"), ("ISO_IR 101", "ISO_IR 101"), ("ISO_IR 144", "ISO_IR 192")],
)
def test_letters_that_the_source_has_none_for_are_unicode(stated: str | None, written: str) -> None:
    report = dataset(made("report.de", SpecificCharacterSet=stated), "report.de")

    assert report.SpecificCharacterSet == written
    assert "nicht ärztlich geprüft" in "\n".join(texts(report))
    assert str(report.PatientName) == "Doe^Jane"


def test_pictures_have_letters_with_accents() -> None:
    heat = HeatMap("pneumonia", np.ones((3, 4, 5), dtype=np.float32), "HiResCAM")
    objects = made("capture", "capture.fr", prediction=Prediction(ratings=(Rating("pneumonia", 0.93),), heat_maps=(heat,)))

    english, french = dataset(objects, "capture"), dataset(objects, "capture.fr")
    assert french.SeriesDescription.startswith("Images d'IA")
    assert french.pixel_array.shape[1] == english.pixel_array.shape[1]
    head = slice(0, 30)
    assert not np.array_equal(french.pixel_array[head], english.pixel_array[head])


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_message_is_translated_with_its_values(language: str) -> None:
    count = 0
    for one in catalogue(language):
        if not one.id:
            continue
        wanted, said = ([one.id], [one.string]) if isinstance(one.id, str) else (list(one.id), list(one.string))
        assert all(said), one.id
        assert not one.fuzzy
        assert {tuple(places(text)) for text in said} <= {tuple(places(text)) for text in wanted}, one.id
        count += 1
    assert count > 100


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_no_catalogue_has_is_said_in_english(language: str) -> None:
    said = speech(language)

    assert said.say("{name} was never translated.", name="This") == "This was never translated."
    assert said.say_note("a model of your own says this, and 3.5 mm") == "a model of your own says this, and 3.5 mm"
    assert said.say("") == ""


def test_a_catalogue_that_lacks_a_message_is_found_out(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("messages", ROOT / "scripts" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    current, template = script.current, script.template
    whole = ROOT / "workers/encode/locale/de/LC_MESSAGES/overread.po"
    short = tmp_path / "de" / "LC_MESSAGES" / "overread.po"
    short.parent.mkdir(parents=True)
    short.write_text(whole.read_text("utf-8").replace('msgstr "Pneumonie"', 'msgstr ""'), "utf-8")

    assert current(whole, template())[1] == []
    assert current(short, template())[1] == ["de: not translated: Pneumonia"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_note_that_is_made_is_known(language: str) -> None:
    notes = [
        ct_tissue.SIDE_UNKNOWN,
        ct_tissue.CUT_OFF,
        brain_regions.CUT_OFF,
        brain_regions.AS_IT_LIES,
        brain_mr.CUT_OFF,
        cxr_lungs.UNSTATED_SIDES,
        mammo_density.CROPPED.format(view="L-CC", rows=2600, columns=2000),
        nameless.NOTE,
        "Lung fields are cut off at the top and left edge of the film.",
        "Incomplete: 3 of the 20 images named for this series had not arrived when it was read.",
    ]
    for note in notes:
        assert speech(language).say_note(note) != note
    assert all(speech(language).say(one) != one for one in TEMPLATES)


def test_values_inside_a_note_are_translated_too() -> None:
    said = speech("de").say_note(
        "No ejection fraction: the images do not say where they lie. The change of area is that of slice 2 of 9: "
        "largest in phase 1, smallest in phase 8 of 20."
    )

    assert said.startswith(
        "Keine Ejektionsfraktion: die Bilder geben ihre Lage nicht an. Die Flächenänderung ist die von Schicht 2"
    )
    doubt = "What was measured rests on such an image: phase 9, taken for end systole, on slice 2 and 3."
    assert speech("de").say_note(doubt).endswith("Phase 9, als Endsystole genommen, auf Schicht 2 und 3.")
    edges = "Lung fields are cut off at the top and left edge of the film."
    assert speech("de").say_note(edges).endswith(": oben und links.")


@pytest.mark.parametrize(
    ("language", "written"),
    [("en", "57350 1.5 0.05"), ("de", "57350 1,5 0,05"), ("es", "57350 1,5 0,05"), ("fr", "57350 1,5 0,05")],
)
def test_numbers_are_written_in_the_manner_of_the_language(language: str, written: str) -> None:
    said = speech(language)

    assert f"{said.significant(57353.0, 4)} {said.significant(1.5, 4)} {said.fixed(0.05, 2)}" == written
    assert speech("de").percent(0.999) == "über 99 %"
    assert Speech("de").say_count("{number} image", "{number} images", 2) == "2 Bilder"
