"""A model's weights: where they are, whether they are the right ones, and how they get here."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from models.manifest import Manifest, Weights, library_folder
from node.store.download import Progress, cached_path, fetch, sha256_of
from node.store.errors import ConfigurationError, HashMismatch


class Place(StrEnum):
    """Where a model's weights are."""

    NONE_NEEDED = "none needed"
    PACKAGE = "in the package"
    FOLDER = "in its folder"
    CACHE = "in the cache"
    TO_BE_PULLED = "to be pulled"
    MISSING = "missing"


def ensure_weights(
    manifest: Manifest,
    cache: Path,
    mirror: Path | None = None,
    *,
    pull: bool,
    progress: Callable[[Weights], Progress] | None = None,
) -> dict[str, Path]:
    """Return the path of each file of weights, its SHA-256 checked now, fetching what may be fetched.

    Parameters
    ----------
    manifest
        Of the model.
    cache
        Folder of fetched files (`node.store.settings.Settings.cache`).
    mirror
        Folder laid out as HOST/PATH that stands in for the network.
    pull
        Whether weights that are not here may be fetched.
    progress
        Called with each file to be fetched; what it returns is told how far it is.

    Returns
    -------
    dict
        Paths by `Weights.file`.

    Raises
    ------
    ConfigurationError
        Where a file is missing and may not be fetched; the message says what to press.
    HashMismatch
        Where a file is not the one of the manifest.
    DownloadFailed
        Where it cannot be fetched now.
    """
    found: dict[str, Path] = {}
    for weights in manifest.weights:
        if weights.source is None:
            found[weights.file] = _in_folder(manifest, weights)
            continue
        path = cached_path(weights.source, weights.sha256, cache)
        if not pull and not path.is_file():
            raise ConfigurationError(
                f"the weights {weights.file} of {manifest.name} are not here, and the settings do not allow to fetch them "
                f"on first use: run 'overread models pull {manifest.name}'"
            )
        watch = progress(weights) if progress is not None and not path.is_file() else None
        found[weights.file] = fetch(weights.source, weights.sha256, cache, mirror, allow_network=pull, progress=watch)
    return found


def place_of(manifest: Manifest, cache: Path) -> Place:
    """Where the weights are; files are looked for, not read."""
    if not manifest.weights:
        return Place.NONE_NEEDED
    if any(weights.source is None and not (manifest.folder / weights.file).is_file() for weights in manifest.weights):
        return Place.MISSING
    fetched = [weights for weights in manifest.weights if weights.source is not None]
    if not fetched:
        return Place.PACKAGE if manifest.folder.is_relative_to(library_folder()) else Place.FOLDER
    if all(cached_path(str(weights.source), weights.sha256, cache).is_file() for weights in fetched):
        return Place.CACHE
    return Place.TO_BE_PULLED


def _in_folder(manifest: Manifest, weights: Weights) -> Path:
    path = manifest.folder / weights.file
    if not path.resolve().is_relative_to(manifest.folder.resolve()):
        raise ConfigurationError(f"model {manifest.name}: weights {weights.file} lie outside the model's folder")
    if not path.is_file():
        raise ConfigurationError(f"model {manifest.name}: {path} is missing; install Overread again or correct model.toml")
    actual = sha256_of(path)
    if actual != weights.sha256:
        raise HashMismatch(f"model {manifest.name}: {weights.file} has SHA-256 {actual}, model.toml says {weights.sha256}")
    return path
