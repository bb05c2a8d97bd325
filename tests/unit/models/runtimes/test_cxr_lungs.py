from pathlib import Path

import numpy as np
import pytest

from models.image import Image
from models.manifest import library_folder, read_manifest
from models.prediction import Segmentation
from models.runtime import Model, load_model
from models.runtimes.cxr_lungs import UNSTATED_SIDES, looks_of
from models.runtimes.lung_fields import Look
from models.training.metrics import dice
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.phantom import chest, image, lung_masks


@pytest.fixture(scope="module")
def model() -> Model:
    manifest = read_manifest(library_folder() / "cxr-lungs")
    return load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})


def _masks(model: Model, film: Image) -> tuple[np.ndarray, np.ndarray]:
    segmentation = model.predict(film).segmentation
    assert isinstance(segmentation, Segmentation)
    right, left = (segmentation.masks[key] for key in ("lung_right", "lung_left"))
    assert right.shape == left.shape == film.array.shape
    assert right.dtype == np.bool_
    assert not (right & left).any()
    return right[0], left[0]


@pytest.mark.parametrize(("rows", "columns"), [(400, 360), (900, 1100), (2400, 2000)])
def test_lungs_lie_where_they_were_drawn_at_any_size(model: Model, rows: int, columns: int) -> None:
    right, left = _masks(model, image(chest(rows, columns), patient_orientation=("L", "F")))
    drawn_right, drawn_left = lung_masks(rows, columns)
    assert dice(right, drawn_right) > 0.8
    assert dice(left, drawn_left) > 0.8


def test_the_manifest_says_in_which_looks_and_from_what_on_a_place_is_lung(model: Model) -> None:
    manifest = read_manifest(library_folder() / "cxr-lungs")
    assert looks_of(manifest) == (Look.EVENED, Look.BRIGHTENED)
    weights = {one.file: manifest.folder / one.file for one in manifest.weights}
    film = image(chest())
    shipped = sum(mask.sum() for mask in _masks(model, film))
    # not higher: fields that are counted from 0.95 shrink from the midline, and are taken for those of a lateral view
    for parameters in ({"threshold": 0.8}, {"looks": ["windowed"]}):
        other = manifest.model_copy(update={"parameters": {**manifest.parameters, **parameters}})
        assert sum(mask.sum() for mask in _masks(load_model(other, weights), film)) != shipped


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"threshold": 0.5}, "must hold the list looks"),
        ({"threshold": 0.5, "looks": []}, "must hold the list looks"),
        ({"threshold": 0.5, "looks": ["x-ray"]}, "there are windowed, brightened, evened"),
    ],
)
def test_a_manifest_without_known_looks_is_no_model(parameters: dict[str, object], complaint: str) -> None:
    manifest = read_manifest(library_folder() / "cxr-lungs").model_copy(update={"parameters": parameters})
    with pytest.raises(ConfigurationError, match=complaint):
        looks_of(manifest)


@pytest.mark.parametrize(("slope", "offset"), [(1, 0), (0.05, 0), (4, -2000)])
def test_depth_and_offset_do_not_matter(model: Model, slope: float, offset: float) -> None:
    film = chest()
    right, _ = _masks(model, image(film))
    other, _ = _masks(model, image(film * np.float32(slope) + np.float32(offset)))
    assert dice(right, other) > 0.999


def test_sides_follow_the_stated_orientation(model: Model) -> None:
    film = chest()
    right, left = _masks(model, image(film, patient_orientation=("L", "F")))
    mirrored_right, mirrored_left = _masks(model, image(film[:, ::-1].copy(), patient_orientation=("R", "F")))
    assert np.array_equal(mirrored_right[:, ::-1], right)
    assert np.array_equal(mirrored_left[:, ::-1], left)


def test_a_film_stored_lying_is_read_where_its_header_says_so(model: Model) -> None:
    film = chest()
    right, _ = _masks(model, image(film, patient_orientation=("L", "F")))
    lying, _ = _masks(model, image(np.rot90(film).copy(), patient_orientation=("F", "R")))
    assert np.array_equal(np.rot90(lying, -1), right)


def test_unstated_sides_are_noted(model: Model) -> None:
    assert UNSTATED_SIDES in model.predict(image(chest())).notes
    assert UNSTATED_SIDES not in model.predict(image(chest(), patient_orientation=("L", "F"))).notes


def _noise() -> np.ndarray:
    return np.random.default_rng(0).normal(1000, 200, (400, 400)).astype(np.float32)


@pytest.mark.parametrize(
    "film",
    [
        np.rot90(chest()).copy(),
        np.rot90(chest(), 2).copy(),
        np.rot90(chest(), 3).copy(),
        4000 - chest(900, 1100),
        _noise(),
        chest()[:, :150],
    ],
    ids=["turned left", "upside down", "turned right", "inverted", "noise", "one side"],
)
def test_what_cannot_be_read_right_is_refused(model: Model, film: np.ndarray) -> None:
    with pytest.raises(Refused):
        model.predict(image(film.astype(np.float32)))


@pytest.mark.shared
def test_real_films_are_read_and_their_distortions_refused(model: Model, shared: Path) -> None:
    from models.training.pictures import film_image
    from models.training.tables import read_grey, read_rows, split_rows

    folder = shared / "data" / "cxr_lungs"
    scores = []
    refused = 0
    rows = split_rows(read_rows(folder, "mask"), "train")[::20]
    for row in rows:
        film = read_grey(folder / row["image"])
        right, left = _masks(model, film_image(film))
        scores.append(dice(right | left, read_grey(folder / row["mask"]) > 127))
        for wrong in (255 - film, np.rot90(film).copy(), np.rot90(film, 2).copy()):
            try:
                model.predict(film_image(wrong))
            except Refused:
                refused += 1
    assert np.mean(scores) > 0.93
    assert refused > 0.9 * 3 * len(rows)
