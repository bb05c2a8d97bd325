"""The verdict as a table: what arrived, what was said, what follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from node.store.signals import (
    ANSWERED,
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    NO_ANSWER,
    UNKNOWN_SERIES,
    Arrived,
    Receiving,
    Series,
    Signal,
    SignalKind,
)
from node.studies.complete import WHOLE_STUDY, Patience, Verdict, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
QUIET_S, LONGEST_S = 10.0, 600.0


def series(**numbers: int) -> Series:
    """``series(a=3)``: series a with instances a.1, a.2, a.3."""
    return {name: frozenset(f"{name}.{one}" for one in range(1, count + 1)) for name, count in numbers.items()}


def mpps(status: str, **named: int) -> Signal:
    return Signal(SignalKind.MPPS, "1.9", "CT_1", status, START, series(**named))


def ian(**named: int) -> Signal:
    return Signal(SignalKind.AVAILABILITY, "1.8", "PACS", "", START, series(**named))


def commitment(**named: int) -> Signal:
    instances = frozenset[str]().union(*series(**named).values())
    return Signal(SignalKind.COMMITMENT, "1.7", "CT_1", "", START, {UNKNOWN_SERIES: instances})


def archive(status: str = ANSWERED, after_s: float = 5, **named: int) -> Signal:
    return Signal(SignalKind.ARCHIVE, "vna", "vna", status, START + timedelta(seconds=after_s), series(**named))


@dataclass(frozen=True)
class Case:
    """The last image came 4 s after the first; `after_s` counts from the first."""

    name: str
    after_s: float
    signals: tuple[Signal, ...]
    complete: bool
    says: str
    incomplete: bool = False
    ask: str = ""
    here: Series = field(default_factory=lambda: series(a=3, b=2))
    open_associations: int = 0
    whole: bool = False
    asks: bool = False
    notes: tuple[tuple[str, str], ...] = ()


CASES = [
    Case("quiet", 14, (), True, "no new image for 10 s from CT_1; associations that sent it: 2 released"),
    Case("not quiet", 13.9, (), False, "waits: no 10 s without a new image from CT_1 yet"),
    Case("open", 100, (), False, "1 association that sent it still open", open_associations=1),
    Case("step in progress", 100, (mpps(IN_PROGRESS),), False, "procedure step of CT_1 is in progress"),
    Case(
        "step names what is here",
        5,
        (mpps(COMPLETED, a=3, b=2),),
        True,
        "procedure step of CT_1 (completed) names 5 instances, all here",
    ),
    Case("but one is open", 5, (mpps(COMPLETED, a=3, b=2),), False, "still open", open_associations=1),
    Case("here is more than it names", 5, (mpps(COMPLETED, a=3),), False, "no 10 s without"),
    Case("two steps, one in progress", 100, (mpps(COMPLETED, a=3, b=2), mpps(IN_PROGRESS)), False, "in progress"),
    Case("two steps together", 5, (mpps(COMPLETED, a=3), mpps(COMPLETED, b=2)), True, "names 3 instances, all here"),
    Case("step names more", 100, (mpps(COMPLETED, a=5, b=2),), False, "(completed) names 7 instances, 2 of them not here"),
    Case("step names a series that never began", 5, (mpps(COMPLETED, a=3, b=2, c=9),), False, "no 10 s without"),
    Case(
        "which is not waited for",
        14,
        (mpps(COMPLETED, a=3, b=2, c=9),),
        True,
        "1 series of which nothing arrived, not waited for",
    ),
    Case(
        "unless studies come whole",
        14,
        (mpps(COMPLETED, a=3, b=2, c=9),),
        False,
        "names 14 instances, 9 of them not here",
        whole=True,
    ),
    Case("a step without images", 14, (mpps(COMPLETED),), True, "names no instance"),
    Case(
        "discontinued",
        5,
        (mpps(DISCONTINUED, a=3, b=2),),
        True,
        "procedure step of CT_1 (discontinued) names 5 instances, all here",
        notes=(("a", "discontinued"), ("b", "discontinued")),
    ),
    Case("discontinued, no images named", 14, (mpps(DISCONTINUED),), True, "no instance", notes=((WHOLE_STUDY, "discontinued"),)),
    Case("notified", 5, (ian(a=3, b=2),), True, "availability notification of PACS names 5 instances, all here"),
    Case(
        "notified of more",
        100,
        (ian(a=4, b=2),),
        False,
        "availability notification of PACS names 6 instances, 1 of them not here",
    ),
    Case("asked to commit what is here", 5, (commitment(a=3),), False, "no 10 s without"),
    Case("then quiet", 14, (commitment(a=3),), True, "commitment request of CT_1 names 3 instances, all here"),
    Case(
        "asked to commit more", 100, (commitment(a=4),), False, "commitment request of CT_1 names 4 instances, 1 of them not here"
    ),
    Case("archive not asked, not quiet", 5, (), False, "archive vna not asked yet", asks=True),
    Case("archive to be asked", 14, (), False, "archive vna not asked yet", asks=True, ask="vna"),
    Case("not while one is open", 14, (), False, "archive vna not asked yet", asks=True, open_associations=1),
    Case("archive has the same", 14, (archive(a=3, b=2),), True, "archive vna names 5 instances, all here", asks=True),
    Case("archive has more", 14, (archive(a=3, b=7),), False, "archive vna names 10 instances, 5 of them not here", asks=True),
    Case("archive has a series more", 14, (archive(a=3, b=2, c=1),), True, "not waited for", asks=True),
    Case("archive has fewer", 14, (archive(a=1),), True, "archive vna names 1 instance, all here", asks=True),
    Case("archive asked before the last image", 14, (archive(after_s=3, a=3),), False, "not asked yet", asks=True, ask="vna"),
    Case("archive gave no answer", 14, (archive(NO_ANSWER),), True, "archive vna gave no answer", asks=True),
    Case(
        "another archive was asked", 14, (Signal(SignalKind.ARCHIVE, "x", "x", ANSWERED, START),), False, "", asks=True, ask="vna"
    ),
    Case("a notification makes asking needless", 5, (ian(a=3, b=2),), True, "all here", asks=True),
    Case(
        "longest wait: a series lacks images",
        600,
        (mpps(COMPLETED, a=5, b=2),),
        True,
        "incomplete, read as it stands 600 s after its first image: procedure step of CT_1 (completed) names 7 instances, 2 of",
        incomplete=True,
        notes=(("a", "Incomplete: 2 of the 5 images named for this series had not arrived"),),
    ),
    Case(
        "longest wait: a series is not there",
        600,
        (mpps(COMPLETED, a=3, b=2, c=1),),
        True,
        "1 of them not here",
        incomplete=True,
        whole=True,
        notes=((WHOLE_STUDY, "may be incomplete"),),
    ),
    Case(
        "longest wait: nobody knows the series",
        600,
        (commitment(a=4),),
        True,
        "incomplete",
        incomplete=True,
        notes=((WHOLE_STUDY, "may be incomplete"),),
    ),
    Case(
        "longest wait: in progress",
        600,
        (mpps(IN_PROGRESS),),
        True,
        "incomplete",
        incomplete=True,
        notes=((WHOLE_STUDY, "may be incomplete"),),
    ),
    Case(
        "longest wait: an association never ends",
        600,
        (),
        True,
        "incomplete, read as it stands 600 s after its first image: 1 association that sent it still open",
        incomplete=True,
        open_associations=1,
        notes=((WHOLE_STUDY, "may be incomplete"),),
    ),
    Case("longest wait over, but all is well", 9999, (mpps(COMPLETED, a=3, b=2),), True, "all here"),
]


def verdict(case: Case) -> Verdict:
    study = Receiving(1, "1.2.3", "CT_1", 5, START, START + timedelta(seconds=4), case.open_associations, "")
    patience = Patience(QUIET_S, LONGEST_S, case.whole, "vna" if case.asks else "")
    return judge(START + timedelta(seconds=case.after_s), study, Arrived(case.here, {"released": 2}), case.signals, patience)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdicts(case: Case) -> None:
    said = verdict(case)
    assert (said.complete, said.incomplete, said.ask) == (case.complete, case.incomplete, case.ask)
    assert case.says in said.evidence
    assert said.notes.keys() == {key for key, _ in case.notes}
    for key, text in case.notes:
        assert text in " ".join(said.notes[key])
    assert said.complete == (said.until is None)


@pytest.mark.parametrize("case", [case for case in CASES if not case.complete], ids=lambda case: case.name)
def test_what_waits_is_read_in_the_end(case: Case) -> None:
    at = verdict(case).until
    assert at is not None
    seconds = (at - START).total_seconds()
    assert case.after_s < seconds <= LONGEST_S
    later = Case(
        case.name, LONGEST_S, case.signals, True, "", open_associations=case.open_associations, whole=case.whole, asks=case.asks
    )
    assert verdict(later).complete


def test_images_that_never_cease_are_read_in_the_end() -> None:
    study = Receiving(1, "1.2.3", "CT_1", 5, START, START + timedelta(seconds=599), 0, "")
    said = judge(START + timedelta(seconds=600), study, Arrived(series(a=1)), (), Patience(QUIET_S, LONGEST_S))
    assert said.complete
    assert said.incomplete
