"""The shipped `cine-lv`: what it refuses, and that it outlines a ring that beats as it beats."""

from __future__ import annotations

import numpy as np
import pytest

from models.image import Header, Image, SpacingKind
from models.manifest import library_folder, read_manifest
from models.prediction import Segmentation
from models.runtime import Model, load_model
from models.runtimes.cine_lv import CAVITY, LONG_AXIS, MYOCARDIUM, borders, check_view
from models.runtimes.short_axis import Answer
from node.store.errors import ConfigurationError, Refused

MANIFEST = read_manifest(library_folder() / "cine-lv")


def _affine(normal: tuple[float, float, float], spacing: float = 1.3) -> np.ndarray:
    along = np.asarray(normal, dtype=float) / np.linalg.norm(normal)
    right = np.cross(along, [0.3, 0.9, 0.1])
    right /= np.linalg.norm(right)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along * 8, np.cross(along, right) * spacing, right * spacing
    return affine


def _image(array: np.ndarray, affine: np.ndarray | None = None, modality: str = "MR", phases: int = 1) -> Image:
    spacing = None if affine is None else (8.0, 1.3, 1.3)
    kind = SpacingKind.NONE if affine is None else SpacingKind.PATIENT
    return Image(array, affine, spacing, kind, Header(modality=modality), phases=phases)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(MANIFEST, {one.file: MANIFEST.folder / one.file for one in MANIFEST.weights})


@pytest.mark.parametrize(
    "normal",
    [(0, 0, 1), (1, 0, 0), (0, 1, 0), (0.75, 0.6, 0.3), (0.3, -0.8, 0.6)],
    ids=["axial", "sagittal", "coronal", "chambers4", "chambers2"],
)
def test_planes_that_do_not_lie_across_the_long_axis_are_refused(normal: tuple[float, float, float]) -> None:
    with pytest.raises(Refused, match="not a short-axis view") as caught:
        check_view(_image(np.zeros((1, 8, 8), np.float32), _affine(normal)))
    assert caught.value.code == "not-short-axis"


@pytest.mark.parametrize("turn", [(0, 0, 0), (0.3, 0, 0), (0, 0.3, 0), (0, 0, 0.3), (0, 0, -0.3)])
def test_short_axis_planes_of_hearts_that_lie_otherwise_are_read(turn: tuple[float, float, float]) -> None:
    normal = tuple(np.add(LONG_AXIS, turn))
    check_view(_image(np.zeros((1, 8, 8), np.float32), _affine(normal)))
    check_view(_image(np.zeros((1, 8, 8), np.float32), _affine(tuple(-one for one in normal))))


def test_other_images_are_refused_for_what_they_are(model: Model) -> None:
    with pytest.raises(Refused, match="reads cine MR of the heart, this is CT"):
        model.predict(_image(np.zeros((1, 64, 64), np.float32), modality="CT"))
    with pytest.raises(Refused, match="these are in colour"):
        model.predict(_image(np.zeros((1, 64, 64, 3), np.uint8)))


def test_noise_and_blank_images_show_no_ventricle(model: Model) -> None:
    noise = np.random.default_rng(0).normal(100, 30, (1, 256, 256)).astype(np.float32)
    for array in (noise, np.zeros_like(noise)):
        with pytest.raises(Refused) as caught:
            model.predict(_image(array))
        assert caught.value.code == "no-ventricle"


def test_the_cavity_lies_within_the_border_and_is_of_one_piece() -> None:
    rows, columns = np.ogrid[:64, :64]
    near = (rows - 30) ** 2 + (columns - 30) ** 2
    inner = np.where(near < 100, 0.9, 0.1)
    inner[2:5, 2:5] = 0.9
    inner[30, 30] = 0.1
    outer = np.where((near < 225) & (near > 64), 0.9, 0.1)
    cavity, within = borders(Answer(np.stack([inner, outer]).astype(np.float32), 0.0), (64, 64))
    assert np.array_equal(cavity, near < 100)
    assert np.array_equal(within, near < 225)
    assert not borders(None, (64, 64))[0].any()


def test_a_manifest_without_the_number_of_networks_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="parameters must hold the number networks"):
        load_model(
            MANIFEST.model_copy(update={"parameters": {}}), {one.file: MANIFEST.folder / one.file for one in MANIFEST.weights}
        )


def _hearts(phases: int = 8) -> np.ndarray:
    """A bright cavity in a dark wall beside other organs, shrinking to 70 % and back."""
    random = np.random.default_rng(1)
    rows, columns = np.ogrid[:256, :256]
    frames = []
    for phase in range(phases):
        radius = 22 * (1 - 0.3 * np.sin(np.pi * phase / (phases - 1)))
        away = np.hypot(rows - 125, columns - 131)
        body = ((rows - 128) / 90) ** 2 + ((columns - 128) / 115) ** 2 < 1
        frame = np.where(body, 70.0, 8.0)
        frame = np.where(np.hypot(rows - 118, columns - 95) < 24, 150, frame)  # right ventricle
        frame = np.where(away < radius + 10, 45, frame)
        frame = np.where(away < radius, 170, frame)
        frames.append(frame + random.normal(0, 4, frame.shape))
    return np.stack(frames).astype(np.float32)


def test_a_drawn_heart_is_outlined_over_its_cycle(model: Model) -> None:
    array = _hearts()
    prediction = model.predict(_image(array, _affine(LONG_AXIS), phases=8))
    assert isinstance(prediction.segmentation, Segmentation)
    cavity, wall = (prediction.segmentation.masks[key] for key in (CAVITY, MYOCARDIUM))
    assert cavity.shape == wall.shape == array.shape
    assert not (cavity & wall).any()
    truth = array > 160
    truth[:, :, :110] = False
    overlap = 2 * (cavity & truth).sum((1, 2)) / (cavity.sum((1, 2)) + truth.sum((1, 2)))
    assert overlap.min() > 0.8
    assert [one.key for one in prediction.measurements] == ["lv_area_change"]
    assert prediction.measurements[0].value == pytest.approx(49, abs=10)
    assert "No ejection fraction" in prediction.notes[0]


def test_one_spoilt_image_of_a_cycle_is_a_warning_in_the_result(model: Model) -> None:
    array = _hearts(phases=12)
    array[5] += np.random.default_rng(0).normal(0, 160, array[5].shape)
    notes = model.predict(_image(array.astype(np.float32), _affine(LONG_AXIS), phases=12)).notes
    doubts = [note for note in notes if "does not fit" in note]
    assert len(doubts) == 1
    assert doubts[0].startswith("Slice 1: in phase 6 of 12 the outlined cavity does not fit those of the phases before and after")
