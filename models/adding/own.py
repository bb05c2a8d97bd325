"""A folder with a ``model.toml``: its gaps are filled, its files copied and pinned."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any, Final

from models.adding.draft import Wishes
from models.manifest_text import render
from node.store.download import sha256_of
from node.store.errors import ConfigurationError, HashMismatch

_BESIDE: Final = ("MODEL_CARD.md", "evaluation.json", "training.json", "*.png", "*.jpg", "LICEN[CS]E*")
"""Taken along where they are there."""


def take_folder(path: Path, into: Path, wishes: Wishes) -> None:
    """Copy the model of `path` to `into`.

    ``version``, ``title``, ``licence``, ``intended_use`` may be missing: the model is for research only then. ``sha256`` of a
    file may be missing: it is that of the file as it is now.

    Raises
    ------
    ConfigurationError
        Where ``model.toml`` cannot be read, or names a file that is missing or lies elsewhere.
    HashMismatch
        Where a file is not the one that ``model.toml`` names.
    """
    try:
        content: dict[str, Any] = tomllib.loads((path / "model.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise ConfigurationError(f"{path / 'model.toml'} cannot be read: {broken}") from broken
    if wishes.name:
        content["name"] = wishes.name
    name = str(content.get("name", path.name))
    if "intended_use" not in content:
        content["research_only"] = True
    defaults = {"name": name, "version": "0.1.0", "title": name, "licence": "not stated", "intended_use": "Research only."}
    content = {**defaults, **content}
    weights = content.get("weights", [])
    if not isinstance(weights, list) or not all(isinstance(one, dict) and isinstance(one.get("file"), str) for one in weights):
        raise ConfigurationError("[[weights]] must be tables with the name of a file")
    for one in weights:
        if "source" not in one:
            one["sha256"] = _take(path, into, one["file"], one.get("sha256"))
    for file in (file for pattern in _BESIDE for file in path.glob(pattern) if file.is_file() and not file.is_symlink()):
        shutil.copyfile(file, into / file.name)
    try:
        text = render(content)
    except TypeError as odd:
        raise ConfigurationError(f"{path / 'model.toml'}: {odd}") from odd
    (into / "model.toml").write_text(text, encoding="utf-8")


def _take(path: Path, into: Path, file: str, expected: str | None) -> str:
    if Path(file).name != file or not (path / file).resolve().is_relative_to(path.resolve()):
        raise ConfigurationError(f"{file} must lie in the model's folder itself")
    if not (path / file).is_file():
        raise ConfigurationError(f"{path / file} is missing")
    shutil.copyfile(path / file, into / file)
    actual = sha256_of(into / file)
    if expected is not None and actual != expected:
        raise HashMismatch(f"{file} has SHA-256 {actual}, model.toml says {expected}: it is another file, or was cut short")
    return actual
