"""Manifests of models that are none: what figures are made of, and nothing to run."""

from __future__ import annotations

from models.labels import Code, Structure
from models.manifest import Input, Manifest

CODE = Code(scheme="SCT", value="1", meaning="x")


def manifest(name: str, **said: object) -> Manifest:
    return Manifest(
        name=name,
        version="1.0.0",
        title="t",
        licence="l",
        intended_use="i",
        runtime="models.runtimes.x:X",
        input=Input(require=()),
        **said,  # type: ignore[arg-type]
    )


def structures(*keys: str) -> tuple[Structure, ...]:
    return tuple(Structure(key=key, name=key, category=CODE, type=CODE, color=(1, 2, 3)) for key in keys)
