"""What an added model's folder is made of: the content of its ``model.toml``, and files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from models.labels import Structure
from models.manifest import Input, Requirement
from models.manifest_text import Value
from models.training.model_folder import Labels, as_input, as_structure, key_of, pinned, structures_of
from node.store.errors import ConfigurationError

MODALITIES: Final = {"CT": "CT", "MR": "MR", "MRI": "MR", "T1": "MR", "T2": "MR", "FLAIR": "MR", "PET": "PT", "US": "US"}
"""DICOM's word for what nnU-Net and MONAI call a channel or a modality."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever adds a model says about it.

    Parameters
    ----------
    name
        Of the model; None: as its own files say.
    labels
        Structures with their codes, input selection and licence (a ``labels.toml``); empty: private codes.
    modality
        That it reads; empty: as its own files say.
    orientation
        Where the axes of the arrays that it was trained on lead (nnU-Net).
    """

    name: str | None = None
    labels: Labels = field(default_factory=Labels)
    modality: str = ""
    orientation: str = "SPL"


def modality_of(words: Sequence[str], wishes: Wishes) -> str:
    """The modality that a model reads.

    Raises
    ------
    ConfigurationError
        Where neither its files nor the wishes say one.
    """
    if wishes.modality:
        return wishes.modality
    for word in words:
        known = MODALITIES.get(word.upper().split("-")[0].split("_")[0])
        if known:
            return known
    raise ConfigurationError(f"which modality it reads is not clear from {', '.join(words) or 'its files'}: give --modality")


@dataclass(frozen=True, slots=True)
class Described:
    """What a foreign model's own files say of it.

    Parameters
    ----------
    format
        One of `models.manifest.FORMATS`.
    name, title, licence
        As its files or its folder say.
    structures
        Names of what it outlines, in the order of its outputs.
    modality
        Words for what it reads.
    """

    format: str
    name: str
    title: str
    licence: str
    structures: tuple[str, ...]
    modality: tuple[str, ...]


def volume_manifest(
    described: Described, wishes: Wishes, files: Sequence[Path], parameters: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """Content of the ``model.toml`` of a model that outlines in volumes.

    Raises
    ------
    ConfigurationError
        Where its modality is not known, or ``labels.toml`` names too few structures.
    """
    labels = wishes.labels
    modality = modality_of(described.modality, wishes)
    structures = structures_of(labels, len(described.structures))
    if not labels.structures:
        structures = tuple(_named(one, name) for one, name in zip(structures, described.structures, strict=True))
    return {
        "name": wishes.name or key_of(described.name).replace("_", "-"),
        "version": "0.1.0",
        "title": labels.title or described.title,
        "licence": labels.licence or described.licence or "not stated",
        "intended_use": labels.intended_use or "Research: added from elsewhere and reviewed by nobody yet.",
        "research_only": not labels.intended_use,
        "format": described.format,
        **({"parameters": parameters} if parameters else {}),
        "input": as_input(labels.input or Input(require=_rules(modality), minimum_slices=3)),
        "structures": [as_structure(one) for one in structures],
        "weights": pinned(files),
    }


def _rules(modality: str) -> tuple[Requirement, ...]:
    listed = ", ".join(f"'{one.strip().upper()}'" for one in modality.split(","))
    return (
        Requirement(rule=f"modality in [{listed}]", otherwise=f"reads {modality}, this is {{modality}}"),
        Requirement(rule="not localizer and not colour", otherwise="reads grey volumes, not localizers"),
        Requirement(rule="slices >= 3", otherwise="needs a volume, this has {slices} slices"),
    )


def _named(structure: Structure, name: str) -> Structure:
    key = key_of(name)
    code = structure.type.model_copy(update={"value": key.upper()[:16], "meaning": name[:64]})
    return structure.model_copy(update={"key": key, "name": name[:64], "type": code})


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    ConfigurationError
        Where it is missing or none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as broken:
        raise ConfigurationError(f"{path} cannot be read: {broken}") from broken
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} is no JSON object")
    return content
