"""Reports of storage commitment over the association that the request came over, while its requestor is silent there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from node import command_set, upper_layer
from node.command_set import Command
from node.listener.services.commitment import Report, Reports
from node.store.faults import tell
from node.store.log import get_logger

log = get_logger(__name__)

SILENCE_S: Final = 1.0
"""Seconds of silence before a report is sent: a requestor that is about to release is not spoken into."""
_FRAGMENT: Final = 65536


class Listening(Protocol):
    """A connection, as far as waiting needs it."""

    def speaks_within(self, seconds: float) -> bool: ...


class Reporting:
    """The reports of one association.

    Parameters
    ----------
    reports
        What is ready.
    association_id
        Of this association.
    context
        Presentation context id and transfer syntax of the request.
    longest_pdu
        Bytes that the requestor takes in one P-DATA-TF; 0: any.
    send
        Sends PDUs.
    """

    def __init__(
        self, reports: Reports, association_id: str, context: tuple[int, str], longest_pdu: int, send: Callable[[bytes], None]
    ) -> None:
        self._reports = reports
        self._association_id = association_id
        self._context_id, self._syntax = context
        self._fragment = upper_layer.fragment_size(longest_pdu, _FRAGMENT)
        self._send = send
        self._sent: dict[int, Report] = {}
        self._message_id = 0

    def while_silent(self, connection: Listening, longest_s: float) -> None:
        """Send what is ready until the requestor speaks, nothing more is expected, or `longest_s` is over."""
        until = time.monotonic() + longest_s
        while time.monotonic() < until and not connection.speaks_within(SILENCE_S):
            try:
                if not self._reports.expected(self._association_id):
                    return
                report = self._reports.next(self._association_id, self._syntax)
            except Exception as fault:  # noqa: BLE001 - a catalog that is away must not end the association; the registrar brings the report
                log.warning("no report over this association", association_id=self._association_id, reason=tell(fault))
                return
            if report is not None:
                self._bring(report)

    def answered(self, response: Command) -> bool:
        """Take the response to a report; False where it is to none."""
        report = self._sent.pop(response.number(command_set.MESSAGE_ID_RESPONDED_TO) or 0, None)
        if report is None or response.field != command_set.N_EVENT_REPORT_RSP:
            return False
        self._reports.answered(report, response)
        return True

    def _bring(self, report: Report) -> None:
        self._message_id += 1
        self._sent[self._message_id] = report
        elements = {**report.elements, command_set.MESSAGE_ID: self._message_id, command_set.DATA_SET_TYPE: 1}
        encoded = command_set.encode(elements)
        data = upper_layer.data_pdus(self._context_id, report.content, self._fragment)
        self._send(b"".join((upper_layer.command_pdu(self._context_id, encoded), *data)))
