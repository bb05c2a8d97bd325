"""Copies show the same patient: what lies where is told by their affines and motions."""

from __future__ import annotations

import numpy as np
import pytest

from models.image import Header, Image, SpacingKind
from models.training.copies import COPIES, LOSSY_RATIO, averaged, copies_of, lossy
from models.training.grids import at_voxels
from node.store.errors import ConfigurationError, Refused

SHAPE = (24, 40, 36)


def ball(modality: str = "MR") -> Image:
    """A bright ball, longer along the slices, off the middle of a dark oblique stack."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0.3, -0.2, 2.9), (0.1, 1.5, 0.1), (1.4, -0.1, -0.1)
    affine[:3, 3] = (-20, 15, -30)
    z, y, x = np.indices(SHAPE)
    near = ((z - 10) * 1.6) ** 2 + ((y - 19) * 1.5) ** 2 + ((x - 17) * 1.4) ** 2 < 12**2
    array = np.where(near, 900.0, 100.0).astype(np.float32)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return Image(array, affine, tuple(lengths), SpacingKind.PATIENT, Header(modality=modality))  # type: ignore[arg-type]


@pytest.mark.parametrize(("modality", "name"), [(modality, name) for modality, known in COPIES.items() for name in known])
def test_the_ball_lies_where_affine_and_motion_say(modality: str, name: str) -> None:
    image, copy = ball(modality), COPIES[modality][name]

    made = copy.make(image)

    assert made.affine is not None
    assert made.array.dtype == np.float32
    np.testing.assert_allclose(made.spacing_mm, np.linalg.norm(made.affine[:3, :3], axis=0))
    expected = copy.motion(image) @ centre(image)
    if name != "coarse" and not name.startswith("slices"):
        np.testing.assert_allclose(centre(made), expected, atol=0.3)
    np.testing.assert_allclose(centre(made), expected, atol=0.7)
    there, covered = at_voxels(made.array > 500, np.linalg.inv(made.affine) @ copy.motion(image) @ image.affine, SHAPE)
    truth = image.array > 500
    overlap = 2 * (there & truth).sum() / (there.sum() + (truth & covered).sum())
    assert (
        overlap == 1
        if name in {"again", "along-other-axes", "narrow", "noise"}
        else (0.7 if name == "coarse" else 0.85) < overlap <= 1
    )


def centre(image: Image) -> np.ndarray:
    """Of what is bright, LPS mm and 1."""
    weights = (image.array - 100).clip(0) * (image.array > 300)
    index = [(weights * axis).sum() / weights.sum() for axis in np.indices(image.array.shape)]
    return np.asarray(image.affine @ [*index, 1.0])  # type: ignore[operator]


def test_another_storage_keeps_every_value_and_moves_it() -> None:
    image = ball()
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    made = COPIES["MR"]["along-other-axes"].make(Image(noise, image.affine, image.spacing_mm, image.spacing_kind, image.header))

    back, _ = at_voxels(made.array, np.linalg.inv(made.affine) @ image.affine, SHAPE)  # type: ignore[arg-type]

    assert made.array.shape == (36, 24, 40)
    assert np.array_equal(back, noise)


def test_a_lossy_copy_is_changed_and_keeps_scale_and_offset() -> None:
    image = ball("CT")
    noise = np.random.default_rng(0).normal(0, 40, SHAPE).astype(np.float32)
    for array in (np.rint(image.array + noise - 1024), image.array / 7 + noise):
        made = lossy(Image(array.astype(np.float32), image.affine, image.spacing_mm, image.spacing_kind, image.header))
        error = np.abs(made.array - array)
        assert 1 < error.mean() < 60
        assert abs(float(made.array.mean() - array.mean())) < 2
    assert LOSSY_RATIO == 10


def test_averaged_slices_are_thicker_and_lie_between_those_they_are_of() -> None:
    image = ball()
    made = averaged(image, 3)
    assert made.array.shape[0] == 8
    np.testing.assert_allclose(made.array[1], image.array[3:6].mean(0), rtol=1e-6)
    np.testing.assert_allclose(made.affine @ [1, 0, 0, 1], image.affine @ [4, 0, 0, 1])  # type: ignore[operator]
    with pytest.raises(Refused, match="24 slices are too few"):
        averaged(image, 13)


def test_what_cannot_be_copied_is_told() -> None:
    with pytest.raises(ConfigurationError, match="copies are made of MR and CT, this is US"):
        copies_of("US")
    with pytest.raises(ConfigurationError, match="no copy of CT is named another-visit; there are: again"):
        copies_of("CT", ["another-visit"])
    assert list(copies_of("MR", ["lossy"])) == ["lossy"]
    film = Image(np.zeros((1, 4, 4), np.float32), None, None, SpacingKind.NONE, Header(modality="CT"))
    with pytest.raises(Refused, match="have a place in the patient"):
        COPIES["CT"]["turned"].make(film)
