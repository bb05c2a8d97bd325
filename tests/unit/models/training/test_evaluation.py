import json
from pathlib import Path

import numpy as np
import pytest

from models.image import Image
from models.labels import Finding, Structure
from models.prediction import Prediction, Rating, Segmentation
from models.runtimes.lung_fields import split_sides
from models.training.evaluation import evaluate, load_for_evaluation
from models.training.metrics import sayable
from models.training.tables import read_grey
from node.store.errors import ConfigurationError, HashMismatch, Refused
from tests.unit.models.training.drawn import CODE, manifest

LUNGS = manifest(
    "drawn",
    structures=tuple(
        Structure(key=key, name=key, category=CODE, type=CODE, color=(1, 2, 3)) for key in ("lung_right", "lung_left")
    ),
)
PNEUMONIA = manifest("drawn", findings=(Finding(key="pneumonia", name="Pneumonia", code=CODE, threshold=0.5),))


class Oracle:
    """Knows the masks of a folder by the order it is asked in; misses the image's right lung of the first film."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._masks = [read_grey(folder / name) > 127 for name in names]
        self._asked = 0

    def predict(self, image: Image) -> Prediction:
        left, right = split_sides(self._masks[self._asked])
        if self._asked == 0:
            right = np.zeros_like(right)
        self._asked += 1
        return Prediction(segmentation=Segmentation({"lung_right": left[np.newaxis], "lung_left": right[np.newaxis]}))


def test_outlines_are_scored_together_and_side_by_side(lung_folder: Path) -> None:
    figures = evaluate(LUNGS, Oracle(lung_folder, ["10-mask.png", "11-mask.png"]), lung_folder, "val")
    left, right = split_sides(read_grey(lung_folder / "10-mask.png") > 127)
    missed = 2 * left.sum() / (2 * left.sum() + right.sum())
    assert figures["n"] == 2
    assert figures["refused"] == 0
    assert figures["dice"] == pytest.approx((1 + missed) / 2)
    assert figures["per_label"]["lung_right"]["dice"] == 1
    assert figures["per_label"]["lung_left"]["dice"] == 0.5
    assert figures["per_label"]["together"]["dice_min"] == pytest.approx(missed)
    assert figures["per_label"]["together"]["by_group"] == {}


def test_groups_of_films_have_their_own_figures(lung_folder: Path) -> None:
    names = [f"{number}-mask.png" for number in range(10)]
    figures = evaluate(LUNGS, Oracle(lung_folder, names), lung_folder, "train")
    groups = figures["per_label"]["together"]["by_group"]
    assert set(groups) == {"licence=CC BY 4.0", "licence=CC BY-NC-ND"}
    assert groups["licence=CC BY 4.0"]["n"] == 6
    assert groups["licence=CC BY 4.0"]["dice"] < groups["licence=CC BY-NC-ND"]["dice"] == 1


def test_only_rows_that_meet_the_condition_are_read(lung_folder: Path) -> None:
    names = [f"{number}-mask.png" for number in range(6)]
    figures = evaluate(LUNGS, Oracle(lung_folder, names), lung_folder, "train", where={"licence": "CC BY 4.0"})
    assert (figures["n"], figures["where"]) == (6, {"licence": "CC BY 4.0"})
    with pytest.raises(ConfigurationError, match=r"no row of split val has licence=CC0; there are licence: CC BY-NC-ND"):
        evaluate(LUNGS, Oracle(lung_folder, []), lung_folder, "val", where={"licence": "CC0"})
    with pytest.raises(ConfigurationError, match="has no column hospital"):
        evaluate(LUNGS, Oracle(lung_folder, []), lung_folder, "val", where={"hospital": "x"})


BALL = manifest("drawn", structures=(Structure(key="ball", name="ball", category=CODE, type=CODE, color=(1, 2, 3)),))


class Bright:
    """Outlines what is brighter than 500."""

    def predict(self, image: Image) -> Prediction:
        assert image.affine is not None
        return Prediction(segmentation=Segmentation({"ball": image.array > 500}))


def test_volumes_of_a_labelled_folder_are_scored_in_all_their_slices(tmp_path: Path) -> None:
    z, y, x = np.indices((9, 16, 16))
    near = (z - 4) ** 2 + (y - 8) ** 2 + (x - 7) ** 2 < 16
    lines = ["split,image,mask,patient"]
    for number, slices in enumerate((9, 4)):
        np.savez(tmp_path / f"{number}.npz", image=near * 900.0, spacing_mm=(3.0, 1.0, 1.0))
        np.save(tmp_path / f"{number}-mask.npy", (near & (z < slices)).astype(np.uint8))
        lines.append(f"val,{number}.npz,{number}-mask.npy,{number}")
    (tmp_path / "index.csv").write_text("\n".join(lines))

    figures = evaluate(BALL, Bright(), tmp_path, "val")

    half = 2 * (near & (z < 4)).sum() / (near.sum() + (near & (z < 4)).sum())
    assert figures["dice"] == pytest.approx((1 + half) / 2)
    assert figures["dice_min"] == pytest.approx(half)


class Brightness:
    """Rates by the mean grey value; refuses every sixth film."""

    def __init__(self) -> None:
        self.seen: list[Image] = []

    def predict(self, image: Image) -> Prediction:
        self.seen.append(image)
        if len(self.seen) % 6 == 0:
            raise Refused("not this one", "sixth")
        return Prediction(ratings=(Rating("pneumonia", float(np.clip((image.array.mean() - 80) / 50, 0.01, 0.99))),))


def test_findings_are_scored_and_refusals_counted(label_folder: Path) -> None:
    model = Brightness()
    steps: list[int] = []
    figures = evaluate(PNEUMONIA, model, label_folder, "train", lambda: steps.append(1))
    assert len(steps) == 24
    assert figures["n"] == 20
    assert figures["refused"] == 4
    assert figures["refusals"] == {"sixth": 4}
    assert figures["auroc"] == figures["per_label"]["pneumonia"]["auroc"] == 1
    assert {image.header.modality for image in model.seen} == {"CR"}
    assert all(image.array.shape == (1, 200, 180) and image.array.dtype == np.float32 for image in model.seen)


class Never:
    def predict(self, image: Image) -> Prediction:
        raise Refused("no", "never")


def test_a_model_that_refuses_everything_has_no_figures(label_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"refused all 24 images: \{.never.: 24\}"):
        evaluate(PNEUMONIA, Never(), label_folder, "train")


def test_a_folder_with_other_labels_is_named(label_folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no column mask"):
        evaluate(LUNGS, Never(), label_folder, "train")


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no model nonesuch: there are .*cxr-lungs"):
        load_for_evaluation("nonesuch", "cpu", None)


def test_weights_that_were_changed_are_not_evaluated(tmp_path: Path) -> None:
    from models.manifest import library_folder

    shipped = library_folder() / "cxr-lungs"
    (tmp_path / "model.toml").write_text((shipped / "model.toml").read_text())
    (tmp_path / "cxr-lungs.safetensors").write_bytes((shipped / "cxr-lungs.safetensors").read_bytes() + b"x")
    with pytest.raises(HashMismatch, match="says"):
        load_for_evaluation(str(tmp_path), "cpu", None)


def test_a_model_without_views_says_so() -> None:
    with pytest.raises(ConfigurationError, match="cxr-lungs has no views"):
        load_for_evaluation("cxr-lungs", "cpu", "border-only")


def test_figures_that_are_no_numbers_are_none() -> None:
    said = sayable({"precision": float("nan"), "ci": (0.5, float("inf")), "n": 3})

    assert json.loads(json.dumps(said, allow_nan=False)) == {"precision": None, "ci": [0.5, None], "n": 3}
