from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from models.manifest import Manifest, read_library, read_manifest
from models.weights import Place, ensure_weights, place_of
from node.store.errors import ConfigurationError, HashMismatch

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()

MANIFEST = """
name = "some-model"
version = "1.0.0"
title = "Some"
licence = "none"
intended_use = "tests"
runtime = "models.runtimes.ct_tissue:CtTissue"
input = {{require = []}}
[[structures]]
key = "bone"
name = "Bone"
category = ["SCT", "91723000", "Anatomical Structure"]
type = ["SCT", "272673000", "Bone"]
color = [1, 2, 3]
{weights}
"""


def model(folder: Path, weights: str = "") -> Manifest:
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(MANIFEST.format(weights=weights), encoding="utf-8")
    return read_manifest(folder)


def inside(file: str, sha256: str = SHA256) -> str:
    return f'[[weights]]\nfile = "{file}"\nsha256 = "{sha256}"\n'


FROM_AFAR = inside("w.bin") + 'source = "https://example.org/some/w.bin"\n'


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    copy = tmp_path / "mirror" / "example.org" / "some" / "w.bin"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    return tmp_path / "mirror"


def test_a_model_without_weights_needs_none(tmp_path: Path) -> None:
    manifest = model(tmp_path / "m")

    assert ensure_weights(manifest, tmp_path / "cache", pull=False) == {}
    assert place_of(manifest, tmp_path / "cache") is Place.NONE_NEEDED


def test_weights_in_the_folder_are_checked_each_time(tmp_path: Path) -> None:
    manifest = model(tmp_path / "m", inside("w.bin"))
    file = tmp_path / "m" / "w.bin"
    assert place_of(manifest, tmp_path / "cache") is Place.MISSING
    with pytest.raises(ConfigurationError, match="missing"):
        ensure_weights(manifest, tmp_path / "cache", pull=True)

    file.write_bytes(CONTENT)
    assert ensure_weights(manifest, tmp_path / "cache", pull=False) == {"w.bin": file}
    assert place_of(manifest, tmp_path / "cache") is Place.FOLDER
    assert place_of(read_library()["cxr-lungs"], tmp_path / "cache") is Place.PACKAGE

    file.write_bytes(b"changed")
    with pytest.raises(HashMismatch, match=SHA256):
        ensure_weights(manifest, tmp_path / "cache", pull=False)


def test_weights_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(CONTENT)

    with pytest.raises(ConfigurationError, match="outside"):
        ensure_weights(model(tmp_path / "m", inside("../w.bin")), tmp_path / "cache", pull=True)


def test_weights_from_afar_are_pulled_only_where_allowed(tmp_path: Path, mirror: Path) -> None:
    manifest = model(tmp_path / "m", FROM_AFAR)
    cache = tmp_path / "cache"
    assert place_of(manifest, cache) is Place.TO_BE_PULLED

    with pytest.raises(ConfigurationError, match="overread models pull some-model"):
        ensure_weights(manifest, cache, mirror, pull=False)
    pulled = ensure_weights(manifest, cache, mirror, pull=True)

    assert pulled["w.bin"].read_bytes() == CONTENT
    assert place_of(manifest, cache) is Place.CACHE
    assert ensure_weights(manifest, cache, pull=False) == pulled


def test_a_file_changed_in_the_cache_is_not_used(tmp_path: Path, mirror: Path) -> None:
    manifest = model(tmp_path / "m", FROM_AFAR)
    path = ensure_weights(manifest, tmp_path / "cache", mirror, pull=True)["w.bin"]
    path.write_bytes(b"changed")

    assert ensure_weights(manifest, tmp_path / "cache", mirror, pull=True)["w.bin"].read_bytes() == CONTENT


def test_the_network_is_not_asked_without_leave(tmp_path: Path, mirror: Path) -> None:
    manifest = model(tmp_path / "m", FROM_AFAR)
    path = ensure_weights(manifest, tmp_path / "cache", mirror, pull=True)["w.bin"]
    path.write_bytes(b"changed")

    with pytest.raises(Exception, match="switched off"):
        ensure_weights(manifest, tmp_path / "cache", pull=False)
