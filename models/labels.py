"""Coded concepts, and what a model may say: structures that it outlines and findings that it rates.

Free of torch: the node reads these too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Code(BaseModel):
    """A coded concept: code value, coding scheme designator, code meaning (PS3.3 section 8.8)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: Annotated[str, Field(min_length=1, max_length=16)]
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: Annotated[str, Field(min_length=1, max_length=64)]

    @model_validator(mode="before")
    @classmethod
    def from_triple(cls, given: object) -> object:
        """Let a manifest write a code as ``["SCT", "39607008", "Lung"]``: scheme, value, meaning."""
        if isinstance(given, list | tuple):
            if len(given) != 3:
                raise ValueError("a code is written as [scheme, value, meaning]")
            return {"scheme": given[0], "value": given[1], "meaning": given[2]}
        return given


class Structure(BaseModel):
    """One structure that a segmentation outlines (one segment of a SEG, PS3.3 section C.8.20.4)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """The model's own word for it; keys of `models.prediction.Segmentation` are these."""
    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What a radiologist reads in the viewer's list of segments."""
    category: Code
    """Segmented Property Category (CID 7150)."""
    type: Code
    """Segmented Property Type."""
    laterality: Code | None = None
    """Segmented Property Type Modifier (CID 244), where the structure is one of a pair."""
    region: Code | None = None
    """Anatomic Region, where it differs from the type."""
    color: tuple[int, int, int]
    """Recommended display colour, sRGB 0 to 255."""

    @model_validator(mode="after")
    def check_color(self) -> Self:
        if not all(0 <= part <= 255 for part in self.color):
            raise ValueError(f"color of {self.key} must be three numbers from 0 to 255")
        return self


LONGEST: Final = 128
"""Characters of a name of images."""


class CalibratedOn(StrEnum):
    """What a calibration was measured on."""

    UNSEEN = "unseen images"
    """Images that nothing of the model was learned from."""
    FOLDS = "cross-validation"
    """Images of the training data, each answered by a network that had not seen it. The map from logits to probabilities is
    usually fitted on these very answers, which flatters it."""


Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class Calibration(BaseModel):
    """How far the probabilities of a finding were from the frequencies that were observed (expected calibration error).

    Of a version of a model, not of an image. Where a finding has none it was not measured, which is not an error of 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: Share
    """Mean distance between stated probability and observed frequency, over `bins` of equal count, weighed by their images."""
    interval: tuple[Share, Share]
    """Of 95 %, by bootstrap over patients. It may begin above `error`: drawing again can only add to it."""
    bins: Annotated[int, Field(strict=True, ge=1)]
    n: Annotated[int, Field(strict=True, ge=1)]
    """Images."""
    by_chance: Share
    """What answers that keep their word exactly show on so many images, on average."""
    by_chance_range: tuple[Share, Share]
    """Of 95 % of the draws of which `by_chance` is the mean."""
    measured_on: CalibratedOn
    images: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """Which they are: ``DATASET/SPLIT``, then conditions, as in ``evaluation.json``, e.g. "cxr_tb/val, source=montgomery"."""

    @model_validator(mode="after")
    def check_ranges(self) -> Self:
        for name, (low, high) in (("interval", self.interval), ("by_chance_range", self.by_chance_range)):
            if low > high:
                raise ValueError(f"{name} must begin with its lower end")
        return self


class Finding(BaseModel):
    """One finding that a classifier rates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    code: Code
    """The finding itself, e.g. SCT 233604007 Pneumonia."""
    threshold: Annotated[float, Field(gt=0, lt=1)]
    """Probability from which the finding is reported as present."""
    unsure: tuple[float, float] | None = None
    """Probabilities between these two are reported as unsure, neither present nor absent."""
    calibration: Calibration | None = None
    """None: not measured."""
