"""The phantom is what it claims to be, before anything is concluded from its films."""

from functools import cache

import numpy as np
import pytest

from models.manifest import library_folder, read_manifest
from models.prediction import Segmentation
from models.runtime import load_model
from models.training.metrics import dice
from tests.unit.models.chest_film import Exposure, expose, film
from tests.unit.models.phantom import image
from tests.unit.models.thorax import PIXEL_MM, Projection, Thorax, project


@cache
def seen(degrees: float) -> Projection:
    return project(Thorax(), degrees)


def test_the_lungs_have_one_volume_from_whatever_side_they_are_seen() -> None:
    litres = [seen(degrees).lungs.sum(axis=(1, 2)) * PIXEL_MM**2 / 1e6 for degrees in (0.0, 20.0, 90.0)]
    for sides in litres:
        assert sides == pytest.approx(litres[0], rel=0.02)
    assert 3 < litres[0].sum() < 7


def test_a_thorax_seen_from_the_other_side_is_its_mirror_image() -> None:
    from_the_left, from_the_right = (seen(degrees) for degrees in (90.0, -90.0))
    assert from_the_left.lungs.sum(0) == pytest.approx(from_the_right.lungs.sum(0)[:, ::-1], abs=1)


def test_the_lungs_lie_apart_in_front_and_one_behind_the_other_from_the_side() -> None:
    right, left = seen(0.0).fields
    assert not (right & left).any()
    assert np.flatnonzero(right.any(axis=0))[-1] < np.flatnonzero(left.any(axis=0))[0]
    right, left = seen(90.0).fields
    assert dice(right, left) > 0.75


def test_more_radiation_shows_less_noise_and_nothing_else() -> None:
    attenuation = seen(0.0).attenuation
    weak, strong, stronger = (
        expose(attenuation, Exposure(photons=photons, seed=seed)) for photons, seed in ((2e3, 0), (2e5, 1), (2e5, 2))
    )
    assert np.std(weak - stronger) > 3 * np.std(strong - stronger)
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("seed", [9001, 9002])
def test_its_frontal_films_are_outlined_where_its_lungs_are(seed: int) -> None:
    manifest = read_manifest(library_folder() / "cxr-lungs")
    model = load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})
    grey, (right, left) = film(seed, 0)
    found = model.predict(image(grey, patient_orientation=("L", "F"))).segmentation
    assert isinstance(found, Segmentation)
    assert dice(found.masks["lung_right"][0], right) > 0.8
    assert dice(found.masks["lung_left"][0], left) > 0.8
