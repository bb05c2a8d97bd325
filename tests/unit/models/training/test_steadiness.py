"""A model that outlines what is bright: what copies make of it is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.image import Image
from models.prediction import LabelMap, Prediction, Segmentation
from models.training.copies import Copy, copies_of
from models.training.steadiness import steadiness
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.training.drawn import manifest, structures
from tests.unit.models.training.test_copies import ball

MANIFEST = manifest(
    "bright",
    structures=structures("ball", "spot"),
)


class Bright:
    """Outlines as masks or as a label map; a spot is never there. Refuses stacks of fewer than 9 slices."""

    def __init__(self, threshold: float = 500.0, *, masks: bool = True) -> None:
        self._threshold, self._masks = threshold, masks

    def predict(self, image: Image) -> Prediction:
        if image.array.shape[0] < 9:
            raise Refused("too few slices", "too-few-slices")
        found = image.array > self._threshold
        if self._masks:
            return Prediction(Segmentation({"ball": found}, ("spot",)))
        return Prediction(LabelMap(found.astype(np.uint8), ("ball",), ("spot",)))


@pytest.mark.parametrize("masks", [True, False])
def test_volumes_of_copies_are_compared_structure_by_structure(masks: bool) -> None:
    image, model, steps = ball(), Bright(masks=masks), []
    figures = steadiness(
        MANIFEST,
        model,
        image,
        copies_of("MR", ["along-other-axes", "slices-in-twos", "another-visit"]),
        model.predict(image),
        advance=lambda: steps.append(1),
    )
    assert len(steps) == 3
    truth_ml = (image.array > 500).sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000  # type: ignore[index]
    assert figures["volumes_ml"] == {"ball": pytest.approx(truth_ml), "spot": 0}
    same, thick, visit = figures["copies"].values()
    assert same["by_structure"]["ball"] == {"volume_ml": pytest.approx(truth_ml), "difference": pytest.approx(0), "dice": 1.0}
    assert same["by_structure"]["spot"] == {"volume_ml": 0, "difference": None, "dice": 1.0}
    assert (same["largest_at"], same["least_dice"]) == ("ball", 1.0)
    assert 0.85 < thick["least_dice"] < 1
    assert abs(visit["largest_difference"]) < 0.05
    assert visit["least_dice"] > 0.9


def test_only_what_the_copy_shows_is_compared() -> None:
    image, model = ball(), Bright()
    half = Copy(lambda one: replace(one, array=one.array[:10]))
    found = steadiness(MANIFEST, model, image, {"half": half}, model.predict(image))["copies"]["half"]["by_structure"]["ball"]
    assert found["difference"] == pytest.approx(0)
    assert found["volume_ml"] < 0.7 * float((image.array > 500).sum()) * 6


def test_a_change_is_measured_with_its_sign() -> None:
    image, model = ball(), Bright()
    dim = Copy(lambda one: replace(one, array=np.where(np.arange(40)[:, None] < 17, one.array, 0).astype(np.float32)))
    figures = steadiness(MANIFEST, model, image, {"dim": dim}, model.predict(image))["copies"]["dim"]
    kept = (image.array[:, :17] > 500).sum() / (image.array > 500).sum()
    assert figures["largest_difference"] == pytest.approx(kept - 1)
    assert figures["least_dice"] == pytest.approx(2 * kept / (1 + kept))


def test_a_refused_copy_says_why_and_a_model_without_outlines_has_none() -> None:
    image, model = ball(), Bright()
    thin = Copy(lambda one: replace(one, array=one.array[:4]))
    figures = steadiness(MANIFEST, model, image, {"thin": thin}, model.predict(image))
    assert figures["copies"] == {"thin": {"refused": "too few slices"}}
    rating = MANIFEST.model_copy(update={"structures": ()})
    with pytest.raises(ConfigurationError, match="bright outlines nothing"):
        steadiness(rating, model, image, {}, Prediction())
