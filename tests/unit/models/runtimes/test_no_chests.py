"""Films of other things that say nothing of it in their header: every model of chest films refuses them by what they look like.

Laterals are those of a phantom: no real one was at hand. That its frontal films are read shows that it is not refused as a phantom.
"""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Picture
from PIL import ImageDraw

from models.image import Header, Image, SpacingKind
from models.manifest import library_folder, read_manifest
from models.runtime import Model, RatesOnly, load_model
from node.store.errors import Refused
from tests.unit.models.chest_film import film

LATERALS = ((40005, 90, "forward"), (40006, -90, "up"), (40008, 90, "up"), (40012, -85, "up"))
"""Seed, degrees about the long axis, and where the arms are; the lung network takes none of them for anything but a chest."""

FRONTALS = ((7101, 0), (7102, 10), (7103, -20))
"""Seed and degrees; a few degrees off is how patients stand, 20 is oblique."""

NAMES = ("cxr-lungs", "cxr-pneumonia", "cxr-tb")
SIZE = (640, 520)
"""Rows and columns."""


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    found = {}
    for name in NAMES:
        manifest = read_manifest(library_folder() / name)
        found[name] = load_model(manifest, {one.file: manifest.folder / one.file for one in manifest.weights})
    return found


def _drawn(paint: Callable[[ImageDraw.ImageDraw], None], ground: int = 12) -> np.ndarray:
    """A drawing with the noise of a detector, blurred as a film is."""
    page = Picture.new("L", (SIZE[1], SIZE[0]), ground)
    paint(ImageDraw.Draw(page))
    grey = np.asarray(page.resize((SIZE[1] // 2, SIZE[0] // 2)).resize((SIZE[1], SIZE[0])), dtype=np.float32)
    return grey * 16 + np.random.default_rng(3).normal(0, 25, SIZE).astype(np.float32)


def _image(grey: np.ndarray) -> Image:
    return Image(grey[np.newaxis].astype(np.float32), None, None, SpacingKind.NONE, Header(modality="DX"))


def hand(pen: ImageDraw.ImageDraw) -> None:
    """Five fingers, with bones brighter than the flesh around them."""
    pen.ellipse((130, 330, 390, 620), fill=110)
    for left, top in ((60, 330), (140, 120), (210, 70), (285, 100), (360, 190)):
        pen.rounded_rectangle((left, top, left + 58, 470), 29, fill=110)
        for first in range(top + 25, 380, 95):
            pen.rounded_rectangle((left + 18, first, left + 40, first + 80), 9, fill=205)
        pen.line((left + 29, 360, 260, 560), fill=205, width=20)


def dental(pen: ImageDraw.ImageDraw) -> None:
    """Two rows of teeth in their jaws."""
    pen.rectangle((20, 120, 500, 300), fill=120)
    pen.rectangle((20, 330, 500, 540), fill=125)
    for number in range(12):
        left = 35 + number * 38
        pen.polygon([(left, 300), (left + 32, 300), (left + 22, 180), (left + 10, 180)], fill=225)
        pen.polygon([(left, 330), (left + 32, 330), (left + 22, 450), (left + 10, 450)], fill=225)


def screenshot(pen: ImageDraw.ImageDraw) -> None:
    """Windows with lines of text."""
    for left, top, right, below in ((10, 10, 330, 300), (200, 220, 510, 620)):
        pen.rectangle((left, top, right, below), fill=235, outline=60, width=2)
        pen.rectangle((left, top, right, top + 26), fill=90)
        for line in range(top + 44, below - 12, 18):
            pen.text((left + 14, line), "Series 4   512 x 512   open   Tools   Help", fill=30)


@pytest.mark.parametrize("paint", [hand, dental, screenshot])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("inverted", [False, True])
def test_what_is_no_frontal_chest_is_refused_without_the_help_of_a_header(
    name: str, paint: Callable[[ImageDraw.ImageDraw], None], inverted: bool, models: dict[str, Model]
) -> None:
    drawn = _drawn(paint, 235 if paint is screenshot else 12)
    with pytest.raises(Refused):
        models[name].predict(_image(drawn.max() - drawn if inverted else drawn))


@pytest.fixture(scope="module")
def laterals() -> list[np.ndarray]:
    return [film(seed, degrees, arms=arms)[0] for seed, degrees, arms in LATERALS]


@pytest.fixture(scope="module")
def frontals() -> list[np.ndarray]:
    return [film(seed, degrees)[0] for seed, degrees in FRONTALS]


@pytest.mark.parametrize("name", NAMES)
def test_a_lateral_chest_is_refused_without_the_help_of_a_header(
    name: str, laterals: list[np.ndarray], models: dict[str, Model]
) -> None:
    for lateral in laterals:
        with pytest.raises(Refused, match="looks like a lateral view") as refused:
            models[name].predict(_image(lateral))
        assert refused.value.code == "lateral"


@pytest.mark.parametrize("name", NAMES)
def test_a_frontal_chest_of_the_same_phantom_is_read_even_where_it_is_rotated(
    name: str, frontals: list[np.ndarray], models: dict[str, Model]
) -> None:
    model = models[name].rating_only() if isinstance(models[name], RatesOnly) else models[name]
    for frontal in frontals:
        prediction = model.predict(_image(frontal))
        assert prediction.segmentation or prediction.ratings
