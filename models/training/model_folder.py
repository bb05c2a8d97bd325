"""What a labelled folder says of its labels (``labels.toml``), and the model folder that comes out of a training run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from models.labels import Calibration, Code, Finding, Structure
from models.manifest import Input, Manifest, Requirement, read_manifest
from models.manifest_text import Value, render
from node.store.download import sha256_of
from node.store.errors import ConfigurationError

LABELS: Final = "labels.toml"
NORMAL: Final = ("normal", "negative", "none")
_SCHEME: Final = "99LOCAL"
"""Designators that begin with 99 are private (PS3.16 section 8.2): a word of the data set, no concept of a standard."""
_COLORS: Final = ((230, 110, 80), (88, 166, 226), (112, 204, 166), (238, 200, 90), (170, 130, 210), (150, 160, 170))


class Labels(BaseModel):
    """``labels.toml``: structures in the order of the masks' numbers, findings by their labels, and what the model may read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    structures: tuple[Structure, ...] = ()
    findings: tuple[Finding, ...] = ()
    input: Input | None = None
    title: str = ""
    licence: str = ""
    intended_use: str = ""


def read_labels(folder: Path) -> Labels:
    """``labels.toml`` of a data set; empty where there is none.

    Raises
    ------
    ConfigurationError
        Where it says what it may not.
    """
    path = folder / LABELS
    return read_labels_file(path) if path.is_file() else Labels()


def read_labels_file(path: Path) -> Labels:
    """A ``labels.toml``.

    Raises
    ------
    ConfigurationError
        Where it cannot be read, or says what it may not.
    """
    try:
        return Labels.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as broken:
        raise ConfigurationError(f"{path} cannot be read: {broken}") from broken
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {where}: {first['msg']}") from invalid


def key_of(label: str) -> str:
    """A label as a manifest may name it: small letters, digits and ``_``, a letter first."""
    key = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return key if key[:1].isalpha() else f"label_{key}"


def structures_of(labels: Labels, count: int) -> tuple[Structure, ...]:
    """The structures of a data set whose masks hold 0 to `count`.

    Raises
    ------
    ConfigurationError
        Where ``labels.toml`` names another number.
    """
    if labels.structures:
        if len(labels.structures) < count:
            raise ConfigurationError(f"masks hold {count} structures, {LABELS} names {len(labels.structures)}")
        return labels.structures
    return tuple(
        Structure(
            key=f"structure_{number}",
            name=f"Structure {number}",
            category=Code(value="91723000", scheme="SCT", meaning="Anatomical Structure"),
            type=Code(value=f"STRUCTURE_{number}", scheme=_SCHEME, meaning=f"Structure {number}"),
            color=_COLORS[(number - 1) % len(_COLORS)],
        )
        for number in range(1, count + 1)
    )


