"""Is a study complete? One pure function over what arrived and what was said, with the evidence for its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from node.store.signals import (
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

WHOLE_STUDY: Final = ""
"""Key of notes that are meant for every series."""

_NAMES: Final = {
    SignalKind.MPPS: "procedure step of {}",
    SignalKind.AVAILABILITY: "availability notification of {}",
    SignalKind.COMMITMENT: "commitment request of {}",
    SignalKind.ARCHIVE: "archive {}",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """What is waited for, and how long.

    Parameters
    ----------
    quiet_s
        Seconds without a new image.
    longest_wait_s
        Seconds after the first image after which the study is read as it stands.
    whole_studies
        Whether series that are named, and of which nothing has arrived, are waited for.
    archive
        Name of the archive that is asked; empty: none.
    """

    quiet_s: float
    longest_wait_s: float
    whole_studies: bool = False
    archive: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Complete, or what is waited for.

    Parameters
    ----------
    incomplete
        It is read as it stands because the longest wait is over.
    evidence
        Why, for a person.
    until
        When time alone may change the verdict; None where it is complete.
    ask
        Name of the archive that is to be asked now; empty: none.
    notes
        What every result must say, by Series Instance UID; under `WHOLE_STUDY` for all series.
    """

    complete: bool
    evidence: str
    incomplete: bool = False
    until: datetime | None = None
    ask: str = ""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Case:
    """What was found for and against completeness."""

    reasons: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    lacking: dict[str, set[str]] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    unclear: bool = False
    """Whether something is against it that no single series can be blamed for."""

    def doubt(self, obstacle: str) -> None:
        """Add an obstacle that concerns the study as a whole."""
        self.obstacles.append(obstacle)
        self.unclear = True


def judge(now: datetime, study: Receiving, arrived: Arrived, signals: Sequence[Signal], patience: Patience) -> Verdict:
    """Decide whether a study is complete.

    A study is complete when no association that sent it is open, no procedure step of it is in progress, every instance that
    any signal names is here (of the series that began to arrive; of all, where whole studies are expected), the archive was
    asked where one is configured, and the quiet period has passed. The quiet period is not waited for where procedure steps or
    availability notifications name all that is here, and all that they name is here. After the longest wait the study is read
    as it stands.
    """
    case = _Case()
    if study.open_associations:
        case.doubt(f"{_count(study.open_associations, 'association')} that sent it still open")
    for signal in signals:
        _weigh(case, signal, arrived.series, patience)
    quiet_at = study.last_arrival_at + timedelta(seconds=patience.quiet_s)
    quiet, confirmed = now >= quiet_at, _confirmed(signals, arrived.series)
    if not quiet and not confirmed:
        case.doubt(f"no {patience.quiet_s:g} s without a new image from {study.calling_ae} yet")
    ask = ""
    if patience.archive and not confirmed and not _asked(signals, study, patience.archive):
        ask = patience.archive if quiet and not study.open_associations else ""
        case.doubt(f"archive {patience.archive} not asked yet")
    ends = ", ".join(f"{count} {how}" for how, count in sorted(arrived.ends.items()))
    facts = [*([f"no new image for {patience.quiet_s:g} s from {study.calling_ae}"] if quiet else []), *case.reasons]
    facts += [f"associations that sent it: {ends}"] if ends else []
    if not case.obstacles:
        return Verdict(True, "; ".join(facts), notes=_discontinued(signals, arrived.series))
    limit = study.since + timedelta(seconds=patience.longest_wait_s)
    if now < limit:
        until = min(limit, quiet_at) if not quiet else limit
        return Verdict(False, "waits: " + "; ".join([*case.obstacles, *case.reasons]), until=until, ask=ask)
    evidence = f"incomplete, read as it stands {patience.longest_wait_s:g} s after its first image: " + "; ".join(
        [*case.obstacles, *facts]
    )
    return Verdict(True, evidence, incomplete=True, notes=_incomplete(case, arrived.series, signals))


def _weigh(case: _Case, signal: Signal, here: Series, patience: Patience) -> None:
    """Add what one signal says to the case."""
    who = _NAMES[signal.kind].format(signal.source)
    if signal.status == NO_ANSWER:
        case.reasons.append(f"{who} gave no answer, so that nobody confirms it")
        return
    if signal.status == IN_PROGRESS:
        case.doubt(f"{who} is in progress")
        return
    all_here = frozenset[str]().union(*here.values())
    named = lacking = unbegun = 0
    for series, instances in signal.series.items():
        if series != UNKNOWN_SERIES and series not in here and not patience.whole_studies:
            unbegun += 1
            continue
        missing = instances - (all_here if series == UNKNOWN_SERIES else here.get(series, frozenset()))
        named += len(instances)
        lacking += len(missing)
        case.named.setdefault(series, set()).update(instances)
        if missing:
            case.lacking.setdefault(series, set()).update(missing)
            case.unclear |= series not in here
    said = f"{who} " + (f"({signal.status.lower()}) " if signal.status in {COMPLETED, DISCONTINUED} else "")
    if lacking:
        case.obstacles.append(f"{said}names {_count(named, 'instance')}, {lacking} of them not here")
    elif named:
        case.reasons.append(f"{said}names {_count(named, 'instance')}, all here")
    elif not unbegun:
        case.reasons.append(f"{said}names no instance")
    if unbegun:
        case.reasons.append(f"{said}names {unbegun} series of which nothing arrived, not waited for")


def _confirmed(signals: Sequence[Signal], here: Series) -> bool:
    """Whether finished procedure steps and notifications name exactly what is here."""
    speaking = [one for one in signals if one.kind in {SignalKind.MPPS, SignalKind.AVAILABILITY}]
    if any(one.status == IN_PROGRESS for one in speaking):
        return False
    named: dict[str, set[str]] = {}
    for one in speaking:
        for series, instances in one.series.items():
            named.setdefault(series, set()).update(instances)
    return bool(named) and {uid: frozenset(instances) for uid, instances in named.items() if instances} == dict(here)


def _asked(signals: Sequence[Signal], study: Receiving, archive: str) -> bool:
    """Whether the archive was asked since the last image came."""
    return any(one.kind is SignalKind.ARCHIVE and one.source == archive and one.at >= study.last_arrival_at for one in signals)


def _incomplete(case: _Case, here: Series, signals: Sequence[Signal]) -> Mapping[str, tuple[str, ...]]:
    """What results must say of a study that is read as it stands."""
    notes = dict(_discontinued(signals, here))
    for series in sorted(case.lacking.keys() & here.keys()):
        share = f"{len(case.lacking[series])} of the {len(case.named[series])} images named for this series"
        notes[series] = (*notes.get(series, ()), f"Incomplete: {share} had not arrived when it was read.")
    if case.unclear:
        note = "The study may be incomplete: it was read as it stood when the longest wait was over."
        notes[WHOLE_STUDY] = (*notes.get(WHOLE_STUDY, ()), note)
    return notes


def _discontinued(signals: Sequence[Signal], here: Series) -> Mapping[str, tuple[str, ...]]:
    """Steps that the scanner broke off: their images are what there is, and a reader must know."""
    note = ("The scanner reported this procedure step as discontinued.",)
    broken = [one for one in signals if one.status == DISCONTINUED]
    if any(not one.series for one in broken):
        return {WHOLE_STUDY: note}
    return {series: note for one in broken for series in one.series if series in here}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
