"""Every error of Overread, and what it means for a peer and for a job.

One root; below it three families that say what to do next:

- `Permanent`: trying again gives the same answer; a person has to change something.
- `Retryable`: trying again later may succeed (the peer is down, the disk is full).
- `Refused`: nothing is broken; this input must not be read this way, and the reason says why.
"""

from __future__ import annotations


class OverreadError(Exception):
    """Root of all errors raised by Overread.

    The message is written for the person who has to act on it, holds no patient data, and may be logged.
    """


class Permanent(OverreadError):
    """Trying again gives the same answer."""


class Retryable(OverreadError):
    """Trying again later may succeed."""


class Refused(OverreadError):
    """The input is not read, and `reason` says why, in words a radiographer can act on.

    Parameters
    ----------
    reason
        One sentence without patient data. UIDs, tags and numbers are welcome.
    code
        A stable word for programs and tests, e.g. ``no-frame-of-reference``. Lower case, hyphens.
    """

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class ConfigurationError(Permanent):
    """A setting, rule or manifest that cannot be used; the message names it and the nearest right one."""


class StorageFull(Retryable):
    """The disk has no room for what arrives (DIMSE A700)."""


class NotUnderstood(Permanent):
    """Bytes that are not the DICOM object they claim to be (DIMSE C000)."""


class DownloadFailed(Retryable):
    """Weights or demonstration data could not be fetched."""


class HashMismatch(Permanent):
    """A file is not the one that its manifest names (SHA-256 differs)."""
