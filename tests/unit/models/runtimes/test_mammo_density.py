"""Four views in, four probabilities out; what is refused; and what does not matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.image import Header, Image, SpacingKind
from models.manifest import library_folder, read_manifest
from models.runtime import Model, RatesOnly, load_model
from models.runtimes import mammo_density
from models.runtimes.mammo_density import MammoDensity, field_of, histogram, variants
from models.training.deletion import deletion_area, rivals
from node.store.errors import ConfigurationError, Refused

VIEWS = ("L-CC", "R-CC", "L-MLO", "R-MLO")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a mammogram a side, which keeps these tests quick."""
    monkeypatch.setattr(mammo_density, "FIELD", (260, 200))
    monkeypatch.setattr(mammo_density, "PIXEL_MM", 0.7)
    monkeypatch.setattr(mammo_density, "SPACING_LIMITS_MM", (0.3, 2.0))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    torch.manual_seed(2)
    state = {"fc1.weight": torch.randn(100, 200), "fc1.bias": torch.randn(100)}
    state |= {"fc2.weight": torch.randn(4, 100), "fc2.bias": torch.randn(4)}
    torch.save(state, tmp_path / "model.p", _use_new_zipfile_serialization=False)
    return load_model(read_manifest(library_folder() / "mammo-density"), {"model.p": tmp_path / "model.p"})


def mammogram(view: str, shape: tuple[int, int] = (260, 200), spacing_mm: float | None = None) -> Image:
    """A breast on the left edge, brighter inwards, with noise; dark beside it."""
    rows, columns = np.indices(shape, sparse=True)
    distance = ((rows - shape[0] / 2) / (0.4 * shape[0])) ** 2 + (columns / (0.6 * shape[1])) ** 2
    pixels = np.where(distance < 1, 4000 - 2500 * distance, 0)
    pixels += np.random.default_rng(VIEWS.index(view)).integers(0, 90, shape) * (distance < 1)
    spacing = None if spacing_mm is None else (1.0, spacing_mm, spacing_mm)
    kind = SpacingKind.NONE if spacing is None else SpacingKind.DETECTOR
    header = Header(modality="MG", standard_view=view, presentation_intent="FOR PRESENTATION")
    return Image(pixels[None].astype(np.float32), None, spacing, kind, header)


def together(*images: Image) -> Image:
    return replace(images[0], together=images)


def probabilities(model: Model, image: Image) -> list[float]:
    return [rating.probability for rating in model.predict(image).ratings]


def test_how_much_slight_changes_of_the_greys_matter_is_said(model: Model) -> None:
    ratings = model.predict(together(*(mammogram(view) for view in VIEWS))).ratings
    assert all(rating.spread is not None and 0 < rating.spread < 0.5 for rating in ratings)
    greys = np.array([10.0, 20.0, 110.0])
    darker, brighter, cut = variants(greys)
    assert darker[[0, 2]].tolist() == brighter[[0, 2]].tolist() == [10, 110]
    assert darker[1] < 20 < brighter[1]
    assert cut.tolist() == [10, 20, 109]


def test_rates_the_four_classes_whatever_order_the_views_come_in(model: Model) -> None:
    views = [mammogram(view) for view in VIEWS]

    found = probabilities(model, together(*views))

    assert sum(found) == pytest.approx(1.0)
    assert probabilities(model, together(*reversed(views))) == pytest.approx(found)
    prediction = model.predict(together(*views))
    assert [rating.key for rating in prediction.ratings] == ["fatty", "scattered", "heterogeneous", "extreme"]
    assert prediction.notes[0].startswith("most likely: BI-RADS")


def test_scale_and_offset_of_the_greys_do_not_matter(model: Model) -> None:
    views = [mammogram(view) for view in VIEWS]
    scaled = [replace(view, array=view.array * 3 + 17) for view in views]

    assert probabilities(model, together(*scaled)) == pytest.approx(probabilities(model, together(*views)), abs=1e-3)


def test_a_larger_detector_is_cut_to_the_same_field_from_either_side() -> None:
    small = mammogram("L-CC")
    spread = np.pad(small.array[0], ((30, 43), (0, 56)))
    large = replace(small, array=spread[None], spacing_mm=(1.0, 0.7, 0.7), spacing_kind=SpacingKind.DETECTOR)
    mirrored = replace(large, array=large.array[:, :, ::-1])

    for image in (large, mirrored):
        field = field_of(image, "L-CC")
        assert field.moved
        np.testing.assert_allclose(histogram(field.pixels), histogram(small.array[0]), atol=1e-2)


