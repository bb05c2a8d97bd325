"""Instance Availability Notification, as SCP (PS3.4 section R.3): an archive says which instances of a study it has."""

from __future__ import annotations

from typing import Final

from node.listener.services.exchange import DUPLICATE_INSTANCE, MISSING_ATTRIBUTE, Declined, Reply, Request, uid_of
from node.store.attributes import items, text
from node.store.ports import Signals
from node.store.signals import SignalKind

SOP_CLASS: Final = "1.2.840.10008.5.1.4.33"
_GONE: Final = "UNAVAILABLE"
"""Instance Availability of what nobody can send any more (PS3.3 section C.4.23.1.1)."""


class Availability:
    """Keeps notifications as signals about their studies.

    Parameters
    ----------
    signals
        Port of the catalog.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def create(self, request: Request) -> Reply:
        """N-CREATE: instances are available (PS3.4 section R.3.2)."""
        uid, given = request.new_instance()
        if self._signals.status(SignalKind.AVAILABILITY, uid) is not None:
            raise Declined(DUPLICATE_INSTANCE, "this notification came before")
        study_uid = uid_of(request.data_set, "StudyInstanceUID")
        referenced = items(request.data_set, "ReferencedSeriesSequence")
        if not referenced:
            raise Declined(MISSING_ATTRIBUTE, "ReferencedSeriesSequence is missing")
        series = {
            uid_of(item, "SeriesInstanceUID"): frozenset(
                uid_of(one, "ReferencedSOPInstanceUID")
                for one in items(item, "ReferencedSOPSequence")
                if text(one, "InstanceAvailability") != _GONE
            )
            for item in referenced
        }
        self._signals.say(SignalKind.AVAILABILITY, uid, request.sender.calling_ae, "", {study_uid: series})
        return Reply(elements=given)
