"""What ``overread check`` says of one thing it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing is wrong
    FAULT = "fault"  # something will not work; exit status 1


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at.

    Parameters
    ----------
    part
        ``configuration``, ``destination``, ``decoder``, ``weights``, ``approval``, ``disk``, ``catalog``, ``retention``,
        ``queue``, ``port``, ``tls``, ``sources`` or ``page``.
    subject
        What it was: a destination's name, a transfer syntax, a model.
    says
        What was found.
    to_do
        What to do about it; empty where nothing is to be done.
    """

    part: str
    subject: str
    level: Level
    says: str
    to_do: str = ""


def ok(part: str, subject: str, says: str) -> Checked:
    """Nothing to do."""
    return Checked(part, subject, Level.OK, says)


def note(part: str, subject: str, says: str, to_do: str = "") -> Checked:
    """Worth knowing."""
    return Checked(part, subject, Level.NOTE, says, to_do)


def fault(part: str, subject: str, says: str, to_do: str) -> Checked:
    """Will not work until something is done."""
    return Checked(part, subject, Level.FAULT, says, to_do)
