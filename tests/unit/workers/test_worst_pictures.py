"""Worst answers as pictures: with the image under them, or on black ground with nothing of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Raster
from typer.testing import CliRunner

from models.commands.training import evaluate
from models.image import Image, Region
from models.labels import Finding
from models.prediction import HeatMap, Located, Prediction, Rating
from models.training.worst import Worst
from node.store.errors import ConfigurationError
from tests.unit.models.training.conftest import lung_folder
from tests.unit.models.training.drawn import CODE, manifest
from workers.worst_pictures import draw_worst

__all__ = ["lung_folder"]

runner = CliRunner()


def test_evaluate_draws_outlines_over_the_film_or_without_it(lung_folder: Path, tmp_path: Path) -> None:
    common = ["cxr-lungs", str(lung_folder), "--split", "val", "--json", "--threads", "1", "--pictures"]
    shown = runner.invoke(evaluate, [*common, str(tmp_path / "shown")])
    assert shown.exit_code == 0, shown.output
    blank = runner.invoke(evaluate, [*common, str(tmp_path / "blank"), "--blank"])
    assert blank.exit_code == 0, blank.output
    assert shown.stdout == blank.stdout
    names = sorted(path.name for path in (tmp_path / "blank").iterdir())
    assert names[-1] == "worst.png"
    assert names[0] == "worst-1.png"
    film, outlines = (np.asarray(Raster.open(tmp_path / one / "worst-1.png")) for one in ("shown", "blank"))
    head = film.shape[0] - 512 - 60  # words stand above and below
    body = slice(head + 40, head + 440)
    lit = outlines[body].any(axis=2)
    assert 0.001 < lit.mean() < 0.1, "thin lines on black"
    assert film[body].any(axis=2).mean() > 0.5
    greens = (outlines == (120, 220, 140)).all(axis=2)
    reds = (outlines == (240, 130, 90)).all(axis=2)
    assert greens.sum() > 100
    assert reds.sum() > 100


def test_pictures_need_a_labelled_folder(lung_folder: Path) -> None:
    for words in (["--blank"], ["--pictures", "x"]):
        folder = [] if words == ["--pictures", "x"] else [str(lung_folder), "--split", "val"]
        with pytest.raises(ConfigurationError, match="--pictures goes with"):
            runner.invoke(evaluate, ["cxr-lungs", *folder, *words], catch_exceptions=False)


class Marked:
    """A disc at the left, whatever it is shown."""

    def predict(self, image: Image) -> Prediction:
        return Prediction(ratings=(Rating("mel", 0.9),), located=(Located("mel", 0.9, 0, Region(32, 16, 8)),))


def test_what_was_rated_is_drawn(tmp_path: Path) -> None:
    Raster.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "a.png")
    model = manifest("m", findings=(Finding(key="mel", name="Melanoma", code=CODE, threshold=0.5),))
    case = Worst({"image": "a.png"}, 4, "label normal, Melanoma rated 90%", "mel")
    (path,) = draw_worst(model, Marked(), tmp_path, [case], tmp_path / "out", blank=True)
    page = np.asarray(Raster.open(path))
    ring = (page[: page.shape[0] * 3 // 4] == (240, 130, 90)).all(axis=2)  # the legend is below
    rows, columns = np.nonzero(ring)
    assert 120 < np.ptp(columns) < 140
    assert 120 < np.ptp(rows) < 140
    assert abs(columns.mean() - 16 / 64 * 512) < 10


class Mapped:
    """Hot in the lower left quarter, whatever it is shown."""

    def predict(self, image: Image) -> Prediction:
        hot = np.zeros(image.array.shape[:3], np.float32)
        hot[:, image.array.shape[1] // 2 :, : image.array.shape[2] // 2] = 1
        return Prediction(ratings=(Rating("mel", 0.9),), heat_maps=(HeatMap("mel", hot, "HiResCAM"),))


def test_heat_is_drawn_and_earlier_pictures_go(tmp_path: Path) -> None:
    Raster.fromarray(np.full((64, 64), 90, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "worst-7.png").write_bytes(b"old")
    model = manifest("m", findings=(Finding(key="mel", name="Melanoma", code=CODE, threshold=0.5),))
    case = Worst({"image": "a.png"}, 4, "normal, Melanoma rated 90%", "mel")
    (path,) = draw_worst(model, Mapped(), tmp_path, [case], tmp_path / "out", blank=True)
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["worst-1.png", "worst.png"]
    page = np.asarray(Raster.open(path)).astype(int)
    middle = page[page.shape[0] // 2 - 200 : page.shape[0] // 2 + 200]
    below, above = middle[250:, 20:230].sum(), middle[:150, 20:230].sum()
    assert below > 50 * max(above, 1)
    assert middle[:, 280:500].sum() < below / 50
    assert draw_worst(model, Mapped(), tmp_path, [], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
