"""Names of the transfer syntaxes that a destination is sent results in, as settings have them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

Syntax = Literal["made", "explicit", "implicit", "deflated", "rle", "jpeg-ls"]
"""``made``: that in which the object was made; Explicit and Implicit VR Little Endian; Deflated Explicit VR Little Endian;
RLE Lossless and JPEG-LS Lossless, for pixels that these can hold. None of them loses anything."""

FOR_ALL: Final = frozenset({"made", "explicit", "implicit", "deflated"})
"""Of which every kind of object has a form; the others hold pixels of whole bytes only."""

AS_MADE: Final[tuple[Syntax, ...]] = ("made", "explicit", "implicit")
"""What every profile says: a peer that knows none but the default transfer syntax (PS3.5 section 10.1) gets results too."""


def _usable(named: tuple[Syntax, ...]) -> tuple[Syntax, ...]:
    if len(set(named)) < len(named):
        raise ValueError("transfer_syntaxes names one twice: name each once, what is preferred first")
    if not FOR_ALL.intersection(named):
        raise ValueError(
            f"transfer_syntaxes says {', '.join(named)}, which hold no reports: add 'explicit', 'implicit', 'deflated' or 'made'"
        )
    return named


Syntaxes = Annotated[tuple[Syntax, ...], Field(min_length=1), AfterValidator(_usable)]
"""What is preferred first."""
