"""The geometry and the refusals, with small TorchScript networks that see brightness; the real ones are in tests/integration."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.image import Header, Image, SpacingKind
from models.manifest import library_folder, read_manifest
from models.prediction import Segmentation
from models.runtime import Model, load_model
from models.runtimes import brain_mr
from node.store.errors import ConfigurationError, Refused
from tests.unit.models.runtimes.ct_phantom import dice, permuted

SHAPE = (30, 80, 70)
SPACING_MM = (5.0, 2.2, 2.4)


class Brightness(torch.nn.Module):
    """Stands for a network: what is brighter than the mean by more than a deviation is brain."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        brain = torch.sigmoid((image - 0.675) * 200)
        return torch.cat([1 - brain, brain], dim=1)


class Doubt(torch.nn.Module):
    """Stands for a network that does not know."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        brain = torch.sigmoid((image - 0.675) * 2)
        return torch.cat([1 - brain, brain], dim=1)


class Elsewhere(torch.nn.Module):
    """Stands for a network that sees the upper half only."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(image)
        upper = torch.cumsum(ones, -1) > ones.sum(-1, keepdim=True) / 2
        brain = torch.sigmoid((image - 0.675) * 200) * upper
        return torch.cat([1 - brain, brain], dim=1)


def save(network: torch.nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 4, 4, 4)), str(path))
    return path


def model_of(tmp_path: Path, locator: torch.nn.Module, outliner: torch.nn.Module) -> Model:
    weights = {"bbox_model.pt": save(locator, tmp_path / "l.pt"), "model.pt": save(outliner, tmp_path / "o.pt")}
    return load_model(read_manifest(library_folder() / "brain-mr"), weights)


@pytest.fixture(autouse=True)
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_mr, "COARSE", (40, 40, 40))
    monkeypatch.setattr(brain_mr, "FINE", (64, 64, 64))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return model_of(tmp_path, Brightness(), Brightness())


def head(centre_mm: tuple[float, float, float] = (80.0, 85.0, 80.0)) -> tuple[Image, np.ndarray]:
    """A bright ellipsoid with a dark ventricle in a grey head; the truth has the ventricle filled."""
    z, y, x = (index * step for index, step in zip(np.indices(SHAPE, sparse=True), SPACING_MM, strict=True))
    brain = ((z - centre_mm[0]) / 55) ** 2 + ((y - centre_mm[1]) / 75) ** 2 + ((x - centre_mm[2]) / 62) ** 2 < 1
    array = np.random.default_rng(3).normal(20, 4, SHAPE)
    array[brain] += 400
    array[((z - 85) / 12) ** 2 + ((y - 85) / 12) ** 2 + ((x - 80) / 12) ** 2 < 1] = 30
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = SPACING_MM
    affine[:3, 3] = (-80, -85, -70)
    header = Header(modality="MR", image_type=("ORIGINAL", "PRIMARY"), body_part_examined="HEAD", echo_time_ms=3.0)
    return Image(array.astype(np.float32), affine, SPACING_MM, SpacingKind.PATIENT, header), brain


def outline(model: Model, image: Image) -> np.ndarray:
    found = model.predict(image).segmentation
    assert isinstance(found, Segmentation)
    return found.masks["brain"]


def test_outlines_what_the_networks_see_and_fills_it(model: Model) -> None:
    image, brain = head()

    found = outline(model, image)

    assert found.shape == image.array.shape
    assert dice(found, brain) > 0.97


@pytest.mark.parametrize(("order", "flips"), [((0, 1, 2), (0, 2)), ((1, 0, 2), ()), ((2, 0, 1), (1,)), ((2, 1, 0), (0, 1, 2))])
def test_the_same_head_stored_along_other_axes_gives_the_same_brain(
    model: Model, order: tuple[int, int, int], flips: tuple[int, ...]
) -> None:
    image, _ = head()

    found = outline(model, permuted(image, order, flips))

    assert np.array_equal(found, np.flip(np.transpose(outline(model, image), order), flips))


def test_says_that_the_brain_is_cut_off(model: Model) -> None:
    image, _ = head(centre_mm=(20.0, 85.0, 80.0))

    assert any("edge of the stack" in note for note in model.predict(image).notes)
    assert model.predict(head()[0]).notes == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"modality": "CT"}, "not-mr"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localizer"),
        ({"body_part_examined": "KNEE"}, "not-a-head"),
        ({"echo_time_ms": 95.0}, "not-t1"),
    ],
)
def test_refuses_what_the_header_says_it_was_not_made_for(model: Model, change: dict[str, object], code: str) -> None:
    image, _ = head()

    with pytest.raises(Refused) as refused:
        model.predict(replace(image, header=replace(image.header, **change)))  # type: ignore[arg-type]

    assert refused.value.code == code


@pytest.mark.parametrize("change", [{"body_part_examined": ""}, {"body_part_examined": "Brain"}, {"echo_time_ms": None}])
def test_reads_what_the_header_leaves_open(model: Model, change: dict[str, object]) -> None:
    image, brain = head()

    found = outline(model, replace(image, header=replace(image.header, **change)))  # type: ignore[arg-type]

    assert dice(found, brain) > 0.97


def test_refuses_a_few_slices(model: Model) -> None:
    image, _ = head()

    with pytest.raises(Refused) as refused:
        model.predict(replace(image, array=image.array[10:19]))

    assert refused.value.code == "too-few-slices"


def test_refuses_what_is_too_small_for_a_brain(model: Model) -> None:
    image, _ = head()
    small = replace(image, affine=image.affine @ np.diag([0.5, 0.5, 0.5, 1.0]), spacing_mm=(2.5, 1.1, 1.2))  # type: ignore[operator]

    with pytest.raises(Refused, match="a brain has 300 to 2300 ml"):
        model.predict(small)


def test_refuses_one_grey(model: Model) -> None:
    image, _ = head()

    with pytest.raises(Refused, match="one grey"):
        model.predict(replace(image, array=np.full_like(image.array, 7.0)))


def test_refuses_when_the_network_is_unsure(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not sure"):
        model_of(tmp_path, Doubt(), Brightness()).predict(head()[0])


def test_refuses_when_the_networks_disagree(tmp_path: Path) -> None:
    image, _ = head()

    with pytest.raises(Refused, match="disagree"):
        model_of(tmp_path, Brightness(), Elsewhere()).predict(image)


def test_names_the_weights_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"bbox_model\.pt"):
        load_model(read_manifest(library_folder() / "brain-mr"), {"model.pt": save(Brightness(), tmp_path / "o.pt")})
