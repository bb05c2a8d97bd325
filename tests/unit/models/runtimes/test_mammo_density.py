"""Four views in, four probabilities out; what is refused; and what does not matter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.image import Header, Image, SpacingKind
from models.manifest import library_folder, read_manifest
from models.runtime import Model, load_model
from models.runtimes import mammo_density
from models.runtimes.mammo_density import field_of, histogram, variants
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
        pixels, moved = field_of(image, "L-CC")
        assert moved
        np.testing.assert_allclose(histogram(pixels), histogram(small.array[0]), atol=1e-2)


def test_a_smaller_detector_is_filled_up_with_the_darkest_grey(model: Model) -> None:
    pixels, moved = field_of(mammogram("L-CC", (229, 191), 1.0), "L-CC")

    assert pixels.shape == (182, 140)
    assert moved
    pixels, _ = field_of(mammogram("L-CC", (150, 100), 1.0), "L-CC")
    assert pixels.shape == (182, 140)
    assert not pixels[150:].any()


def test_a_grey_on_the_edge_of_two_bins_counts_half_in_each() -> None:
    shares = histogram(np.array([[0, 0, 51, 51, 255]], dtype=np.float32))

    assert shares[[0, 9, 10, 49]] == pytest.approx([0.4, 0.2, 0.2, 0.2])


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