def finding_of(
    labels: Labels, key: str, threshold: float, unsure: tuple[float, float] | None, calibration: Calibration | None
) -> Finding:
    """The finding of that key: its code from ``labels.toml``, or a private one; threshold and calibration as measured here.

    A calibration in ``labels.toml`` would be that of another network, and is left out.
    """
    for finding in labels.findings:
        if finding.key == key:
            return finding.model_copy(update={"unsure": finding.unsure or unsure, "calibration": calibration})
    name = key.replace("_", " ").capitalize()[:64]
    code = Code(value=key.upper()[:16], scheme=_SCHEME, meaning=name)
    return Finding(key=key, name=name, code=code, threshold=threshold, unsure=unsure, calibration=calibration)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run has to say to a manifest.

    Parameters
    ----------
    name
        Of the model.
    structures, findings
        What it says.
    parameters
        Of `models.runtimes.network.NetworkModel`.
    evaluation
        Figures by cross-validation.
    require
        What a stack must be like, where ``labels.toml`` has no ``[input]``.
    """

    name: str
    structures: tuple[Structure, ...]
    findings: tuple[Finding, ...]
    parameters: dict[str, Value]
    evaluation: dict[str, Value]
    require: tuple[Requirement, ...]


def write_model(folder: Path, weights: Path, trained: Trained, labels: Labels, dataset: str) -> Manifest:
    """Write ``model.toml`` beside the weights, and read it back.

    The model is for research only until someone who knows says otherwise in ``labels.toml`` or in ``model.toml``.

    Raises
    ------
    ConfigurationError
        Where the name is none that a model may have.
    """
    wanted = labels.input or Input(require=trained.require)
    content: dict[str, Value] = {
        "name": trained.name,
        "version": "0.1.0",
        "title": labels.title or f"{trained.name}, trained from {dataset}",
        "licence": labels.licence or "not stated: that of the data it was trained from",
        "intended_use": labels.intended_use or f"Research: trained from {dataset} and reviewed by nobody yet.",
        "research_only": True,
        "format": "safetensors",
        "parameters": trained.parameters,
        "evaluation": trained.evaluation,
        "input": as_input(wanted),
        "structures": [as_structure(one) for one in trained.structures],
        "findings": [as_finding(one) for one in trained.findings],
        "weights": pinned([weights]),
    }
    text = render({key: value for key, value in content.items() if value not in ([], {})})
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return read_manifest(folder)


def pinned(files: Sequence[Path]) -> list[Value]:
    """``[[weights]]`` of files in the model's folder, with their SHA-256."""
    return [{"file": file.name, "sha256": sha256_of(file)} for file in files]


def as_input(wanted: Input) -> dict[str, Value]:
    """As ``[input]`` of a ``model.toml``."""
    require: list[Value] = [{"rule": one.rule, "otherwise": one.otherwise} for one in wanted.require]
    return {"minimum_slices": wanted.minimum_slices, "require": require}


def _code(code: Code) -> list[Value]:
    return [code.scheme, code.value, code.meaning]


def as_structure(one: Structure) -> dict[str, Value]:
    """As an entry of ``[[structures]]``."""
    content: dict[str, Value] = {"key": one.key, "name": one.name, "category": _code(one.category), "type": _code(one.type)}
    if one.laterality:
        content["laterality"] = _code(one.laterality)
    if one.region:
        content["region"] = _code(one.region)
    return {**content, "color": list(one.color)}


def as_finding(one: Finding) -> dict[str, Value]:
    """As an entry of ``[[findings]]``."""
    content: dict[str, Value] = {"key": one.key, "name": one.name, "code": _code(one.code), "threshold": one.threshold}
    if one.unsure:
        content["unsure"] = list(one.unsure)
    if one.calibration:
        content["calibration"] = as_calibration(one.calibration)
    return content


def as_calibration(one: Calibration) -> dict[str, Value]:
    """As ``calibration`` of an entry of ``[[findings]]``."""
    content: dict[str, Value] = one.model_dump(mode="json")
    return content


def requirements(modality: str, *, pictures: bool, colour: bool, several: bool) -> tuple[Requirement, ...]:
    """What a stack must be like for a network of that kind.

    Parameters
    ----------
    modality
        As in DICOM, several parted by commas; empty: any.
    pictures
        Whether single images are read.
    several
        Whether volumes or sequences are read.
    """
    found = []
    if modality:
        names: Sequence[Any] = [one.strip().upper() for one in modality.split(",")]
        listed = ", ".join(f"'{one}'" for one in names)
        found.append(Requirement(rule=f"modality in [{listed}]", otherwise=f"reads {', '.join(names)}, this is {{modality}}"))
    if pictures:
        found.append(Requirement(rule="slices == 1", otherwise="reads single images, this stack has {slices}"))
    if several:
        found.append(Requirement(rule="slices > 1", otherwise="reads stacks of images, this is a single one"))
    other = "grey" if colour else "coloured"
    found.append(Requirement(rule="colour" if colour else "not colour", otherwise=f"this is a {other} image"))
    return tuple(found)
