"""What a destination's answer to a C-STORE means for the delivery: one table, by status (PS3.4 section B.2.3, PS3.7 annex C)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one file on a way that is not DIMSE.

    Parameters
    ----------
    status
        As of a C-STORE response; None where the destination said nothing of this object.
    reason
        For a person; without patient data.
    retryable
        Without a status: whether another try may store it.
    again_after_s
        Seconds before which the destination wants no other try; None: it does not say.
    heard
        Without a status: whether the destination answered, if only to this object, so that others may be sent all the same.
    note
        Of what was stored, for a person: in which transfer syntax, where that is not the one it was made in.
    """

    path: Path
    status: int | None
    reason: str = ""
    retryable: bool = False
    again_after_s: float | None = None
    heard: bool = False
    note: str = ""


class Disposal(StrEnum):
    """What is done with a delivery after an answer."""

    STORED = "stored"
    RETRY = "retry"  # the same bytes may be taken later
    FAIL = "fail"  # somebody has to change something first


DUPLICATE: Final = 0x0111
"""Duplicate SOP Instance: the peer has it. Bytes never change under a UID of ours, so what it has is what was sent."""

ANSWERS: Final[tuple[tuple[int, int, Disposal, str], ...]] = (
    (0x0000, 0x0000, Disposal.STORED, "stored"),
    (0x0001, 0x0001, Disposal.STORED, "stored, with a warning"),
    (0x0105, 0x0106, Disposal.FAIL, "an attribute was not accepted: see the destination's log for which one"),
    (0x0107, 0x0107, Disposal.STORED, "stored, with a warning about attributes"),
    (0x0110, 0x0110, Disposal.RETRY, "processing failure at the destination"),
    (DUPLICATE, DUPLICATE, Disposal.STORED, "the destination has it already"),
    (0x0112, 0x0115, Disposal.FAIL, "the object was not accepted: see the destination's log"),
    (0x0116, 0x0116, Disposal.STORED, "stored, an attribute value was out of range"),
    (0x0117, 0x0117, Disposal.FAIL, "the destination calls the SOP instance invalid: see its log"),
    (0x0118, 0x0119, Disposal.FAIL, "the destination does not know this SOP class: enable it there"),
    (0x0120, 0x0121, Disposal.FAIL, "the destination misses an attribute: see its log for which one"),
    (
        0x0122,
        0x0122,
        Disposal.FAIL,
        "the destination does not take this SOP class: enable it there, or leave the kind out of the destination's kinds",
    ),
    (0x0124, 0x0124, Disposal.FAIL, "not authorised: let the destination accept our AE title"),
    (0x0210, 0x0210, Disposal.RETRY, "duplicate message id at the destination"),
    (0x0211, 0x0212, Disposal.FAIL, "the destination does not understand C-STORE of this object"),
    (0x0213, 0x0213, Disposal.RETRY, "the destination is out of resources"),
    (0xA700, 0xA7FF, Disposal.RETRY, "the destination is out of resources"),
    (0xA800, 0xA8FF, Disposal.FAIL, "the destination does not take this SOP class"),
    (0xA900, 0xA9FF, Disposal.FAIL, "the destination says that the data set does not match its SOP class: see its log"),
    (0xB000, 0xBFFF, Disposal.STORED, "stored, with a warning"),
    (0xC000, 0xCFFF, Disposal.FAIL, "the destination cannot understand the object: see its log"),
    (0xFE00, 0xFE00, Disposal.RETRY, "cancelled by the destination"),
)
"""``(first status, last status, what is done, what it means)``; no two rows overlap."""


def judge(status: int) -> tuple[Disposal, str]:
    """Say what a status means.

    Parameters
    ----------
    status
        Value of Status (0000,0900) of the C-STORE response.

    Returns
    -------
    What to do, and a sentence for a person that starts with the status. A status that no table of the standard knows is tried
    again: giving up is bounded by `node.store.settings.Limits.delivery_give_up_s`.
    """
    for first, last, disposal, meaning in ANSWERS:
        if first <= status <= last:
            return disposal, f"{status:04X}: {meaning}"
    return Disposal.RETRY, f"{status:04X}: a status that the standard does not know"
