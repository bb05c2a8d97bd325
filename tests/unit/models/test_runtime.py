"""A manifest's runtime is ours, or it is not loaded."""

from __future__ import annotations

import importlib

import pytest

from models.image import Image
from models.labels import Calibration
from models.manifest import CODE, FORMATS, Manifest, read_library
from models.prediction import Prediction, Rating
from models.runtime import answer, load_model
from node.store.errors import ConfigurationError
from tests.unit.models.phantom import chest, image
from tests.unit.workers.encode.samples import CALIBRATION

OTHER = CALIBRATION.model_copy(update={"error": 0.2})


def manifest(runtime: str, **finding: object) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "some",
            "version": "1.0.0",
            "title": "Some",
            "licence": "x",
            "intended_use": "x",
            "runtime": runtime,
            "input": {"require": []},
            "findings": [{"key": "a", "name": "A", "code": ["SCT", "1", "A"], "threshold": 0.5, **finding}],
        }
    )


@pytest.mark.parametrize(
    "runtime",
    ["os:system", "subprocess:Popen", "models.runtimes.nothing_here:Model", "models.manifest:Manifest", "models.runtimes.x"],
)
def test_only_runtimes_of_ours_are_loaded(runtime: str) -> None:
    with pytest.raises(ConfigurationError, match="runtime"):
        load_model(manifest(runtime), {})


def test_what_takes_files_for_code_is_known_without_loading_it() -> None:
    """The node, which never loads torch, asks the manifest; the runtimes themselves have the word."""
    stated = {one.runtime for one in read_library().values()} | set(FORMATS.values())
    assert {runtime for runtime in stated if executes(runtime)} == CODE & stated


class Rates:
    """Says these ratings of every image."""

    def __init__(self, *ratings: Rating) -> None:
        self._ratings = ratings

    def predict(self, image: Image) -> Prediction:
        return Prediction(ratings=self._ratings, notes=("a note",))


@pytest.mark.parametrize(
    ("given", "stated", "handed_on"),
    [(None, CALIBRATION, CALIBRATION), (None, None, None), (OTHER, CALIBRATION, OTHER), (OTHER, None, OTHER)],
)
def test_a_rating_is_handed_on_with_the_calibration_of_its_finding(
    given: Calibration | None, stated: Calibration | None, handed_on: Calibration | None
) -> None:
    made = manifest("models.runtimes.x:X", calibration=stated)
    rates = Rates(Rating("a", 0.3, 0.1, given), Rating("unknown", 0.4))

    said = answer(rates, made, image(chest()))

    assert said == Prediction(ratings=(Rating("a", 0.3, 0.1, handed_on), Rating("unknown", 0.4)), notes=("a note",))


def executes(runtime: str) -> bool:
    module, _, name = runtime.partition(":")
    return bool(getattr(getattr(importlib.import_module(module), name), "executes_weights", False))
