"""A manifest's runtime is ours, or it is not loaded."""

from __future__ import annotations

import importlib

import pytest

from models.manifest import CODE, FORMATS, Manifest, read_library
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


def test_what_takes_files_for_code_is_known_without_loading_it() -> None:
    """The node, which never loads torch, asks the manifest; the runtimes themselves have the word."""
    stated = {one.runtime for one in read_library().values()} | set(FORMATS.values())
    assert {runtime for runtime in stated if executes(runtime)} == CODE & stated


def executes(runtime: str) -> bool:
    module, _, name = runtime.partition(":")
    return bool(getattr(getattr(importlib.import_module(module), name), "executes_weights", False))