def test_a_smaller_detector_is_filled_up_with_the_darkest_grey(model: Model) -> None:
    field = field_of(mammogram("L-CC", (229, 191), 1.0), "L-CC")

    assert field.pixels.shape == (182, 140)
    assert field.moved
    pixels = field_of(mammogram("L-CC", (150, 100), 1.0), "L-CC").pixels
    assert pixels.shape == (182, 140)
    assert not pixels[150:].any()


def test_a_grey_on_the_edge_of_two_bins_counts_half_in_each() -> None:
    shares = histogram(np.array([[0, 0, 51, 51, 255]], dtype=np.float32))

    assert shares[[0, 9, 10, 49]] == pytest.approx([0.4, 0.2, 0.2, 0.2])


def test_values_go_back_to_the_pixels_that_the_field_shows() -> None:
    shown = replace(mammogram("L-CC", (229, 191), 1.0), spacing_kind=SpacingKind.DETECTOR)
    other = replace(shown, array=np.ascontiguousarray(shown.array[:, :, ::-1]))
    small = mammogram("L-CC", (150, 100), 1.0)

    for image, cropped in ((mammogram("L-CC"), False), (shown, True), (other, True), (small, False)):
        field = field_of(image, "L-CC")
        back = field.back(field.pixels)

        assert back.shape == image.array.shape[1:]
        lit = back != 0
        assert np.array_equal(back[lit], image.array[0][lit])
        lost = image.array[0][~lit].sum() / image.array.sum()
        assert 0 < lost < 0.1 if cropped else lost == 0
        assert field.mirrored == (image is other)


def test_each_mammogram_has_a_map_of_what_speaks_for_the_likeliest_class(model: Model) -> None:
    large = mammogram("R-CC", (300, 260), 0.7)
    mirrored = replace(large, array=np.ascontiguousarray(large.array[:, :, ::-1]))
    views = [mirrored, *(mammogram(view) for view in ("L-MLO", "L-CC", "R-MLO"))]

    prediction = model.predict(together(*views))

    likeliest = max(prediction.ratings, key=lambda rating: rating.probability)
    assert [one.image for one in prediction.heat_maps] == [0, 1, 2, 3]
    assert {one.key for one in prediction.heat_maps} == {likeliest.key}
    for one, view in zip(prediction.heat_maps, views, strict=True):
        assert one.array.shape == view.array.shape
        assert one.array.dtype == np.float32
        assert not one.array[view.array == view.array.min()].any(), "what is dark already cannot be taken away"
    assert max(float(one.array.max()) for one in prediction.heat_maps) == 1
    assert min(float(one.array.min()) for one in prediction.heat_maps) == 0
    assert not prediction.heat_maps[0].array[..., : 260 - 200].any(), "the field does not reach so far from the chest wall"
    assert isinstance(model, RatesOnly)
    assert model.rating_only().predict(together(*views)) == replace(prediction, heat_maps=())


def test_what_the_bins_add_is_the_answer_less_that_of_dark_images(model: Model) -> None:
    assert isinstance(model, MammoDensity)
    shares = np.concatenate([histogram(mammogram(view).array[0]) for view in VIEWS])
    dark = np.zeros(200)
    dark[::50] = 1

    for number in range(4):
        added = model.explain(shares, number)

        assert added.shape == (4, 50)
        assert not added[:, 0].any()
        total = odds(model.probabilities(shares)[number]) - odds(model.probabilities(dark)[number])
        assert (added.ravel() @ shares) == pytest.approx(total, rel=0.05, abs=0.05)


