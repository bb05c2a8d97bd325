"""The services beside C-ECHO and C-STORE, in one table by SOP class and command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node import command_set
from node.command_set import Command
from node.listener.incoming import Sender
from node.listener.services import availability, commitment, performed_step
from node.listener.services.exchange import PROCESSING_FAILURE, RESOURCE_LIMITATION, Declined, Reply, Request, decoded
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Commitments, Signals
from node.store.settings import Settings

log = get_logger(__name__)

Handler = Callable[[Request], Reply]
Served = tuple[str, str]
"""SOP class and transfer syntax of a presentation context."""

SERVED: Final = frozenset({performed_step.SOP_CLASS, availability.SOP_CLASS, commitment.SOP_CLASS})
"""SOP classes that are accepted beside Verification and Storage."""


class Services:
    """Serves requests; one object for all associations of a listener.

    Parameters
    ----------
    signals
        Port of the catalog: what is said about studies is written before the response.
    commitments
        Port of the catalog: requests to commit.
    settings
        Who may ask us to commit, and which archives we ask.
    """

    def __init__(self, signals: Signals, commitments: Commitments, settings: Settings) -> None:
        requests = commitment.CommitmentRequests(signals, commitments, settings)
        self.reports = commitment.Reports(commitments, settings.limits.lease_s)
        """Reports that go over the association of their request."""
        step, available = performed_step.PerformedStep(signals), availability.Availability(signals)
        self._table: dict[tuple[str, int], Handler] = {
            (performed_step.SOP_CLASS, command_set.N_CREATE_RQ): step.create,
            (performed_step.SOP_CLASS, command_set.N_SET_RQ): step.set,
            (availability.SOP_CLASS, command_set.N_CREATE_RQ): available.create,
            (commitment.SOP_CLASS, command_set.N_ACTION_RQ): requests.action,
            (commitment.SOP_CLASS, command_set.N_EVENT_REPORT_RQ): requests.event_report,
        }

    def serve(self, served: Served, command: Command, content: bytes | None, sender: Sender) -> bytes | None:
        """The encoded response to a request; None where no service has this command.

        Parameters
        ----------
        served
            SOP class and transfer syntax of the presentation context.
        content
            The data set; None where it was longer than a service takes.
        """
        handler = self._table.get((served[0], command.field or 0))
        if handler is None:
            return None
        reply = _reply(handler, served, command, content, sender)
        log.info(
            "service",
            sop_class_uid=served[0],
            command=f"{command.field:04X}",
            status=f"{reply.status:04X}",
            comment=reply.comment,
            calling_ae=sender.calling_ae,
            association_id=sender.association_id,
        )
        return command_set.response(command, reply.status, reply.comment, reply.elements)


def _reply(handler: Handler, served: Served, command: Command, content: bytes | None, sender: Sender) -> Reply:
    if content is None:
        return Reply(RESOURCE_LIMITATION, "the data set is longer than is taken here")
    try:
        return handler(Request(command, served[0], decoded(content, served[1]), sender))
    except Declined as declined:
        return Reply(declined.status, str(declined))
    except Exception as fault:  # noqa: BLE001 - a catalog that is away must not end the association, which may carry images
        log.error("service failed", sop_class_uid=served[0], reason=tell(fault))
        return Reply(PROCESSING_FAILURE, "it could not be recorded: try again")
