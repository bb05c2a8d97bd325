"""A marked region is rated; whatever is missing is refused with what to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.image import Header, Image, Region, SpacingKind
from models.manifest import read_manifest
from models.runtime import Model, load_model
from models.runtimes.lesion_features import NAMES, describe
from models.runtimes.mammo_lesion import variants
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


def test_scale_of_greys_and_size_of_pixels_do_not_matter() -> None:
    image = film()
    scaled = replace(image, array=image.array * 7 + 100)
    fine = film(spacing_mm=0.1)

    assert features(scaled) == pytest.approx(features(image), abs=1e-4)
    assert features(fine) == pytest.approx(features(image), abs=0.05)


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
