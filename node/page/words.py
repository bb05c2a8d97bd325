"""The figures of a study in words, the same on the page and in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from node.store.commitment import ARCHIVE, NODE, CommitmentView
from node.store.records import JobView, KeptView, Outcome, StudyView
from node.store.states import DeliveryState, JobState
from node.store.summary import finding_in_words, number, summary_in_words


def figures(measurements: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Measurements as a table: the heads (``volume, ml``), and a row of figures for each structure."""
    heads: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for one in measurements:
        unit = one.get("unit", "")
        head = f"{one.get('quantity', '')}, {unit}" if unit else str(one.get("quantity", ""))
        if head not in heads:
            heads.append(head)
        rows.setdefault(str(one.get("name", "")), {})[head] = number(one.get("value"))
    return heads, [(name, [row.get(head, "") for head in heads]) for name, row in rows.items()]


def answer_in_brief(job: JobView) -> str:
    """What a job came to, on one line: findings, and the size of each structure."""
    if job.state is not JobState.PUBLISHED:
        return job.reason or str(job.state)
    parts = [finding_in_words(finding) for finding in job.summary.get("findings", [])]
    sizes: dict[str, str] = {}
    for one in job.summary.get("measurements", []):  # the first figure of a structure is its volume or area
        sizes.setdefault(str(one.get("name", "")), f"{number(one.get('value'))} {one.get('unit', '')}".strip())
    return "; ".join([*parts, *(f"{name} {size}" for name, size in sizes.items())]) or "nothing found"


def removed_in_words(view: StudyView) -> list[str]:
    """What retention has removed of a study, and when: a line for each kind of file."""
    removed = (("received images", view.originals_removed_at), ("result objects", view.results_removed_at))
    return [f"{what}, {at.astimezone():%Y-%m-%d %H:%M}: files only, all that is said here stands" for what, at in removed if at]


def commitment_in_words(view: CommitmentView) -> str:
    """What became of the instances of a request to commit, and who decides."""
    decides = "this node decides" if view.policy == NODE else f"{view.policy.removeprefix(ARCHIVE)} decides"
    if view.committed + view.failed < view.named:
        return f"{decides}; not decided"
    return f"{decides}; {view.committed} of {view.named} committed"


def kept_in_words(kept: KeptView) -> str:
    """What retention has removed in all, and how old the oldest is that is here."""
    removed = f"{kept.removed_files} files of {kept.removed_studies} studies, {kept.removed_bytes / 1e9:.1f} GB"
    oldest = f"; the oldest images here are of {kept.oldest_at.astimezone():%Y-%m-%d}" if kept.oldest_at else ""
    return f"Removed so far: {removed}{oldest}"


def why_unread(view: StudyView) -> str:
    """Why no model read a study, by its decisions: the refusals, else why the models were not meant for it; one line."""
    for outcome in (Outcome.REFUSED, Outcome.NOT_CHOSEN):
        reasons = dict.fromkeys(one.decision.reason for one in view.decisions if one.decision.outcome is outcome)
        if reasons:
            return f"{outcome}: " + "; ".join(reasons)
    return "not read: no images"


def answer_in_words(job: JobView) -> list[str]:
    """What a job came to, a line each: findings, measurements and notes, or why there are none."""
    if job.state is not JobState.PUBLISHED:
        return [job.reason or str(job.state)]
    return summary_in_words(job.summary) or ["nothing found"]


PROOFS: Final = ("found", "committed", "not proven yet", "not proven")
"""What a destination may have proven of what it was sent."""


def deliveries_in_words(view: StudyView) -> str:
    """``pacs 6 of 6 sent, 6 committed``, a destination each; failures are named."""
    parts = []
    for name in dict.fromkeys(delivery.destination for delivery in view.deliveries):
        mine = [delivery for delivery in view.deliveries if delivery.destination == name]
        sent = sum(delivery.state is DeliveryState.SENT for delivery in mine)
        failed = sum(delivery.state is DeliveryState.FAILED for delivery in mine)
        held = sum(delivery.state is DeliveryState.HELD for delivery in mine)
        proven = Counter(delivery.proof for delivery in mine if delivery.proof)
        said = [f"{sent} of {len(mine)} sent", *([f"{failed} failed"] if failed else []), *([f"{held} held"] if held else [])]
        said += [f"{proven[proof]} {proof}" for proof in PROOFS if proven[proof]]
        parts.append(f"{name} {', '.join(said)}")
    return "; ".join(parts) or "none"
