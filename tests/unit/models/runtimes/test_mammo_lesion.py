"""A marked region is rated; whatever is missing is refused with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from models.image import Header, Image, Region, SpacingKind
from models.manifest import read_manifest
from models.runtime import Model, RatesOnly, load_model
from models.runtimes.lesion_features import NAMES, describe, reach
from models.runtimes.mammo_lesion import CELLS, variants
from models.training.deletion import deletion_area, rivals
from models.training.marked import marked_film
from models.training.tables import read_rows, split_rows
from models.weights import ensure_weights
from node.store.errors import Refused
from tests.research import RESEARCH


@pytest.fixture
def model(tmp_path: object) -> Model:
    manifest = read_manifest(RESEARCH / "mammo-lesion")
    return load_model(manifest, ensure_weights(manifest, manifest.folder, pull=False))


def film(*, spicules: int = 0, spacing_mm: float = 0.4) -> Image:
    """A breast with a bright mass of 10 mm radius at row 60, column 50 (at 0.4 mm), round or star-shaped."""
    scale = 0.4 / spacing_mm
    rows, columns = np.indices((round(160 * scale), round(120 * scale)))
    down, right = rows / scale - 60, columns / scale - 50
    border = 25 * (1 + 0.3 * np.cos(spicules * np.arctan2(down, right)) * (spicules > 0))
    grey = np.where(columns < 100 * scale, 900.0, 0.0) + 800 / (1 + np.exp((np.hypot(down, right) - border) / 2))
    region = Region(60 * scale, 50 * scale, 25 * scale)
    spacing = (1.0, spacing_mm, spacing_mm)
    return Image(grey[None].astype(np.float32), None, spacing, SpacingKind.DETECTOR, Header(modality="MG"), region=region)


def features(image: Image) -> dict[str, float]:
    assert image.region is not None
    assert image.spacing_mm is not None
    return dict(zip(NAMES, describe(image.array[0], image.region, image.spacing_mm[1]).tolist(), strict=True))  # type: ignore[arg-type]


def test_rates_the_region_and_says_which(model: Model) -> None:
    prediction = model.predict(film())

    (rating,) = prediction.ratings
    assert rating.key == "malignant"
    assert 0 < rating.probability < 1
    assert prediction.notes == ("rated was the region about column 50, row 60, radius 25 pixels",)


def test_how_much_it_matters_how_the_region_was_marked_is_said(model: Model) -> None:
    (rating,) = model.predict(film(spicules=9)).ratings
    image = film(spicules=9)
    assert image.region is not None
    marked = [replace(image, region=one) for one in (image.region, *variants(image.region))]
    answers = [model.predict(one).ratings[0].probability for one in marked]
    assert len({round(one, 9) for one in answers}) > 2
    assert rating.spread == pytest.approx(np.std(answers))


def test_a_region_at_the_corner_is_rated_by_what_lies_inside(model: Model) -> None:
    image = film()
    (rating,) = model.predict(replace(image, region=Region(0.5, 0.5, 20))).ratings
    assert rating.spread is not None
    assert np.isfinite(rating.spread)


def test_features_say_what_they_are_named_for() -> None:
    smooth, star = features(film()), features(film(spicules=9))

    assert smooth["log radius"] == pytest.approx(np.log(10))
    assert smooth["contrast"] > 0.2
    assert star["across"] > smooth["across"] + 0.1


def test_pixels_that_are_nearly_of_the_learned_size_leave_the_region_where_it_is(model: Model) -> None:
    far = replace(
        film(spicules=9), array=np.pad(film(spicules=9).array, ((0, 0), (900, 0), (700, 0))), region=Region(960, 750, 25)
    )
    exact, nearly = (model.predict(replace(far, spacing_mm=(1.0, mm, mm))) for mm in (0.4, 0.3925))
    assert nearly.ratings[0].probability == pytest.approx(exact.ratings[0].probability, abs=1e-6)
    assert np.array_equal(nearly.heat_maps[0].array > 0, exact.heat_maps[0].array > 0)


def test_scale_of_greys_and_size_of_pixels_do_not_matter() -> None:
    image = film()
    scaled = replace(image, array=image.array * 7 + 100)
    fine = film(spacing_mm=0.1)

    assert features(scaled) == pytest.approx(features(image), abs=1e-4)
    assert features(fine) == pytest.approx(features(image), abs=0.05)


@pytest.mark.parametrize("spacing_mm", [0.4, 0.1])
def test_a_map_lies_about_the_region_and_marks_what_speaks_for_a_malignant_lesion(model: Model, spacing_mm: float) -> None:
    image = spotted(0, spacing_mm)
    prediction = model.predict(image)

    (heat,) = prediction.heat_maps
    assert heat.key == prediction.ratings[0].key
    assert heat.array.shape == image.array.shape
    assert heat.array.dtype == np.float32
    assert (heat.array.min(), heat.array.max()) == (0, 1)
    rows, columns = np.indices(image.array.shape[1:]) * (spacing_mm / 0.4)
    assert not heat.array[0][np.hypot(rows - 60, columns - 50) > 1.6 * 25 + 2.5].any()
    spot = np.hypot(rows - 55, columns - 46) < 9
    assert heat.array[0][spot].mean() > 5 * heat.array[0][np.hypot(rows - 60, columns - 50) < 40].mean()
    assert isinstance(model, RatesOnly)
    assert model.rating_only().predict(image) == replace(prediction, heat_maps=())


def test_a_region_in_the_corner_has_its_map_there(model: Model) -> None:
    (heat,) = model.predict(replace(film(), region=Region(0.5, 0.5, 20))).heat_maps
    assert not heat.array[0, 35:].any()
    assert not heat.array[0, :, 35:].any()


def test_hiding_what_the_map_marks_lowers_the_answer_more_than_random_places_and_edges(model: Model) -> None:
    assert isinstance(model, RatesOnly)
    rates = model.rating_only()
    each = [areas_of(model, rates, spotted(seed), seed) for seed in range(4)]
    areas = {name: float(np.mean([one[name] for one in each])) for name in each[0]}

    assert areas["map"] < areas["random"] - 0.1, areas
    assert areas["map"] < areas["edges"] - 0.1, areas


@pytest.mark.shared
def test_on_films_too_the_map_is_better_than_random_places_and_edges(model: Model, shared: Path) -> None:
    assert isinstance(model, RatesOnly)
    folder, rates = shared / "data" / "mammo", model.rating_only()
    areas: dict[str, list[float]] = {}
    for number, row in enumerate(split_rows(read_rows(folder, "label", "rois"), "train")[::12]):
        image = marked_film(folder, row)
        try:
            found = areas_of(model, rates, image, seed=number) if image is not None else {}
        except Refused:
            continue
        for name, area in found.items():
            areas.setdefault(name, []).append(area)
    means = {name: float(np.mean(values)) for name, values in areas.items()}
    assert len(areas["map"]) >= 5
    assert means["map"] < means["random"] - 0.05, means
    assert means["map"] < means["edges"] - 0.05, means


def areas_of(model: Model, rates: Model, image: Image, seed: int) -> dict[str, float]:
    """Mean log odds while region and surroundings are taken away, as bright as the surroundings are, in the order of each ranking."""
    region, film = image.region, image.array[0].astype(np.float32)
    assert region is not None
    down, right = np.indices(film.shape) - np.array([region.row, region.column])[:, None, None]
    distance = np.hypot(down, right)
    near = distance <= reach(region.radius)
    grey = film[near & (distance > region.radius)].mean()

    def answer(gone: np.ndarray) -> float:
        probability = rates.predict(replace(image, array=np.where(gone, grey, film)[None])).ratings[0].probability
        return float(np.log(probability / (1 - probability)))

    far = int(reach(region.radius)) + 1
    row, column = (max(0, int(middle) - far) for middle in (region.row, region.column))
    part = film[row : int(region.row) + far + 1, column : int(region.column) + far + 1]
    rankings = {"map": model.predict(image).heat_maps[0].array[0]}
    for name, ranking in rivals(part, CELLS, seed).items():
        rankings[name] = np.zeros_like(film)
        rankings[name][row : row + part.shape[0], column : column + part.shape[1]] = ranking
    return {name: deletion_area(answer, ranking, near) for name, ranking in rankings.items()}


def spotted(seed: int, spacing_mm: float = 0.4) -> Image:
    """A region that is dark in its middle, which speaks for a malignant lesion here, with a bright ring about it."""
    image, scale = film(spacing_mm=spacing_mm), 0.4 / spacing_mm
    grain = np.random.default_rng(seed).normal(0, 1, (160, 120))
    grey = 900 + zoom(gaussian_filter(grain, 1.5), scale, order=1) * 300
    rows, columns = np.indices(grey.shape) / scale
    grey[np.hypot(rows - 55, columns - 46) < 9] -= 400
    grey[np.abs(np.hypot(rows - 60, columns - 50) - 33) < 1.5] += 900
    grey[:, columns[0] >= 100] = 0
    return replace(image, array=grey[None].astype(np.float32))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"region": None}, "no-region"),
        ({"header": Header(modality="CR")}, "not-mg"),
        ({"spacing_mm": None, "spacing_kind": SpacingKind.NONE}, "no-spacing"),
        ({"region": Region(400, 50, 25)}, "region-outside"),
        ({"region": Region(60, 50, 2)}, "odd-region"),
        ({"region": Region(60, 50, 400)}, "odd-region"),
    ],
)
def test_refuses_what_it_cannot_rate(model: Model, change: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        model.predict(replace(film(), **change))  # type: ignore[arg-type]

    assert refused.value.code == code


def test_without_a_region_it_says_how_to_give_one(model: Model) -> None:
    with pytest.raises(Refused, match="--region COLUMN,ROW,RADIUS"):
        model.predict(replace(film(), region=None))


def test_is_for_research_only_and_read_only_when_named() -> None:
    assert "research only" in read_manifest(RESEARCH / "mammo-lesion").unasked
