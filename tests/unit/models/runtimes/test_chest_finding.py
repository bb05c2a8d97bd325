from pathlib import Path

import numpy as np
import pytest

from models.manifest import library_folder, read_manifest
from models.networks.film_classifier import EFFICIENTNET, SQUEEZENET
from models.runtime import load_model
from models.runtimes.chest_finding import ChestFinding, as_learned, both, files_of, together
from models.runtimes.chest_views import Shown
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.phantom import chest, image, lung_masks

NAMES = ["cxr-pneumonia", "cxr-tb"]
MANIFESTS = {name: read_manifest(library_folder() / name) for name in NAMES}


@pytest.fixture(scope="module")
def models() -> dict[str, ChestFinding]:
    return {name: load(name) for name in NAMES}


def load(name: str, **parameters: object) -> ChestFinding:
    manifest = MANIFESTS[name]
    manifest = manifest.model_copy(update={"parameters": {**manifest.parameters, "strangest": 1e9, **parameters}})
    loaded = load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})
    assert isinstance(loaded, ChestFinding)
    return loaded


def _probability(model: ChestFinding, film: np.ndarray, **header: object) -> float:
    (rating,) = model.predict(image(film, **header)).ratings
    assert rating.spread is not None
    assert rating.spread >= 0
    assert 0 < rating.probability < 1
    return rating.probability


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_does_not_depend_on_depth_or_offset(name: str, models: dict[str, ChestFinding]) -> None:
    film = chest()
    other = _probability(models[name], film * np.float32(4) - np.float32(1000))
    assert _probability(models[name], film) == pytest.approx(other, abs=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_neither_answer_nor_map_depend_on_how_the_film_is_stored(name: str, models: dict[str, ChestFinding]) -> None:
    film = chest()
    upright = models[name].predict(image(film, patient_orientation=("L", "F")))
    turned = models[name].predict(image(np.rot90(film).copy(), patient_orientation=("F", "R")))
    assert turned.ratings[0].probability == pytest.approx(upright.ratings[0].probability, abs=1e-5)
    assert np.allclose(turned.heat_maps[0].array[0], np.rot90(upright.heat_maps[0].array[0]), atol=1e-4)


def test_the_map_lies_on_the_source_grid_and_is_zero_to_one(models: dict[str, ChestFinding]) -> None:
    prediction = models["cxr-pneumonia"].predict(image(chest(900, 700)))
    (heat_map,) = prediction.heat_maps
    assert heat_map.key == prediction.ratings[0].key == "pneumonia"
    assert heat_map.array.shape == (1, 900, 700)
    assert heat_map.array.dtype == np.float32
    assert heat_map.array.min() == 0
    assert heat_map.array.max() == 1


def test_what_the_evened_lungs_add_lies_in_the_box_around_them(models: dict[str, ChestFinding]) -> None:
    film, lungs = chest(200, 180), np.logical_or(*lung_masks(200, 180))
    assert models["cxr-tb"].read(film, lungs).logits.shape == (6,)
    contributions = models["cxr-tb"].explain(film, lungs)
    assert contributions.shape == (200, 180)
    assert np.abs(contributions[20:170, 15:165]).sum() > 0.9 * np.abs(contributions).sum() > 0


def test_families_answer_together_in_each_choice_of_their_members() -> None:
    first, second = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([[10.0, 20.0], [30.0, 40.0]])
    answers = together([first, second]).reshape(-1, 2)
    assert answers.tolist() == [[11, 22], [31, 42], [13, 24], [33, 44], [15, 26], [35, 46]]
    assert answers.mean() == pytest.approx(first.mean() + second.mean())
    assert together([first]).tolist() == first.ravel().tolist()


def test_every_view_counts_alike_in_how_strange_a_film_is_however_many_members_see_it(models: dict[str, ChestFinding]) -> None:
    film, lungs, model = chest(200, 180), np.logical_or(*lung_masks(200, 180)), models["cxr-pneumonia"]
    members = model._members
    more = model._twin(_members={**members, EFFICIENTNET: 2 * members[EFFICIENTNET]})
    answer = more.read(film, lungs)
    assert answer.strangeness == pytest.approx(model.read(film, lungs).strangeness, rel=1e-6)
    assert answer.logits.shape == (2 * 3 * 6,)


def test_files_of_weights_belong_to_the_network_that_they_are_named_after() -> None:
    networks = (SQUEEZENET, EFFICIENTNET)
    names = ["a-squeezenet.safetensors", "a-efficientnet-lite0-1.safetensors", "a-efficientnet-lite0-2.safetensors"]
    assert files_of(names, networks) == {SQUEEZENET: names[:1], EFFICIENTNET: names[1:]}
    assert files_of(["weights.safetensors"], (SQUEEZENET,)) == {SQUEEZENET: ["weights.safetensors"]}


@pytest.mark.parametrize("other", ["stray.safetensors", None])
def test_a_file_that_is_nobodys_and_one_that_is_missing_are_refused(other: str | None) -> None:
    manifest = MANIFESTS["cxr-pneumonia"]
    *own, lungs = manifest.weights
    weights = (*own, own[0].model_copy(update={"file": other}), lungs) if other else (*own[1:], lungs)
    files = {one.file: manifest.folder / own[0].file for one in weights}
    with pytest.raises(ConfigurationError, match="each named after its network where there are several"):
        load_model(manifest.model_copy(update={"weights": weights}), files)


def test_hiding_the_border_from_a_model_that_never_sees_it_is_refused(models: dict[str, ChestFinding]) -> None:
    with pytest.raises(ConfigurationError, match="never shown the border"):
        models["cxr-tb"].showing(Shown.HIDDEN)
    assert models["cxr-pneumonia"].showing(Shown.HIDDEN).predict(image(chest())).ratings


def test_hidden_places_are_not_seen(models: dict[str, ChestFinding]) -> None:
    film, lungs = chest(200, 180), np.logical_or(*lung_masks(200, 180))
    hidden = np.zeros_like(lungs)
    hidden[80:120, 40:80] = True
    other = film.copy()
    other[hidden] += 5 * np.random.default_rng(0).normal(0, 30, int(hidden.sum())).astype(np.float32)
    model = models["cxr-pneumonia"].showing(Shown.WHOLE)
    assert model.read(film, lungs, hidden).logits == pytest.approx(model.read(other, lungs, hidden).logits, abs=0.05)
    assert model.read(film, lungs, hidden).logits != pytest.approx(model.read(film, lungs).logits, abs=0.05)


def test_a_model_may_be_asked_for_ratings_only(models: dict[str, ChestFinding]) -> None:
    film = image(chest())
    quick, full = models["cxr-tb"].rating_only().predict(film), models["cxr-tb"].predict(film)
    assert quick.ratings == full.ratings
    assert not quick.heat_maps


def test_a_film_unlike_those_learned_from_is_refused_and_says_how_much() -> None:
    model = load("cxr-tb", strangest=0.1)
    with pytest.raises(Refused, match=r"unlike those that the model learned from .* up to 0\.10 is read") as refused:
        model.predict(image(chest()))
    assert refused.value.code == "unfamiliar"
    assert model.showing(Shown.BORDER).predict(image(chest())).ratings  # alone, a part is strange by nature


@pytest.mark.parametrize(
    ("film", "header", "code"),
    [
        (chest(), {"view_position": "LL"}, "lateral"),
        (chest(), {"body_part_examined": "HAND"}, "body-part"),
        (4000 - chest(900, 1100), {}, "inverted"),
        (np.full((300, 300), 5, dtype=np.float32), {}, "blank"),
    ],
)
def test_what_it_was_not_made_for_is_refused(
    film: np.ndarray, header: dict[str, object], code: str, models: dict[str, ChestFinding]
) -> None:
    with pytest.raises(Refused) as refused:
        models["cxr-pneumonia"].predict(image(film.astype(np.float32), **header))
    assert refused.value.code == code


def test_a_part_of_the_film_can_be_shown_alone(models: dict[str, ChestFinding]) -> None:
    model = models["cxr-pneumonia"]
    border = model.showing(Shown.BORDER)
    film = chest()
    changed = film.copy()
    changed[150:200, 100:150] += 300
    assert _probability(border, film) == pytest.approx(_probability(border, changed), abs=0.02)
    assert _probability(model, film) == _probability(model, film)


def test_a_film_is_reduced_as_those_that_were_learned_from() -> None:
    film = chest(1500, 1000)
    assert as_learned(film, 320, squashed=False).shape == (320, 213)
    squashed = as_learned(film, 128, squashed=True)
    assert squashed.shape == (128, 128)
    assert squashed.mean() == pytest.approx(film.mean(), rel=0.01)
    assert np.array_equal(as_learned(squashed, 128, squashed=True), squashed)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"offset": "a"}, "parameters must hold the number offset"),
        ({"shares": [0.2]}, "shares add up to 1"),
        ({"members": ["a"]}, "members must be one number"),
        ({"members": [3, 1]}, "members must be one number, or one for each of squeezenet"),
        ({"networks": ["resnet"]}, "no network is called resnet"),
        ({"views": ["hole"]}, "'hole' is not a valid Shown"),
        ({"views": "whole"}, "must hold the lists views, sides and shares"),
    ],
)
def test_a_manifest_that_does_not_say_what_it_must_is_refused(parameters: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load("cxr-tb", **parameters)


@pytest.mark.shared
def test_films_of_both_classes_are_ranked_and_none_refused(shared: Path) -> None:
    from models.training.evaluation import evaluate

    manifest = MANIFESTS["cxr-pneumonia"]
    loaded = load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})
    assert isinstance(loaded, ChestFinding)
    model = loaded.rating_only()

    class Every40th:
        """Answers for every 40th film only, to keep the test short."""

        def __init__(self) -> None:
            self.asked = 0

        def predict(self, film: object) -> object:
            self.asked += 1
            if self.asked % 40:
                raise Refused("skipped", "skipped")
            return model.predict(film)  # type: ignore[arg-type]

    figures = evaluate(manifest, Every40th(), shared / "data" / "cxr_pneumonia", "train")  # type: ignore[arg-type]
    assert set(figures["refusals"]) == {"skipped"}
    assert figures["auroc"] > 0.9


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cxr-pneumonia", 1),
        ("cxr-tb", 1),
        pytest.param("cxr-pneumonia", 6, marks=pytest.mark.slow),
        pytest.param("cxr-tb", 3, marks=pytest.mark.slow),
    ],
)
def test_hiding_what_the_map_marks_lowers_the_answer_more_than_random_places_or_edges(
    name: str, count: int, shared: Path, models: dict[str, ChestFinding]
) -> None:
    from models.runtimes.film import window
    from models.training.deletion import deletion_area, rivals
    from models.training.tables import read_grey, read_rows, split_rows

    folder, model = shared / "data" / name.replace("-", "_"), models[name]
    label = MANIFESTS[name].findings[0].key
    side = int(str(MANIFESTS[name].parameters["learned_side"]))
    ill = [row for row in split_rows(read_rows(folder, "label"), "train") if row["label"] == label][20::60][:count]
    assert len(ill) == count
    areas: dict[str, list[float]] = {"map": [], "random": [], "edges": []}
    for number, row in enumerate(ill):
        film = as_learned(window(read_grey(folder / row["image"])), side, squashed=False)
        lungs = both(model.look(film))

        def logit(hidden: np.ndarray, film: np.ndarray = film, lungs: np.ndarray = lungs) -> float:
            return float(model.read(film, lungs, hidden).logits.mean())

        rankings = {"map": model.explain(film, lungs), **rivals(film, 14, seed=number)}
        for ranking, order in rankings.items():
            areas[ranking].append(deletion_area(logit, order))
    means = {ranking: np.mean(values) for ranking, values in areas.items()}
    assert means["map"] < min(means["random"], means["edges"]), means
