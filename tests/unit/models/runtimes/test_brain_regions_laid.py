"""Every head is laid alike before the network sees it: shown with a stand-in for the network, which knows structures by their greys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.image import Header, Image, SpacingKind
from models.manifest import Manifest
from models.prediction import LabelMap
from models.runtime import Model, load_model
from models.runtimes import brain_regions, conform
from models.runtimes.brain_regions import deep_region
from models.runtimes.head_pose import PLACES_MM
from tests.unit.models.runtimes.ct_phantom import dice
from tests.unit.models.runtimes.test_brain_regions import brightness_model, manifest
from tests.unit.models.runtimes.test_head_pose import turned

KEYS = ("cerebral_white_matter", "cerebral_cortex", *PLACES_MM)
GREYS = np.array([0.0, 1.0, 0.4, *(0.5 + 0.05 * number for number in range(len(PLACES_MM)))])
SIDE = 200
SPACING_MM = 1.5
SHAPE = (100, 118, 92)
ANTERIOR_COMMISSURE = np.array((0.0, -14.0, -6.0))
Region = tuple[slice, slice, slice]


def by_greys(seen: list[np.ndarray]) -> Callable[..., torch.Tensor]:
    """A class for each grey of `GREYS`; cortex where greys meet. What it is shown is kept in `seen`."""

    def classes_of(network: object, volume: torch.Tensor, slab: int = 16, region: Region | None = None) -> torch.Tensor:
        del network, slab
        seen.append(volume.numpy())
        values = volume.numpy()[region or ...]
        even = ndimage.maximum_filter(values, 3) - ndimage.minimum_filter(values, 3) < 0.02
        nearest = np.searchsorted(np.sort(GREYS)[:-1] + np.diff(np.sort(GREYS)) / 2, values)
        found = np.where(even, np.argsort(GREYS)[nearest], 2)
        return torch.from_numpy(np.where(values < 0.2, 0, found).astype(np.uint8))

    return classes_of


def head(*, deep: bool = True) -> Image:
    """White matter around cortex around balls for the deep structures, where they are in an average head that lies upright."""
    affine = np.array([[0, 0, SPACING_MM, 0], [0, SPACING_MM, 0, 0], [SPACING_MM, 0, 0, 0], [0, 0, 0, 1.0]])
    affine[:3, 3] = -(affine[:3, :3] @ (np.array(SHAPE) - 1)) / 2
    points = np.moveaxis(np.indices(SHAPE), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    distance = ((points / (62, 82, 70)) ** 2).sum(axis=-1)
    array = np.zeros(SHAPE, dtype=np.float32)
    array[distance < 1] = 1000
    array[distance < 0.7] = 400
    for number, place in enumerate(PLACES_MM.values() if deep else ()):
        for side in (1, -1):
            centre = ANTERIOR_COMMISSURE + np.array(place) * (side, 1, 1)
            array[((points - centre) ** 2).sum(axis=-1) < 25] = 500 + 50 * number
    header = Header(modality="MR", image_type=("ORIGINAL", "PRIMARY"), body_part_examined="HEAD", echo_time_ms=3.0)
    return Image(array, affine, (SPACING_MM,) * 3, SpacingKind.PATIENT, header)


def lying(image: Image, degrees: tuple[float, float, float], move_mm: tuple[float, float, float]) -> Image:
    return replace(image, affine=turned(degrees, move_mm) @ image.affine)  # type: ignore[operator]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    made: list[np.ndarray] = []
    monkeypatch.setattr(conform, "SIDE", SIDE)
    monkeypatch.setattr(brain_regions, "classes_of", by_greys(made))
    return made


def model(folder: Path, **changes: object) -> Model:
    described: Manifest = manifest(KEYS, **{"lays_alike": True, **changes})
    return load_model(described, brightness_model(folder, len(KEYS) + 1))


def outlined(made: Model, image: Image) -> np.ndarray:
    found = made.predict(image)
    assert found.notes == ()
    assert isinstance(found.segmentation, LabelMap)
    return found.segmentation.array


def test_the_network_sees_a_head_that_lies_otherwise_as_it_saw_it_before(tmp_path: Path, seen: list[np.ndarray]) -> None:
    made, image = model(tmp_path), head()

    before = outlined(made, image)
    after = outlined(made, lying(image, (9, -7, 11), (6, -4, 5)))

    first, second, first_again, second_again = seen
    assert [abs(one - two) <= 1 for one, two in zip(second.shape, second_again.shape, strict=True)] == [True] * 3
    common = tuple(slice(0, min(pair)) for pair in zip(second.shape, second_again.shape, strict=True))
    assert np.corrcoef(second[common].ravel(), second_again[common].ravel())[0, 1] > 0.97
    common = tuple(slice(0, min(pair)) for pair in zip(first.shape, first_again.shape, strict=True))
    assert np.corrcoef(first[common].ravel(), first_again[common].ravel())[0, 1] < 0.95
    assert dice(after > 0, before > 0) > 0.99
    for number in range(3, len(KEYS) + 1):
        assert np.count_nonzero(before == number) > 8
        assert dice(after == number, before == number) > 0.7, KEYS[number - 1]


def test_labels_lie_on_the_voxels_of_the_head_as_it_lies(tmp_path: Path, seen: list[np.ndarray]) -> None:
    image = lying(head(), (12, 8, -9), (0, 0, 0))

    found = outlined(model(tmp_path), image)

    del seen
    for number in range(3, len(KEYS) + 1):
        assert (image.array[found == number] == 1000 * GREYS[number].astype(np.float32)).mean() > 0.95, KEYS[number - 1]


def test_a_head_whose_deep_structures_are_not_found_is_read_as_it_lies_and_that_is_noted(
    tmp_path: Path, seen: list[np.ndarray]
) -> None:
    found = model(tmp_path).predict(head(deep=False))

    assert found.notes == (brain_regions.AS_IT_LIES,)
    assert len(seen) == 3  # the middle of the head, all of it, and what counts
    np.testing.assert_array_equal(seen[2], seen[1])


def test_the_first_look_is_at_the_middle_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[np.ndarray]) -> None:
    asked: list[Region | None] = []
    stands_for_a_network = brain_regions.classes_of

    def noting(network: object, volume: torch.Tensor, region: Region | None = None) -> torch.Tensor:
        asked.append(region)
        return stands_for_a_network(network, volume, region=region)  # type: ignore[arg-type]

    monkeypatch.setattr(brain_regions, "classes_of", noting)
    outlined(model(tmp_path), head())

    sizes = [np.prod([side.stop - side.start for side in region]) for region in asked if region is not None]
    assert len(sizes) == 2
    assert sizes[0] < 0.75 * sizes[1] == 0.75 * seen[1].size


def test_no_second_look_where_heads_are_not_laid_alike(tmp_path: Path, seen: list[np.ndarray]) -> None:
    outlined(model(tmp_path, lays_alike=False), head())

    assert len(seen) == 1


def test_the_part_that_is_looked_at_first_stays_inside_the_head() -> None:
    assert brain_regions.deep_region((slice(40, 210), slice(10, 205), slice(12, 222))) == (
        slice(65, 185),
        slice(50, 150),
        slice(47, 187),
    )
    small = (slice(5, 60), slice(0, 60), slice(8, 70))
    assert brain_regions.deep_region(small) == (slice(5, 60), slice(40, 60), slice(8, 70))


def test_a_slab_that_holds_no_deep_structures_is_read_as_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conform, "SIDE", SIDE)
    image = head()
    slab = replace(image, array=image.array[40:60])  # 30 mm: it ends above where the deep structures of a whole head would begin
    prediction = model(tmp_path).predict(slab)
    assert brain_regions.AS_IT_LIES in prediction.notes


def test_the_part_with_deep_structures_is_within_the_box() -> None:
    assert deep_region((slice(0, 180), slice(20, 230), slice(10, 230))) == (slice(30, 150), slice(60, 160), slice(50, 190))
    slab = (slice(0, 180), slice(20, 55), slice(10, 230))
    assert deep_region(slab) == slab
