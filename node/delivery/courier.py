"""Brings result objects to their destinations, one thread a destination: one that is down never holds up another."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Protocol

import structlog

from node.delivery.breaker import Breaker
from node.delivery.errand import Errand, Known, Sender
from node.delivery.waits import Waits
from node.store.clock import Clock, SystemClock
from node.store.destinations import (
    AnyDestination,
    Destination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    WebDestination,
)
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Breakers, Outbox
from node.store.settings import Settings

log = get_logger(__name__)


class HasOutbox(Protocol):
    """A catalog, as far as the courier needs it."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def breakers(self) -> Breakers: ...


def sender_to(destination: AnyDestination, settings: Settings, urgent: bool) -> Sender:
    """The sender to one destination, of whatever sort; what is `urgent` is marked so where the protocol has a mark for it."""
    if isinstance(destination, WebDestination):
        from node.delivery.stow import StowSender

        return StowSender(destination)
    if isinstance(destination, FolderDestination):
        from node.delivery.folder import FolderSender

        return FolderSender(destination.folder, destination.transfer_syntaxes)
    if isinstance(destination, Hl7Destination):
        from node.delivery.mllp import MllpSender

        return MllpSender(destination)
    if isinstance(destination, FhirDestination):
        from node.delivery.fhir import FhirSender

        return FhirSender(destination)
    from node.store_scu import StoreScu

    title, syntaxes = destination.calling_ae or settings.ae_title, destination.transfer_syntaxes
    return StoreScu(destination, title, syntaxes=syntaxes, urgent=urgent)


class Courier:
    """Delivers what is due in the outbox, until told to stop.

    Parameters
    ----------
    settings
        Destinations and limits.
    catalog
        Its outbox says what is due, and keeps what became of it.
    sender
        Makes the sender to a destination.
    poll_s
        Seconds between two looks at an outbox with nothing due.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: HasOutbox,
        *,
        clock: Clock | None = None,
        sender: Callable[[AnyDestination, Settings, bool], Sender] = sender_to,
        poll_s: float = 0.25,
    ) -> None:
        self._settings = settings
        self._outbox = catalog.outbox
        self._breakers = catalog.breakers
        self._clock = clock or SystemClock()
        self._sender = sender
        self._poll_s = poll_s
        self._name = f"courier-{uuid.uuid4()}"

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; the object on the wire then is finished, within `Limits.drain_s` seconds."""
        threads = [
            threading.Thread(target=self._serve, args=(destination, stop), name=f"courier-{destination.name}", daemon=True)
            for destination in self._settings.destinations
        ]
        for thread in threads:
            thread.start()
        stop.wait()
        end = time.monotonic() + self._settings.limits.drain_s
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def errand(self, destination: AnyDestination) -> Errand:
        """The way to one destination."""
        waits = Waits.of(self._settings.limits)
        return Errand(
            destination.name,
            self._outbox,
            lambda urgent: self._sender(destination, self._settings, urgent),
            waits=waits,
            ask=self._ask(destination),
            breaker=Breaker(destination.name, self._breakers, waits, self._clock),
            clock=self._clock,
            deliverer=self._name,
            lease_s=self._settings.limits.lease_s,
        )

    def _ask(self, destination: AnyDestination) -> Callable[[str], Known] | None:
        if not isinstance(destination, Destination) or not destination.reconcile:
            return None
        from node.delivery.reconcile import known

        calling_ae = self._settings.ae_title
        return lambda study_uid: known(destination, calling_ae, study_uid)

    def _serve(self, destination: AnyDestination, stop: threading.Event) -> None:
        errand = self.errand(destination)
        with structlog.contextvars.bound_contextvars(destination=destination.name):
            while not stop.is_set():
                try:
                    tried = errand.deliver(stop)
                except Exception as fault:  # noqa: BLE001
                    # A catalog that does not answer must not end the deliveries; leases bring back what was claimed.
                    log.error("delivery interrupted", reason=tell(fault))
                    tried = 0
                if not tried:
                    stop.wait(self._poll_s)
