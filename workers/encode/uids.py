"""Unique identifiers that come out the same whenever the same work is done again (PS3.5 section B.2)."""

from __future__ import annotations

import uuid
from typing import Final

NAMESPACE: Final = uuid.UUID("6f0d3b52-64c5-5c0e-9a53-5a1f3f1f8b1d")
"""Root of every UID that Overread makes; changing it changes all of them."""


def derived_uid(*parts: str | int) -> str:
    """A UID under ``2.25.`` that depends on `parts` and on nothing else.

    Parameters
    ----------
    parts
        What the object is: installation, study, stack, model and weights, revision, run, kind … Their order counts, and
        ``("a", "bc")`` differs from ``("ab", "c")``.

    Returns
    -------
    str
        ``2.25.`` and the decimal value of a 128-bit UUIDv5: at most 44 characters (PS3.5 section B.2).
    """
    name = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def derived_number(modulus: int, *parts: str | int) -> int:
    """A number from 0 to `modulus` - 1 that depends on `parts` and on nothing else."""
    return int(derived_uid(*parts).removeprefix("2.25.")) % modulus
