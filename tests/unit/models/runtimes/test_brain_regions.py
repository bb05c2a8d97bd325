"""The geometry and the refusals, with a small layers model that sees brightness; the real ones are in tests/integration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.image import Header, Image, SpacingKind
from models.manifest import Manifest, library_folder, read_manifest
from models.prediction import LabelMap
from models.runtime import Model, load_model
from models.runtimes import brain_regions, conform
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.networks.test_tfjs import activation, layer
from tests.unit.models.runtimes.ct_phantom import dice, permuted

SHAPE = (34, 34, 38)
SPACING_MM = (1.6, 1.6, 1.6)
KEYS = ("cerebral_white_matter", "cerebral_cortex")
SMALL = {"smallest_ml": 30.0, "fewest_slices": 20}
"""The phantom is a quarter of a head a side, which keeps these tests quick."""


def brightness_model(folder: Path, classes: int = 3) -> dict[str, Path]:
    """Stands for a network: below 0.3 it says background, above 0.7 white matter, between them cortex; never a class beyond these."""
    chain = [
        {"class_name": "InputLayer", "name": "in", "config": {}, "inbound_nodes": []},
        layer("c", "in", kernel=3, filters=2),
        activation("a", "c", "relu"),
        layer("out", "a", kernel=1, filters=classes),
    ]
    kernel = np.zeros((3, 3, 3, 1, 2), dtype="<f4")
    kernel[1, 1, 1, 0] = 1.0
    # features: x, and how far x lies above 0.7; logits: 0.3 - x, x - 0.31 + five times that, x - 0.3
    never = [0] * (classes - 3)
    tensors = {
        "c/kernel": kernel,
        "c/bias": np.array([0.0, -0.7], dtype="<f4"),
        "out/kernel": np.array([[-1, 1, 1, *never], [0, 5, 0, *never]], dtype="<f4").reshape(1, 1, 1, 2, classes),
        "out/bias": np.array([0.3, -0.31, -0.3, *(-99 for _ in never)], dtype="<f4"),
    }
    weights = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in tensors.items()]
    model = {
        "format": "layers-model",
        "modelTopology": {"class_name": "Model", "config": {"layers": chain}},
        "weightsManifest": [{"paths": ["model.bin"], "weights": weights}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "model.bin").write_bytes(b"".join(array.tobytes() for array in tensors.values()))
    return {name: folder / name for name in ("model.json", "model.bin")}


def manifest(keys: tuple[str, ...] = KEYS, **changes: object) -> Manifest:
    shipped = read_manifest(library_folder() / "brain-regions")
    kept = tuple(shipped.structure(key) for key in keys)
    given = {**shipped.parameters, "lays_alike": False, **SMALL, **changes}
    return shipped.model_copy(update={"structures": kept, "parameters": given})


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(conform, "SIDE", 66)
    return load_model(manifest(), brightness_model(tmp_path))


def head(centre_mm: tuple[float, float, float] = (26.0, 27.0, 30.0)) -> tuple[Image, np.ndarray, np.ndarray]:
    """White matter in cortex in dark fluid; the image, all of the brain, and its white matter."""
    z, y, x = (index * step for index, step in zip(np.indices(SHAPE, sparse=True), SPACING_MM, strict=True))
    distance = ((z - centre_mm[0]) / 22) ** 2 + ((y - centre_mm[1]) / 24) ** 2 + ((x - centre_mm[2]) / 26) ** 2
    array = np.random.default_rng(3).normal(12, 3, SHAPE).clip(0)
    array[distance < 1] = 500
    array[distance < 0.5] = 1000
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = SPACING_MM
    affine[:3, 3] = (-60, -55, -50)
    header = Header(modality="MR", image_type=("ORIGINAL", "PRIMARY"), body_part_examined="HEAD", echo_time_ms=3.0)
    return Image(array.astype(np.float32), affine, SPACING_MM, SpacingKind.PATIENT, header), distance < 1, distance < 0.5


def labels(model: Model, image: Image) -> np.ndarray:
    found = model.predict(image).segmentation
    assert isinstance(found, LabelMap)
    assert found.keys == KEYS
    return found.array


def test_outlines_the_regions_on_the_source_grid(model: Model) -> None:
    image, brain, white = head()

    found = labels(model, image)

    assert found.shape == image.array.shape
    assert dice(found > 0, brain) > 0.95
    assert dice(found == 1, white) > 0.93


@pytest.mark.parametrize(("order", "flips"), [((0, 1, 2), (0, 2)), ((2, 0, 1), (1,)), ((2, 1, 0), (0, 1, 2))])
def test_the_same_head_stored_along_other_axes_gives_the_same_regions(
    model: Model, order: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    image, _, _ = head()

    found = labels(model, permuted(image, order, flips))

    same = np.flip(np.transpose(labels(model, image), order), flips)
    assert np.mean(found != same) < 1e-4


def test_a_turned_stack_has_the_same_volumes(model: Model) -> None:
    image, _, _ = head()
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]]

    straight = np.bincount(labels(model, image).ravel())
    turned = np.bincount(labels(model, replace(image, affine=turn @ image.affine)).ravel())  # type: ignore[operator]

    np.testing.assert_allclose(turned[1:], straight[1:], rtol=0.02)


def test_what_is_not_connected_to_the_brain_is_left_out(model: Model) -> None:
    image, _, _ = head()
    array = image.array.copy()
    array[1:4, 1:5, 1:5] = 800

    assert not labels(model, replace(image, array=array))[:4, :5, :5].any()


def test_says_that_the_brain_is_cut_off(model: Model) -> None:
    cut, _, _ = head(centre_mm=(13.0, 27.0, 30.0))

    assert any("edge of the stack" in note for note in model.predict(cut).notes)
    whole = model.predict(head()[0])
    assert whole.notes == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"modality": "CT"}, "not-mr"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
        ({"body_part_examined": "KNEE"}, "not-a-head"),
        ({"echo_time_ms": 95.0}, "not-t1"),
        ({"scanning_sequence": ("SE",), "repetition_time_ms": 3000.0}, "not-t1"),
    ],
)
def test_refuses_what_the_header_says_it_was_not_made_for(model: Model, change: dict[str, object], code: str) -> None:
    image, _, _ = head()

    with pytest.raises(Refused) as refused:
        model.predict(replace(image, header=replace(image.header, **change)))  # type: ignore[arg-type]

    assert refused.value.code == code


def test_an_inversion_recovery_with_a_long_repetition_time_is_read(model: Model) -> None:
    image, brain, _ = head()
    header = replace(image.header, scanning_sequence=("GR", "IR"), repetition_time_ms=2300.0, inversion_time_ms=900.0)

    assert dice(labels(model, replace(image, header=header)) > 0, brain) > 0.95


def test_refuses_thick_slices_and_few(model: Model) -> None:
    image, _, _ = head()
    thick = replace(image, affine=image.affine @ np.diag([1.3, 1, 1, 1]))  # type: ignore[operator]

    for wrong, code in ((thick, "too-coarse"), (replace(image, array=image.array[:19]), "too-few-slices")):
        with pytest.raises(Refused) as refused:
            model.predict(wrong)
        assert refused.value.code == code


def test_refuses_what_is_too_small_for_a_brain(model: Model) -> None:
    image, _, _ = head()
    small = replace(image, affine=image.affine @ np.diag([0.7, 0.7, 0.7, 1.0]))  # type: ignore[operator]

    with pytest.raises(Refused, match="a brain has 30 to 2300 ml"):
        model.predict(small)


def test_refuses_white_matter_that_is_not_brighter_than_the_cortex(model: Model, tmp_path: Path) -> None:
    picky = load_model(manifest(contrast=2.5), brightness_model(tmp_path))

    with pytest.raises(Refused, match=r"1\.98|2\.0"):
        picky.predict(head()[0])


@pytest.mark.parametrize("grey", [0.0, 7.0])
def test_refuses_one_grey(model: Model, grey: float) -> None:
    image, _, _ = head()

    with pytest.raises(Refused) as refused:
        model.predict(replace(image, array=np.full_like(image.array, grey)))

    assert refused.value.code == "no-brain"


def test_the_neck_is_left_out_of_the_box() -> None:
    volume = np.zeros((256, 256, 256), dtype=np.float32)
    volume[80:170, 20:250, 60:200] = 1.0

    box = brain_regions.head_box(volume, 0.2)

    assert box == (slice(78, 172), slice(18, 213), slice(58, 202))


def test_a_network_of_other_classes_than_listed_is_a_fault_of_the_manifest(tmp_path: Path) -> None:
    shipped = read_manifest(library_folder() / "brain-regions")

    with pytest.raises(ConfigurationError, match=r"3 classes, model\.toml lists 17 structures"):
        load_model(shipped, brightness_model(tmp_path))
    with pytest.raises(ConfigurationError, match=r"model\.json"):
        load_model(shipped, {})
    with pytest.raises(ConfigurationError, match="quantiles"):
        load_model(manifest(quantiles=[0.9, 0.1]), brightness_model(tmp_path))
