from pathlib import Path

import numpy as np
import pytest

from models.manifest import library_folder, read_manifest
from models.runtime import Model, load_model
from models.runtimes.chest_finding import ChestFinding
from models.runtimes.chest_views import Shown
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.phantom import chest, image

MANIFEST = read_manifest(library_folder() / "cxr-pneumonia")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(MANIFEST, {one.file: MANIFEST.folder / one.file for one in MANIFEST.weights})


def _probability(model: Model, film: np.ndarray, **header: object) -> float:
    (rating,) = model.predict(image(film, **header)).ratings
    assert rating.key == "pneumonia"
    assert rating.spread is not None
    assert rating.spread >= 0
    assert 0 < rating.probability < 1
    return rating.probability


def test_the_answer_does_not_depend_on_depth_or_offset(model: Model) -> None:
    film = chest()
    assert _probability(model, film) == pytest.approx(_probability(model, film * np.float32(4) - np.float32(1000)), abs=0.01)


def test_the_answer_does_not_depend_on_how_the_film_is_stored(model: Model) -> None:
    film = chest()
    upright = _probability(model, film, patient_orientation=("L", "F"))
    assert _probability(model, np.rot90(film).copy(), patient_orientation=("F", "R")) == pytest.approx(upright, abs=1e-5)


def test_a_film_answers_the_same_twice(model: Model) -> None:
    assert _probability(model, chest()) == _probability(model, chest())


@pytest.mark.parametrize(
    ("film", "header", "code"),
    [
        (chest(), {"view_position": "LL"}, "lateral"),
        (chest(), {"body_part_examined": "HAND"}, "body-part"),
        (4000 - chest(900, 1100), {}, "inverted"),
        (np.full((300, 300), 5, dtype=np.float32), {}, "blank"),
    ],
)
def test_what_it_was_not_made_for_is_refused(model: Model, film: np.ndarray, header: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        model.predict(image(film.astype(np.float32), **header))
    assert refused.value.code == code


def test_a_part_of_the_film_can_be_shown_alone(model: Model) -> None:
    assert isinstance(model, ChestFinding)
    border = model.showing(Shown.BORDER)
    film = chest()
    changed = film.copy()
    changed[150:200, 100:150] += 300
    assert _probability(border, film) == pytest.approx(_probability(border, changed), abs=0.02)
    assert _probability(model, film) == _probability(model, film)


def test_a_manifest_without_calibration_is_refused() -> None:
    manifest = MANIFEST.model_copy(update={"parameters": {"slope": 1.0}})
    with pytest.raises(ConfigurationError, match="parameters must hold the number offset"):
        load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})


@pytest.mark.shared
def test_films_of_both_classes_are_ranked_and_none_refused(model: Model, shared: Path) -> None:
    from models.training.evaluation import evaluate

    class Every40th:
        """Answers for every 40th film only, to keep the test short."""

        def __init__(self) -> None:
            self.asked = 0

        def predict(self, film: object) -> object:
            self.asked += 1
            if self.asked % 40:
                raise Refused("skipped", "skipped")
            return model.predict(film)  # type: ignore[arg-type]

    figures = evaluate(MANIFEST, Every40th(), shared / "data" / "cxr_pneumonia", "train")  # type: ignore[arg-type]
    assert set(figures["refusals"]) == {"skipped"}
    assert figures["auroc"] > 0.9
