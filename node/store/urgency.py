"""What a destination calls urgent: findings whose results it is sent before all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field

UrgentFinding = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*?-]+(/[A-Za-z0-9_.*?-]+)?$", max_length=200)]
"""Key of a finding, as ``model.toml`` has it, or ``MODEL/KEY``; ``*`` and ``?`` are wildcards."""


def names(pattern: str, model: str, key: str) -> bool:
    """Whether a pattern stands for a finding of a model."""
    return fnmatchcase(f"{model}/{key}" if "/" in pattern else key, pattern)


def urgent(patterns: Sequence[str], model: str, keys: Iterable[str]) -> list[str]:
    """Which findings of a model are urgent, of those whose keys are given."""
    return [key for key in keys if any(names(pattern, model, key) for pattern in patterns)]


def raised(summary: Mapping[str, Any]) -> dict[str, str]:
    """Names by key of the findings that an answer reports as present, or that reach their threshold (`ResultSet.summary`)."""
    return {one["key"]: one["name"] for one in summary.get("findings", ()) if one.get("raised")}
