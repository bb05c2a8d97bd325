"""One look at the outbox for one destination: what is due is sent over one association, and each object's fate is recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from node.delivery.answers import Disposal, judge
from node.delivery.breaker import Breaker
from node.delivery.pulse import Pulse
from node.delivery.waits import Waits, jitter
from node.store.clock import Clock
from node.store.errors import OverreadError, Retryable
from node.store.faults import tell
from node.store.log import get_logger
from node.store.ports import Outbox
from node.store.records import OutboxItem

log = get_logger(__name__)

BATCH: Final = 100
"""Objects claimed at once, and sent over one association."""
_LONGEST_ASKED_WAIT_S: Final = 86400.0
"""Longest wait, seconds, that a destination may ask for."""


class Answer(Protocol):
    """What became of one file: `node.store_scu.Verdict`."""

    @property
    def path(self) -> Path: ...

    @property
    def status(self) -> int | None:
        """Status of the C-STORE response; None where there was none."""
        ...

    @property
    def reason(self) -> str: ...

    @property
    def retryable(self) -> bool:
        """Without a status: whether another try may store it, the peer being reached or put right."""
        ...

    @property
    def heard(self) -> bool:
        """Without a status: whether the destination answered all the same, so that it is not down."""
        ...

    @property
    def again_after_s(self) -> float | None:
        """Seconds before which the destination wants no other try; None: it does not say."""
        ...

    @property
    def note(self) -> str:
        """Of what was stored: how, where a person should know."""
        ...


class Known(Protocol):
    """What a destination knows of a study: `node.delivery.reconcile.KnownStudy`."""

    def differs(self, path: Path) -> str:
        """Why a file of the study is to be held; empty where it may go."""
        ...


class Sender(Protocol):
    """What sends files over one association, or a few: `node.store_scu.StoreScu`."""

    def send(self, paths: Sequence[Path]) -> Iterator[Answer]:
        """Send files; one answer for each, as they come. Raises `OverreadError` where nothing can be sent."""
        ...


class Errand:
    """The way to one destination.

    Parameters
    ----------
    destination
        Its name.
    outbox
        Says what is due, and keeps what became of it.
    sender
        Makes a sender, for one association; told whether what it is to send is urgent.
    waits
        When a delivery is tried again.
    breaker
        Holds everything back while the destination is down.
    ask
        Asks the destination, before anything is sent, what it knows of a study; None: it is not asked.
    deliverer
        Who we are in the outbox's leases.
    lease_s
        Length of those leases, seconds.
    """

    def __init__(
        self,
        destination: str,
        outbox: Outbox,
        sender: Callable[[bool], Sender],
        *,
        waits: Waits,
        breaker: Breaker,
        ask: Callable[[str], Known] | None = None,
        clock: Clock,
        deliverer: str,
        lease_s: float,
    ) -> None:
        self._destination = destination
        self._outbox = outbox
        self._sender = sender
        self._waits = waits
        self._breaker = breaker
        self._ask = ask
        self._clock = clock
        self._deliverer = deliverer
        self._lease_s = lease_s
        self._jitter = 1.0
        self._heard: bool | None = None
        """Whether the destination said something; None where it was not spoken to."""
        self._unheard = ""
        """Why an object got no answer, by a sender that tells of each rather than raises."""
        self._gave_way = False
        """Whether the rest is left due because something urgent is."""

    def deliver(self, stop: threading.Event) -> int:
        """Send what is due now; return how many objects were claimed.

        Where `stop` is set halfway, or something urgent becomes due while other jobs' results are sent, the rest stays due.
        """
        if self._breaker.holds:
            return 0
        most = 1 if self._breaker.probes else BATCH
        items = self._outbox.claim(self._destination, self._deliverer, self._lease_s, most)
        left = {Path(item.path): item for item in items}
        if not left:
            return 0
        self._jitter = jitter()
        self._heard = None
        self._unheard = ""
        self._gave_way = False
        reason = "the association ended without an answer for it"
        with Pulse(self._outbox, items, self._lease_s) as pulse:
            try:
                self._send(left, pulse, stop)
            except OverreadError as error:
                # A peer that rejects us may be put right tomorrow: only an answer to the object itself ends its delivery.
                reason = str(error)
            if left and not self._heard and not self._gave_way:
                self._heard = False
            self._tell_breaker(self._unheard or reason, stopped=stop.is_set())
            for item in left.values():
                if stop.is_set():
                    self._outbox.put_back(item, "Overread was stopped before it was sent")
                elif self._gave_way:
                    self._outbox.put_back(item, "something urgent goes first")
                else:
                    self._settle(item, Disposal.RETRY, reason)
        return len(items)

    def _send(self, left: dict[Path, OutboxItem], pulse: Pulse, stop: threading.Event) -> None:
        """Send `left`, taking from it what is settled, until the end or `stop`."""
        for path in [path for path in left if not path.is_file()]:
            item = left.pop(path)
            pulse.drop(item)
            self._settle(item, Disposal.FAIL, "the result file is missing in the spool: restore it, then send again", ours=True)
        if self._ask is not None:
            self._hold(left, pulse, self._ask)
        if not left:
            return
        answers = self._answers(list(left), urgent=any(item.urgent for item in left.values()))
        try:
            for answer in answers:
                item = left.pop(answer.path)
                self._listen(answer)
                pulse.drop(item)
                self._settle(item, *_meaning(answer), answer.status, note=answer.note, again_after_s=answer.again_after_s)
                self._gave_way = self._gives_way(item, left)
                if stop.is_set() or self._gave_way:
                    return
        finally:
            answers.close()  # releases the association where we stop halfway

    def _answers(self, paths: Sequence[Path], *, urgent: bool) -> Generator[Answer]:
        """Send; a fault in that is a reason to try again later, for at once all that wait would meet it again."""
        try:
            yield from self._sender(urgent).send(paths)
        except OverreadError:
            raise
        except Exception as fault:
            raise Retryable(f"a fault in Overread, please report it: {tell(fault)}") from fault

    def _listen(self, answer: Answer) -> None:
        """Note whether that was the destination's word; what is wrong with our own file says nothing of it."""
        if answer.status is not None or answer.heard:
            self._heard, self._unheard = True, ""
        elif answer.retryable and not self._heard:
            self._heard, self._unheard = False, answer.reason

    def _gives_way(self, settled: OutboxItem, left: Mapping[Path, OutboxItem]) -> bool:
        """Whether the jobs that are left wait for something urgent; the objects of one job are not parted."""
        next_one = next(iter(left.values()), None)
        if next_one is None or next_one.urgent or next_one.job_id == settled.job_id:
            return False
        return self._outbox.urgent_waits(self._destination)

    def _hold(self, left: dict[Path, OutboxItem], pulse: Pulse, ask: Callable[[str], Known]) -> None:
        """Keep back, and take from `left`, what the destination knows as somebody else's."""
        asked: dict[str, Known] = {}
        for path, item in list(left.items()):
            if item.released:
                continue
            if item.study_uid not in asked:
                asked[item.study_uid] = ask(item.study_uid)
                self._heard = True
            if said := asked[item.study_uid].differs(path):
                del left[path]
                pulse.drop(item)
                self._outbox.hold(item, said)
                log.warning("result held", destination=self._destination, study_uid=item.study_uid, kind=item.result.kind)

    def _tell_breaker(self, reason: str, *, stopped: bool) -> None:
        if self._heard:
            self._breaker.answered()
        elif self._heard is False and not stopped:  # stopped: that nothing was answered is our doing
            self._breaker.failed(reason)

    def _settle(
        self,
        item: OutboxItem,
        disposal: Disposal,
        reason: str,
        status: int | None = None,
        *,
        ours: bool = False,
        again_after_s: float | None = None,
        note: str = "",
    ) -> None:
        """Record what became of one delivery; where the lease was lost somebody else does.

        A failure that is `ours` is no refusal of the destination's: nothing goes in its place. The `note` says how it was stored.
        """
        wait_s = self._waits.after(item.attempt, self._jitter) if disposal is Disposal.RETRY else None
        if wait_s is not None and again_after_s is not None:
            wait_s = max(wait_s, min(again_after_s, _LONGEST_ASKED_WAIT_S))
        if disposal is Disposal.STORED:
            kept = self._outbox.stored(item, status or 0, note)
        elif wait_s is not None:
            kept = self._outbox.retry(item, reason, self._clock.now() + timedelta(seconds=wait_s))
        else:
            if disposal is Disposal.RETRY:
                reason = f"given up after {item.attempt} tries; the last one: {reason}"
            kept = self._outbox.fail(item, reason, refused=disposal is Disposal.FAIL and not ours)
        say = log.info if disposal is Disposal.STORED else log.warning
        say(
            "result sent" if disposal is Disposal.STORED else "result not sent",
            destination=self._destination,
            study_uid=item.study_uid,
            sop_instance_uid=item.result.sop_instance_uid,
            kind=item.result.kind,
            attempt=item.attempt,
            reason=f"{reason}, {note}" if note and disposal is Disposal.STORED else reason,
            again_in_s=round(wait_s, 1) if wait_s is not None else None,
            lease_lost=not kept,
        )


def _meaning(answer: Answer) -> tuple[Disposal, str]:
    if answer.status is not None:
        return judge(answer.status)
    return (Disposal.RETRY if answer.retryable else Disposal.FAIL), answer.reason
