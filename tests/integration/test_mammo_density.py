"""`mammo-density` with the authors' weights on the authors' sample examination."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture

from models.image import Header, Image, SpacingKind
from models.manifest import library_folder, read_manifest
from models.runtime import load_model
from models.runtimes.mammo_density import BINS, MammoDensity, histogram
from models.training.deletion import deletion_area, rivals
from models.weights import ensure_weights
from node.store.mammography import STANDARD_VIEWS
from node.store.settings import Settings
from tests import dicom
from workers.run import read_files

PUBLISHED = (0.08194443, 0.7830397, 0.13350312, 0.0015126525)


@pytest.fixture(scope="module")
def sample(shared: Path) -> dict[str, np.ndarray]:
    """The four sample images, 8 bits each."""
    folder = next(
        (shared / "weights" / "raw.githubusercontent.com" / "nyukat" / "breast_density_classifier").glob("*/images"), None
    )
    if folder is None:
        pytest.skip("the mirror of weights is not there")
    return {view: np.asarray(Picture.open(folder / f"{view}.png")) for view in STANDARD_VIEWS}


@pytest.mark.shared
@pytest.mark.parametrize("bits", [8, 16])
def test_the_published_probabilities_of_the_sample_come_back_as_a_report(
    sample: dict[str, np.ndarray], shared: Path, tmp_path: Path, bits: int
) -> None:
    kind = np.uint8 if bits == 8 else np.uint16
    scale = 1 if bits == 8 else 257
    images = [dicom.mammogram(view, pixels.astype(kind) * kind(scale), bits=bits) for view, pixels in sample.items()]
    dicom.write(images, tmp_path / "in")
    settings = Settings(data=tmp_path / "data", mirror=shared / "weights")

    readings = list(read_files("mammo-density", [tmp_path / "in"], tmp_path / "out", settings))

    (reading,) = [one for one in readings if one.outcome == "read"]
    found = [one["probability"] for one in reading.summary["findings"]]
    np.testing.assert_allclose(found, PUBLISHED, atol=0.001)
    assert [one["verdict"] for one in reading.summary["findings"]] == ["absent", "present", "absent", "absent"]
    (report,) = [one for one in map(pydicom.dcmread, reading.files) if one.SOPClassUID == pydicom.uid.BasicTextSRStorage]
    told = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert "most likely: BI-RADS b: scattered fibroglandular densities, probability 0.78" in told


@pytest.mark.shared
def test_the_published_digits_are_those_of_one_way_for_greys_on_edges_to_fall(
    sample: dict[str, np.ndarray], shared: Path, tmp_path: Path
) -> None:
    """Shows that network and weights are the authors', and where the last digits come from."""
    manifest = read_manifest(library_folder() / "mammo-density")
    model = load_model(manifest, ensure_weights(manifest, tmp_path, shared / "weights", pull=True))
    assert isinstance(model, MammoDensity)
    falls = {"L-CC": (0, 0, 0, 0), "R-CC": (1, 1, 1, 1), "L-MLO": (0, 0, 1, 1), "R-MLO": (0, 0, 0, 0)}

    counts = {view: np.bincount(pixels.ravel(), minlength=256) for view, pixels in sample.items()}

    shares = np.concatenate([fallen(counts[view], falls[view]) for view in STANDARD_VIEWS])

    np.testing.assert_allclose(model.probabilities(shares), PUBLISHED, atol=2e-7)
    every = [
        model.probabilities(np.concatenate([fallen(counts[view], ups) for view in STANDARD_VIEWS]))
        for ups in itertools.product((0, 1), repeat=4)
    ]
    assert 0.002 < np.ptp(every, axis=0).max() < 0.01


def fallen(counts: np.ndarray, ups: tuple[int, ...]) -> np.ndarray:
    """Shares of 50 bins of an image's 256 greys; 51, 102, 153 and 204 go to the upper bin where `ups` says so."""
    shares = np.zeros(BINS)
    for grey, count in enumerate(counts):
        place = min(grey * BINS // 255, BINS - 1)
        if grey % 51 == 0 and 0 < grey < 255 and not ups[grey // 51 - 1]:
            place -= 1
        shares[place] += count
    return shares / shares.sum()


@pytest.mark.shared
def test_hiding_what_the_maps_mark_lowers_the_answer_more_than_random_places_and_edges(
    sample: dict[str, np.ndarray], shared: Path, tmp_path: Path
) -> None:
    """What is hidden becomes background; every fourth pixel a side is enough to count greys."""
    manifest = read_manifest(library_folder() / "mammo-density")
    model = load_model(manifest, ensure_weights(manifest, tmp_path, shared / "weights", pull=True))
    assert isinstance(model, MammoDensity)
    headers = [Header(modality="MG", standard_view=view, presentation_intent="FOR PRESENTATION") for view in sample]
    images = [
        Image(pixels[None].astype(np.float32), None, None, SpacingKind.NONE, header)
        for pixels, header in zip(sample.values(), headers, strict=True)
    ]
    maps = model.predict(replace(images[0], together=tuple(images))).heat_maps
    assert {one.key for one in maps} == {"scattered"}
    small = np.concatenate([pixels[::4, ::4].astype(np.float32) for pixels in sample.values()])
    rankings = {"map": np.concatenate([one.array[0, ::4, ::4] for one in maps])}
    for number, part in enumerate(np.split(small, 4)):
        for name, one in rivals(part, 64, number).items():
            rankings[name] = np.concatenate([rankings[name], one]) if name in rankings else one

    def answer(gone: np.ndarray) -> float:
        shares = [histogram(part) for part in np.split(np.where(gone, small.min(), small), 4)]
        probability = model.probabilities(np.concatenate(shares))[1]
        return float(np.log(probability / (1 - probability)))

    areas = {name: deletion_area(answer, one, small > 5) for name, one in rankings.items()}

    assert areas["map"] < areas["random"] - 2, areas
    assert areas["map"] < areas["edges"] - 2, areas
