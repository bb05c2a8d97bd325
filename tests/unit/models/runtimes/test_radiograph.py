import itertools

import numpy as np
import pytest

from models.image import Header, Image, SpacingKind
from models.runtimes.radiograph import put_upright, take_film
from node.store.errors import Refused
from tests.unit.models.phantom import chest, image

_OPPOSITE = {"L": "R", "R": "L", "H": "F", "F": "H"}


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"modality": "CT"}, "modality"),
        ({"modality": ""}, "modality"),
        ({"modality": "XC"}, "modality"),
        ({"body_part_examined": "HAND"}, "body-part"),
        ({"body_part_examined": "hand"}, "body-part"),
        ({"view_position": "LL"}, "lateral"),
        ({"view_position": "RL"}, "lateral"),
        ({"view_position": "LATERAL"}, "lateral"),
        ({"view_code": "399198007"}, "lateral"),
        ({"view_code": "left lateral"}, "lateral"),
        ({"patient_orientation": ("A", "F")}, "lateral"),
        ({"patient_orientation": ("P", "F")}, "lateral"),
    ],
)
def test_what_the_header_excludes(header: dict[str, object], code: str) -> None:
    with pytest.raises(Refused) as refused:
        take_film(image(chest(), **header))
    assert refused.value.code == code


@pytest.mark.parametrize(
    "header",
    [
        {"modality": "DX", "body_part_examined": "CHEST", "view_position": "PA"},
        {"modality": "RG", "body_part_examined": "", "view_position": ""},
        {"body_part_examined": "THORAX", "view_position": "AP"},
        {"body_part_examined": "PORT CHEST", "view_position": "AP SUPINE"},
        {"view_code": "postero-anterior"},
        {"view_code": "left lateral decubitus", "view_position": "LLD"},
        {"patient_orientation": ("L", "F")},
    ],
)
def test_what_the_header_lets_pass(header: dict[str, object]) -> None:
    film = chest()
    assert np.array_equal(take_film(image(film, **header)).film, film)


def _blank(value: float = 100) -> np.ndarray:
    return np.full((1, 300, 300), value, dtype=np.float32)


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (_blank(), "blank"),
        (np.where(np.arange(300) % 2, _blank(0), _blank(1)), "blank"),
        (chest(100, 100)[np.newaxis], "too-small"),
        (np.stack([chest(), chest()]), "slices"),
        (np.zeros((1, 300, 300, 3), dtype=np.uint8), "colour"),
        (np.full((1, 300, 300), np.nan, dtype=np.float32), "not-finite"),
    ],
)
def test_what_the_pixels_exclude(array: np.ndarray, code: str) -> None:
    with pytest.raises(Refused) as refused:
        take_film(Image(array, None, None, SpacingKind.NONE, Header(modality="DX")))
    assert refused.value.code == code


def _directions(turns: int, mirrored: bool) -> tuple[str, str]:
    """Patient Orientation of an upright film that was mirrored and turned, read off from the coordinates of its pixels."""
    towards_left, towards_feet = np.meshgrid(np.arange(4.0), np.arange(3.0))
    named = {}
    for name, values in (("L", towards_left), ("F", towards_feet)):
        turned = np.rot90(values[:, ::-1] if mirrored else values, turns)
        for axis in (0, 1):
            slope = np.diff(turned, axis=axis).mean()
            if abs(slope) > 0.5:
                named[axis] = name if slope > 0 else _OPPOSITE[name]
    return named[1], named[0]


@pytest.mark.parametrize(("turns", "mirrored"), list(itertools.product(range(4), (False, True))))
def test_every_orientation_is_put_upright_and_back(turns: int, mirrored: bool) -> None:
    upright = np.arange(12, dtype=np.float32).reshape(3, 4)
    stored = np.rot90(upright[:, ::-1] if mirrored else upright, turns)
    found = put_upright(stored, _directions(turns, mirrored))
    assert found.oriented
    assert np.array_equal(found.film, upright)
    assert np.array_equal(found.back(found.film > 5), stored > 5)


@pytest.mark.parametrize("orientation", [(), ("L",), ("", ""), ("X", "F"), ("L", "R"), ("L", "L")])
def test_an_odd_orientation_leaves_the_film_as_it_is(orientation: tuple[str, ...]) -> None:
    film = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = put_upright(film, orientation)
    assert not found.oriented
    assert np.array_equal(found.film, film)


def test_oblique_directions_count_by_their_first_letter() -> None:
    film = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(put_upright(film, ("RF", "FL")).film, film[:, ::-1])
