"""Storage commitment push model (PS3.4 annex J): requests made to us, and reports on requests of ours.

What is decided, and when, is the business of `node.commitment.registrar`. A report goes over the association of its request where
the requestor keeps that open and is silent; else the registrar opens one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node import command_set
from node.command_set import ACTION_TYPE_ID, EVENT_TYPE_ID, Command
from node.commitment import messages
from node.commitment.report import report_elements
from node.listener.services.exchange import (
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    NO_SUCH_EVENT,
    NO_SUCH_INSTANCE,
    NOT_AUTHORISED,
    Declined,
    Reply,
    Request,
)
from node.store.commitment import CommitmentTask
from node.store.errors import NotUnderstood
from node.store.ports import Commitments, Signals
from node.store.settings import Settings
from node.store.signals import UNKNOWN_SERIES, SignalKind
from node.store.sources import first_said

SOP_CLASS: Final = messages.SOP_CLASS
_OFF: Final = "off"


class CommitmentRequests:
    """Takes requests to commit, and archives' reports.

    Parameters
    ----------
    signals, commitments
        Ports of the catalog.
    settings
        Who may ask, and which archives we ask.
    """

    def __init__(self, signals: Signals, commitments: Commitments, settings: Settings) -> None:
        self._signals = signals
        self._commitments = commitments
        self._settings = settings

    def action(self, request: Request) -> Reply:
        """N-ACTION: commit these (PS3.4 section J.3.2). What it names counts for its study's completeness even where declined."""
        if request.requested_instance() != messages.SOP_INSTANCE:
            raise Declined(NO_SUCH_INSTANCE, "not the well-known instance of storage commitment")
        action = request.command.number(ACTION_TYPE_ID)
        if action != messages.REQUEST_COMMITMENT:
            raise Declined(NO_SUCH_ACTION, "storage commitment has action type 1 only")
        try:
            transaction_uid, references = messages.read_request(request.data_set)
        except NotUnderstood as broken:
            raise Declined(INVALID_ARGUMENT, str(broken)) from broken
        sender = request.sender
        named = {UNKNOWN_SERIES: frozenset(one.sop_instance_uid for one in references)}
        self._signals.say(SignalKind.COMMITMENT, transaction_uid, sender.calling_ae, "", {None: named})
        policy = first_said(self._settings.sources, sender.calling_ae, lambda source: source.commitment) or _OFF
        if policy == _OFF:
            raise Declined(NOT_AUTHORISED, "storage commitment is off for this AE title: nothing is promised")
        self._commitments.request(
            transaction_uid,
            requestor=sender.calling_ae,
            called_ae=sender.called_ae,
            policy=policy,
            association_id=sender.association_id,
            references=references,
        )
        return Reply(elements={ACTION_TYPE_ID: messages.REQUEST_COMMITMENT})

    def event_report(self, request: Request) -> Reply:
        """N-EVENT-REPORT: an archive says what it committed (PS3.4 section J.3.3)."""
        event = request.command.number(EVENT_TYPE_ID)
        if event not in {messages.ALL_COMMITTED, messages.FAILURES_EXIST}:
            raise Declined(NO_SUCH_EVENT, "storage commitment has event types 1 and 2 only")
        try:
            transaction_uid, outcome = messages.read_report(request.data_set)
        except NotUnderstood as broken:
            raise Declined(INVALID_ARGUMENT, str(broken)) from broken
        asked = self._commitments.asked(transaction_uid)
        archive = self._settings.asked(asked.archive) if asked else None
        if archive is None:
            raise Declined(INVALID_ARGUMENT, "nothing was asked under this transaction UID")
        if archive.ae_title != request.sender.calling_ae:
            raise Declined(NOT_AUTHORISED, "somebody else was asked under this transaction UID")
        self._commitments.answered(transaction_uid, outcome)
        return Reply(elements={EVENT_TYPE_ID: event})


@dataclass(frozen=True, slots=True)
class Report:
    """A report to be sent over the association of its request: command elements and data set."""

    task: CommitmentTask
    elements: dict[int, bytes | str | int]
    content: bytes


class Reports:
    """Reports that go over the association of their request.

    Parameters
    ----------
    commitments
        Port of the catalog.
    lease_s
        Seconds that the requestor has to answer one; after these the registrar brings it.
    """

    def __init__(self, commitments: Commitments, lease_s: float) -> None:
        self._commitments = commitments
        self._lease_s = lease_s

    def expected(self, association_id: str) -> bool:
        """Whether a request that came over this association is not reported yet."""
        return self._commitments.unreported(association_id)

    def next(self, association_id: str, transfer_syntax_uid: str) -> Report | None:
        """A report that is ready."""
        task = self._commitments.claim_over(association_id, f"association-{association_id}", self._lease_s)
        if task is None:
            return None
        event_type, content = messages.write_report(task.transaction_uid, task.references, task.outcome, transfer_syntax_uid)
        return Report(task, report_elements(event_type), content)

    def answered(self, report: Report, response: Command) -> None:
        """The requestor answered a report; what it did not take the registrar brings again."""
        if response.number(command_set.STATUS) == 0:
            self._commitments.reported(report.task)