def test_hiding_what_the_maps_mark_lowers_the_answer_more_than_random_places_and_edges(tmp_path: Path) -> None:
    """Glands in the middle speak for a dense breast, whatever lies about them: by the greys that they alone have."""
    model = glandular(tmp_path)
    assert isinstance(model, RatesOnly)
    rates = model.rating_only()
    views = [with_glands(view) for view in VIEWS]
    prediction = model.predict(together(*views))
    (key,) = {one.key for one in prediction.heat_maps}
    assert key == "extreme"
    rankings = {"map": np.concatenate([one.array[0] for one in prediction.heat_maps])}
    for number, view in enumerate(views):
        for name, one in rivals(view.array[0], 100, number).items():
            rankings[name] = np.concatenate([rankings[name], one]) if name in rankings else one
    breasts = np.concatenate([(view.array[0] > 0) & (np.indices((260, 200))[1] < 180) for view in views])

    def answer(gone: np.ndarray) -> float:
        hidden = [
            replace(view, array=np.where(part, 0, view.array[0])[None])
            for view, part in zip(views, np.split(gone, 4), strict=True)
        ]
        return odds(next(one.probability for one in rates.predict(together(*hidden)).ratings if one.key == key))

    areas = {name: deletion_area(answer, one, breasts) for name, one in rankings.items()}

    assert areas["map"] < areas["random"] - 1, areas
    assert areas["map"] < areas["edges"] - 1, areas


def odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def glandular(folder: Path) -> Model:
    """Rates the share of pixels between 40 and 60 % of the brightest: the more, the denser, the same in each view."""
    first, second = torch.zeros(2, 200), torch.zeros(4, 2)
    for view in range(4):
        first[0, 50 * view + 20 : 50 * view + 30] = 10
    first[1, ::50] = 0.1
    second[3, 0], second[0, 1] = 3, 1
    bias = torch.tensor([2.0, 1, 1, 0])
    state = {"fc1.weight": first, "fc1.bias": torch.zeros(2), "fc2.weight": second, "fc2.bias": bias}
    torch.save(state, folder / "model.p", _use_new_zipfile_serialization=False)
    return load_model(read_manifest(library_folder() / "mammo-density"), {"model.p": folder / "model.p"})


def with_glands(view: str) -> Image:
    """A breast of 30 %, glands of 50 % of the brightest in it, and bright specks, whose edges are the steepest.

    A marker beside it is as bright, so that the scale of greys stays whatever is hidden of the breast.
    """
    image = mammogram(view)
    rows, columns = np.indices(image.array.shape[1:])
    random = np.random.default_rng(VIEWS.index(view))
    pixels = np.where(image.array[0] > 0, random.normal(1200, 60, rows.shape), 0)
    pixels[(np.hypot(rows - 130, columns - 50) < 35) & (pixels > 0)] += 800
    for row, column in zip(random.integers(60, 200, 12), random.integers(5, 60, 12), strict=True):
        pixels[row : row + 3, column : column + 3] = 4000
    pixels[5:10, 180:190] = 4000
    return replace(image, array=pixels[None].astype(np.float32))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"presentation_intent": "FOR PROCESSING"}, "for-processing"),
        ({"standard_view": "R-CC"}, "not-four-views"),
        ({"standard_view": ""}, "not-four-views"),
    ],
)
def test_refuses_what_is_not_the_four_views_for_presentation(model: Model, change: dict[str, str], code: str) -> None:
    views = [mammogram(view) for view in VIEWS]
    views[0] = replace(views[0], header=replace(views[0].header, **change))  # type: ignore[arg-type]

    with pytest.raises(Refused) as refused:
        model.predict(together(*views))

    assert refused.value.code == code


def test_refuses_one_image_and_three(model: Model) -> None:
    views = [mammogram(view) for view in VIEWS]

    for image in (views[0], together(*views[:3])):
        with pytest.raises(Refused) as refused:
            model.predict(image)
        assert refused.value.code == "not-four-views"


def test_refuses_sizes_that_nothing_compares_and_one_grey() -> None:
    for image, code in ((mammogram("L-CC", (200, 150)), "no-spacing"), (mammogram("L-CC", (200, 150), 4.0), "odd-spacing")):
        with pytest.raises(Refused) as refused:
            field_of(image, "L-CC")
        assert refused.value.code == code
    with pytest.raises(Refused, match="one grey"):
        histogram(np.full((5, 5), 3, dtype=np.float32))


def test_other_tensors_are_a_fault_of_the_weights(tmp_path: Path) -> None:
    torch.save({"fc1.weight": torch.ones(3, 200)}, tmp_path / "model.p")

    with pytest.raises(ConfigurationError, match="two layers"):
        load_model(read_manifest(library_folder() / "mammo-density"), {"model.p": tmp_path / "model.p"})
