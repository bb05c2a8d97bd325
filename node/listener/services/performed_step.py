"""Modality Performed Procedure Step, as SCP (PS3.4 section F.7): a scanner says what it makes, and what it made."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from node.command_set import ERROR_ID
from node.listener.services.exchange import (
    DUPLICATE_INSTANCE,
    INVALID_ATTRIBUTE_VALUE,
    MISSING_ATTRIBUTE,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    Declined,
    Reply,
    Request,
    uid_of,
)
from node.store.attributes import items, text
from node.store.ports import Signals
from node.store.signals import COMPLETED, DISCONTINUED, IN_PROGRESS, Series, SignalKind

SOP_CLASS: Final = "1.2.840.10008.3.1.2.3.3"
MAY_NO_LONGER_BE_UPDATED: Final = 0xA710
"""Error ID for a step that has ended (PS3.4 section F.7.2.2.2)."""


class PerformedStep:
    """Keeps steps as signals about their studies.

    Parameters
    ----------
    signals
        Port of the catalog.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    def create(self, request: Request) -> Reply:
        """N-CREATE: a step begins (PS3.4 section F.7.2.1)."""
        uid, given = request.new_instance()
        if self._signals.status(SignalKind.MPPS, uid) is not None:
            raise Declined(DUPLICATE_INSTANCE, "this procedure step was created before")
        if _status(request.data_set) != IN_PROGRESS:
            raise Declined(INVALID_ATTRIBUTE_VALUE, f"a procedure step is created {IN_PROGRESS}")
        scheduled = items(request.data_set, "ScheduledStepAttributesSequence")
        if not scheduled:
            raise Declined(MISSING_ATTRIBUTE, "ScheduledStepAttributesSequence is missing")
        studies = dict.fromkeys(uid_of(item, "StudyInstanceUID") for item in scheduled)
        series = _performed(request.data_set)
        self._signals.say(SignalKind.MPPS, uid, request.sender.calling_ae, IN_PROGRESS, dict.fromkeys(studies, series))
        return Reply(elements=given)

    def set(self, request: Request) -> Reply:
        """N-SET: a step goes on, or ends (PS3.4 section F.7.2.2)."""
        uid = request.requested_instance()
        before = self._signals.status(SignalKind.MPPS, uid)
        if before is None:
            raise Declined(NO_SUCH_INSTANCE, "this procedure step was not created here")
        if before != IN_PROGRESS:
            return Reply(
                PROCESSING_FAILURE,
                "Performed Procedure Step Object may no longer be updated",
                {ERROR_ID: MAY_NO_LONGER_BE_UPDATED},
            )
        said = "PerformedProcedureStepStatus" in request.data_set
        status = _status(request.data_set) if said else before
        series = _performed(request.data_set) if "PerformedSeriesSequence" in request.data_set else None
        self._signals.change(SignalKind.MPPS, uid, status, series)
        return Reply()


def _status(dataset: Dataset) -> str:
    status = text(dataset, "PerformedProcedureStepStatus")
    if not status:
        raise Declined(MISSING_ATTRIBUTE, "PerformedProcedureStepStatus is missing")
    if status not in {IN_PROGRESS, COMPLETED, DISCONTINUED}:
        raise Declined(INVALID_ATTRIBUTE_VALUE, "PerformedProcedureStepStatus is none that the standard knows")
    return status


def _performed(dataset: Dataset) -> Series:
    """Instances of the performed series, images and others (PS3.3 section C.4.15)."""
    series: dict[str, frozenset[str]] = {}
    for item in items(dataset, "PerformedSeriesSequence"):
        named = [
            uid_of(one, "ReferencedSOPInstanceUID")
            for keyword in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
            for one in items(item, keyword)
        ]
        uid = uid_of(item, "SeriesInstanceUID")
        series[uid] = series.get(uid, frozenset()) | frozenset(named)
    return series
