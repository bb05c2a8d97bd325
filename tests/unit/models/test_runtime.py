"""A manifest's runtime is ours, or it is not loaded."""

from __future__ import annotations

import pytest

from models.manifest import Manifest
from models.runtime import load_model
from node.store.errors import ConfigurationError


def manifest(runtime: str) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "some",
            "version": "1.0.0",
            "title": "Some",
            "licence": "x",
            "intended_use": "x",
            "runtime": runtime,
            "input": {"require": []},
            "findings": [{"key": "a", "name": "A", "code": ["SCT", "1", "A"], "threshold": 0.5}],
        }
    )


@pytest.mark.parametrize(
    "runtime",
    ["os:system", "subprocess:Popen", "models.runtimes.nothing_here:Model", "models.manifest:Manifest", "models.runtimes.x"],
)
def test_only_runtimes_of_ours_are_loaded(runtime: str) -> None:
    with pytest.raises(ConfigurationError, match="runtime"):
        load_model(manifest(runtime), {})
