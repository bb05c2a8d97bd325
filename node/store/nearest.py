"""Which of the known words was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

ALIKE: Final = 0.6
"""Share of letters from which a word counts as a slip of another."""


def nearest(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """``did you mean …?`` where one of the known words is near, else `otherwise`, else a list of them."""
    words = list(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=ALIKE)
    return f"did you mean {close[0]}?" if close else otherwise or f"there are {', '.join(words)}"
