"""The shipped `skin-7`: what it refuses, and what it says of a picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from models.image import Header, Image, SpacingKind
from models.manifest import read_manifest
from models.runtime import Model, RatesOnly, load_model
from models.training.deletion import blurred, deletion_area, rivals
from models.training.pictures import colour_image
from models.training.tables import read_colour, read_rows, split_rows
from node.store.errors import ConfigurationError, Refused
from tests.research import RESEARCH

MANIFEST = read_manifest(RESEARCH / "skin-7")
PICTURES = Path(__file__).parents[4] / "docs" / "images"


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(MANIFEST, {one.file: MANIFEST.folder / one.file for one in MANIFEST.weights})


def _refusal(model: Model, array: np.ndarray) -> Refused:
    with pytest.raises(Refused) as caught:
        model.predict(Image(array, None, None, SpacingKind.NONE, Header(modality="XC")))
    return caught.value


def test_grey_images_and_films_are_refused(model: Model) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (1, 200, 200), dtype=np.uint8)
    assert _refusal(model, grey.astype(np.float32)).code == "not-colour"
    assert _refusal(model, np.repeat(grey[..., None], 3, axis=-1)).code == "not-colour"
    assert _refusal(model, np.zeros((4, 200, 200, 3), np.uint8)).code == "not-one-image"
    assert _refusal(model, np.zeros((1, 40, 200, 3), np.uint8)).code == "too-small"


def test_colour_noise_and_flat_colour_are_unlike_what_was_learned_from(model: Model) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    assert _refusal(model, noise).code == "out-of-distribution"


@pytest.mark.parametrize("name", ["ohif-ct-abdomen-seg.jpg", "ohif-report.jpg", "page.png", "ohif-brain-seg.jpg"])
def test_screens_are_refused(model: Model, name: str) -> None:
    with Picture.open(PICTURES / name) as picture:
        colours = np.asarray(picture.convert("RGB"))[np.newaxis]
    assert _refusal(model, colours).code in {"out-of-distribution", "not-colour"}


def test_a_manifest_without_its_numbers_is_refused() -> None:
    manifest = MANIFEST.model_copy(update={"parameters": {"squeezenet": 3, "efficientnet-lite0": 1, "strange": 2.0}})
    with pytest.raises(ConfigurationError, match="parameters must hold the number temperature"):
        load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})


def test_it_runs_only_where_a_route_names_it() -> None:
    assert MANIFEST.research_only
    assert MANIFEST.one_of
    assert [finding.key for finding in MANIFEST.findings] == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]


@pytest.mark.shared
def test_lesions_are_rated_and_hardly_any_is_refused(model: Model, shared: Path) -> None:
    folder = shared / "data" / "skin"
    rows = split_rows(read_rows(folder, "label"), "train")[::40]
    right, refused = [], 0
    for row in rows:
        image = colour_image(read_colour(folder / row["image"]))
        try:
            prediction = model.predict(image)
        except Refused:
            refused += 1
            continue
        assert sum(one.probability for one in prediction.ratings) == pytest.approx(1)
        best = max(prediction.ratings, key=lambda one: one.probability)
        (heat,) = prediction.heat_maps
        assert heat.key == best.key
        assert heat.array.shape == image.array.shape[:3]
        assert 0 <= heat.array.min() <= heat.array.max() <= 1
        right.append(best.key == row["label"])
    assert refused <= 2
    assert np.mean(right) > 0.6


@pytest.mark.slow
@pytest.mark.shared
def test_hiding_what_the_map_marks_lowers_the_answer_more_than_random_places_and_edges(model: Model, shared: Path) -> None:
    folder = shared / "data" / "skin"
    rows = split_rows(read_rows(folder, "label"), "train")[5::100]
    assert isinstance(model, RatesOnly)
    rates = model.rating_only()
    areas: dict[str, list[float]] = {"map": [], "random": [], "edges": []}
    for number, row in enumerate(rows):
        colours = read_colour(folder / row["image"])
        try:
            (shown,) = model.predict(colour_image(colours)).heat_maps
        except Refused:
            continue

        def rate(gone: np.ndarray, colours: np.ndarray = colours, key: str = shown.key) -> float:
            hidden = np.stack([blurred(colours[..., one].astype(np.float32), gone) for one in range(3)], -1)
            try:
                ratings = rates.predict(colour_image(hidden.round().astype(np.uint8))).ratings
            except Refused:
                return math.log(0.001)  # nothing of the lesion is left
            probability = next(one.probability for one in ratings if one.key == key)
            return math.log(max(0.001, probability) / max(0.001, 1 - probability))

        rankings = {"map": shown.array[0], **rivals(colours.mean(-1).astype(np.float32), 16, seed=number)}
        for ranking, order in rankings.items():
            areas[ranking].append(deletion_area(rate, order))
    assert len(areas["map"]) >= 15
    means = {ranking: np.mean(values) for ranking, values in areas.items()}
    assert means["map"] < means["random"] - 0.5, means
    assert means["map"] < means["edges"] - 0.1, means
