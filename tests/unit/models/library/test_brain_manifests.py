"""Every code on the brain models' manifests is one of the dictionary's, and class n is structure n."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

from models.labels import Code
from models.manifest import Manifest, library_folder, read_manifest

NAMES = sorted(path.parent.name for path in library_folder().glob("brain-*/model.toml") if "brainchop" in path.read_text())


def in_dictionary(code: Code) -> bool:
    return any(
        code.value in meanings and code.meaning.lower() == meanings[code.value][0].lower()
        for meanings in concepts[code.scheme].values()
    )


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_in_pydicoms_dictionary(name: str) -> None:
    for structure in read_manifest(library_folder() / name).structures:
        codes = [structure.category, structure.type, *([structure.laterality] if structure.laterality else [])]
        assert [code for code in codes if not in_dictionary(code)] == []


def test_deep_structures_are_of_the_context_group_for_volumes_of_the_brain() -> None:
    """CID 7140, Brain Structure for Volumetric Measurement."""
    for structure in read_manifest(library_folder() / "brain-regions").structures:
        groups = [
            cid
            for meanings in concepts[structure.type.scheme].values()
            for cid in meanings.get(structure.type.value, ("", []))[1]
        ]
        assert 7140 in groups, structure.key


@pytest.mark.parametrize("name", NAMES)
def test_colours_tell_the_structures_apart_and_paired_ones_have_a_side(name: str) -> None:
    structures = read_manifest(library_folder() / name).structures

    assert len(structures) == len({structure.name for structure in structures})
    midline = {"third_ventricle", "fourth_ventricle", "brain_stem", "csf"}
    assert all(
        (structure.laterality is None) == (structure.key.startswith("corpus_callosum") or structure.key in midline)
        for structure in structures
    )


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_structures_stand_in_the_order_of_the_networks_classes(shared: Path, name: str) -> None:
    manifest = read_manifest(library_folder() / name)
    folder = mirrored(manifest, shared)
    if not (folder / "colormap.json").is_file():
        pytest.skip("the mirror of weights is not there, or holds no names of this network's classes")
    colours = json.loads((folder / "colormap.json").read_text())

    assert [structure.color for structure in manifest.structures] == list(
        zip(*(colours[band][1:] for band in "RGB"), strict=True)
    )
    for structure, label in zip(manifest.structures, colours["labels"][1:], strict=True):
        told = label.lower().replace("-", " ").replace("_", " ").split()
        side = "Left" if {"left", "lh"} & set(told) else "Right" if {"right", "rh"} & set(told) else "Bilateral"
        assert structure.laterality is None or structure.laterality.meaning == side


def mirrored(manifest: Manifest, shared: Path) -> Path:
    """The folder of the mirror that the manifest's addresses lead to."""
    return (shared / "weights" / str(manifest.weights[0].source).removeprefix("https://")).parent
