"""The published examination is fetched, rated and compared; here one of our own, from a mirror."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from models.image import Image
from models.manifest import Manifest, Published, PublishedImage, library_folder, read_manifest
from models.prediction import Prediction, Rating
from models.training.published import reproduce
from node.store.errors import ConfigurationError, DownloadFailed, Refused
from node.store.settings import Settings

ADDRESS = "https://example.org/films/"


class Reads:
    """Says how bright each view is."""

    def __init__(self, views: dict[str, str]) -> None:
        self._views = views

    def predict(self, image: Image) -> Prediction:
        seen = {one.header.standard_view: float(one.array.mean()) / 255 for one in image.together}
        if set(seen) != set(self._views.values()) or image.header.modality != "MG":
            raise Refused("not these", "views")
        return Prediction(ratings=tuple(Rating(key, seen[view]) for key, view in self._views.items()))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", mirror=tmp_path / "mirror", pull=True)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    folder = tmp_path / "mirror" / "example.org" / "films"
    folder.mkdir(parents=True)
    images = []
    for view, grey in (("L-CC", 51), ("R-CC", 204)):
        Picture.fromarray(np.full((4, 5), grey, np.uint8)).save(folder / f"{view}.png")
        sha256 = hashlib.sha256((folder / f"{view}.png").read_bytes()).hexdigest()
        images.append(PublishedImage(source=f"{ADDRESS}{view}.png", sha256=sha256, view=view))
    published = Published(about="one of ours", images=tuple(images), probabilities={"fatty": 0.2, "extreme": 0.79}, within=0.02)
    return read_manifest(library_folder() / "mammo-density").model_copy(update={"published": published})


def test_says_how_far_the_answer_is_from_what_was_published(manifest: Manifest, settings: Settings) -> None:
    figures = reproduce(manifest, Reads({"fatty": "L-CC", "extreme": "R-CC"}), settings)
    assert figures["found"] == {"fatty": pytest.approx(0.2), "extreme": pytest.approx(0.8)}
    assert figures["largest_difference"] == pytest.approx(0.01)
    assert figures["reproduced"] is True
    swapped = reproduce(manifest, Reads({"fatty": "R-CC", "extreme": "L-CC"}), settings)
    assert swapped["reproduced"] is False


def test_what_stands_in_the_way_is_told(manifest: Manifest, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="refuses the published examination: not these"):
        reproduce(manifest, Reads({"fatty": "L-MLO"}), settings)
    nothing = manifest.model_copy(update={"published": None})
    with pytest.raises(ConfigurationError, match="names no published examination: give a folder"):
        reproduce(nothing, Reads({}), settings)
    away = settings.model_copy(update={"mirror": None, "pull": False, "data": settings.data / "other"})
    with pytest.raises(DownloadFailed):
        reproduce(manifest, Reads({}), away)


def test_probabilities_are_of_findings_that_there_are() -> None:
    shipped = read_manifest(library_folder() / "mammo-density")
    assert shipped.published is not None
    content = shipped.model_dump(exclude={"folder"})
    content["published"]["probabilities"]["dense"] = 0.1
    with pytest.raises(ValueError, match=r"published\.probabilities names dense, which is no finding"):
        Manifest.model_validate(content)
